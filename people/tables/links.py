"""One-time links: an invitation to join an organisation, or a new password for somebody who forgot theirs."""

from django.db import models

from plants.models import Organisation, Role, User


class OneTimeLink(models.Model):
    """A link that was shown once to the person who made it. Without `user` it is an invitation, else a new password."""

    organisation = models.ForeignKey(Organisation, on_delete=models.CASCADE, related_name="+")
    user = models.ForeignKey(
        User, on_delete=models.CASCADE, null=True, related_name="+", help_text="Whose password it sets."
    )
    name = models.CharField(max_length=150, help_text="Who is invited.")
    email = models.EmailField(blank=True)
    role = models.CharField(max_length=8, choices=Role)
    digest = models.CharField(max_length=64, unique=True, help_text="HMAC-SHA256 of the link's secret, hex.")
    pepper_version = models.CharField(max_length=16)
    request_key = models.CharField(
        max_length=40,
        unique=True,
        blank=True,
        null=True,
        help_text="Of the form it was made with: a double click makes one.",
    )
    made_by_name = models.CharField(max_length=150)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"link for {self.name}"
