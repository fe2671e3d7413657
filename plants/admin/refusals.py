"""Domain errors as form errors: a service that refuses never becomes a 500 page, and its words land at their field."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from django import forms
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from plants.encryption import UndecryptableSecret
from plants.errors import Conflict, DomainError, Invalid, Several
from plants.words import local_text
from vcp import ProtocolError
from vcp.said import said, told_by

# What a service may raise because of what was asked for, or of what happened meanwhile.
REFUSALS = (DomainError, ProtocolError, UndecryptableSecret, ValidationError, IntegrityError)
ResultT = TypeVar("ResultT")


def problems_of(error: Exception) -> list[DomainError]:
    """Every problem that a refusal names."""
    match error:
        case Several():
            return list(error.problems)
        case DomainError():
            return [error]
        case ProtocolError():
            return [Invalid(error.words, path=error.path, code=error.code)]
        case ValidationError():
            return _of_validation(error)
        case UndecryptableSecret():
            return [
                Conflict(
                    said("the connection's stored secret is unusable: %(error)s", error=told_by(error)),
                    code="UNDECRYPTABLE_SECRET",
                )
            ]
        case IntegrityError():
            return [
                Conflict(said("somebody saved at the same moment; look again and repeat"), code="CONFLICT")
            ]
        case _:
            raise TypeError(f"{type(error).__name__} is not a refusal") from error


def _of_validation(error: ValidationError) -> list[DomainError]:
    if not hasattr(error, "error_dict"):
        return [Invalid(text) for text in error.messages]
    return [
        Invalid(text, path="" if field == "__all__" else field)
        for field, texts in error.message_dict.items()
        for text in texts
    ]


def tell(
    form: forms.BaseForm, error: Exception, *, field_of: Callable[[str], str | None] | None = None
) -> None:
    """Put each problem of a refusal at its field; `field_of` translates a path into a field's name."""
    for problem in problems_of(error):
        field = field_of(problem.path) if field_of is not None else problem.path
        known = field if field and field in form.fields else None
        form.add_error(known, sentence(problem, name_path=known is None and field_of is None))


def sentence(problem: DomainError, *, name_path: bool = False) -> str:
    """A problem's text as a sentence, with its path where no field can show it."""
    words = local_text(problem.words)
    text = words[:1].upper() + words[1:]
    return f"{problem.path}: {text}" if name_path and problem.path else text


def attempt(
    form: forms.BaseForm, work: Callable[[], ResultT], *, field_of: Callable[[str], str | None] | None = None
) -> ResultT | None:
    """The work's result; None when it was refused, nothing was kept and the form now says why."""
    try:
        with transaction.atomic():
            return work()
    except REFUSALS as error:
        tell(form, error, field_of=field_of)
        return None


def texts_of(problems: Sequence[Any]) -> str:
    """All problems in one line, for a message where no field can show them."""
    return " ".join(f"{sentence(problem)}." for problem in problems)
