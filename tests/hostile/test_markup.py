"""Markup and SQL in every text that is stored: the admin shows it as text, and the database keeps it as it came."""

from typing import Any

import pytest
from django.contrib import admin
from django.db import connection, models
from django.test import Client
from django.urls import reverse

from esm import clock
from people.models import AuditEntry
from plants.encryption import EncryptedTextField
from plants.models import Plant, User
from tests.admin.seed import seed
from tests.factories import AT

pytestmark = pytest.mark.django_db
LONG = "\"'><script>alert(1)</script>'; DROP TABLE plants_plant; --"
SHORT = "<b>'\""  # for fields that hold no more
NEVER = ("<script>alert(1)", "<b>'\"")
# Words of our own that pages look up in a table, or addresses of our own: nothing from outside gets into them.
OURS = {"User.password", "User.username", "PullJournal.endpoint", "Session.session_key"}


def text_fields(model: type[models.Model]) -> list[Any]:
    """Fields that hold free text."""
    return [
        field
        for field in model._meta.concrete_fields
        if isinstance(field, (models.CharField, models.TextField))
        and not isinstance(field, (EncryptedTextField, models.JSONField))
        and not field.choices
        and not field.primary_key
        and f"{model.__name__}.{field.name}" not in OURS
    ]


def poison(model: type[models.Model]) -> dict[str, str]:
    """Put hostile text into every free text of a model's first row; what was put where."""
    row = model._default_manager.order_by("-pk").first()
    if row is None:
        return {}
    put = {}
    for field in text_fields(model):
        text = (
            LONG if field.max_length is None or field.max_length >= len(LONG) else SHORT[: field.max_length]
        )
        put[field.attname] = text
    if model is AuditEntry:  # only grows: a further entry, then
        row.pk = None
        for name, text in put.items():
            setattr(row, name, text)
        row.save(force_insert=True)
    else:
        model._default_manager.filter(pk=row.pk).update(**put)
    kept = model._default_manager.filter(pk=row.pk).values(*put).get() if put else {}
    assert kept == put
    return put


def test_every_admin_page_shows_hostile_text_as_text(db: None) -> None:
    with clock.frozen(AT):
        seed(at=AT, plants=4, commands=12, journal=6, letters=3)
        client = Client()
        client.force_login(User.objects.create_superuser("jana", "jana@example.com", "correct horse battery"))
        admin.autodiscover()
        put = {model: poison(model) for model in admin.site._registry}
        wrong: list[str] = []
        for model in admin.site._registry:
            name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
            row = model._default_manager.order_by("-pk").first()
            pages = [reverse(f"{name}_changelist")]
            if row is not None:
                pages += [reverse(f"{name}_{page}", args=[row.pk]) for page in ("change", "history")]
            for page in [*pages, f"{pages[0]}?q=%3Cscript%3Ealert(1)%3C/script%3E%27--"]:
                response = client.get(page)
                body = response.content.decode()
                if response.status_code not in {200, 302} or any(text in body for text in NEVER):
                    wrong.append(f"{page}: {response.status_code}")
    assert wrong == []
    assert sum(len(fields) for fields in put.values()) > 50
    assert Plant.objects.exists()
    assert connection.is_usable()
