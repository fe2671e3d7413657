"""The parts of a support bundle that the database tells; every list is bounded, every statement ends.

Never asked for: bodies, payloads, headers, secrets, hashes, names and addresses of people. A person who acted is told
as "a person".
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.models import Count, Max, Q, Sum
from prometheus_client import generate_latest

from dispatch.models import Command, CommandEvent, OutboundMessage
from dispatch.selectors import DOUBTFUL
from plants.models import Alarm, DeadLetter, LinkHealth
from plants.selectors.link_health import HalfHealth, StreamState, connection_health, watched_connections
from trading_api.models import PullJournal
from watch.metrics import DatabaseCollector
from watch.models import Notification, Suspicion, TickRun

NEWEST = 50
MOST_CONNECTIONS = 200
NEWEST_COMMANDS = 20_000
EVENTS_EACH = 40
BROKER_WORDS = 400
OURS = frozenset({"Voke", "relay", ""})
LATELY = timedelta(days=7)


def migrations(_at: datetime) -> dict[str, Any]:
    """What the database has, and what the code would still do to it."""
    loader = MigrationLoader(connection)
    applied = {f"{app}.{name}" for app, name in loader.applied_migrations or ()}
    wanted = {f"{app}.{name}" for app, name in loader.disk_migrations or ()}
    return {
        "applied": sorted(applied),
        "pending": sorted(wanted - applied),
        "unknown to this code": sorted(applied - wanted),
    }


def numbers(at: datetime) -> str:
    """The numbers of `/metrics` that the database tells."""
    return generate_latest(DatabaseCollector(clock=lambda: at)).decode()


def links(at: datetime) -> list[dict[str, Any]]:
    """Every connection's health in words."""
    rows = list(watched_connections().select_related("organisation")[:MOST_CONNECTIONS])
    health = connection_health(connections=rows, at=at)
    return [
        {
            "connection_id": row.pk,
            "name": row.name,
            "organisation": row.organisation.slug,
            "vhost": row.vhost,
            "mode": row.mode,
            "dispatch_enabled": row.dispatch_enabled,
            "succeeded_by": row.succeeded_by_id,
            "state": one.state.value,
            "code": one.code,
            "advice": None if one.advice is None else f"{one.advice.title}: {one.advice.action}",
            "since": _when(one.since),
            "halves": [_half(half) for half in (one.publish, one.consume)],
            "streams": [_stream(stream) for stream in one.streams],
        }
        for row in rows
        for one in [health[row.pk]]
    ]


def errors(_at: datetime) -> dict[str, Any]:
    """The last errors of links, ticks, notifications and the reverse channel."""
    failed_links = LinkHealth.objects.filter(error_at__isnull=False).order_by("-error_at")
    failed_pulls = PullJournal.objects.filter(status__gte=500).order_by("-pk")
    return {
        "links": _rows(
            failed_links, "connection_id role holder state error_code last_error error_at seen_at"
        ),
        "ticks": _rows(
            TickRun.objects.filter(failures__gt=0), "name error_code failed_at failures runs finished_at"
        ),
        "notifications": _rows(
            Notification.objects.filter(state="FAILED").order_by("-pk"),
            "channel_id event code severity attempts error_code last_error made_at",
        ),
        "suspicions": _rows(Suspicion.objects.all(), "key code connection_id first_at last_at raised_at"),
        "pulls answered by 5xx": _rows(
            failed_pulls, "at endpoint method status result latency_ms count request_id"
        ),
    }


def dead_letters(_at: datetime) -> list[dict[str, Any]]:
    """Reasons with their counts; never what the letters hold."""
    newest = DeadLetter.objects.aggregate(newest=Max("pk"))["newest"] or 0
    rows = DeadLetter.objects.filter(pk__gt=newest - NEWEST_COMMANDS).order_by()
    counted = rows.values("connection_id", "queue", "reason", "path", "state").annotate(
        letters=Count("pk"), deliveries=Sum("count"), last_at=Max("last_at")
    )
    return [_plain(row) for row in counted.order_by("-last_at")[:NEWEST]]


def alarms(_at: datetime) -> list[dict[str, Any]]:
    """What stands; the platform's own in words, Voke's by their code."""
    rows = Alarm.objects.filter(cleared_at__isnull=True).order_by("-raised_at")
    told = _rows(rows, "connection_id plant_id origin severity code message raised_at told_at")
    return [one if one["origin"] == "PLATFORM" else one | {"message": ""} for one in told]


def commands(at: datetime) -> list[dict[str, Any]]:
    """The newest commands in doubt of the last days, with their messages and everything that happened to them."""
    newest = Command.objects.aggregate(newest=Max("pk"))["newest"] or 0
    doubtful = Q(state__in=[state.value for state in DOUBTFUL]) | Q(execution_overdue=True)
    found = Command.objects.filter(doubtful, pk__gt=newest - NEWEST_COMMANDS, requested_at__gte=at - LATELY)
    told = _rows(
        found.order_by("-pk"),
        "id connection_id plant_id kind state state_at cause automatic requested_at due_at deliver_by_at ack_due_at"
        " execution_due_at execution_overdue",
    )
    ids = [one["id"] for one in told]
    messages = _by_command(
        OutboundMessage.objects.filter(command_id__in=ids).order_by("pk"),
        "command_id message_id connection_id family signed made_at attempted_at attempts outcome outcome_at detail",
    )
    events = _by_command(
        CommandEvent.objects.filter(command_id__in=ids).order_by("pk"),
        "command_id at told_at word verdict cause actor detail",
    )
    return [
        one
        | {"messages": messages.get(one["id"], []), "events": [_event(e) for e in events.get(one["id"], [])]}
        for one in told
    ]


def sizes(_at: datetime) -> dict[str, Any]:
    """How large the database is, how many rows its tables hold (estimates), and who is connected."""
    if connection.vendor != "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()")
            return {"vendor": connection.vendor, "bytes": cursor.fetchone()[0]}
    return {
        "vendor": connection.vendor,
        "server": _ask("SELECT version() AS version")[0]["version"],
        "bytes": _ask("SELECT pg_database_size(current_database()) AS bytes")[0]["bytes"],
        "largest tables": _ask(
            "SELECT relname AS name, relkind::text AS kind, reltuples::bigint AS rows_estimate,"
            " pg_total_relation_size(oid) AS bytes FROM pg_class"
            " WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY bytes DESC LIMIT 40"
        ),
        "rows to be vacuumed": _ask(
            "SELECT relname AS name, n_live_tup AS live, n_dead_tup AS dead, last_autovacuum::text, "
            "last_autoanalyze::text FROM pg_stat_user_tables ORDER BY n_dead_tup DESC LIMIT 20"
        ),
        "partitions": _ask(
            "SELECT i.inhparent::regclass::text AS name, count(*) AS number, min(c.relname) AS first,"
            " max(c.relname) AS last FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
            " WHERE c.relkind = 'r' GROUP BY 1 ORDER BY 1 LIMIT 20"
        ),
        "sessions": _ask(
            "SELECT state, wait_event_type, count(*) AS number,"
            " max(extract(epoch FROM clock_timestamp() - xact_start))::float8 AS longest_transaction_s"
            " FROM pg_stat_activity WHERE datname = current_database() GROUP BY 1, 2 ORDER BY 3 DESC LIMIT 20"
        ),
    }


# --- rows as plain data -----------------------------------------------------------------------------------------------


def _rows(rows: Any, fields: str, limit: int | None = None) -> list[dict[str, Any]]:
    return [_plain(row) for row in rows.values(*fields.split())[: limit or NEWEST]]


def _by_command(rows: Any, fields: str) -> Mapping[int, list[dict[str, Any]]]:
    found: dict[int, list[dict[str, Any]]] = {}
    for row in _rows(rows, fields, limit=NEWEST * EVENTS_EACH):
        of_command = found.setdefault(row.pop("command_id"), [])
        if len(of_command) < EVENTS_EACH:
            of_command.append(row)
    return found


def _event(row: dict[str, Any]) -> dict[str, Any]:
    """Who acted only as far as it is no person; of the detail only the broker's words and the ids of ours."""
    detail = row["detail"] if isinstance(row["detail"], dict) else {}
    kept = {
        name: str(detail[name])[:BROKER_WORDS] for name in ("broker", "winner", "messageId") if name in detail
    }
    return row | {"actor": row["actor"] if row["actor"] in OURS else "a person", "detail": kept}


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value if isinstance(value, bool | int | float | dict) or value is None else _word(value)
        for name, value in row.items()
    }


def _word(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _when(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def _half(half: HalfHealth) -> dict[str, Any]:
    return {
        "role": half.role.value,
        "expected": half.expected,
        "state": half.state.value,
        "code": half.code,
        "since": _when(half.since),
        "processes": half.processes,
        "last_event_at": _when(half.last_event_at),
        "heard_until": _when(half.heard_until),
        "unstored_since": _when(half.unstored_since),
        "unstored_count": half.unstored_count,
        "error_code": half.error_code,
        "last_error": half.last_error,
        "error_at": _when(half.error_at),
    }


def _stream(stream: StreamState) -> dict[str, Any]:
    return {
        "stream": stream.stream.value,
        "last_at": _when(stream.last_at),
        "period_s": stream.period_s,
        "learnt": stream.learnt,
        "silent_since": _when(stream.silent_since),
        "skew_ms": stream.skew_ms,
    }


def _ask(statement: str) -> Sequence[dict[str, Any]]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        names: Iterable[str] = [column[0] for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
