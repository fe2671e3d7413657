"""An override that a base mode ended at Voke is said again: the base mode was sent to take something else back.

A person's own HIGH setpoint covers an open override; what takes it back ends all that has begun, the override too.

Edge cases (the concurrency policy):
- Everything follows from the tables: an open override whose newest command is older than such a base mode. Each is
  looked at again under the lock of its plant; a plant that somebody holds has its turn a second later.
- Where it can't be sent now (a switch is off ...) that is recorded among its commands, and not tried again.
"""

import uuid
from datetime import datetime, timedelta

import msgspec
from django.db import transaction
from django.db.models import Exists, OuterRef

from dispatch.messages import NewId
from dispatch.models import Command, Kind, Retraction
from dispatch.requests import Actor, CommandRequest
from dispatch.services.undoing import IN_FORCE, store_or_record
from plants.models import Plant
from schedules.models import Override
from schedules.policy import SchedulePolicy
from schedules.services.override_checks import asked_of
from schedules.services.overrides import commands_of, ref_of

BATCH = 200
LEAST_LEFT = timedelta(seconds=5)
"""One that ends sooner is not said again."""


def say_overrides_again(
    *, at: datetime, policy: SchedulePolicy, limit: int = BATCH, new_id: NewId = uuid.uuid4
) -> int:
    """Tick: say open overrides again that a base mode ended; answers how many."""
    takes_back = Retraction.objects.filter(by_command=OuterRef("pk"), how=Retraction.How.BASE_MODE)
    base_mode = Command.objects.filter(
        Exists(takes_back),
        kind=Kind.MODE,
        plant_id=OuterRef("plant_id"),
        due_at__gte=OuterRef("begun_at"),
        pk__gt=OuterRef("command_id"),
        state__in=[state.value for state in IN_FORCE],
    )
    rows = Override.objects.filter(
        Exists(base_mode),
        ended_at__isnull=True,
        until_at__gt=at + LEAST_LEFT,
        command__retraction__isnull=True,
    )
    ids = list(rows.order_by("pk").values_list("pk", flat=True)[:limit])
    return sum(_say_again(pk, at=at, policy=policy, new_id=new_id) for pk in ids)


@transaction.atomic
def _say_again(override_id: int, *, at: datetime, policy: SchedulePolicy, new_id: NewId) -> bool:
    plants = Plant.objects.select_for_update(of=("self",), no_key=True, skip_locked=True)
    plant = plants.filter(overrides=override_id).select_related("connection").first()
    override = Override.objects.filter(pk=override_id, ended_at__isnull=True).first()
    if plant is None or override is None:  # somebody has the plant, or ended it
        return False
    said = commands_of(override).last()
    if said is None or not _is_ended(said):
        return False
    payload = msgspec.structs.replace(asked_of(override), valid_from=at)
    store_or_record(
        plant=plant,
        request=CommandRequest(
            external_plant_id=plant.external_plant_id,
            payload=payload,
            reason=override.reason,
            batch_ref=ref_of(override),
        ),
        last_connection_id=said.connection_id,
        actor=Actor(name=override.by_name, user=override.by),
        at=at,
        policy=policy.dispatch,
        new_id=new_id,
    )
    return True


def _is_ended(said: Command) -> bool:
    """Whether a base mode that takes something back came after it."""
    later = Retraction.objects.filter(
        how=Retraction.How.BASE_MODE,
        by_command__plant_id=said.plant_id,
        by_command__kind=Kind.MODE,
        by_command_id__gt=said.pk,
        by_command__state__in=[state.value for state in IN_FORCE],
    )
    return later.exists()
