"""What the plant's page says of slots, gaps and commands, beyond the words that all pages share."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from django.utils.translation import gettext, gettext_noop, ngettext

from console.words import look_of, missed_text
from dispatch.models import Kind, Proof
from metering.models import Gap
from plants.words import age_text, label_text, power_text
from schedules.models import RunState
from schedules.selectors.plans import SlotOutcome
from vcp import Direction

_RUNS = {
    RunState.WAITING: gettext_noop("Waits for its time"),
    RunState.PREEMPTED: gettext_noop("Something stronger was in force"),
    RunState.MISSED: gettext_noop("Missed"),
    RunState.WITHDRAWN: gettext_noop("Withdrawn"),
}
_CAUSES = {
    Gap.Cause.LINK_DOWN: gettext_noop("Our link to Voke was down"),
    Gap.Cause.PLATFORM_STOPPED: gettext_noop("The platform was stopped"),
    Gap.Cause.PLANT_OFFLINE: gettext_noop("The plant was silent while others spoke"),
    Gap.Cause.NOTHING_ARRIVED: gettext_noop("The link was up and nothing came"),
}


def outcome_text(outcome: SlotOutcome) -> str:
    """What became of a slot, in words; '' = nothing to tell yet."""
    if outcome.verdict == Proof.OFF_TARGET:
        sign = 1 if outcome.slot.direction is Direction.IMPORT else -1
        return missed_text(off_by=outcome.off_by, target=sign * outcome.slot.value, unit=outcome.unit)
    if outcome.verdict and outcome.verdict != Proof.NOT_IN_FORCE:
        return str(look_of(outcome.verdict).word)
    if outcome.run_state in _RUNS:
        return gettext(_RUNS[RunState(outcome.run_state)])
    return str(look_of(outcome.command_state).word) if outcome.command_state else ""


def gap_text(length: timedelta) -> str:
    """`No data 35 min`."""
    return gettext("No data %(span)s") % {"span": age_text(length)}


def gap_cause(cause: str) -> str:
    """Why there is a hole; '' where nobody knows."""
    return gettext(_CAUSES[Gap.Cause(cause)]) if cause in _CAUSES else ""


def mark_text(kind: Kind, payload: Mapping[str, Any]) -> str:
    """A mode or an emergency as a word in the chart."""
    if kind is Kind.EMERGENCY:
        return gettext("Emergency %(type)s") % {"type": str(payload.get("type") or "").lower()}
    return gettext("Mode %(mode)s") % {"mode": label_text(str(payload.get("mode") or "")).lower()}


def chart_words() -> dict[str, str]:
    """The words of the day chart's modules."""
    return {
        "planned": gettext("Planned"),
        "commanded": gettext("Commanded"),
        "actual": gettext("Actual"),
        "soc": gettext("SoC"),
        "import": gettext("import"),
        "export": gettext("export"),
        "export_limit": gettext("Export limit"),
        "import_limit": gettext("Import limit"),
        "override": gettext("Override"),
        "no_data": gettext("No data"),
        "nothing": gettext("nothing"),
        "own": gettext("without load"),
        "slot": gettext("Slot"),
        "click": gettext("Click for its command"),
    }


def day_sentence(
    *,
    powers: Sequence[float | None],
    missing: timedelta,
    counts: Mapping[str, int],
    has_plan: bool,
    over: bool,
) -> str:
    """The day in a sentence, for those who do not look at the picture."""
    known = [value for value in powers if value is not None]
    parts = []
    if known:
        most, least = max(known), min(known)
        flows = []
        if least < 0:
            flows.append(gettext("export up to %(power)s") % {"power": power_text(least)})
        if most > 0:
            flows.append(gettext("import up to %(power)s") % {"power": power_text(most)})
        parts.append(gettext(" and ").join(flows) or gettext("no exchange with the grid"))
    else:
        parts.append(gettext("nothing was measured") if over else gettext("nothing is measured yet"))
    if known and missing >= timedelta(minutes=1):
        parts.append(gettext("no data for %(span)s") % {"span": age_text(missing)})
    if not has_plan:
        parts.append(gettext("no plan is in force"))
    if count := counts.get(Proof.VERIFIED, 0):
        parts.append(
            ngettext("%(count)d slot verified", "%(count)d slots verified", count) % {"count": count}
        )
    if count := counts.get(Proof.OFF_TARGET, 0):
        parts.append(
            ngettext("%(count)d slot off its target", "%(count)d slots off their target", count)
            % {"count": count}
        )
    text = "; ".join(parts)
    return f"{text[:1].upper()}{text[1:]}."
