"""The measurement beside the command: the numbers behind the verdict, and the data of the chart around it.

The chart is the plant's day chart on a short span, with a mark where the command left and a shade over what was judged.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.utils.translation import gettext as _

from console.commands.life import Life
from console.commands.words import missed_text, precise_text, time_in
from console.plant.day import chart_data
from console.plant.spans import Span
from dispatch.models import Graded, Proof, ProofSource, Verification
from dispatch.states import NEVER_SENT
from dispatch.words import hint_text, proof_word
from metering.days import local_day_of
from metering.rules import current_rules
from metering.tiers import to_ms
from plants.words import energy_text, power_text

_LEAD: Final = timedelta(minutes=10)
_TAIL: Final = timedelta(minutes=20)
_LONGEST: Final = timedelta(hours=3)
_SOURCES: Final = {ProofSource.TELEMETRY: "telemetry", ProofSource.METER: "the meter"}


@dataclass(frozen=True, kw_only=True)
class Numbers:
    """What the measurement says: a sentence, and its figures. `state` names how it is drawn."""

    state: str
    title: str
    rows: Sequence[tuple[str, str]]
    hint: str = ""


def numbers_of(life: Life) -> Numbers | None:
    """The figures of a verdict; None = commands of its kind are not measured."""
    proof = life.proof
    if proof is None:
        return None
    hint = hint_text(proof.hint)
    return Numbers(
        state=proof.verdict,
        title=_title(life, proof),
        rows=list(_rows(life, proof)),
        hint=f"{hint}." if hint else "",
    )


def _title(life: Life, proof: Verification) -> str:
    match proof.verdict:
        case Proof.VERIFIED:
            return _("It did what was asked")
        case Proof.OFF_TARGET:
            return missed_text(proof)
        case Proof.NO_DATA:
            return _("No measurement to judge by")
        case Proof.NOT_IN_FORCE:
            return _("Never in force, or not long enough to judge")
        case _:
            if life.state in NEVER_SENT:
                return _("Never sent, so nothing is measured")
            return _("Judged at %(due)s") % {"due": precise_text(proof.due_at, life.zone)[:-4]}


def _rows(life: Life, proof: Verification) -> Iterator[tuple[str, str]]:
    if proof.target is None:
        return
    yield _("Asked"), _flow(proof.target, proof)
    yield _("Measured"), _("nothing") if proof.measured is None else _flow(proof.measured, proof)
    if proof.off_by is not None:
        yield _("Off by"), _amount(proof.off_by, proof)
    if proof.tolerance is not None:
        yield _("Tolerated"), _amount(proof.tolerance, proof)
    if proof.from_at is not None and proof.to_at is not None:
        span = f"{precise_text(proof.from_at, life.zone)[:-4]} – {precise_text(proof.to_at, life.zone)[:-4]}"
        yield _("Looked at"), span
    if proof.coverage_pct is not None:
        by = _SOURCES.get(ProofSource(proof.source), "") if proof.source else _("no telemetry")
        words = {"by": by, "samples": proof.samples, "share": f"{proof.coverage_pct:.0f}\u202f%"}
        yield _("By"), _("%(by)s, %(samples)s samples, %(share)s of the time") % words
    if proof.first_verdict:
        yield _("Before late data"), proof_word(proof.first_verdict)


def _flow(value: float, proof: Graded) -> str:
    """`Export 275 kW`; a value of the site's sign."""
    amount = _amount(value, proof)
    return f"{_('Import') if value > 0 else _('Export')} {amount}" if value else amount


def _amount(value: float, proof: Graded) -> str:
    return energy_text(value) if proof.unit == "kWh" else power_text(value)


# --- the chart --------------------------------------------------------------------------------------------------------


def span_of(life: Life) -> Span:
    """What the chart shows: from a little before the command began to a little after it ended, at most three hours."""
    begins_at, ends_at = _held(life)
    from_at = begins_at - _LEAD
    to_at = min(max(ends_at + _LEAD, begins_at + _TAIL), from_at + _LONGEST)
    return Span(zone=life.zone, day=local_day_of(from_at, zone=life.zone).day, from_at=from_at, to_at=to_at)


def _held(life: Life) -> tuple[datetime, datetime]:
    """From when until when it was to hold, as far as it says."""
    proof = life.proof
    if proof is not None:
        return proof.begins_at, proof.ends_at
    sent = life.sent
    begins_at = (sent.attempted_at if sent is not None else None) or life.command.due_at
    return begins_at, time_in(life.command.payload, "validUntil") or begins_at + _TAIL


def chart_of(life: Life, *, width_px: int) -> dict[str, Any]:
    """The columns of the chart (`console.plant.day`), with when the command left and what was judged."""
    data = chart_data(
        plant=life.command.plant,
        span=span_of(life),
        width_px=min(max(width_px, 100), 2000),
        at=life.at,
        rules=current_rules(),
    )
    sent = life.sent
    if sent is not None and sent.attempted_at is not None:
        marks = data["marks"]
        for name, value in (
            ("at", to_ms(sent.attempted_at)),
            ("text", _("sent")),
            ("strong", False),
            ("command", life.command.pk),
        ):
            marks[name].append(value)
    data["judged"] = _judged(life.proof)
    if not any(value is not None for value in data["actual"]["grid_import_kw"]):
        data["gaps"] = _nothing(data)
    return data


def _nothing(data: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Nothing was measured: one hole, as far as there is a past."""
    until = min(data["to"], data["now"])
    if until <= data["from"]:
        return {name: [] for name in ("from", "to", "text", "cause", "open")}
    return {"from": [data["from"]], "to": [until], "text": [_("No data")], "cause": [""], "open": [False]}


def _judged(proof: Verification | None) -> dict[str, Any] | None:
    if proof is None or proof.from_at is None or proof.to_at is None:
        return None
    return {"from": to_ms(proof.from_at), "to": to_ms(proof.to_at), "text": proof_word(proof.verdict)}
