"""Publishing as operators do, and what is left of it to be sent."""

import pytest

from plants.errors import Conflict
from schedules.models import SlotRun
from schedules.policy import current_schedule_policy
from schedules.services.carried_by_us import run_due_slots
from schedules.services.publishing import cancel_plan, publish
from tests import factories
from tests.factories import OPERATOR
from tests.schedules.helpers import checked
from tests.schedules.plans import EVE


def plain_plant(**changes):
    return factories.plant(**({"capacity_kwh": 0} | changes))


def publish_version(version, now=EVE, **changes):
    return publish(
        organisation_id=version.plan.organisation_id, version_id=version.pk, actor=OPERATOR, at=now,
        policy=current_schedule_policy(), **changes,
    )  # fmt: skip


def published(plant, *slots, now=EVE, **changes):
    version = checked(plant, *slots, at=now, **changes)
    return publish_version(version, now, accept_warnings=True)


def cancelled(version, now=EVE, reason="rain"):
    return cancel_plan(
        organisation_id=version.plan.organisation_id, version_id=version.pk, actor=OPERATOR, reason=reason, at=now,
        policy=current_schedule_policy(),
    )  # fmt: skip


def code_of(work, error=Conflict):
    with pytest.raises(error) as caught:
        work()
    return caught.value.code


def tick(now):
    run_due_slots(at=now, policy=current_schedule_policy())


def runs(version):
    rows = SlotRun.objects.filter(slot__version=version).order_by("slot__start_at", "turn")
    return [(row.state, row.command_id) for row in rows]


def states(plan):
    return list(plan.versions.order_by("number").values_list("state", flat=True))
