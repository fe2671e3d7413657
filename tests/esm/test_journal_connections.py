"""Journal rows of many answers, and connections that PostgreSQL closed while they lay in the pool."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import msgspec
import pytest
from django.db import connection, transaction
from structlog.testing import capture_logs

from plants.services.plants import save_plant
from tests import factories
from tests.factories import AT
from trading_api.journal import JournalRow
from trading_api.middleware import write_left
from trading_api.models import Credential, PullJournal
from trading_api.services import issue_credentials, request_update

pytestmark = pytest.mark.django_db(transaction=True)
ROW = JournalRow(
    at=AT, organisation_id=None, credential_id=None, plant_id=None, client_id="esm-1", address=None, request_id="r0",
    endpoint="list", method="GET", plant_ref="", version=None, status=200, result="", detail="", latency_ms=1.0,
    bytes_in=0, bytes_out=0, body="",
)  # fmt: skip


def end_other_sessions() -> int:
    """As a restart of PostgreSQL does; how many there were."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid, 20000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
        return len(cursor.fetchall())


def test_rows_are_not_lost_to_connections_that_the_server_has_closed() -> None:
    with ThreadPoolExecutor(1) as thread:
        thread.submit(write_left, [ROW]).result(20)
        ended = end_other_sessions()
        with capture_logs() as logs:
            thread.submit(write_left, [msgspec.structs.replace(ROW, request_id="r1")]).result(20)
    assert ended >= 1
    assert logs == []
    assert set(PullJournal.objects.values_list("request_id", flat=True)) == {"r0", "r1"}


def test_a_credential_that_somebody_holds_keeps_nobodys_row_waiting() -> None:
    credential = issue_credentials(organisation=factories.organisation(), at=AT).credential
    issued = msgspec.structs.replace(ROW, credential_id=credential.pk, endpoint="token", result="ISSUED")
    with ThreadPoolExecutor(1) as thread, capture_logs() as logs:
        with transaction.atomic():
            Credential.objects.filter(pk=credential.pk).update(label="held")
            thread.submit(write_left, [issued]).result(20)
        thread.submit(write_left, [msgspec.structs.replace(issued, at=AT + timedelta(seconds=1))]).result(20)
    credential.refresh_from_db()
    assert logs == []
    assert PullJournal.objects.count() == 2
    assert credential.last_token_at == AT + timedelta(seconds=1)


@pytest.mark.parametrize("busy", ["a person saves it", "Voke updates its config"])
def test_a_plant_that_is_being_changed_keeps_nobodys_row_waiting(busy: str) -> None:
    plant = factories.plant()
    credential = issue_credentials(organisation=plant.organisation, at=AT).credential
    row = msgspec.structs.replace(ROW, credential_id=credential.pk, plant_id=plant.pk)
    with ThreadPoolExecutor(1) as thread, transaction.atomic():
        if busy == "a person saves it":
            plant.name = "Renamed"
            save_plant(plant=plant, at=AT)
        else:
            request_update(
                organisation_id=plant.organisation_id,
                credential_id=credential.pk,
                client_id=credential.client_id,
                external_plant_id=plant.external_plant_id,
                blocks=[],
                at=AT,
            )
        thread.submit(write_left, [row]).result(20)
    assert PullJournal.objects.get().plant == plant
