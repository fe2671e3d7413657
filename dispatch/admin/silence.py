"""Why a command met silence, on its page: the cause, what was looked at, and what to do next."""

from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest

from dispatch.diagnosis import Cause
from dispatch.diagnosis_words import CAUSES, cause_words, confidence_word, evidence_lines, step_words
from dispatch.models import Command, Diagnosis, DiagnosisStage
from dispatch.states import State
from dispatch.words import state_word
from plants.admin.marks import moment
from plants.admin.theme import DropdownFilter


class SilenceFilter(DropdownFilter):
    """Commands by what explains their silence."""

    title = "silence"
    parameter_name = "silence"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(cause.value, CAUSES[cause].title) for cause in Cause]

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Command]") -> "QuerySet[Command]":
        wanted = self.value()
        return queryset.filter(diagnosis__cause=wanted) if wanted in Cause.__members__ else queryset


def silence_view(command: Command) -> dict[str, Any] | None:
    """What the command's page shows of its silence; None = there was none."""
    row = Diagnosis.objects.filter(command=command).first()
    if row is None:
        return None
    zone = command.plant.time_zone
    cause, step = cause_words(row.cause), step_words(row.next_step)
    goes_on = row.stage != DiagnosisStage.DONE
    facts: list[tuple[str, object]] = [
        ("Silence", row.get_silence_display()),
        ("Since", moment(row.asked_at, zone=zone, precise=True)),
    ]
    if row.cause:
        facts += [("Cause", f"{cause.title} ({confidence_word(row.confidence)})"), ("It means", cause.text)]
        facts += [("Next step", step.title), ("How", step.text)]
    if goes_on:
        facts.append(("Goes on", DiagnosisStage(row.stage).label))
    if row.ended_at is not None:
        facts.append(("Ended", moment(row.ended_at, zone=zone, precise=True)))
        by_broker = row.ended_by == State.SENT  # an emergency that it took after all
        facts.append(("By the broker" if by_broker else "By Voke's word", state_word(row.ended_by)))
    return {"facts": facts, "evidence": evidence_lines(row.evidence)}
