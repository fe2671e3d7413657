"""The reverse channel's own tables: credentials, config updates that Voke asked for, and the pull journal."""

from django.db import models
from django.utils.translation import gettext_lazy

from plants.models import Organisation, Plant, TimeConfigVersion, User


class Credential(models.Model):
    """A client id and secret of one Voke organisation; the secret is stored as a keyed hash and was shown once.

    `revision` is part of every token: disabling, or issuing a new secret, kills the tokens that are out at once.
    """

    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="credentials")
    label = models.CharField(max_length=80, blank=True)
    client_id = models.CharField(max_length=120, unique=True)
    secret_hash = models.CharField(max_length=64, editable=False, help_text="HMAC-SHA256 of the secret, hex.")
    pepper_version = models.CharField(max_length=16, editable=False)
    enabled = models.BooleanField(default=True)
    revision = models.PositiveIntegerField(default=1, editable=False)
    created_at = models.DateTimeField(editable=False)
    last_token_at = models.DateTimeField(null=True, editable=False)  # `journal.insert` writes it

    class Meta:
        ordering = ["organisation_id", "client_id"]

    def __str__(self) -> str:
        return self.client_id


class ServedVersion(models.Model):
    """The newest time-config version that a credential has been given: an update based on an older one is held."""

    credential = models.ForeignKey(Credential, on_delete=models.CASCADE, related_name="served")
    plant = models.ForeignKey(Plant, on_delete=models.CASCADE, related_name="+")
    number = models.PositiveIntegerField(
        help_text="0 = the credential was told that there is no version yet."
    )
    served_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["credential", "plant"], name="served_version_once")]

    def __str__(self) -> str:
        return f"v{self.number}"


class UpdateState(models.TextChoices):
    OPEN = "OPEN", gettext_lazy("Waiting for review")
    APPLIED = "APPLIED", gettext_lazy("Applied")
    REFUSED = "REFUSED", gettext_lazy("Refused by a person")
    INVALID = "INVALID", gettext_lazy("Breaks the plant's rules")
    SUPERSEDED = "SUPERSEDED", gettext_lazy("Replaced by a newer request")


class HeldBecause(models.TextChoices):
    NEVER_SERVED = "NEVER_SERVED", gettext_lazy("The credential was never given this plant's config")
    NEWER_VERSION = (
        "NEWER_VERSION",
        gettext_lazy("The config has changed since the credential was last given it"),
    )
    POLICY = "POLICY", gettext_lazy("The plant's updates are reviewed by a person")


class ConfigUpdateRequest(models.Model):
    """A change of time-config blocks that Voke asked for."""

    request_id = models.UUIDField(unique=True)
    plant = models.ForeignKey(Plant, on_delete=models.CASCADE, related_name="config_updates")
    credential = models.ForeignKey(Credential, on_delete=models.PROTECT, related_name="+")
    blocks = models.JSONField(help_text="The asked-for blocks, fields of `plants.time_config.Block`.")
    state = models.CharField(max_length=10, choices=UpdateState)
    held_because = models.CharField(max_length=16, choices=HeldBecause, blank=True)
    based_on = models.PositiveIntegerField(
        null=True,
        help_text="Version number last served to the credential; 0 = it was told that there is none.",
    )
    asked_at = models.DateTimeField()
    decided_at = models.DateTimeField(null=True)
    decided_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    decided_by_name = models.CharField(max_length=150, blank=True)
    note = models.CharField(max_length=500, blank=True)
    version = models.ForeignKey(
        TimeConfigVersion,
        on_delete=models.SET_NULL,
        null=True,
        related_name="+",
        help_text="The version that the decision made, or found in force.",
    )

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["plant"], condition=models.Q(state="OPEN"), name="one_open_update_per_plant"
            )
        ]

    def __str__(self) -> str:
        return str(self.request_id)


class PullJournal(models.Model):
    """One request of the reverse channel, or a counted row of refused ones; never a secret, token or header."""

    at = models.DateTimeField()
    last_at = models.DateTimeField(null=True, help_text="The newest request of a counted row.")
    count = models.PositiveIntegerField(default=1)
    organisation = models.ForeignKey(Organisation, on_delete=models.CASCADE, null=True, related_name="+")
    credential = models.ForeignKey(Credential, on_delete=models.SET_NULL, null=True, related_name="+")
    plant = models.ForeignKey(Plant, on_delete=models.SET_NULL, null=True, related_name="+")
    client_id = models.CharField(max_length=120, blank=True)
    address = models.GenericIPAddressField(null=True)
    request_id = models.CharField(max_length=64)
    endpoint = models.CharField(max_length=24, help_text="token, list, config, update, or other.")
    method = models.CharField(max_length=8)
    plant_ref = models.CharField(max_length=128, blank=True, help_text="plantId as asked for.")
    version = models.PositiveIntegerField(null=True, help_text="Time-config version served or made.")
    status = models.PositiveSmallIntegerField(help_text="HTTP status.")
    result = models.CharField(max_length=64, blank=True, help_text="Result code or error code.")
    detail = models.CharField(max_length=400, blank=True)
    latency_ms = models.FloatField()
    bytes_in = models.PositiveIntegerField()
    bytes_out = models.PositiveIntegerField()
    body = models.TextField(blank=True, help_text="Redacted body of updates and errors, at most 8 KiB.")
    counted_minute = models.DateTimeField(
        null=True, help_text="Set on counted rows: the minute they stand for."
    )

    class Meta:
        ordering = ["-id"]
        verbose_name = "pull journal row"
        verbose_name_plural = "pull journal"
        constraints = [
            models.UniqueConstraint(
                fields=["address", "counted_minute"],
                condition=models.Q(counted_minute__isnull=False),
                name="one_counted_row_per_address_and_minute",
            )
        ]
        indexes = [
            models.Index(fields=["at"], name="journal_by_time"),
            models.Index(fields=["organisation", "-id"], name="journal_by_organisation"),
            # What somebody looks for among a million polls of configs.
            models.Index(fields=["organisation", "plant_ref", "-id"], name="journal_by_plant_ref"),
            models.Index(
                fields=["organisation", "endpoint", "-id"],
                condition=~models.Q(endpoint="config"),
                name="journal_by_rare_endpoint",
            ),
            models.Index(
                fields=["organisation", "-id"], condition=models.Q(status__gte=400), name="journal_unanswered"
            ),
            # A day of pulls is counted from the index alone.
            models.Index(
                fields=["organisation", "at"], include=["endpoint", "status"], name="journal_counted_by_time"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.method} {self.endpoint} {self.status}"
