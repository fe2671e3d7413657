from django.apps import AppConfig


class EsmConfig(AppConfig):
    name = "esm"
    verbose_name = "ESM"
    default_auto_field = "django.db.models.BigAutoField"
