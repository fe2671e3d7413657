"""Who owns what: the organisation is the tenant of everything, people belong to one or are installation staff."""

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.utils.translation import gettext_lazy


class Installation(models.Model):
    """The one row of installation-wide switches (its key is always 1)."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    dispatch_enabled = models.BooleanField(
        default=True, help_text="Off: nothing at all is published to Voke, for any organisation."
    )

    class Meta:
        verbose_name = "installation"
        verbose_name_plural = "installation"
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="installation_is_one_row")]

    def __str__(self) -> str:
        return "Installation"


class Organisation(models.Model):
    """A tenant. Connections, plants, credentials and users belong to exactly one."""

    name = models.CharField(max_length=120)
    slug = models.SlugField(max_length=50, unique=True)
    revision = models.BigIntegerField(
        default=1,
        editable=False,
        help_text="Counts every change that the reverse channel can show; part of its ETags.",
    )
    created_at = models.DateTimeField(editable=False)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Role(models.TextChoices):
    """What a person does in an organisation; each role may all that the ones before it may (`people.rights`)."""

    VIEWER = "VIEWER", gettext_lazy("Viewer: sees everything of the organisation")
    OPERATOR = "OPERATOR", gettext_lazy("Operator: sends, publishes, overrides, stops; works on alarms")
    ENGINEER = "ENGINEER", gettext_lazy("Engineer: connections, credentials, updates from Voke too")
    ADMIN = "ADMIN", gettext_lazy("Organisation admin: people and their roles too")


class Theme(models.TextChoices):
    SYSTEM = "system", "As the device"
    LIGHT = "light", "Light"
    DARK = "dark", "Dark"


class User(AbstractUser):
    """A person. Without an organisation: staff of this installation (Django admin)."""

    organisation = models.ForeignKey(
        Organisation, on_delete=models.PROTECT, null=True, blank=True, related_name="users"
    )
    role = models.CharField(
        max_length=8, choices=Role, default=Role.VIEWER, help_text="What the person may do in the console."
    )
    theme = models.CharField(max_length=6, choices=Theme, default=Theme.SYSTEM, help_text="How pages look.")
