from django.apps import AppConfig


class TradingApiConfig(AppConfig):
    name = "trading_api"
    verbose_name = "Reverse channel"
    default_auto_field = "django.db.models.BigAutoField"
