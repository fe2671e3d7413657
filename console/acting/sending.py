"""Asking beforehand, and sending: through the services, once, with the person's name in the audit.

Edge cases (the concurrency policy): whoever sends holds the plant's lock from before it is looked at again. So of two
clicks the second finds the command of the first, and a review that no longer says the truth (another override, another
version of the plan) sends nothing.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from django.urls import reverse
from django.utils.translation import gettext as _

from console.access import Viewer
from console.acting.asked import Asked, Route
from console.acting.refusals import REFUSALS, problems_of
from console.acting.situation import Situation, situation_of
from console.language import stored
from dispatch.models import Command
from dispatch.policy import current_policy
from dispatch.rules import check_payload
from dispatch.services.checks import site_facts
from dispatch.services.commands import check, lock_plant, submit
from dispatch.services.timed import check_timed, submit_timed
from dispatch.timed_policy import current_timed_policy
from plants.errors import Conflict, DomainError
from plants.models import Asset, Plant
from schedules.policy import current_schedule_policy
from schedules.services.override_checks import check_override
from schedules.services.overrides import begin_override
from vcp import DeviceBatch, SiteSetpoint, to_wire


@dataclass(frozen=True, kw_only=True)
class Sent:
    """The command, and whether this call made it."""

    command: Command
    created: bool


def problems_against(asked: Asked, situation: Situation) -> list[DomainError]:
    """Everything that the services would refuse it with now; nothing is stored.

    They stop at the first conflict (a switch, an emergency); what limits say against it is told along with that.
    """
    found = _refused(replace(asked, key=None), situation)
    known = {(one.code, one.path) for one in found}
    return found + [one for one in _limits(asked, situation) if (one.code, one.path) not in known]


def _refused(asked: Asked, situation: Situation) -> list[DomainError]:
    plant, at = situation.plant, situation.at
    try:
        if (
            asked.route is Route.OVERRIDE
            and isinstance(asked.payload, SiteSetpoint)
            and asked.until_at is not None
        ):
            check_override(
                organisation_id=plant.organisation_id,
                external_plant_id=plant.external_plant_id,
                payload=asked.payload,
                until_at=asked.until_at,
                at=at,
                policy=current_schedule_policy(),
            )
        elif asked.route is Route.TIMED:
            check_timed(
                organisation_id=plant.organisation_id,
                request=asked.request_for(plant.external_plant_id),
                at=at,
                policy=current_policy(),
                timed=current_timed_policy(),
                stop_at=asked.until_at,
            )
        else:
            request = asked.request_for(plant.external_plant_id)
            check(organisation_id=plant.organisation_id, request=request, at=at, policy=current_policy())
    except REFUSALS as error:
        return problems_of(error)
    return []


def _limits(asked: Asked, situation: Situation) -> list[DomainError]:
    rated: list[tuple[str, str, float | None]] = []
    if isinstance(asked.payload, DeviceBatch):
        rows = Asset.objects.filter(plant=situation.plant, external_id=asked.payload.commands[0].device_id)
        rated = list(rows.values_list("external_id", "asset_type", "rated_power_kw"))
    return check_payload(asked.payload, site=site_facts(situation.plant, rated), due_at=situation.at)


def locked_situation(*, organisation_id: int, plant_id: int, at: datetime) -> Situation | None:
    """The plant as it is while nobody else can change what is in force; call within a transaction."""
    rows = Plant.objects.filter(organisation_id=organisation_id, pk=plant_id)
    external = rows.values_list("external_plant_id", flat=True).first()
    if external is None:
        return None
    lock_plant(organisation_id=organisation_id, external_plant_id=external)
    return situation_of(organisation_id=organisation_id, plant_id=plant_id, at=at)


def seen_of(asked: Asked, situation: Situation) -> str:
    """What a review was made of: what it goes out as, and what it stands above."""
    override = 0 if situation.override is None else situation.override.pk
    return f"{asked.route}:{override}:{situation.ahead.number or 0}"


def sent_before(key: str | None, situation: Situation) -> Command | None:
    """The command of this plant that the key has made already."""
    if key is None:
        return None
    rows = Command.objects.filter(organisation_id=situation.plant.organisation_id, idempotency_key=key)
    return rows.filter(plant=situation.plant).first()


def send(*, asked: Asked, seen: str, situation: Situation, viewer: Viewer) -> Sent:
    """Send what was reviewed; call with the plant locked. Raises as services do, and `Conflict` (REVIEW_OUTDATED)."""
    known = sent_before(asked.key, situation)
    if known is not None:
        return Sent(command=known, created=False)
    if seen != seen_of(asked, situation):
        text = _("what is in force has changed since this was reviewed; look at it again")
        raise Conflict(text, code="REVIEW_OUTDATED")
    command = _through_service(asked, situation, viewer)
    viewer.record(
        "override.begun" if asked.route is Route.OVERRIDE else "command.sent",
        at=situation.at,
        subject=stored(lambda: f"{situation.plant.name}: {asked.title}"),
        subject_path=reverse("console:acting:page", args=[situation.plant.pk]),
        reason=asked.reason,
        after={"command": command.pk, "payload": to_wire(asked.payload)},
    )
    return Sent(command=command, created=True)


def _through_service(asked: Asked, situation: Situation, viewer: Viewer) -> Command:
    plant, at = situation.plant, situation.at
    if (
        asked.route is Route.OVERRIDE
        and isinstance(asked.payload, SiteSetpoint)
        and asked.until_at is not None
    ):
        override = begin_override(
            organisation_id=plant.organisation_id,
            external_plant_id=plant.external_plant_id,
            payload=asked.payload,
            until_at=asked.until_at,
            actor=viewer.actor,
            reason=asked.reason,
            at=at,
            policy=current_schedule_policy(),
            idempotency_key=asked.key,
        )
        if override.command is None:
            raise Conflict(_("its command is gone"), code="NOT_OPEN")
        return override.command
    request = asked.request_for(plant.external_plant_id)
    if asked.route is Route.TIMED:
        return submit_timed(
            organisation_id=plant.organisation_id,
            request=request,
            actor=viewer.actor,
            at=at,
            policy=current_policy(),
            timed=current_timed_policy(),
            stop_at=asked.until_at,
        ).command
    return submit(
        organisation_id=plant.organisation_id,
        request=request,
        actor=viewer.actor,
        at=at,
        policy=current_policy(),
    ).command
