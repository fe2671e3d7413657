"""What people do about cases of alarms: acknowledge, assign, comment, close. Nothing of it is told to Voke.

- Whoever acknowledges first has acknowledged it; the other hears who did. What nobody owned is theirs then.
- A case that is over is closed as it is; one whose alarm still stands only with a reason.
- A form sent twice is done once (`request_key`).

Edge cases (the concurrency policy): everything is decided under the lock of the one case, and its note is written in
the same transaction; of two at once the second finds what the first did. A case that is opened again takes in new
alarms only when no newer case of the same problem has begun.
"""

from contextlib import suppress
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F, Q

from plants.errors import Conflict, Invalid, NotFound
from plants.models import AlarmCase, AlarmNote, User
from plants.services.alarm_filing import tell_screens
from plants.texts import storable_text
from vcp.said import said

LONGEST_TEXT = 2000
LONGEST_REASON = 500
ALREADY_ACKNOWLEDGED = "ALREADY_ACKNOWLEDGED"
ALREADY_CLOSED = "ALREADY_CLOSED"
NOT_ACKNOWLEDGED = "NOT_ACKNOWLEDGED"
NOT_CLOSED = "NOT_CLOSED"
REASON_REQUIRED = "REASON_REQUIRED"
NOT_A_MEMBER = "NOT_A_MEMBER"
_Word = AlarmNote.Word


def acknowledge(*, case_id: int, by: User, request_key: str = "", at: datetime) -> AlarmNote:
    """Somebody has seen it and cares for it. Raises NotFound, Conflict (ALREADY_ACKNOWLEDGED, ALREADY_CLOSED)."""
    with transaction.atomic():
        case = _locked(case_id)
        if (done := _done(case, request_key)) is not None:
            return done
        _must_be_open(case)
        fresh = AlarmCase.objects.filter(pk=case_id, acknowledged_at__isnull=True)
        if not fresh.update(acknowledged_at=at, acknowledged_by=by, acknowledged_rank=F("rank")):
            raise Conflict(
                said("%(who)s acknowledged it", who=_name(case.acknowledged_by) or said("somebody")),
                code=ALREADY_ACKNOWLEDGED,
            )
        took = case.owner_id is None
        if took:
            AlarmCase.objects.filter(pk=case_id).update(owner=by)
        data = {"took": took}
        return _note(case, _Word.ACKNOWLEDGED, by=by, data=data, request_key=request_key, at=at)


def take_back(*, case_id: int, by: User, request_key: str = "", at: datetime) -> AlarmNote:
    """The acknowledgement was a mistake: as before it, and nobody's again where it alone gave it an owner.

    Raises NotFound, Conflict (NOT_ACKNOWLEDGED, ALREADY_CLOSED).
    """
    with transaction.atomic():
        case = _locked(case_id)
        if (done := _done(case, request_key)) is not None:
            return done
        _must_be_open(case)
        if case.acknowledged_at is None:
            raise Conflict(said("nobody has acknowledged it"), code=NOT_ACKNOWLEDGED)
        owner_words = case.notes.filter(word__in=(_Word.ACKNOWLEDGED, _Word.ASSIGNED))
        last = owner_words.order_by("-pk").first()
        took = last is not None and bool(last.data.get("took"))
        AlarmCase.objects.filter(pk=case_id).update(
            acknowledged_at=None,
            acknowledged_by=None,
            acknowledged_rank=None,
            owner_id=None if took else case.owner_id,
        )
        return _note(case, _Word.TAKEN_BACK, by=by, request_key=request_key, at=at)


def assign(*, case_id: int, owner: User | None, by: User, request_key: str = "", at: datetime) -> AlarmNote:
    """Make somebody (None = nobody) its owner; the person must belong to the case's organisation, or be staff.

    Raises NotFound, Invalid (NOT_A_MEMBER), Conflict (ALREADY_CLOSED).
    """
    with transaction.atomic():
        case = _locked(case_id)
        if (done := _done(case, request_key)) is not None:
            return done
        _must_be_open(case)
        if owner is not None and not may_own(owner, organisation_id=case.organisation_id):
            raise Invalid(said("this person can't own the alarm"), path="owner", code=NOT_A_MEMBER)
        AlarmCase.objects.filter(pk=case_id).update(owner=owner)
        data = {"from": _name(case.owner), "to": _name(owner)}
        return _note(case, _Word.ASSIGNED, by=by, data=data, request_key=request_key, at=at)


def comment(*, case_id: int, text: str, by: User, request_key: str = "", at: datetime) -> AlarmNote:
    """Say something about it; a closed one too. Raises NotFound, Invalid (REQUIRED, TOO_LONG)."""
    words = _text(text, path="text", longest=LONGEST_TEXT)
    if not words:
        raise Invalid(said("say something"), path="text", code="REQUIRED")
    with transaction.atomic():
        case = _locked(case_id)
        if (done := _done(case, request_key)) is not None:
            return done
        return _note(case, _Word.COMMENT, by=by, text=words, request_key=request_key, at=at)


def close(*, case_id: int, why: str, by: User, request_key: str = "", at: datetime) -> AlarmNote:
    """Put it away; new alarms of the same problem begin a new case.

    Raises NotFound, Invalid (REASON_REQUIRED: its alarm still stands; TOO_LONG), Conflict (ALREADY_CLOSED).
    """
    reason = _text(why, path="why", longest=LONGEST_REASON)
    with transaction.atomic():
        case = _locked(case_id)
        if (done := _done(case, request_key)) is not None:
            return done
        _must_be_open(case)
        if case.is_raised and not reason:
            raise Invalid(
                said("its alarm is still raised: say why it can be closed"), path="why", code=REASON_REQUIRED
            )
        AlarmCase.objects.filter(pk=case_id).update(
            closed_at=at, closed_by=by, closed_why=reason, is_current=False
        )
        data = {"raised": case.is_raised}
        return _note(case, _Word.CLOSED, by=by, text=reason, data=data, request_key=request_key, at=at)


def reopen(*, case_id: int, by: User, request_key: str = "", at: datetime) -> AlarmNote:
    """Take it back into the inbox. Raises NotFound, Conflict (NOT_CLOSED)."""
    with transaction.atomic():
        case = _locked(case_id)
        if (done := _done(case, request_key)) is not None:
            return done
        if case.closed_at is None:
            raise Conflict(said("it is not closed"), code=NOT_CLOSED)
        AlarmCase.objects.filter(pk=case_id).update(closed_at=None, closed_by=None, closed_why="")
        _fold_into_again(case)
        return _note(case, _Word.REOPENED, by=by, request_key=request_key, at=at)


def _fold_into_again(case: AlarmCase) -> None:
    """New alarms of the problem join the case again, unless a newer case of it has begun."""
    newer = AlarmCase.objects.filter(fold_key=case.fold_key).filter(Q(is_current=True) | Q(pk__gt=case.pk))
    if newer.exists():
        return
    with suppress(IntegrityError), transaction.atomic():  # a newer one is just being made
        AlarmCase.objects.filter(pk=case.pk).update(is_current=True)


def may_own(user: User, *, organisation_id: int | None) -> bool:
    """Whether a person can own an alarm of an organisation (None: of the installation): active, its member or staff."""
    if not user.is_active:
        return False
    if user.organisation_id is None:
        return user.is_staff
    return organisation_id is not None and user.organisation_id == organisation_id


# --- parts ------------------------------------------------------------------------------------------------------------


def _locked(case_id: int) -> AlarmCase:
    rows = AlarmCase.objects.select_for_update(of=("self",))
    case = rows.select_related("owner", "acknowledged_by", "closed_by").filter(pk=case_id).first()
    if case is None:
        raise NotFound(said("no such alarm"))
    return case


def _must_be_open(case: AlarmCase) -> None:
    if case.closed_at is not None:
        raise Conflict(
            said("%(who)s closed it", who=_name(case.closed_by) or said("somebody")),
            code=ALREADY_CLOSED,
        )


def _done(case: AlarmCase, request_key: str) -> AlarmNote | None:
    """What this very form has done already."""
    note = case.notes.filter(request_key=request_key[:64]).first() if request_key else None
    if note is not None:
        note.repeated = True
    return note


def _text(text: str, *, path: str, longest: int) -> str:
    words = storable_text(text).strip()
    if len(words) > longest:
        raise Invalid(said("at most %(limit)s characters", limit=longest), path=path, code="TOO_LONG")
    return words


def _name(user: User | None) -> str:
    return "" if user is None else (user.get_full_name() or user.get_username())[:150]


def _note(
    case: AlarmCase,
    word: AlarmNote.Word,
    *,
    by: User,
    at: datetime,
    text: str = "",
    data: dict[str, Any] | None = None,
    request_key: str = "",
) -> AlarmNote:
    tell_screens(cases=[(case, "changed")], at=at)
    return AlarmNote.objects.create(
        case=case,
        word=word,
        by=by,
        by_name=_name(by),
        text=text,
        data=data or {},
        request_key=request_key[:64],
        at=at,
    )
