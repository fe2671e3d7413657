"""Asking for commands of many plants at once, in a constant number of statements.

The same checks, refusals and rows as `dispatch.services.commands.submit`, request by request in their order; a request
that is refused stops no other. Commands that are due now are stored as QUEUED in one step: both of their first events
say what happened, and no row is written only to be changed in the same breath.

Edge cases (the concurrency policy):
- All plants are locked before anything is read of them, in the order of their ids, as everybody does who locks more
  than one. Whoever can't wait locks them itself (`plants_to_command(skip_locked=True)`) and calls `store_many`.
- Two calls at once with one idempotency key: the unique key lets one in; the other finds what it wrote on its second
  try. Within one call the second request under a key finds the first.
- A message that can't be built refuses its own request only.
"""

import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from django.db import IntegrityError, transaction
from django.db.models import QuerySet, TextField
from django.db.models.functions import Cast

from dispatch.messages import Draft, NewId, Signer, build, signer_of
from dispatch.models import Command, EmergencyLatch, Kind
from dispatch.policy import Policy
from dispatch.requests import FAMILY, Actor, CommandPayload, CommandRequest
from dispatch.rules import check_request
from dispatch.services.anew import CANNOT_BUILD
from dispatch.services.bulk import Among, AmongTexts, insert_rows
from dispatch.services.checks import (
    as_sent,
    command_values,
    refuse_latched,
    require_possible,
    require_usable,
    site_facts,
    told_reason,
)
from dispatch.services.commands import Submitted
from dispatch.services.life import Move, append_events
from dispatch.services.outbox import insert_messages_of_many
from dispatch.services.verification import ToProve, open_verifications
from dispatch.states import State, Verdict
from dispatch.telling import tell_made
from plants.encryption import Secret, UndecryptableSecret, decrypt
from plants.errors import Conflict, DomainError, NotFound, Several
from plants.models import Asset, Connection, Installation, Plant
from plants.selectors.connections import SECRET_FIELDS
from vcp import DeviceBatch, ProtocolError, SiteSetpoint
from vcp.said import said, told_by

MOST_REQUESTS = 5_000
"""In one call: more are asked for in several."""
_TRIES = 3

Answer = Submitted | DomainError
"""What `submit` would have answered or raised."""


def submit_many(
    *,
    requests: Sequence[CommandRequest],
    organisation_id: int,
    actor: Actor,
    at: datetime,
    policy: Policy,
    new_id: NewId = uuid.uuid4,
) -> list[Answer]:
    """Store commands of plants of one organisation; the answers stand in the order of the requests.

    At most `MOST_REQUESTS`; no emergencies (ValueError), which also latch their plants.
    """
    for tries_left in reversed(range(_TRIES)):
        try:
            with transaction.atomic():
                return _submit(requests, organisation_id, actor=actor, at=at, policy=policy, new_id=new_id)
        except IntegrityError:  # somebody stored a command under one of the keys meanwhile: it is found now
            if not tries_left:
                raise
    raise AssertionError("unreachable")


def _submit(
    requests: Sequence[CommandRequest],
    organisation_id: int,
    *,
    actor: Actor,
    at: datetime,
    policy: Policy,
    new_id: NewId,
) -> list[Answer]:
    names = {request.external_plant_id for request in requests}
    rows = plants_to_command().filter(AmongTexts(names, of="external_plant_id"))
    plants = {row.external_plant_id: row for row in rows.filter(organisation_id=organisation_id)}
    asked = [(plants.get(request.external_plant_id), request) for request in requests]
    return store_many(
        asked=asked, organisation_id=organisation_id, actor=actor, at=at, policy=policy, new_id=new_id
    )


def plants_to_command(*, skip_locked: bool = False) -> QuerySet[Plant]:
    """Plants as they are to be locked before `store_many`, in the order of their ids."""
    rows = Plant.objects.select_for_update(of=("self",), no_key=True, skip_locked=skip_locked)
    return rows.order_by("pk")


class _New(NamedTuple):
    """A command to be stored: its place among the requests, its row's values, its message when it is due."""

    place: int
    plant: Plant
    request: CommandRequest
    sent: CommandPayload
    values: dict[str, Any]
    draft: Draft | None


@dataclass(frozen=True, kw_only=True)
class _Numbered:
    """What a message's row takes of its command."""

    pk: int
    deliver_by_at: datetime | None


def store_many(
    *,
    asked: Sequence[tuple[Plant | None, CommandRequest]],
    actor: Actor,
    at: datetime,
    policy: Policy,
    organisation_id: int | None = None,
    new_id: NewId = uuid.uuid4,
    latches: bool = False,
) -> list[Answer]:
    """`submit_many` for plants that the caller has locked in this transaction, of any organisation.

    None in the place of a plant: there is none of that name in the organisation. `latches`: the caller sets the latches
    of the emergencies among them (`dispatch.services.orders`). Raises IntegrityError when a key was used meanwhile;
    nothing is stored then.
    """
    if len(asked) > MOST_REQUESTS:
        raise ValueError(f"at most {MOST_REQUESTS} requests in one call")
    if not latches and any(request.kind is Kind.EMERGENCY for _, request in asked):
        raise ValueError("emergencies are sent by dispatch.services.emergency, which also latches the plant")
    if not asked:
        return []
    call = _Call(asked, organisation_id, actor=actor, at=at, policy=policy, new_id=new_id)
    return call.answers()


class _Call:
    """One call of `store_many`: the facts of all its plants, and what became of each request so far."""

    def __init__(
        self,
        asked: Sequence[tuple[Plant | None, CommandRequest]],
        organisation_id: int | None,
        *,
        actor: Actor,
        at: datetime,
        policy: Policy,
        new_id: NewId,
    ) -> None:
        self._asked, self._organisation_id = asked, organisation_id
        self._actor, self._at, self._policy, self._new_id = actor, at, policy, new_id
        plants = {plant.pk: plant for plant, _ in asked if plant is not None}
        self._known = _known_commands(asked, organisation_id)
        self._latches = dict(
            EmergencyLatch.objects.filter(Among(plants, of="plant_id"), released_at__isnull=True).values_list(
                "plant_id", "type"
            )
        )
        self._connections = _connections_of(plants.values())
        self._assets = _assets_of({plant.pk for plant, one in asked if plant and _needs_assets(one)})
        self._installation_on = not Installation.objects.filter(pk=1, dispatch_enabled=False).exists()
        self._signers: dict[int, Signer] = {}

    def answers(self) -> list[Answer]:
        """Judge all, store what passed, answer in the order of the requests."""
        answers: dict[int, Answer] = {}
        made: list[_New] = []
        firsts: dict[tuple[int, str], _New] = {}
        again: list[tuple[int, _New]] = []
        for place, (plant, request) in enumerate(self._asked):
            key = self._key(plant, request)
            try:
                first = _same_request(firsts.get(key), request) if key else None
                if first is not None:
                    again.append((place, first))
                    continue
                judged = self._judge(place, plant, request)
            except DomainError as refusal:
                answers[place] = refusal
                continue
            if isinstance(judged, Submitted):
                answers[place] = judged
                continue
            made.append(judged)
            if key:
                firsts[key] = judged
        for one, command in zip(made, self._store(made), strict=True):
            answers[one.place] = Submitted(command=command, created=True)
        for place, first in again:
            stored = answers[first.place]
            answers[place] = (
                Submitted(command=stored.command, created=False) if isinstance(stored, Submitted) else stored
            )
        return [answers[place] for place in range(len(self._asked))]

    def _key(self, plant: Plant | None, request: CommandRequest) -> tuple[int, str] | None:
        owner = plant.organisation_id if plant is not None else self._organisation_id
        if owner is None or request.idempotency_key is None:
            return None
        return owner, request.idempotency_key

    def _judge(self, place: int, plant: Plant | None, request: CommandRequest) -> Submitted | _New:
        """In the order in which `submit` looks at it."""
        problems = check_request(request)
        if problems:
            raise Several(problems)
        key = self._key(plant, request)
        known = self._known.get(key) if key else None
        if known is not None:
            _refuse_other(known.request_digest, request)
            return Submitted(command=known, created=False)
        if plant is None:
            raise NotFound(
                said("no plant %(external_plant_id)s", external_plant_id=repr(request.external_plant_id)),
                path="plant",
                code="PLANT_NOT_FOUND",
            )
        if plant.pk in self._latches:
            refuse_latched(self._latches[plant.pk], request)
        connection = require_usable(
            plant,
            None if plant.connection_id is None else self._connections[plant.connection_id],
            FAMILY[request.kind],
            policy=self._policy,
            installation_on=self._installation_on,
        )
        sent = as_sent(request, plant, at=self._at)
        site = site_facts(plant, self._assets.get(plant.pk, ()))
        require_possible(sent, site, at=self._at, policy=self._policy)
        values = command_values(
            plant=plant,
            connection_id=connection.pk,
            request=sent,
            actor=self._actor,
            at=self._at,
            policy=self._policy,
            digest=request.digest(),
            own_end=sent is request,
        )
        due = values["due_at"] <= self._at
        draft = self._draft(plant, connection, request, values) if due else None
        return _New(place, plant, request, sent.payload, values, draft)

    def _draft(
        self, plant: Plant, connection: Connection, request: CommandRequest, values: dict[str, Any]
    ) -> Draft:
        try:
            if connection.pk not in self._signers:
                self._signers[connection.pk] = signer_of(connection)
            return build(
                signer=self._signers[connection.pk],
                plant=plant,
                family=FAMILY[request.kind],
                payload=values["payload"],
                at=self._at,
                new_id=self._new_id,
            )
        except (ProtocolError, UndecryptableSecret) as error:  # the connection's facts do not make a message
            raise Conflict(
                said("no message can be built: %(error)s", error=told_by(error)), code=CANNOT_BUILD
            ) from error

    def _store(self, made: Sequence[_New]) -> list[Command]:
        if not made:
            return []
        for one in made:
            if one.draft is not None:
                one.values.update(state=State.QUEUED.value, cause="DUE")
        columns = list(made[0].values)
        ids = insert_rows(Command, columns, [list(one.values.values()) for one in made], numbered=True)
        queued = [(pk, one, one.draft) for pk, one in zip(ids, made, strict=True) if one.draft is not None]
        messages = insert_messages_of_many(
            drafts=[
                (
                    one.values["connection_id"],
                    one.plant.pk,
                    _Numbered(pk=pk, deliver_by_at=one.values["deliver_by_at"]),
                    draft,
                )
                for pk, one, draft in queued
            ],
            at=self._at,
        )
        outbound = {pk: message for (pk, *_), message in zip(queued, messages, strict=True)}
        moves = [move for pk, one in zip(ids, made, strict=True) for move in self._moves(pk, one, outbound)]
        append_events(moves=moves, words=[Verdict.APPLIED] * len(moves), at=self._at)
        proven = [
            ToProve(pk, one.plant.pk, one.sent, one.values["due_at"])
            for pk, one in zip(ids, made, strict=True)
            if isinstance(one.sent, SiteSetpoint)
        ]
        open_verifications(setpoints=proven, policy=self._policy)
        tell_made([(pk, one.values) for pk, one in zip(ids, made, strict=True)], at=self._at)
        return [self._row(pk, one) for pk, one in zip(ids, made, strict=True)]

    def _moves(self, pk: int, one: _New, outbound: Mapping[int, int]) -> Iterable[Move]:
        yield Move(
            command_id=pk,
            to=State.SCHEDULED,
            cause="REQUESTED",
            actor=self._actor.name,
            detail=told_reason(one.request),
        )
        if pk in outbound:
            yield Move(command_id=pk, to=State.QUEUED, cause="DUE", outbound_id=outbound[pk])

    def _row(self, pk: int, one: _New) -> Command:
        command = Command(pk=pk, **one.values)
        command.plant = one.plant
        command.connection = self._connections[one.values["connection_id"]]
        return command


def _known_commands(
    asked: Sequence[tuple[Plant | None, CommandRequest]], organisation_id: int | None
) -> dict[tuple[int, str], Command]:
    keys = {request.idempotency_key for _, request in asked if request.idempotency_key}
    owners = {plant.organisation_id for plant, _ in asked if plant is not None}
    if organisation_id is not None:
        owners.add(organisation_id)
    if not keys:
        return {}
    # U+0000 is refused with its request; no database takes it.
    texts = [key for key in keys if "\0" not in key]
    rows = Command.objects.filter(
        Among(owners, of="organisation_id"), AmongTexts(texts, of="idempotency_key")
    )
    return {(row.organisation_id, row.idempotency_key): row for row in rows if row.idempotency_key}


def _connections_of(plants: Iterable[Plant]) -> dict[int, Connection]:
    """Each connection once, with its signing key, and read past the field that decrypts it.

    One whose key does not decrypt must not keep the others from being read: its key stays unread, and whoever asks for
    it learns why.
    """
    ids = {plant.connection_id for plant in plants if plant.connection_id is not None}
    sealed = Cast("signing_key", TextField())
    rows = Connection.objects.filter(Among(ids)).defer(*SECRET_FIELDS).annotate(sealed=sealed)
    found: dict[int, Connection] = {}
    for row in rows:
        with suppress(UndecryptableSecret):
            row.signing_key = Secret(decrypt(row.sealed)) if row.sealed else row.sealed
        found[row.pk] = row
    return found


def _needs_assets(request: CommandRequest) -> bool:
    return isinstance(request.payload, DeviceBatch)


def _assets_of(plant_ids: Collection[int]) -> dict[int, list[tuple[str, str, float | None]]]:
    found: dict[int, list[tuple[str, str, float | None]]] = defaultdict(list)
    if plant_ids:
        rows = Asset.objects.filter(Among(plant_ids, of="plant_id"))
        for pk, name, kind, rated in rows.values_list(
            "plant_id", "external_id", "asset_type", "rated_power_kw"
        ):
            found[pk].append((name, kind, rated))
    return found


def _same_request(first: _New | None, request: CommandRequest) -> _New | None:
    if first is not None:
        _refuse_other(first.request.digest(), request)
    return first


def _refuse_other(digest: str, request: CommandRequest) -> None:
    if digest != request.digest():
        raise Conflict(
            said("the key was used for another request"), path="idempotencyKey", code="IDEMPOTENCY_KEY_REUSED"
        )
