"""What people did: one row for each act in the console, never changed."""

from django.db import models

from people.tables.attempts import AttemptCount
from people.tables.factors import RecoveryCode, TotpDevice
from people.tables.links import OneTimeLink
from people.tables.sessions import PersonSession
from plants.models import Organisation, User

__all__ = ["AttemptCount", "AuditEntry", "OneTimeLink", "PersonSession", "RecoveryCode", "TotpDevice"]


class AuditEntry(models.Model):
    """One act of a person: what, on what, why, what it was before and is after.

    Written in the transaction of the act. The name stands here as it was, so that the entry reads the same when the
    person is gone.
    """

    organisation = models.ForeignKey(
        Organisation,
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        help_text="Where it was done; NULL = about the installation or before an organisation was known.",
    )
    user = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    user_name = models.CharField(max_length=150, help_text="Who, as the name was then.")
    as_staff = models.BooleanField(default=False, help_text="Done by staff of the installation.")
    action = models.CharField(max_length=60, help_text="A word with a dot: command.sent, plan.published …")
    subject = models.CharField(max_length=200, blank=True, help_text="On what: plant, command, alarm …")
    subject_path = models.CharField(
        max_length=200, blank=True, help_text="Address of its page in the console."
    )
    reason = models.CharField(max_length=500, blank=True)
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)
    address = models.CharField(max_length=45, blank=True, help_text="The person's network address.")
    at = models.DateTimeField()

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "audit entries"
        indexes = [
            models.Index(fields=["organisation", "-id"], name="audit_by_organisation"),
            models.Index(fields=["user", "-id"], name="audit_by_user"),
            # What was done to one thing, and to what lies below its page.
            models.Index(
                fields=["organisation", "subject_path"],
                opclasses=["int8_ops", "varchar_pattern_ops"],
                condition=~models.Q(subject_path=""),
                name="audit_by_subject",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.subject}"
