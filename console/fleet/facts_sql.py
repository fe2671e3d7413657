"""What a fleet's list must know of every plant, as one statement: measured, planned, commanded, who needs a person.

Everything is set against everything in the database: 10,000 plants cost a few joins, never a query of their own. It
runs on PostgreSQL and SQLite alike. Signs are the site's: grid + = import, battery + = charging.

- `live`: the newest sample is younger than its connection's streams tolerate, and not of quality MISSING. Only live
  plants are summed up; of the others the last known values are kept, and shown as such.
- Off plan: the running slot of the published plan against the newest sample, beyond twice the tolerance of a proof
  (a sample is noisier than the mean that proves a command), once the settling time is over. A plant under an override
  or an emergency, or without live data, is not judged.
- In trouble: the newest command without an answer (its diagnosis is open), or refused within the last hour, unless a
  later one of the same plant was answered.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Any

from django.db import connection

from dispatch.states import State
from dispatch.verification import ProofRules
from schedules.slots import SLOT_MINUTES

SILENT_FOR = timedelta(hours=24)
"""A silence that began earlier is history, not something to do."""
REFUSED_WITHIN = timedelta(hours=1)
TOLERANCES = 2.0
FAR_OFF = 0.25
"""Off by more than this share of the target is said in red."""
_LONGEST_SLOT = timedelta(minutes=max(SLOT_MINUTES))
_ANSWERED = (State.ACCEPTED, State.QUEUED_BY_VOKE, State.PARTIAL, State.EXECUTING, State.COMPLETED)
_SILENT = (State.UNCONFIRMED, State.RETURNED, State.REFUSED)
_FAILED = (State.REJECTED, State.FAILED)
_ZONES = timedelta(hours=14)


class Attention(IntEnum):
    """How much a plant needs a person: lists begin with the largest. Below WARNING it does not."""

    LATCHED = 80
    UNANSWERED = 70
    CRITICAL = 60
    REFUSED = 55
    FAR_OFF_PLAN = 50
    NO_DATA = 45
    ERROR = 40
    OVERRIDDEN = 30
    OFF_PLAN = 25
    WARNING = 20
    NOT_CONNECTED = 5
    NOTHING = 0


@dataclass(frozen=True, kw_only=True)
class FleetAsked:
    """Of which organisation, as of when. `tolerated_s`: how old a connection's newest samples may be to count."""

    organisation_id: int
    at: datetime
    proof: ProofRules
    tolerated_s: Mapping[int, float]
    default_tolerated_s: float = 60.0


def facts_of_plants(
    asked: FleetAsked, *, only: str = "", params: tuple[Any, ...] = ()
) -> tuple[str, list[Any]]:
    """`WITH ... judged AS (...)` and its parameters; the caller selects from `judged` what is judged and summed up.

    `only`: a condition on `plant`, with its parameters, that narrows what is looked at in the first place.
    """
    named: dict[str, Any] = _parameters(asked)
    stale = _stale_before(asked, named)
    text = _STATEMENT.format(
        hours=_hours("slot.start_at", "slot.end_at"),
        live=_LIVE.format(stale_before=stale),
        followed=_FOLLOWED,
        answered=_words(_ANSWERED),
        silent=_words(_SILENT),
        failed=_words(_FAILED),
        only=f"AND {only}" if only else "",
        **{one.name: one.value for one in Attention},
    )
    return _in_order(text, named, params)


def sums_of_live(asked: FleetAsked) -> tuple[str, list[Any]]:
    """How many plants there are, how many are live, and the sum of these at the grid; and its parameters.

    What is planned, commanded and alarmed is not looked at.
    """
    named = _parameters(asked)
    live = _LIVE.format(stale_before=_stale_before(asked, named))
    return _in_order(_SUMS_OF_LIVE.format(live=live), named, ())


def moment(value: datetime) -> Any:
    """An instant as the database's driver takes it."""
    return connection.ops.adapt_datetimefield_value(value)


def _parameters(asked: FleetAsked) -> dict[str, Any]:
    at = asked.at
    return {
        "organisation": asked.organisation_id,
        "at": moment(at),
        "slot_since": moment(at - _LONGEST_SLOT),
        "settled": moment(at - asked.proof.settling),
        "first_day": (at - _ZONES).date(),
        "last_day": (at + _ZONES).date(),
        "silent_since": moment(at - SILENT_FOR),
        "refused_since": moment(at - REFUSED_WITHIN),
        "tolerance_kw": TOLERANCES * asked.proof.tolerance_kw,
        "tolerance_share": TOLERANCES * asked.proof.tolerance_pct / 100,
        "far_off": FAR_OFF,
        "stale_default": moment(at - timedelta(seconds=asked.default_tolerated_s)),
    }


def _stale_before(asked: FleetAsked, named: dict[str, Any]) -> str:
    """From when on a sample is live, by connection where one is heard more rarely than the others."""
    whens = []
    for number, (connection_id, seconds) in enumerate(sorted(asked.tolerated_s.items())):
        if seconds > asked.default_tolerated_s:
            named[f"stale_{number}"] = moment(asked.at - timedelta(seconds=seconds))
            whens.append(f"WHEN {int(connection_id)} THEN %(stale_{number})s")
    if not whens:
        return "%(stale_default)s"
    return f"CASE plant.connection_id {' '.join(whens)} ELSE %(stale_default)s END"


def _words(states: tuple[State, ...]) -> str:
    return ", ".join(f"'{state.value}'" for state in states)


def _hours(start: str, end: str) -> str:
    if connection.vendor == "postgresql":
        return f"(CAST(EXTRACT(EPOCH FROM {end} - {start}) AS double precision) / 3600)"
    return f"((julianday({end}) - julianday({start})) * 24.0)"


def _in_order(text: str, named: Mapping[str, Any], params: tuple[Any, ...]) -> tuple[str, list[Any]]:
    """Named parameters as positional ones, which may then be joined by the caller's own."""
    pieces: list[str] = []
    values: list[Any] = []
    rest = text
    while True:
        before, mark, rest = rest.partition("%(")
        own = before.count("%s")
        if own:
            values += params
        pieces.append(before)
        if not mark:
            return "".join(pieces), values
        name, _, rest = rest.partition(")s")
        pieces.append("%s")
        values.append(named[name])


_LIVE = "CASE WHEN state.measured_at > {stale_before} AND state.data_quality <> 'MISSING' THEN 1 ELSE 0 END"
_FOLLOWED = """CASE WHEN planned.include_consumption THEN state.grid_power_kw
              ELSE state.battery_power_kw - COALESCE(state.fve_power_kw, 0) END"""
_SUMS_OF_LIVE = """
SELECT COUNT(*), COALESCE(SUM(live), 0), COALESCE(SUM(CASE WHEN live = 1 THEN grid_power_kw END), 0.0)
  FROM (SELECT {live} AS live, state.grid_power_kw FROM plants_plant plant
          LEFT JOIN plants_plantstate state ON state.plant_id = plant.id
         WHERE plant.organisation_id = %(organisation)s) AS measured
"""
# Facts and judged are kept: flattened into one another all steps would repeat each other's conditions dozens of times.
# Alarms and troubles are kept too: where the server has not analysed its tables yet it takes an organisation for one
# plant, and would count all alarms anew for each plant (400 plants: 2.6 s instead of 0.1 s).
# Of 10,000 plants every column and every step that is kept costs milliseconds: what is only shown is read for the rows
# of a page afterwards, and `graded` is not kept.
_STATEMENT = """
WITH planned AS (
  SELECT plan.plant_id, slot.start_at, slot.include_consumption,
         CASE slot.direction WHEN 'IMPORT' THEN 1 ELSE -1 END AS sign,
         CASE slot.type WHEN 'POWER' THEN slot.value ELSE slot.value / {hours} END AS amount_kw,
         ROW_NUMBER() OVER (PARTITION BY plan.plant_id ORDER BY plan.day DESC, slot.start_at DESC) AS place
    FROM schedules_dayplan plan
    JOIN schedules_planversion version ON version.plan_id = plan.id AND version.state = 'PUBLISHED'
    JOIN schedules_planslot slot ON slot.version_id = version.id
         AND slot.start_at > %(slot_since)s AND slot.start_at <= %(at)s AND slot.end_at > %(at)s
   WHERE plan.organisation_id = %(organisation)s AND plan.day BETWEEN %(first_day)s AND %(last_day)s
), alarmed AS MATERIALIZED (
  SELECT alarm.plant_id, COUNT(*) AS open_alarms,
         MAX(CASE alarm.severity WHEN 'CRITICAL' THEN 4 WHEN 'ERROR' THEN 3 WHEN 'INFO' THEN 1 ELSE 2 END) AS worst
    FROM plants_alarm alarm
    JOIN plants_plant owned ON owned.id = alarm.plant_id AND owned.organisation_id = %(organisation)s
    LEFT JOIN plants_alarmcase filed ON filed.id = alarm.case_id
   WHERE alarm.cleared_at IS NULL AND filed.closed_at IS NULL
   GROUP BY alarm.plant_id
), asked AS (
  SELECT command.plant_id, command.id, command.state, diagnosis.asked_at AS since
    FROM dispatch_diagnosis diagnosis
    JOIN dispatch_command command ON command.id = diagnosis.command_id
   WHERE diagnosis.organisation_id = %(organisation)s AND diagnosis.ended_at IS NULL
     AND diagnosis.asked_at > %(silent_since)s AND command.state IN ({silent})
  UNION ALL
  SELECT command.plant_id, command.id, command.state, command.state_at
    FROM dispatch_command command
   WHERE command.organisation_id = %(organisation)s AND command.state IN ({failed})
     AND command.state_at > %(refused_since)s
), troubled AS MATERIALIZED (
  SELECT asked.plant_id, asked.id, asked.state, asked.since,
         ROW_NUMBER() OVER (PARTITION BY asked.plant_id ORDER BY asked.id DESC) AS place
    FROM asked
   WHERE NOT EXISTS (SELECT 1 FROM dispatch_command later
                      WHERE later.plant_id = asked.plant_id AND later.id > asked.id
                        AND later.state IN ({answered}))
), facts AS MATERIALIZED (
  SELECT plant.id, plant.name, plant.connection_id, state.grid_power_kw, state.fve_power_kw, state.battery_power_kw,
         state.consumption_power_kw, state.measured_at,
         {live} AS live,
         latch.type AS latch, latch.set_at AS latched_at, latch.order_id,
         override.until_at AS override_until,
         planned.start_at AS slot_at, planned.sign, planned.amount_kw,
         {followed} AS followed_kw,
         CASE WHEN planned.start_at <= %(settled)s AND latch.id IS NULL AND override.id IS NULL AND {live} = 1
              THEN {followed} * planned.sign - planned.amount_kw END AS over_kw,
         COALESCE(alarmed.open_alarms, 0) AS open_alarms, COALESCE(alarmed.worst, 0) AS worst_alarm,
         troubled.id AS command_id, troubled.state AS command_state, troubled.since AS command_since
    FROM plants_plant plant
    LEFT JOIN plants_plantstate state ON state.plant_id = plant.id
    LEFT JOIN dispatch_emergencylatch latch ON latch.plant_id = plant.id AND latch.released_at IS NULL
    LEFT JOIN schedules_override override ON override.plant_id = plant.id AND override.ended_at IS NULL
         AND override.until_at > %(at)s
    LEFT JOIN planned ON planned.plant_id = plant.id AND planned.place = 1
    LEFT JOIN alarmed ON alarmed.plant_id = plant.id
    LEFT JOIN troubled ON troubled.plant_id = plant.id AND troubled.place = 1
   WHERE plant.organisation_id = %(organisation)s {only}
), graded AS (
  SELECT facts.*,
         CASE WHEN ABS(over_kw) <= %(tolerance_kw)s OR ABS(over_kw) <= %(tolerance_share)s * amount_kw THEN 0
              WHEN ABS(over_kw) > %(far_off)s * amount_kw THEN 2
              WHEN over_kw IS NULL THEN 0 ELSE 1 END AS off_plan
    FROM facts
), judged AS MATERIALIZED (
  SELECT graded.*,
         CASE WHEN latch IS NOT NULL THEN {LATCHED}
              WHEN command_state IN ({silent}) THEN {UNANSWERED}
              WHEN worst_alarm = 4 THEN {CRITICAL}
              WHEN command_state IS NOT NULL THEN {REFUSED}
              WHEN off_plan = 2 THEN {FAR_OFF_PLAN}
              WHEN live = 0 AND (connection_id IS NOT NULL OR measured_at IS NOT NULL) THEN {NO_DATA}
              WHEN worst_alarm = 3 THEN {ERROR}
              WHEN override_until IS NOT NULL THEN {OVERRIDDEN}
              WHEN off_plan = 1 THEN {OFF_PLAN}
              WHEN worst_alarm = 2 THEN {WARNING}
              WHEN connection_id IS NULL THEN {NOT_CONNECTED}
              ELSE {NOTHING} END AS attention
    FROM graded
)
"""
