"""Tenants and the revision that tells the reverse channel whether anything changed."""

from datetime import datetime

from django.db.models import F

from plants.models import Installation, Organisation


def create_organisation(*, name: str, slug: str, at: datetime) -> Organisation:
    """A new tenant; raises ValidationError when the slug is taken or malformed."""
    organisation = Organisation(name=name, slug=slug, created_at=at)
    organisation.full_clean()
    organisation.save(force_insert=True)
    return organisation


def rename_organisation(*, organisation_id: int, name: str) -> None:
    """Change an organisation's name; raises ValidationError when it does not fit. Its slug stays for good."""
    row = Organisation.objects.get(pk=organisation_id)
    row.name = name
    row.full_clean()
    row.save(update_fields=["name"])


def bump_revision(*, organisation_id: int) -> None:
    """Call in the transaction of every change that plant list or config can show: their ETags contain the revision."""
    Organisation.objects.filter(pk=organisation_id).update(revision=F("revision") + 1)


def set_installation_dispatch(*, enabled: bool) -> Installation:
    """Switch dispatch of the whole installation on or off."""
    row, _ = Installation.objects.update_or_create(pk=1, defaults={"dispatch_enabled": enabled})
    return row
