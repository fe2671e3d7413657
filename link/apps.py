from django.apps import AppConfig


class LinkConfig(AppConfig):
    name = "link"
    verbose_name = "Link"
    default_auto_field = "django.db.models.BigAutoField"
