"""The second factor of a person: an authenticator app, and recovery codes for when it is lost.

The app's key is encrypted at rest like every secret that has to be read again; recovery codes are only compared, so
they are stored as keyed hashes.
"""

from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from django.db import models
from django_otp.oath import TOTP

from esm import clock
from plants.encryption import EncryptedTextField
from plants.models import User

if TYPE_CHECKING:  # it has no types

    class Device(models.Model):
        objects: ClassVar[models.Manager[Any]] = models.Manager()

        class Meta:
            abstract = True
else:
    from django_otp.models import Device

STEP_S = 30
TOLERANCE_STEPS = 1
"""A phone's clock may be half a minute off in either direction."""


class TotpDevice(Device):
    """An authenticator app (RFC 6238: SHA-1, six digits, 30 s). One confirmed per person, and one being set up."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    name = models.CharField(max_length=64)
    confirmed = models.BooleanField(default=False, help_text="False = being set up: not asked for yet.")
    key = EncryptedTextField(help_text="Secret in hex.")
    created_at = models.DateTimeField()
    confirmed_at = models.DateTimeField(null=True)
    used_at = models.DateTimeField(null=True)
    last_step = models.BigIntegerField(
        default=-1, help_text="The newest time step whose code was taken: no code counts twice."
    )

    class Meta:
        verbose_name = "authenticator app"
        constraints = [
            models.UniqueConstraint(fields=["user", "confirmed"], name="one_authenticator_per_person")
        ]

    def matching_step(self, token: str, *, at: datetime) -> int | None:
        """The time step that the code belongs to; None: wrong, or of a step that was used already."""
        if not (len(token) == 6 and token.isascii() and token.isdigit()):
            return None
        generator = TOTP(bytes.fromhex(self.key), step=STEP_S)
        generator.time = at.timestamp()
        if not generator.verify(int(token), tolerance=TOLERANCE_STEPS, min_t=self.last_step + 1):
            return None
        return int(generator.t())

    def take(self, token: str, *, at: datetime) -> bool:
        """Take the code, once; call it on a row that is locked."""
        step = self.matching_step(token, at=at)
        if step is None:
            return False
        self.last_step, self.used_at = step, at
        self.save(update_fields=["last_step", "used_at"])
        return True

    def verify_token(self, token: str) -> bool:
        """django-otp's way to `take`."""
        return self.take(token, at=clock.now())


class RecoveryCode(models.Model):
    """One of the codes that were shown once, at enrolment; each opens the door once."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="recovery_codes")
    digest = models.CharField(max_length=64, help_text="HMAC-SHA256 of person and code, hex.")
    pepper_version = models.CharField(max_length=16)
    created_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "digest"], name="recovery_code_once")]

    def __str__(self) -> str:
        return f"recovery code of {self.user_id}"
