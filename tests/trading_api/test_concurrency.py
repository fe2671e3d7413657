"""Updates, decisions and pulls of one plant at the same moment, on connections of their own."""

import threading
from collections.abc import Callable
from time import monotonic
from typing import Any

import pytest
from django.db import connection, transaction

from plants.models import Plant, TimeConfigVersion, UpdatePolicy
from plants.time_config import Block
from tests import factories
from tests.factories import AT
from tests.trading_api.conftest import PERSON, Voke, block, edit, voke_for
from trading_api.errors import UpdateNotOpen
from trading_api.journal import count_refused
from trading_api.models import ConfigUpdateRequest, PullJournal, UpdateState
from trading_api.services import UpdateAnswer, approve_update, refuse_update, request_update
from trading_api.services.updates import record_served

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def voke() -> Voke:
    return voke_for(factories.plant(update_policy=UpdatePolicy.APPLY))


def at_once(*works: Callable[[], Any]) -> list[Any]:
    """Run all at the same moment, each in a thread with its own connection; exceptions are results."""
    gate = threading.Barrier(len(works))
    results: list[Any] = [None] * len(works)

    def body(index: int, work: Callable[[], Any]) -> None:
        try:
            gate.wait(10)
            results[index] = work()
        except Exception as error:  # noqa: BLE001 - handed to the test
            results[index] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=body, args=item) for item in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return results


def ask(voke: Voke, power_kw: float) -> UpdateAnswer:
    blocks: list[Block] = [block(power_kw=power_kw)]
    return request_update(
        organisation_id=voke.plant.organisation_id,
        credential_id=voke.credential.pk,
        client_id=voke.credential.client_id,
        external_plant_id=voke.ref,
        blocks=blocks,
        at=AT,
    )


def wait_until_another_waits_for_a_lock() -> None:
    """SQLite's writers queue in the process: there the other simply comes next."""
    pause = threading.Event()
    deadline = monotonic() + 10
    while connection.vendor == "postgresql" and monotonic() < deadline:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
            if cursor.fetchone()[0]:
                return
        pause.wait(0.01)


def test_different_updates_at_once_become_versions_one_after_the_other(voke: Voke) -> None:
    record_served(credential_id=voke.credential.pk, plant_id=voke.plant.pk, number=0, at=AT)
    answers = at_once(*[lambda power=power: ask(voke, power) for power in (1.0, 2.0, 3.0, 4.0)])
    assert sorted(answer.version for answer in answers) == [1, 2, 3, 4]
    assert sorted(TimeConfigVersion.objects.values_list("number", flat=True)) == [1, 2, 3, 4]


def test_the_same_update_at_once_is_one_request_and_one_version(voke: Voke) -> None:
    record_served(credential_id=voke.credential.pk, plant_id=voke.plant.pk, number=0, at=AT)
    answers = at_once(*[lambda: ask(voke, 1.0)] * 4)
    assert len({answer.request_id for answer in answers}) == 1
    assert TimeConfigVersion.objects.count() == 1


def test_different_updates_at_once_leave_one_open_request(voke: Voke) -> None:
    at_once(*[lambda power=power: ask(voke, power) for power in (1.0, 2.0, 3.0, 4.0)])
    assert ConfigUpdateRequest.objects.filter(state=UpdateState.OPEN).count() == 1
    assert ConfigUpdateRequest.objects.filter(state=UpdateState.SUPERSEDED).count() == 3


def test_two_people_who_decide_at_once_make_one_decision(voke: Voke) -> None:
    ask(voke, 1.0)
    held = ConfigUpdateRequest.objects.get()
    results = at_once(
        lambda: approve_update(update_id=held.pk, author=PERSON, at=AT),
        lambda: refuse_update(update_id=held.pk, author=PERSON, at=AT),
    )
    held.refresh_from_db()
    assert sum(isinstance(result, UpdateNotOpen) for result in results) == 1
    assert TimeConfigVersion.objects.count() == (1 if held.state == UpdateState.APPLIED else 0)


def test_an_update_that_waited_for_a_persons_edit_sees_the_new_version_and_is_held(voke: Voke) -> None:
    edit(voke.plant, block())
    record_served(credential_id=voke.credential.pk, plant_id=voke.plant.pk, number=1, at=AT)
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.extend(at_once(lambda: ask(voke, 1.0))))
    with transaction.atomic():
        edit(voke.plant, block(power_kw=9.0))
        thread.start()
        wait_until_another_waits_for_a_lock()
    thread.join(30)
    assert answers[0].outcome == "ACCEPTED"
    assert Plant.objects.get().time_config == TimeConfigVersion.objects.get(number=2)


def test_served_versions_recorded_at_once_end_with_the_newest(voke: Voke) -> None:
    at_once(
        *[
            lambda number=number: record_served(
                credential_id=voke.credential.pk, plant_id=voke.plant.pk, number=number, at=AT
            )
            for number in (1, 4, 2, 3)
        ]
    )
    assert voke.credential.served.get().number == 4


def test_refused_requests_counted_at_once_are_all_counted() -> None:
    at_once(*[lambda: count_refused(address="1.1.1.1", at=AT, times=1, status=404, result="NOT_FOUND")] * 8)
    assert [row.count for row in PullJournal.objects.all()] == [8]
