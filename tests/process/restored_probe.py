"""Run as a process on a restored database (`python -m tests.process.restored_probe`): what does the platform do there?

Lets every tick run and a relay publish, with dispatch off as the restore left it, then with dispatch switched on, and
prints as JSON what left and what was found.
"""

import json
import sys
from datetime import timedelta

import django

django.setup()

from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402

from dispatch.models import Command, EmergencyLatch  # noqa: E402
from dispatch.policy import current_policy  # noqa: E402
from esm import clock  # noqa: E402
from esm.ticks import TICKS  # noqa: E402
from link.relay import RelayOptions, relay_once  # noqa: E402
from plants.models import Connection, Installation, Organisation  # noqa: E402
from plants.services.organisations import create_organisation, set_installation_dispatch  # noqa: E402
from tests.link.fakes import FakePublisher  # noqa: E402


def published() -> list[tuple[str, str]]:
    """(routing key, message id) of everything that a turn of ticks and relays lets out."""
    at = clock.now()
    for tick in TICKS:
        tick.run(at)  # without Redis, where its last run would be noted
    publisher = FakePublisher()
    options = RelayOptions(holder="probe", lease_ttl=timedelta(seconds=60), window=100)
    for row in Connection.objects.order_by("pk"):
        while relay_once(
            connection=row, publisher=publisher, clock=clock.now, policy=current_policy(), options=options
        ):
            pass
    return [(one.routing_key, one.message_id) for window in publisher.windows for one in window]


def sequences_behind() -> list[str]:
    """Tables whose next id is one that a row has."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname, a.attname, pg_get_serial_sequence(quote_ident(c.relname), a.attname) FROM pg_class c"
            " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attidentity <> ''"
            " WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')"
        )
        behind = []
        for table, column, sequence in cursor.fetchall():
            cursor.execute(f'SELECT max("{column}") FROM "{table}"')
            highest = cursor.fetchone()[0]
            cursor.execute("SELECT nextval(%s)", [sequence])
            if highest is not None and cursor.fetchone()[0] <= highest:
                behind.append(table)
        return behind


def partitions() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT inhrelid::regclass::text FROM pg_inherits ORDER BY 1")
        return [name for (name,) in cursor.fetchall()]


def main() -> None:
    at = clock.now()
    told = {
        "dispatch": Installation.objects.get(pk=1).dispatch_enabled,
        "states": dict(Command.objects.values_list("reason", "state")),
        "causes": dict(Command.objects.values_list("reason", "cause")),
        "latches": EmergencyLatch.objects.filter(released_at__isnull=True).count(),
        "revisions": list(Organisation.objects.values_list("revision", flat=True)),
        "partitions": partitions(),
        "secrets": [
            [str(row.api_key), str(row.signing_key), str(row.amqps_uri)]
            for row in Connection.objects.order_by("pk")
        ],
        "sequences behind": sequences_behind(),
        "new row": create_organisation(name="New", slug="new", at=at).pk,
        "published while off": published(),
    }
    set_installation_dispatch(enabled=True)
    told["published when on"] = published()
    call_command("check", databases=["default"], fail_level="WARNING", stdout=sys.stderr)
    print(json.dumps(told))


if __name__ == "__main__":
    main()
