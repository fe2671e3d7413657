"""Who is signed in where: Django's session rows with the person, so that a person can look at and end their own."""

from typing import TYPE_CHECKING

from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import models

from plants.models import User

if TYPE_CHECKING:
    from people.sessions import SessionStore


class PersonSession(AbstractBaseSession):
    """One browser's session. Without a person: somebody who has not signed in (yet).

    The columns are copies of what the session holds, written by its store with every save.
    """

    user = models.ForeignKey(User, on_delete=models.CASCADE, null=True, related_name="sessions")
    address = models.CharField(max_length=45, blank=True, help_text="The network address at sign-in.")
    browser = models.CharField(max_length=80, blank=True, help_text="Browser and system in words.")
    signed_in_at = models.DateTimeField(null=True)
    seen_at = models.DateTimeField(null=True, help_text="The last request; written once a minute at most.")

    class Meta(AbstractBaseSession.Meta):
        abstract = False
        verbose_name = "session"
        indexes = [models.Index(fields=["user", "-seen_at"], name="session_by_user")]

    @classmethod
    def get_session_store_class(cls) -> "type[SessionStore]":
        """What reads and writes these rows; asked for by Django, late, because the store imports this model."""
        from people.sessions import SessionStore  # noqa: PLC0415 - the two name each other

        return SessionStore
