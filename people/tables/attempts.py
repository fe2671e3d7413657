"""How often signing in failed: counted in the database, so that it holds in every process and without Redis."""

from django.db import models


class AttemptCount(models.Model):
    """Failures of one account, address, browser or second factor within the current window."""

    key = models.CharField(
        primary_key=True, max_length=64, help_text="HMAC of what is counted: typed names may be passwords."
    )
    failures = models.PositiveIntegerField()
    since = models.DateTimeField()
    blocked_until = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.failures} failures"
