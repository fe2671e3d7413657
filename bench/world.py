"""What every row works on: private servers as in production, the platform's tables, partners, plants.

RabbitMQ with TLS and quorum queues, PostgreSQL with fsync and synchronous_commit on, Redis; all on free ports, stopped
at the end. Django is set up here, so modules of the platform may be imported by a row only inside functions, after
`World` was entered.
"""

import os
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import django
import psycopg
from django.core.management import call_command

from scripts.production_env import production_environment
from tests.services.partner import Partner
from tests.services.postgres import PostgresServer
from tests.services.proc import wait_until
from tests.services.rabbit import RabbitServer
from tests.services.redis import RedisServer

if TYPE_CHECKING:
    from plants.models import Connection, Plant

EnteredT = TypeVar("EnteredT")
START = datetime(2026, 1, 2, 3, 0, tzinfo=UTC)
"""When the data of a bench begin: fixed, so that every run stores the same rows."""


@dataclass(frozen=True, kw_only=True)
class Side:
    """One partner key: what the broker knows of it and our connection."""

    partner: Partner
    connection: "Connection"


class World:
    """The servers and the platform's database; `quick` asks rows for less work."""

    def __init__(self, *, quick: bool = False) -> None:
        self.quick = quick
        self.rabbit = RabbitServer(quorum=True)
        self.postgres = PostgresServer(durable=True)
        self.redis = RedisServer()
        self._stack = ExitStack()
        self.environment: dict[str, str] = {}

    def __enter__(self) -> Self:
        try:
            self._stack.enter_context(self.redis)
            with ThreadPoolExecutor(max_workers=1) as beside:  # the broker takes as long as all tables
                broker = beside.submit(self.rabbit.start)
                self._stack.callback(self.rabbit.close)
                self._stack.enter_context(self.postgres)
                wait_until(
                    lambda: broker.done() or self.rabbit.running,
                    timeout_s=30,
                    what="the broker is configured",
                )
                self._make_tables()
                broker.result()
        except BaseException:
            self._stack.close()
            raise
        return self

    def _make_tables(self) -> None:
        self.environment = production_environment(
            DATABASE_URL=self.postgres.url,
            REDIS_URL=self.redis.url,
            ALLOWED_HOSTS="127.0.0.1,localhost",
            SSL_REDIRECT="false",
            LOG_LEVEL="ERROR",
            AMQP_CA_FILE=str(self.rabbit.ca_file),
        )
        os.environ.update(self.environment)
        django.setup()
        from django.db import connections  # noqa: PLC0415 - after the settings

        self._stack.callback(connections.close_all)
        call_command("migrate", verbosity=0)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def until_end(self, context: AbstractContextManager[EnteredT]) -> EnteredT:
        """Enter a context that is left when the run ends, before the servers stop."""
        return self._stack.enter_context(context)

    def side(self) -> Side:
        """A partner key of its own with an ACTIVE connection of a new organisation."""
        from tests import factories  # noqa: PLC0415

        partner = self.rabbit.lease_partner()
        connection = factories.connection(
            slug=partner.slug,
            queue_prefix=partner.slug,
            routing_prefix=partner.slug,
            vhost=partner.vhost,
            key_id=partner.key_id,
            amqps_uri=partner.uri,
            api_key=partner.api_key,
            signing_key=partner.signing_key,
        )
        return Side(partner=partner, connection=connection)

    def plants(self, connection: "Connection", count: int) -> "Sequence[Plant]":
        """`count` plants on a connection, with a UUID of Voke's each and no assets."""
        from plants.models import Plant  # noqa: PLC0415

        self.sites(connection, count)
        made: Sequence[Plant] = list(Plant.objects.filter(connection=connection).order_by("-pk")[:count])
        return made[::-1]

    def sites(self, connection: "Connection", count: int) -> Sequence[str]:
        """The same, answered by Voke's UUIDs alone: one statement, whatever the count."""
        from plants.models import Plant  # noqa: PLC0415
        from tests import factories  # noqa: PLC0415

        one = factories.unsaved_plant(
            on=connection, voke_uuid=uuid.uuid4(), created_at=START, updated_at=START
        )
        one.save()
        made = {
            "external_plant_id": f"'{one.external_plant_id}-' || number",
            "voke_uuid": "gen_random_uuid()",
            "name": f"'{one.name} ' || number",
        }
        columns = [field.column for field in Plant._meta.concrete_fields if not field.primary_key]
        values = ", ".join(made.get(column, f'"{column}"') for column in columns)
        names = ", ".join(f'"{column}"' for column in columns)
        with self.database() as database:
            others = database.execute(
                f"INSERT INTO {Plant._meta.db_table} ({names}) SELECT {values} FROM {Plant._meta.db_table}"
                " CROSS JOIN generate_series(1, %s) AS number WHERE id = %s RETURNING voke_uuid::text",
                (count - 1, one.pk),
            ).fetchall()
        return [str(one.voke_uuid), *(site for (site,) in others)]

    def database(self) -> "psycopg.Connection[Any]":
        """A connection of psycopg's own to the same database, in autocommit; close it."""
        return psycopg.connect(self.postgres.url, autocommit=True)

    def truncate(self, *tables: str) -> None:
        """Empty tables (and what refers to them) between repetitions."""
        with self.database() as database:
            database.execute(f"TRUNCATE {', '.join(tables)} CASCADE")
