from django.apps import AppConfig


class PlantsConfig(AppConfig):
    name = "plants"
    verbose_name = "Plants"
    default_auto_field = "django.db.models.BigAutoField"
