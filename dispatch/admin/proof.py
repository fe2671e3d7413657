"""How the proof of a setpoint is drawn: a mark in the list, the numbers on the command's page, a filter."""

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from dispatch.models import Command, Graded, Proof, Verification
from dispatch.words import PROOF_HINTS, PROOF_WORDS, measured_text, proof_text
from plants.admin.marks import EMPTY, Family, Look, chip, moment, muted
from plants.admin.theme import DropdownFilter

_LOOKS: Mapping[str, tuple[str, Family]] = {
    Proof.PENDING: ("hourglass_top", Family.WAIT),
    Proof.VERIFIED: ("task_alt", Family.OK),
    Proof.OFF_TARGET: ("difference", Family.DOUBT),
    Proof.NO_DATA: ("history_toggle_off", Family.DOUBT),
    Proof.NOT_IN_FORCE: ("block", Family.WAIT),
}


class ProofFilter(DropdownFilter):
    """The verdict of the measurement."""

    title = "measured"
    parameter_name = "proof"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(proof.value, PROOF_WORDS[proof]) for proof in Proof]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        wanted = self.value()
        return queryset.filter(verification__verdict=wanted) if wanted in Proof.values else queryset


def proof_chip(proof: Graded) -> SafeString:
    """The verdict, with the numbers as its title."""
    icon, family = _LOOKS[proof.verdict]
    return chip(Look(icon=icon, word=PROOF_WORDS[proof.verdict], family=family), title=measured_text(proof))


def proof_mark(command: Command) -> SafeString:
    """For a list: the verdict and by how much it was missed; nothing for commands that are not measured."""
    proof = _proof_of(command)
    if proof is None:
        return EMPTY
    missed = muted(proof_text(proof)) if proof.verdict == Proof.OFF_TARGET else ""
    return format_html('<span class="lines">{}<span>{}</span></span>', proof_chip(proof), missed)


def proof_facts(command: Command) -> list[tuple[str, object]]:
    """For the command's page: verdict, numbers, what was looked at, and why it was missed where that is certain."""
    proof = _proof_of(command)
    if proof is None:
        return []
    zone = command.plant.time_zone
    facts: list[tuple[str, object]] = [("Measured", proof_chip(proof))]
    if proof.verdict == Proof.PENDING:
        return [*facts, ("Judged", moment(proof.due_at, zone=zone))]
    if proof.from_at is not None:
        looked_at = format_html(
            "{} – {}",
            moment(proof.from_at, zone=zone, precise=True),
            moment(proof.to_at, zone=zone, precise=True),
        )
        facts += [("Target and measured", measured_text(proof)), ("Looked at", looked_at)]
    if proof.hint:
        facts.append(("Likely why", PROOF_HINTS[proof.hint]))
    if proof.first_verdict:
        facts.append(("Before late measurements", PROOF_WORDS[proof.first_verdict]))
    if proof.again_at is not None:
        facts.append(("Late ones are looked for", moment(proof.again_at, zone=zone)))
    return facts


def _proof_of(command: Command) -> Verification | None:
    return getattr(command, "verification", None)
