"""Config updates that Voke asks for: compared, applied or held, and decided by people.

Every step holds the plant's row lock, so that updates, decisions and edits of one plant happen one after the other.

Interpretation (the sources say "terminal/non-terminal" and no more):
- equal to the config in force: APPLIED, whoever made that version; an older open request is thereby replaced;
- equal to the open request: the same answer again, nothing is written;
- broken rules: REJECTED, nothing changes, an open request stays open;
- equal to a request that a person refused while the same version is in force: REJECTED again;
- anything else replaces the open request and is applied or held.
An answer APPLIED tells the credential what is in force, so it counts as serving that version.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from django.db import transaction
from django.db.models import Q

from plants.errors import DomainError, NotFound, Several
from plants.models import Plant, TimeConfigOrigin, TimeConfigVersion, UpdatePolicy
from plants.selectors.plants import blocks_of_version
from plants.services.time_config import Author, check_time_config, set_time_config
from plants.sql import insert_or_update
from plants.time_config import Block
from trading_api.errors import UpdateNotOpen
from trading_api.mapping import Outcome
from trading_api.models import ConfigUpdateRequest, HeldBecause, ServedVersion, UpdateState
from trading_api.telling import tell_update
from vcp.said import said

_HELD_MESSAGES = {
    HeldBecause.POLICY: "Held: a person reviews the updates of this plant.",
    HeldBecause.NEWER_VERSION: "Held for review: the config has changed since it was last pulled.",
    HeldBecause.NEVER_SERVED: "Held for review: the config of this plant was never pulled with these credentials.",
}


@dataclass(frozen=True, kw_only=True)
class UpdateAnswer:
    """What a config update that was understood is told; `version` is the one in force after it, None = none yet."""

    outcome: Outcome
    request_id: UUID
    plant_id: int
    message: str
    version: int | None
    problems: tuple[DomainError, ...] = ()


@dataclass(frozen=True, kw_only=True)
class _Asked:
    plant: Plant
    credential_id: int
    client_id: str
    blocks: tuple[Block, ...]
    at: datetime


def request_update(
    *,
    organisation_id: int,
    credential_id: int,
    client_id: str,
    external_plant_id: str,
    blocks: Sequence[Block],
    at: datetime,
) -> UpdateAnswer:
    """Voke asks for these blocks; raises NotFound (PLANT_NOT_FOUND) outside the organisation."""
    with transaction.atomic():
        plant = _locked(organisation_id=organisation_id, external_plant_id=external_plant_id)
        asked = _Asked(
            plant=plant, credential_id=credential_id, client_id=client_id, blocks=_in_order(blocks), at=at
        )
        newest = _newest_standing(plant)
        version = plant.time_config
        if version is not None and _in_order(blocks_of_version(version.pk)) == asked.blocks:
            return _already_in_force(asked, newest, version)
        if newest is not None and newest.state == UpdateState.OPEN and _blocks(newest) == asked.blocks:
            return _answer(newest, plant)
        try:
            check_time_config(plant=plant, blocks=asked.blocks)
        except Several as error:
            return _invalid(asked, error)
        if newest is not None and _refused_before(newest, asked):
            return _answer(newest, plant)
        _supersede(newest, asked)
        return _hold_or_apply(asked)


def _locked(**plant: Any) -> Plant:
    # No join: after waiting for the lock PostgreSQL would show the new plant beside the old version's row.
    # No key: else every answer whose journal row shares a commit with one that names the plant would wait for us.
    found = Plant.objects.select_for_update(no_key=True).filter(**plant).first()
    if found is None:
        name = plant.get("external_plant_id", "")
        raise NotFound(said("no plant %(name)s", name=repr(name)), path="plantId", code="PLANT_NOT_FOUND")
    return found


def _newest_standing(plant: Plant) -> ConfigUpdateRequest | None:
    """The newest request that was neither replaced nor invalid; an open one is always the newest."""
    passing = (UpdateState.SUPERSEDED, UpdateState.INVALID)
    return plant.config_updates.exclude(state__in=passing).order_by("-pk").first()


def _in_order(blocks: Sequence[Block]) -> tuple[Block, ...]:
    return tuple(sorted(blocks, key=lambda block: block.start_minute))


def _blocks(request: ConfigUpdateRequest) -> tuple[Block, ...]:
    return tuple(Block(**item) for item in request.blocks)


def _refused_before(newest: ConfigUpdateRequest, asked: _Asked) -> bool:
    return (
        newest.state == UpdateState.REFUSED
        and newest.version_id == asked.plant.time_config_id
        and _blocks(newest) == asked.blocks
    )


def _already_in_force(
    asked: _Asked, newest: ConfigUpdateRequest | None, version: TimeConfigVersion
) -> UpdateAnswer:
    made_it = (
        asked.plant.config_updates.filter(state=UpdateState.APPLIED, version=version).order_by("-pk").first()
    )
    _supersede(newest, asked)
    if made_it is None:
        made_it = _new_request(asked, UpdateState.APPLIED, decided_at=asked.at, version=version)
    served = _served_number(asked)
    if served is None or served < version.number:
        record_served(
            credential_id=asked.credential_id, plant_id=asked.plant.pk, number=version.number, at=asked.at
        )
    return _answer(made_it, asked.plant)


def _invalid(asked: _Asked, error: Several) -> UpdateAnswer:
    before = asked.plant.config_updates.filter(state=UpdateState.INVALID).order_by("-pk").first()
    if before is None or _blocks(before) != asked.blocks:
        before = _new_request(
            asked,
            UpdateState.INVALID,
            decided_at=asked.at,
            version=asked.plant.time_config,
            note=str(error)[:500],
        )
    return _answer(before, asked.plant, problems=tuple(error.problems))


def _supersede(newest: ConfigUpdateRequest | None, asked: _Asked) -> None:
    if newest is not None and newest.state == UpdateState.OPEN:
        _decide(newest.pk, state=UpdateState.SUPERSEDED, decided_at=asked.at)
        _tell(newest.pk, asked.plant, UpdateState.SUPERSEDED, asked.at)


def _hold_or_apply(asked: _Asked) -> UpdateAnswer:
    served = _served_number(asked)
    held = _held_because(asked.plant, served)
    if held is not None:
        request = _new_request(asked, UpdateState.OPEN, held_because=held, based_on=served)
        return _answer(request, asked.plant)
    version = set_time_config(
        plant_id=asked.plant.pk,
        blocks=asked.blocks,
        origin=TimeConfigOrigin.VOKE,
        author=Author(name=f"Voke ({asked.client_id})"),
        at=asked.at,
    )
    request = _new_request(asked, UpdateState.APPLIED, decided_at=asked.at, version=version, based_on=served)
    record_served(
        credential_id=asked.credential_id, plant_id=asked.plant.pk, number=version.number, at=asked.at
    )
    asked.plant.time_config = version
    return _answer(request, asked.plant)


def _held_because(plant: Plant, served: int | None) -> HeldBecause | None:
    """Why a sound update is not applied at once. A version that Voke has not seen is never overwritten unseen."""
    current = 0 if plant.time_config is None else plant.time_config.number
    if served is None:
        return HeldBecause.NEVER_SERVED
    if current > served:
        return HeldBecause.NEWER_VERSION
    return HeldBecause.POLICY if plant.update_policy == UpdatePolicy.REVIEW else None


def _served_number(asked: _Asked) -> int | None:
    served = ServedVersion.objects.filter(credential_id=asked.credential_id, plant=asked.plant)
    return served.values_list("number", flat=True).first()


def _new_request(asked: _Asked, state: UpdateState, **fields: Any) -> ConfigUpdateRequest:
    made = ConfigUpdateRequest.objects.create(
        request_id=uuid4(),
        plant=asked.plant,
        credential_id=asked.credential_id,
        # Not as Voke wrote them: a setting of the wire's form may change while a request waits for its review.
        blocks=[asdict(block) for block in asked.blocks],
        state=state,
        asked_at=asked.at,
        **fields,
    )
    _tell(made.pk, asked.plant, state, asked.at)
    return made


def _answer(
    request: ConfigUpdateRequest, plant: Plant, problems: tuple[DomainError, ...] = ()
) -> UpdateAnswer:
    number = None if plant.time_config is None else plant.time_config.number
    match request.state:
        case UpdateState.OPEN:
            outcome, message = Outcome.ACCEPTED, _HELD_MESSAGES[HeldBecause(request.held_because)]
        case UpdateState.APPLIED:
            outcome, message = Outcome.APPLIED, f"In force as version {number}."
        case UpdateState.REFUSED:
            outcome = Outcome.REJECTED
            message = f"Refused by a person: {request.note}" if request.note else "Refused by a person."
        case _:
            outcome = Outcome.REJECTED
            message = "; ".join(f"{problem.path}: {problem.message}" for problem in problems[:10])
    return UpdateAnswer(
        outcome=outcome,
        request_id=request.request_id,
        plant_id=plant.pk,
        message=message,
        version=number,
        problems=problems,
    )


def approve_update(*, update_id: int, author: Author, at: datetime, note: str = "") -> TimeConfigVersion:
    """Apply a held update. Raises NotFound, UpdateNotOpen, Several (it breaks a rule by now: it stays open)."""
    with transaction.atomic():
        request, plant = _open_update(update_id)
        version = set_time_config(
            plant_id=request.plant_id,
            blocks=_blocks(request),
            origin=TimeConfigOrigin.VOKE,
            author=author,
            at=at,
        )
        _decide(request.pk, state=UpdateState.APPLIED, version=version, **_decision(author, at, note))
        _tell(request.pk, plant, UpdateState.APPLIED, at)
    return version


def refuse_update(*, update_id: int, author: Author, at: datetime, note: str = "") -> None:
    """Refuse a held update; `note` is told to Voke. Raises NotFound, UpdateNotOpen."""
    with transaction.atomic():
        request, plant = _open_update(update_id)
        _decide(
            request.pk, state=UpdateState.REFUSED, version=plant.time_config, **_decision(author, at, note)
        )
        _tell(request.pk, plant, UpdateState.REFUSED, at)


def _tell(update_id: int, plant: Plant, state: UpdateState, at: datetime) -> None:
    tell_update(
        update_id=update_id,
        plant_id=plant.pk,
        organisation_id=plant.organisation_id,
        state=str(state),
        at=at,
    )


def _open_update(update_id: int) -> tuple[ConfigUpdateRequest, Plant]:
    """The request and its plant under lock; whether it is open is asked again by `_decide`."""
    request = ConfigUpdateRequest.objects.filter(pk=update_id).first()
    if request is None:
        raise NotFound(said("no such config update"), path="update_id")
    plant = _locked(pk=request.plant_id)
    return request, plant


def _decision(author: Author, at: datetime, note: str) -> dict[str, Any]:
    return {
        "decided_at": at,
        "decided_by": author.user,
        "decided_by_name": author.name[:150],
        "note": note[:500],
    }


def _decide(update_id: int, **fields: Any) -> None:
    if not ConfigUpdateRequest.objects.filter(pk=update_id, state=UpdateState.OPEN).update(**fields):
        raise UpdateNotOpen("this config update is no longer open")


def record_served(*, credential_id: int, plant_id: int, number: int, at: datetime) -> None:
    """This credential has been given version `number` (0 = "there is none"); an older number changes nothing."""
    row = {"credential_id": credential_id, "plant_id": plant_id, "number": number, "served_at": at}
    with transaction.atomic():
        insert_or_update(
            ServedVersion, [row], key=("credential_id", "plant_id"), better="new.number > old.number"
        )


def prune_updates(*, at: datetime, keep_days: int, limit: int = 5000) -> int:
    """Delete at most `limit` replaced and invalid requests older than `keep_days`; decisions of people stay."""
    passing = Q(state__in=(UpdateState.SUPERSEDED, UpdateState.INVALID))
    too_old = ConfigUpdateRequest.objects.filter(passing, asked_at__lt=at - timedelta(days=keep_days))
    oldest = list(too_old.order_by("pk").values_list("pk", flat=True)[:limit])
    if not oldest:
        return 0
    with transaction.atomic():
        deleted, _ = ConfigUpdateRequest.objects.filter(pk__in=oldest).delete()
    return deleted
