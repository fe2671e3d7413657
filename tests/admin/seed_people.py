"""What people of the seeded organisations did in the console."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from people.rights import Role
from people.services.audit import record
from plants.models import Organisation, User


def make_acts(organisations: Sequence[Organisation], at: datetime) -> None:
    """Some acts of one operator in each organisation, the newest a minute old."""
    for owner in organisations:
        person, _ = User.objects.get_or_create(
            username=f"operator-{owner.slug}",
            defaults={"organisation": owner, "role": Role.OPERATOR, "is_active": True},
        )
        for number, action in enumerate(("session.started", "plan.published", "command.sent")):
            record(
                user=person,
                organisation_id=owner.pk,
                action=action,
                subject=f"{owner.name} {number}",
                reason="price",
                after={"number": number},
                address="192.0.2.10",
                at=at - timedelta(minutes=3 - number),
            )
