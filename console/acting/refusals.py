"""What services refuse, as errors of a form: each at its field, with its stable code."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from django import forms
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from plants.encryption import UndecryptableSecret
from plants.errors import Conflict, DomainError, Invalid, Several
from plants.words import local_text
from vcp import ProtocolError

REFUSALS = (DomainError, ProtocolError, UndecryptableSecret, IntegrityError)
"""What a service may raise because of what was asked for, or of what happened meanwhile."""
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
        case UndecryptableSecret():
            text = _("the connection's stored secret can't be read; it must be entered anew")
            return [Conflict(text, code="UNDECRYPTABLE_SECRET")]
        case IntegrityError():
            return [Conflict(_("somebody saved at the same moment; look again and repeat"), code="CONFLICT")]
        case _:
            raise TypeError(f"{type(error).__name__} is not a refusal") from error


def sentence(text: str) -> str:
    """A problem's text as a sentence."""
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "?", "!")) else ".")


def tell(
    form: forms.BaseForm, problems: Sequence[DomainError], field_of: Callable[[str], str | None]
) -> None:
    """Put each problem at its field, else above the form."""
    for problem in problems:
        field = field_of(problem.path)
        known = field if field in form.fields else None
        form.add_error(known, ValidationError(sentence(local_text(problem.words)), code=problem.code))


def attempt(
    form: forms.BaseForm, work: Callable[[], ResultT], *, field_of: Callable[[str], str | None]
) -> ResultT | None:
    """The work's result; None when it was refused, nothing was kept and the form now says why."""
    try:
        with transaction.atomic():
            return work()
    except REFUSALS as error:
        tell(form, problems_of(error), field_of)
        return None


def codes_of(form: forms.BaseForm) -> dict[str, list[str]]:
    """Stable codes by field, for programs and tests; "" = the form as a whole."""
    return {
        "" if field == "__all__" else field: [str(one.code or "invalid") for one in errors.as_data()]
        for field, errors in form.errors.items()
    }
