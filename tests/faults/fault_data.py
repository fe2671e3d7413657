"""Faults of our own servers, and of what Voke delivers: restarts, refused writes, events twice and out of order."""

from typing import Any

import pika
from psycopg import sql

from plants.models import InboundMessage
from tests.faults.fault import Fault, register, until
from tests.services.partner import EXCHANGE

_TABLES = (
    "plants_inboundmessage",
    "plants_telemetryreading",
    "dispatch_commandevent",
    "dispatch_outboundmessage",
)
_AGAIN = 100  # events delivered once more
_SEND_ENOUGH = 20


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
