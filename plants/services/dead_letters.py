"""Dead letters: deliveries that could not be used are kept with bytes and reason, looked at by a person, and forgotten.

- A letter is OPEN until somebody settles it: by a replay after a fix (`link.replay`) or by discarding it with a note.
  Both are journalled. One that arrives again is open again.
- Settled letters go after `SETTLED_KEPT_FOR`, open ones after `OPEN_KEPT_FOR`; of too many of one connection the
  settled and then the oldest go first.

Edge cases (the concurrency policy): letters are locked in the order of (connection, digest) by live traffic and by
people alike; what is decided about a letter is decided under its lock, by its state then. A letter that arrives
while it is being forgotten is made anew, or is not forgotten.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Case, F, IntegerField, Q, QuerySet, Value, When

from plants.errors import Invalid
from plants.models import DeadLetter, DeadLetterEvent
from plants.services.quarantine import PER_PLANT, Place, heads_of, room_of
from plants.sql import insert_new
from plants.texts import storable_text
from vcp.said import said

LETTERS_KEPT = 10_000
OPEN_KEPT_FOR = timedelta(days=90)
SETTLED_KEPT_FOR = timedelta(days=30)
MOST_DISCARDED = 500
TOO_LARGE = "TOO_LARGE"
"""Reason of a letter of which only the first bytes were kept: it can't be replayed."""

OPEN, REPLAYED, DISCARDED = "OPEN", "REPLAYED", "DISCARDED"
_LONGEST_NOTE = 500


@dataclass(frozen=True, kw_only=True)
class Letter:
    """A delivery that can't be used, and why.

    `redelivered`: the broker gave it before, so it may have been counted already. `digest`: of the whole body, where
    `body` is only its beginning; '' = made of `body`. `plant_id`: of a measurement in quarantine.
    """

    queue: str
    routing_key: str
    headers: Mapping[str, Any]
    body: bytes
    reason: str
    path: str
    detail: str
    redelivered: bool = False
    digest: str = ""
    plant_id: int | None = None


Row = dict[str, Any]
Crowd = Mapping[Place, Sequence[Row]]


def store_dead_letters(
    *, connection_id: int, letters: Sequence[Letter], at: datetime, per_plant: int = PER_PLANT
) -> None:
    """Keep deliveries that can't be used; equal ones are counted in one row, and so are those without room.

    Never fails over what a letter holds: a letter that can't be stored would come again for ever. A redelivered one is
    not counted again where its row exists: a crash between commit and acknowledgement must not look like more letters.
    """
    counts: Counter[str] = Counter()
    for letter in letters:
        counts[_digest(letter)] += 0 if letter.redelivered else 1
    first = {_digest(letter): letter for letter in reversed(letters)}
    rows: list[Row] = [
        {
            "connection_id": connection_id,
            "plant_id": first[digest].plant_id,
            "digest": digest,
            "queue": storable_text(first[digest].queue)[:255],
            "routing_key": storable_text(first[digest].routing_key)[:255],
            "headers": {
                storable_text(key): storable_text(value) for key, value in first[digest].headers.items()
            },
            "body": first[digest].body,
            **_why(first[digest].reason, first[digest].path, first[digest].detail),
            "state": OPEN,
            "count": max(1, counts[digest]),
            "others": 0,
            "first_at": at,
            "last_at": at,
        }
        for digest in sorted(counts)
    ]
    rows, crowd = _make_room(connection_id, rows, per_plant=per_plant)
    while rows or crowd:  # more than once only where letters are forgotten between the two statements
        made = insert_new(DeadLetter, rows, key=("connection_id", "digest"), returning=("digest",))
        known = {str(row["digest"]) for row in rows} - {digest for (digest,) in made}
        found, homeless = _count_again(connection_id, counts, known=known, crowd=crowd, at=at)
        rows = sorted([row for row in rows if row["digest"] in known - found] + homeless, key=_by_digest)
        crowd = {}


def _by_digest(row: Row) -> str:
    return str(row["digest"])


def _make_room(connection_id: int, rows: list[Row], *, per_plant: int) -> tuple[list[Row], Crowd]:
    """The letters that get rows of their own, and those of the quarantine for which there is no room."""
    wanted = {
        _by_digest(row): (row["plant_id"], row["reason"]) for row in rows if row["plant_id"] is not None
    }
    if not wanted:
        return rows, {}
    there = DeadLetter.objects.filter(connection_id=connection_id, digest__in=wanted)
    known = set(there.values_list("digest", flat=True))
    plant_ids = {plant_id for plant_id, _ in wanted.values()}
    room = room_of(connection_id=connection_id, plant_ids=plant_ids, per_plant=per_plant)
    own: list[Row] = []
    crowd: dict[Place, list[Row]] = {}
    for row in rows:
        place = wanted.get(_by_digest(row))
        if place is None or row["digest"] in known or room.take(place):
            own.append(row)
        else:
            crowd.setdefault(place, []).append(row)
    return own, crowd


def _count_again(
    connection_id: int, counts: Mapping[str, int], *, known: Set[str], crowd: Crowd, at: datetime
) -> tuple[Set[str], list[Row]]:
    """Letters that were there before, and those that stand for others: locked together in their order, then counted.

    Answers which of the first still are, and one row for each place whose letter is gone: it stands for them all.
    """
    if not known and not crowd:
        return known, []
    rows = DeadLetter.objects.filter(connection_id=connection_id)
    heads = heads_of(connection_id=connection_id, places=crowd)
    locked = rows.filter(Q(digest__in=known) | Q(pk__in=set(heads.values())))
    states = {
        pk: (digest, state)
        for pk, digest, state in locked.select_for_update(of=("self",))
        .order_by("digest")
        .values_list("pk", "digest", "state")
    }
    found = {digest for digest, _ in states.values()} & known
    again: dict[int, list[str]] = {}
    for digest in sorted(found):
        again.setdefault(counts[digest], []).append(digest)
    for count, digests in sorted(again.items()):
        rows.filter(digest__in=digests).update(count=F("count") + count, last_at=at, state=OPEN)
    homeless: list[Row] = []
    for place, others in crowd.items():
        number, head = sum(row["count"] for row in others), heads.get(place)
        if head in states and states[head][1] == OPEN:
            rows.filter(pk=head).update(count=F("count") + number, others=F("others") + number, last_at=at)
        else:
            homeless.append({**others[-1], "count": number, "others": number - others[-1]["count"]})
    return found, homeless


def store_dead_letter(*, connection_id: int, letter: Letter, at: datetime) -> None:
    """Keep one delivery that can't be used."""
    store_dead_letters(connection_id=connection_id, letters=[letter], at=at)


def _digest(letter: Letter) -> str:
    return letter.digest or digest_of(routing_key=letter.routing_key, body=letter.body)


def digest_of(*, routing_key: str, body: bytes) -> str:
    """What makes two letters equal: SHA-256 of routing key and whole body."""
    return hashlib.sha256(routing_key.encode("utf-8", "replace") + b"\0" + body).hexdigest()


def _why(reason: str, path: str, detail: str) -> dict[str, str]:
    return {
        "reason": reason[:64],
        "path": storable_text(path)[:255],
        "detail": storable_text(detail)[:4000],
    }


# --- what people decide -----------------------------------------------------------------------------------------------


def lock_letter(*, letter_id: int) -> DeadLetter | None:
    """The letter as it is now, nobody else deciding about it until the caller's transaction ends."""
    return DeadLetter.objects.select_for_update(of=("self",)).filter(pk=letter_id).first()


def note_replayed(*, letter: DeadLetter, actor: str, result: str, at: datetime) -> None:
    """Settle a locked letter: its message has been applied now, or had been already."""
    DeadLetter.objects.filter(pk=letter.pk).update(state=REPLAYED)
    _note(letter.pk, DeadLetterEvent.Action.REPLAYED, actor=actor, result=result, at=at)


def note_dead_again(
    *, letter: DeadLetter, actor: str, reason: str, path: str, detail: str, at: datetime
) -> None:
    """A locked letter failed again: it stays as open as it was, with what is wrong with it now; it counts no more."""
    DeadLetter.objects.filter(pk=letter.pk).update(**_why(reason, path, detail))
    result = f"{reason} {path}".strip()
    _note(letter.pk, DeadLetterEvent.Action.REPLAYED, actor=actor, result=f"dead again: {result}", at=at)


def discard(*, letter_ids: Sequence[int], actor: str, note: str, at: datetime) -> list[int]:
    """Settle open letters for good, with the reason why; answers which of them were open.

    Raises `Invalid` without a note, and for more than `MOST_DISCARDED` letters at once.
    """
    wanted = set(letter_ids)
    if not note.strip():
        raise Invalid(said("say why these messages are not needed"), path="note")
    if len(note.strip()) > _LONGEST_NOTE:
        raise Invalid(said("at most %(limit)s characters", limit=_LONGEST_NOTE), path="note")
    if len(wanted) > MOST_DISCARDED:
        raise Invalid(
            said("at most %(limit)s letters at once", limit=MOST_DISCARDED),
            path="letter_ids",
            code="TOO_MANY",
        )
    with transaction.atomic():
        open_ones = DeadLetter.objects.filter(pk__in=wanted, state=OPEN)
        ids = list(
            open_ones.select_for_update(of=("self",))
            .order_by("connection_id", "digest")
            .values_list("pk", flat=True)
        )
        DeadLetter.objects.filter(pk__in=ids).update(state=DISCARDED)
        for pk in ids:
            _note(pk, DeadLetterEvent.Action.DISCARDED, actor=actor, note=note.strip(), at=at)
    return ids


def _note(
    letter_id: int,
    action: DeadLetterEvent.Action,
    *,
    actor: str,
    at: datetime,
    note: str = "",
    result: str = "",
) -> None:
    DeadLetterEvent.objects.create(
        letter_id=letter_id,
        at=at,
        action=action,
        actor=storable_text(actor)[:150],
        note=storable_text(note)[:_LONGEST_NOTE],
        result=storable_text(result)[:400],
    )


# --- how long they are kept -------------------------------------------------------------------------------------------


def prune_dead_letters(*, at: datetime, keep: int = LETTERS_KEPT, limit: int = 5000) -> int:
    """Tick: forget dead letters that nobody can still be looking at; answers how many were deleted.

    A plant that Voke knows and we do not sends one every minute: the number per connection is bounded too.
    """
    with transaction.atomic():
        doomed = _doomed(at=at, keep=keep, limit=limit)
        rows = DeadLetter.objects.filter(pk__in=list(doomed)).order_by("connection_id", "digest")
        locked = rows.select_for_update(skip_locked=True).values_list("pk", "last_at")
        # One that has come again since it was looked at is as new as any.
        ids = [pk for pk, last_at in locked if last_at == doomed[pk]]
        DeadLetter.objects.filter(pk__in=ids).delete()
    return len(ids)


def _doomed(*, at: datetime, keep: int, limit: int) -> dict[int, datetime]:
    """{letter: when it last arrived} of those to be forgotten."""
    aged = DeadLetter.objects.filter(state=OPEN, last_at__lt=at - OPEN_KEPT_FOR)
    doomed = dict(aged.order_by("last_at").values_list("pk", "last_at")[:limit])
    settled_before = at - SETTLED_KEPT_FOR
    settled = DeadLetter.objects.exclude(state=OPEN).filter(last_at__lt=settled_before)
    settled = settled.exclude(events__at__gte=settled_before)
    doomed |= dict(settled.order_by("last_at").values_list("pk", "last_at")[:limit])
    owners = DeadLetter.objects.order_by("connection_id").values_list("connection_id", flat=True).distinct()
    for connection_id in owners:
        doomed |= dict(_ranked(connection_id).values_list("pk", "last_at")[keep : keep + limit])
    return doomed


def _ranked(connection_id: int) -> "QuerySet[DeadLetter]":
    """The letters of a connection, the one to keep longest first."""
    is_open = Case(When(state=OPEN, then=Value(1)), default=Value(0), output_field=IntegerField())
    rows = DeadLetter.objects.filter(connection_id=connection_id)
    return rows.order_by(is_open.desc(), "-last_at", "-pk")
