"""Faults of our own servers, and of what Voke delivers: restarts, refused writes, events twice and out of order."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pika
from psycopg import sql

from plants.models import DeadLetter, InboundMessage, LinkState
from plants.selectors.link_health import HalfHealth, connection_health
from tests.faults.fault import Fault, must_be, register, surely, until
from tests.services.partner import EXCHANGE

_TABLES = (
    "plants_inboundmessage",
    "plants_telemetryreading",
    "dispatch_commandevent",
    "dispatch_outboundmessage",
)
_AGAIN = 100  # events delivered once more
_SEND_ENOUGH = 20
_LONGER_THAN_SILENCE_S = 10.0  # a stream that comes each second is silent after 8 s


@register
class RestartedDatabase(Fault):
    name = "PostgreSQL restart"

    def strike(self) -> None:
        self.stage.postgres.stop()

    def heal(self) -> None:
        self.stage.postgres.start()


@register
class RestartedRedis(Fault):
    name = "Redis restart"

    def strike(self) -> None:
        self.stage.redis.stop()

    def heal(self) -> None:
        self.stage.redis.start()


@register
class ReadOnlyDatabase(Fault):
    """The database takes no writes, as after a failover to a replica."""

    name = "database read-only"

    def strike(self) -> None:
        self._set("on")
        before = self.load.failed
        until(lambda: self.load.failed > before + 1, "a driver that was refused")

    def heal(self) -> None:
        self._set("off")

    def _set(self, word: str) -> None:
        with self.stage.database() as database:
            database.execute(f"ALTER DATABASE esm SET default_transaction_read_only = {word}")
            # The setting is read when a session begins.
            database.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = 'esm' AND pid <> pg_backend_pid()"
            )


@register
class RefusedInserts(Fault):
    """One table takes no new rows, as when its disk is full."""

    name = "inserts refused"
    table = ""

    def strike(self) -> None:
        self.table = self.rng.choice(_TABLES)
        with self.stage.database() as database:
            database.execute(
                "CREATE OR REPLACE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS "
                "$$ BEGIN PERFORM nextval('no_room_hits'); RAISE EXCEPTION 'no room' USING ERRCODE = 'disk_full'; "
                "END $$"
            )
            database.execute("CREATE SEQUENCE IF NOT EXISTS no_room_hits")
            database.execute("ALTER SEQUENCE no_room_hits RESTART")
            database.execute(
                sql.SQL(
                    "CREATE TRIGGER no_room BEFORE INSERT ON {} FOR EACH ROW EXECUTE FUNCTION no_room()"
                ).format(sql.Identifier(self.table))
            )
        until(self._was_hit, f"a refused insert into {self.table}")

    def _was_hit(self) -> bool:
        with self.stage.database() as database:  # a sequence counts what is rolled back too
            row = database.execute("SELECT is_called, last_value FROM no_room_hits").fetchone()
        return row is not None and row[0] and row[1] >= 3

    def heal(self) -> None:
        if self.table:
            with self.stage.database() as database:
                database.execute(
                    sql.SQL("DROP TRIGGER IF EXISTS no_room ON {}").format(sql.Identifier(self.table))
                )


@register
class LockedTable(Fault):
    """Readings can't be written for longer than a fast stream may be silent: told as slow, and nobody is blamed."""

    name = "telemetry table locked"

    def strike(self) -> None:
        self._until(lambda found: found.state is LinkState.CONNECTED, "a link that is well")
        self._letters = self._too_slow()
        self._lock = ExitStack()
        session = self._lock.enter_context(self.stage.database())
        self._lock.enter_context(session.transaction(force_rollback=True))
        session.execute("SET LOCAL lock_timeout = '20s'")
        session.execute("LOCK TABLE plants_telemetryreading IN ACCESS EXCLUSIVE MODE")
        self._until(self._waits_for_long, "messages that wait to be stored")

    def heal(self) -> None:
        if self._lock is None:
            return
        self._lock.close()
        self._until(lambda found: found.state is LinkState.CONNECTED, "a link that is well again")
        must_be(self._too_slow(), self._letters, "dead letters for want of time")

    _lock: ExitStack | None = None
    _letters = 0

    def _waits_for_long(self, found: HalfHealth) -> bool:
        since = found.unstored_since
        is_long = since is not None and (self.stage.now() - since).total_seconds() > _LONGER_THAN_SILENCE_S
        return is_long and found.state is LinkState.SLOW

    def _until(self, is_so: Callable[[HalfHealth], bool], what: str) -> None:
        """Look until it is so; while the table is held, or has just been, silence must not be seen."""
        connection = self.stage.sides[-1].connection
        seen: set[str] = set()

        def look() -> bool:
            found = connection_health(connections=[connection], at=self.stage.now())[connection.pk]
            if self._lock is not None and found.state is LinkState.SILENT:
                seen.add(found.code)
            return is_so(found.consume)

        until(look, what)
        must_be(seen, set(), "silence that was told of a stand-in that sends")

    def _too_slow(self) -> int:
        return surely(lambda: DeadLetter.objects.filter(reason="TOO_SLOW").count(), "dead letters")


@register
class DeliveredAgain(Fault):
    """The broker delivers recorded events again, twice each and in another order."""

    name = "events delivered again"

    def strike(self) -> None:
        side = self.stage.sides[-1]
        events = side.tap.events()
        chosen = self.rng.sample(events, min(_AGAIN, len(events))) * 2
        self.rng.shuffle(chosen)
        with self.stage.rabbit.voke_connection(side.partner) as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            for event in chosen:
                properties = pika.BasicProperties(delivery_mode=2, message_id=event.message_id)
                channel.basic_publish(EXCHANGE, event.routing_key, event.body, properties, mandatory=True)


class Misbehaviour(Fault):
    """The stand-in itself delivers its events otherwise than it should, for a while."""

    rules: list[dict[str, Any]] = []

    def strike(self) -> None:
        self.stage.misbehave(self.rules)
        seen = InboundMessage.objects.count()
        until(lambda: InboundMessage.objects.count() >= seen + _SEND_ENOUGH, "events under the rule")

    def heal(self) -> None:
        self.stage.misbehave([])


@register
class DuplicatedEvents(Misbehaviour):
    name = "events duplicated"
    rules = [{"kind": "duplicate", "probability": 0.5}]


@register
class ReorderedEvents(Misbehaviour):
    name = "events reordered"
    rules = [{"kind": "reorder", "probability": 0.5, "delay_s": 1.0}]


@register
class DelayedEvents(Misbehaviour):
    name = "events delayed"
    rules = [{"kind": "delay", "probability": 0.3, "delay_s": 2.0}]
