"""What the page of one plan shows: the day as a picture, its slots with what became of them, versions, history."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from dispatch.admin.looks import STATE_LOOKS
from dispatch.models import Command, Proof
from dispatch.states import State
from dispatch.words import cause_text
from metering.days import local_day
from plants.admin.marks import EMPTY, NOTHING, change_url, chip, link, moment, zone_name
from plants.errors import DomainError
from plants.models import ScheduleCarrier
from plants.texts import number_of
from plants.words import energy_text, label_text
from schedules.admin.chart import Drawn, day_chart
from schedules.admin.findings import finding_chips, news
from schedules.admin.looks import plan_chip, proof_chip, run_chip
from schedules.admin.plan_list import length_text
from schedules.conflicts import PlanFacts, expected_soc
from schedules.diffs import ask_text
from schedules.facts import around, facts_of
from schedules.models import DayPlan, Origin, PlanEvent, PlanState, PlanVersion, RunState
from schedules.selectors.plans import DayView, SlotOutcome, history, plan_of_day
from schedules.selectors.versions import diff_of, versions_of
from schedules.slots import span_text
from vcp import Direction

_MARKS: Mapping[str, str] = {
    Proof.VERIFIED: "ok",
    Proof.OFF_TARGET: "doubt",
    Proof.NO_DATA: "doubt",
    RunState.MISSED: "fail",
    RunState.PREEMPTED: "doubt",
}
_EVENT_WORDS: Mapping[str, tuple[str, str]] = {
    "MADE": ("add", "Draft made"),
    "CHANGED": ("edit", "Draft changed"),
    "CHECKED": ("rule", "Checked"),
    "NOT_PASSED": ("report", "Checked: can't be published as it is"),
    "DISCARDED": ("delete", "Draft discarded"),
    "PUBLISHED": ("event_available", "Published"),
    "REPLACED": ("swap_horiz", "Replaced"),
    "CANCELLED": ("block", "Cancelled"),
    "DONE": ("done_all", "Its day is over"),
    "RECONCILED": ("sync", "Made anew at Voke"),
}
_DETAILS: Mapping[str, str] = {
    "slots": "{} slots",
    "problems": "{} found",
    "carrier": "carried out by {}",
    "by": "by version {}",
    "origin": "{}",
    "reason": "{}",
}
_WORDS: Mapping[str, str] = {
    ScheduleCarrier.DISPATCHER: "our dispatcher",
    ScheduleCarrier.VOKE: "Voke",
    **{one.value: one.label.lower() for one in Origin},
}


@dataclass(frozen=True, kw_only=True)
class Line:
    """One slot in the table."""

    index: int
    when: str
    current: bool
    over: bool
    ask: str
    turn: SafeString
    command: SafeString
    proof: SafeString
    told: str
    notes: Sequence[Mapping[str, object]]


def plan_panels(plan: DayPlan, *, asked: Mapping[str, str], at: datetime) -> dict[str, Any]:
    """Everything for the template; `asked` may choose a version and two to compare."""
    chosen = asked.get("version", "")
    versions = versions_of(organisation_id=plan.organisation_id, plan_id=plan.pk)
    if not versions:
        return {"plan": plan, "empty": True, "edit_url": _edit_url(plan)}
    view = _view(plan, number_of(chosen))
    for told in (plan, view.plan):  # a page opens also when a zone has left the tz database
        told.time_zone = zone_name(told.time_zone)
        told.plant.time_zone = zone_name(told.plant.time_zone)
    facts = facts_of(plan.plant, zone=plan.time_zone)
    return {
        "plan": plan,
        "view": view,
        "version": view.version,
        "title": f"{plan.plant.name}, {plan.day:%A} {plan.day.day} {plan.day:%B %Y}",
        "chips": plan_chip(view.version.state),
        "length": length_text(plan),
        "facts": _facts(view),
        "chart": day_chart(_drawn(view, facts, at)),
        "lines": [_line(index, one, view, at) for index, one in enumerate(view.outcomes)],
        "whole": [one for one in view.version.problems if one.get("slot") is None],
        "counts": _counts(view),
        "schedules": [_schedule_row(row, plan.time_zone) for row in view.schedules],
        "versions": [_version_row(row, view.version, plan) for row in versions],
        "difference": _difference(plan, asked),
        "events": [_event_row(event, plan.time_zone) for event in _history(plan)],
        "other": _other(versions, view.version),
        "edit_url": _edit_url(plan),
    }


def _view(plan: DayPlan, version_id: int | None) -> DayView:
    def find(wanted: int | None) -> DayView:
        return plan_of_day(
            organisation_id=plan.organisation_id,
            external_plant_id=plan.plant.external_plant_id,
            day=plan.day,
            version_id=wanted,
        )

    try:
        return find(version_id)
    except DomainError:  # an address with a version of another plan: the plan's own is shown
        return find(None)


def _edit_url(plan: DayPlan) -> str:
    return reverse("admin:schedules_dayplan_edit", args=[plan.plant_id, plan.day.isoformat()])


def _facts(view: DayView) -> list[tuple[str, object]]:
    version, plan = view.version, view.plan
    slots = [one.slot for one in view.outcomes]
    taken = sum(slot.power_kw * slot.hours for slot in slots if slot.direction is Direction.IMPORT)
    given = sum(slot.power_kw * slot.hours for slot in slots if slot.direction is Direction.EXPORT)
    carrier = version.carrier or plan.plant.schedule_carrier
    who = "Voke's own schedule" if carrier == ScheduleCarrier.VOKE else "Our dispatcher"
    return [
        ("Plant", link(plan.plant)),
        ("Version", f"{version.number}, {version.get_state_display().lower()}"),
        ("Slots", len(slots)),
        ("Import planned", energy_text(taken)),
        ("Export planned", energy_text(given)),
        ("Carried out by", who if version.carrier else f"{who}, once published"),
        ("Clock", ", ".join(filter(None, (plan.time_zone, length_text(plan))))),
        ("Note", version.note or NOTHING),
    ]


def _drawn(view: DayView, facts: PlanFacts, at: datetime) -> Drawn:
    plan = view.plan
    slots = [one.slot for one in view.outcomes]
    day, known = local_day(plan.day, zone=plan.time_zone), around(plan, at=at).soc_pct
    since = at if day.start_at <= at < day.end_at else None
    start = known if known is not None else (facts.soc_min_pct + facts.soc_max_pct) / 2
    soc = expected_soc(slots, day=plan.day, facts=facts, soc_pct=start, at=since) if slots else []
    marks = [
        (index, _MARKS[word])
        for index, one in enumerate(view.outcomes)
        for word in [one.verdict or one.run_state]
        if word in _MARKS
    ]
    return Drawn(
        day=day,
        zone=plan.time_zone,
        slots=slots,
        max_import_kw=facts.max_import_kw,
        max_export_kw=facts.max_export_kw,
        soc=[pct for pct, _ in soc],
        soc_start_pct=start,
        soc_from=since,
        soc_window=(facts.soc_min_pct, facts.soc_max_pct),
        marks=marks,
        now=at,
    )


def _line(index: int, one: SlotOutcome, view: DayView, at: datetime) -> Line:
    problems = [problem for problem in news(view.version.problems) if problem.get("slot") == index]
    return Line(
        index=index,
        when=span_text(one.slot, zone=view.plan.time_zone),
        current=one.slot.start_at <= at < one.slot.end_at,
        over=one.slot.end_at <= at,
        ask=ask_text(one.slot),
        turn=_turn(one),
        command=_command(one),
        proof=_proof(one),
        told=_told(one),
        notes=problems,
    )


def _turn(one: SlotOutcome) -> SafeString:
    if not one.run_state:
        return EMPTY
    title = cause_text(one.cause) if one.cause else ""
    return run_chip(one.run_state, title=f"{title} (turn {one.turn})".strip() if one.turn > 1 else title)


def _command(one: SlotOutcome) -> SafeString:
    if one.command_id is None:
        return EMPTY
    return format_html(
        '<a href="{}">{}</a>',
        reverse("admin:dispatch_command_change", args=[one.command_id]),
        chip(STATE_LOOKS[State(one.command_state)]),
    )


def _proof(one: SlotOutcome) -> SafeString:
    if not one.verdict:
        return EMPTY
    if one.verdict == Proof.OFF_TARGET and one.off_by is not None:
        word = "over" if one.off_by > 0 else "under"
        return format_html(
            '{} <span class="nowrap">{} {} {}</span>',
            proof_chip(one.verdict),
            f"{abs(one.off_by):.1f}",
            one.unit,
            word,
        )
    return proof_chip(one.verdict)


def _told(one: SlotOutcome) -> str:
    if one.winner:
        return f"In force instead: {one.winner}"
    if one.run_state == RunState.MISSED and one.cause:
        return cause_text(one.cause)
    return ""


def _counts(view: DayView) -> list[tuple[str, int]]:
    """How many slots ended how, in words."""
    return [(label_text(word), count) for word, count in sorted(view.counts.items(), key=lambda one: -one[1])]


def _schedule_row(row: Any, zone: str) -> dict[str, object]:
    return {
        "id": row.schedule_id,
        "priority": row.priority,
        "told": row.told or NOTHING,
        "told_at": moment(row.told_at, zone=zone),
        "reason": row.reason,
        "create": _command_link(row.create_command),
        "cancel": _command_link(row.cancel_command),
        "gone": moment(row.gone_at, zone=zone) if row.gone_at else EMPTY,
    }


def _command_link(command: Command | None) -> SafeString:
    if command is None:
        return EMPTY
    return format_html('<a href="{}">{}</a>', change_url(command), chip(STATE_LOOKS[State(command.state)]))


def _version_row(row: PlanVersion, shown: PlanVersion, plan: DayPlan) -> dict[str, object]:
    return {
        "pk": row.pk,
        "number": row.number,
        "shown": row.pk == shown.pk,
        "chip": plan_chip(row.state),
        "made": moment(row.made_at, zone=plan.time_zone),
        "by": row.made_by_name,
        "origin": row.get_origin_display(),
        "published": moment(row.published_at, zone=plan.time_zone) if row.published_at else EMPTY,
        "published_by": row.published_by_name,
        "findings": finding_chips(row) if news(row.problems) else [],
        "note": row.note,
    }


def _difference(plan: DayPlan, asked: Mapping[str, str]) -> dict[str, object] | None:
    """The two versions that were asked for, compared; None when none were."""
    before, after = number_of(asked.get("from", "")), number_of(asked.get("to", ""))
    if before is None or after is None:
        return None
    try:
        found = diff_of(organisation_id=plan.organisation_id, version_id=after, other_id=before)
    except DomainError:
        return None
    return {
        "before": found.before,
        "after": found.after,
        "rows": [
            {
                "when": span_text(one.span, zone=plan.time_zone),
                "mark": one.change.value.lower(),
                "before": "" if one.before is None else ask_text(one.before),
                "after": "" if one.after is None else ask_text(one.after),
            }
            for one in found.changes
        ],
    }


def _history(plan: DayPlan) -> Sequence[PlanEvent]:
    return history(organisation_id=plan.organisation_id, plan_id=plan.pk)


def _event_row(event: PlanEvent, zone: str) -> dict[str, object]:
    symbol, words = _EVENT_WORDS.get(event.word, ("event_note", label_text(event.word)))
    return {
        "icon": symbol,
        "words": words,
        "version": None if event.version is None else event.version.number,
        "who": event.actor,
        "when": moment(event.at, zone=zone),
        "detail": _detail_text(event.detail),
    }


def _detail_text(detail: Any) -> str:
    """What the event kept beside its word."""
    if not isinstance(detail, Mapping):
        return ""
    return ", ".join(
        _DETAILS.get(str(name), f"{label_text(str(name)).lower()} {{}}").format(_word(value))
        for name, value in detail.items()
        if value not in ("", None)
    )[:300]


def _word(value: object) -> object:
    """Codes of ours in words, anything else as it is."""
    if value in _WORDS:
        return _WORDS[str(value)]
    return ", ".join(map(str, value)) if isinstance(value, list) else value


def _other(versions: Sequence[PlanVersion], shown: PlanVersion) -> PlanVersion | None:
    """The draft beside the published version, or the other way round."""
    wanted = (PlanState.DRAFT, PlanState.CHECKED, PlanState.PUBLISHED)
    return next((one for one in versions if one.pk != shown.pk and one.state in wanted), None)
