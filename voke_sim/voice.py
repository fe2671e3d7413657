"""Everything that Voke says: events are built, meet their faults, and are stored for publishing; people get
notes.

Speaking only writes to the journal, in the engine's transaction; `outbox` sends afterwards. So a crash
between a command's effect and its ack loses neither.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Protocol

import msgspec

from vcp import (
    MAX_SAFE_INTEGER,
    Alarm,
    CommandAck,
    Execution,
    ExecutionStatus,
    Family,
    MeterTelemetry,
    ModeEvent,
    Payload,
    RealtimeTelemetry,
    ScheduleEvent,
    ScheduleStatus,
    encode_envelope,
    family_of,
    new_envelope,
    routing_key,
)
from voke_sim.config import SimConfig, SiteConfig, SiteIdKind
from voke_sim.faults import FaultBoard, FaultKind
from voke_sim.interpretation import MODE_TAIL, SCHEDULE_TAILS
from voke_sim.journal import Journal
from voke_sim.journal_schema import PublishedRow, PublishedState
from voke_sim.notes import Action, Note

IdSource = Callable[[], str]
"""Makes messageIds and alarmIds: UUIDv4 texts, never the same twice, restarts included."""

_MAX_NOTES = 10_000


class Named(Protocol):
    """What the voice needs to know of a site."""

    @property
    def config(self) -> SiteConfig: ...


class Voice:
    """Builds events of all families and stores them; collects notes until the engine hands them on."""

    def __init__(self, config: SimConfig, journal: Journal, faults: FaultBoard, new_id: IdSource) -> None:
        self._config = config
        self._journal = journal
        self._faults = faults
        self._new_id = new_id
        self._notes: list[Note] = []

    def new_id(self) -> str:
        """A fresh id."""
        return self._new_id()

    def site_id(self, site: SiteConfig) -> str:
        """The name of a site on the wire."""
        by_uuid = self._config.protocol.site_id_kind is SiteIdKind.UUID
        return site.site_id if by_uuid else site.external_plant_id

    def ack(self, site: Named, ack: CommandAck, *, correlation_id: str, at: datetime) -> None:
        """The first word on a command."""
        self._publish(
            site, ack, correlation_id=correlation_id, label=ack.status, detail=ack.command_type, at=at
        )

    def execution(self, site: Named, execution: Execution, *, correlation_id: str, at: datetime) -> None:
        """How a command fares."""
        self._publish(
            site,
            execution,
            correlation_id=correlation_id,
            label=execution.status,
            detail=execution.command_type,
            at=at,
        )
        self.note(
            Action.EXECUTION,
            status=execution.status,
            text=_execution_text(site, execution),
            site=site.config,
            family=execution.command_type,
            correlation_id=correlation_id,
            values={"actual_kw": execution.actual_value_kw, "target_kw": execution.target_value_kw},
            at=at,
        )

    def alarm(self, site: Named, alarm: Alarm, *, at: datetime) -> None:
        """An alarm raised or cleared."""
        label = "raised" if alarm.cleared_at is None else "cleared"
        self._publish(site, alarm, label=label, detail=alarm.code, at=at)
        self.note(
            Action.ALARM,
            status=label,
            text=f"alarm {label} at {site.config.external_plant_id}: {alarm.code}, {alarm.message}",
            site=site.config,
            values={"alarm_id": alarm.alarm_id, "code": alarm.code, "breached_field": alarm.breached_field},
            at=at,
        )

    def mode(self, site: Named, event: ModeEvent, *, correlation_id: str | None, at: datetime) -> None:
        """A site's mode changed."""
        self._publish(
            site,
            event,
            correlation_id=correlation_id,
            tail=MODE_TAIL,
            label=event.mode,
            detail=event.previous_mode or "",
            at=at,
        )
        text = f"{site.config.external_plant_id} runs {event.mode} (was {event.previous_mode})"
        self.note(Action.MODE, status=event.mode, text=text, site=site.config, at=at)

    def schedule(
        self, site: Named, event: ScheduleEvent, *, status: ScheduleStatus, correlation_id: str, at: datetime
    ) -> None:
        """A schedule changed state."""
        self._publish(
            site,
            event,
            correlation_id=correlation_id,
            tail=SCHEDULE_TAILS[status],
            label=event.status,
            detail=event.schedule_id,
            at=at,
        )
        reason = f": {event.reason}" if event.reason else ""
        text = f"schedule {event.schedule_id} at {site.config.external_plant_id} is {event.status}{reason}"
        self.note(
            Action.SCHEDULE,
            status=event.status,
            text=text,
            site=site.config,
            correlation_id=correlation_id,
            at=at,
        )

    def telemetry(self, site: Named, payload: RealtimeTelemetry | MeterTelemetry, *, at: datetime) -> None:
        """A site's present values or registers, under a key that ends in the site's name."""
        tail = self.site_id(site.config)
        self._publish(site, payload, tail=tail, label=payload.data_quality, detail="", at=at)
        family = family_of(payload).value
        text = f"{family} of {site.config.external_plant_id}"
        self.note(
            Action.REPORTED, status=payload.data_quality, text=text, site=site.config, family=family, at=at
        )

    def effect(
        self, site: Named, *, message_id: str, kind: str, detail: Mapping[str, Any], at: datetime
    ) -> None:
        """A message changed what a site does: journalled once, at the moment of the change."""
        self._journal.record_effect(
            message_id=message_id, site_id=site.config.site_id, kind=kind, detail=detail, at=at
        )

    def target(self, site: Named, *, source: str, key: str, target_kw: float | None, at: datetime) -> None:
        """A site follows another target: journalled, told nobody."""
        self._journal.record_target(
            site_id=site.config.site_id, source=source, key=key, target_kw=target_kw, at=at
        )

    def note(
        self,
        action: Action,
        *,
        status: str,
        text: str,
        at: datetime,
        site: SiteConfig | None = None,
        family: str | None = None,
        message_id: str | None = None,
        correlation_id: str | None = None,
        values: Mapping[str, Any] | None = None,
    ) -> None:
        """Tell those who watch."""
        if len(self._notes) < _MAX_NOTES:
            self._notes.append(
                Note(
                    at=at,
                    action=action,
                    status=status,
                    text=text,
                    site=None if site is None else site.external_plant_id,
                    family=family,
                    message_id=message_id,
                    correlation_id=correlation_id,
                    values=dict(values or {}),
                )
            )

    def take_notes(self) -> list[Note]:
        """The notes since the last call."""
        notes, self._notes = self._notes, []
        return notes

    def _publish(
        self,
        site: Named,
        payload: Payload,
        *,
        label: str,
        detail: str,
        at: datetime,
        correlation_id: str | None = None,
        tail: str | None = None,
    ) -> None:
        family = family_of(payload)
        message_id = self._new_id()
        envelope = new_envelope(
            message_id=message_id,
            timestamp=at + self._faults.clock_skew(),
            source=self._config.protocol.source,
            site_id=self.site_id(site.config),
            payload=payload,
            correlation_id=correlation_id,
        )
        row = PublishedRow(
            message_id=message_id,
            correlation_id=correlation_id,
            family=family.value,
            routing_key=routing_key(self._config.partner.prefix, family, tail),
            site_id=site.config.site_id,
            label=label,
            detail=detail,
            body=encode_envelope(envelope),
            state=PublishedState.PENDING.value,
            created_at=at,
            due_at=at,
        )
        self._store(site.config, family, row, at)

    def _store(self, site: SiteConfig, family: Family, row: PublishedRow, at: datetime) -> None:
        """Apply the faults of events: drop, delay, reorder, duplicate, in this order."""
        names = (site.site_id, site.external_plant_id)
        state, due_at, swapped = row.state, at, 0
        if self._faults.for_site(FaultKind.SILENT, names) or self._faults.for_message(
            FaultKind.DROP, family, names
        ):
            state = PublishedState.DROPPED.value
        elif delay := self._faults.for_message(FaultKind.DELAY, family, names):
            due_at = at + timedelta(seconds=delay.delay_s)
        elif swap := self._faults.for_message(FaultKind.REORDER, family, names):
            due_at, swapped = at + timedelta(seconds=swap.delay_s), 1
        twice = state == PublishedState.PENDING and self._faults.for_message(
            FaultKind.DUPLICATE, family, names
        )
        if not swapped and state == PublishedState.PENDING:
            self._journal.release_swapped(site.site_id, due_at)
        self._journal.record_published(
            msgspec.structs.replace(row, state=state, due_at=due_at, swapped=swapped),
            copies=2 if twice else 1,
        )


def reportable(value: float) -> float:
    """A computed value as it may stand on the wire: three decimals, within what a JavaScript peer holds
    exactly.

    A partner may ask for absurd powers; answering must not fail where asking did not.
    """
    return round(min(float(MAX_SAFE_INTEGER), max(-float(MAX_SAFE_INTEGER), value)), 3)


def _execution_text(site: Named, execution: Execution) -> str:
    text = f"{execution.command_type} at {site.config.external_plant_id}: {execution.status}"
    if execution.status != ExecutionStatus.EXECUTING and execution.actual_value_kw is not None:
        text += f", {execution.actual_value_kw:g} kW of {execution.target_value_kw or 0.0:g} kW"
    return f"{text} ({execution.reason})" if execution.reason else text
