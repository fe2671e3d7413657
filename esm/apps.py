from django.apps import AppConfig


class EsmConfig(AppConfig):
    name = "esm"
    verbose_name = "ESM"

    def ready(self) -> None:
        """Register the system checks; nothing is started here."""
        import esm.checks  # noqa: F401, PLC0415 - registers itself, needs loaded models
