"""Emergency orders: how far they are, one release, crashes in between, and what they cost."""

import pytest

from dispatch.models import Command, EmergencyLatch, EmergencyOrder, Kind
from dispatch.selectors import open_latch
from dispatch.selectors_orders import latched_by_order, plants_of_order, progress_of
from dispatch.services import orders as service
from dispatch.services.orders import Selection
from dispatch.states import State
from plants.errors import DomainError
from plants.models import Plant
from plants.services.plants import set_plant_dispatch
from tests import factories
from tests.dispatch.helpers import (
    ask,
    claims,
    deliver,
    release,
    stop_now,
)
from tests.dispatch.ordering import LATER, crash_in, let_go, order, plants_on, resume
from tests.queries import queries_of
from tests.threads import together

pytestmark = pytest.mark.django_db


@pytest.fixture
def link():
    return factories.connection()


# --- progress ---------------------------------------------------------------------------------------------------------


def test_the_progress_is_counted_in_one_statement_and_each_plant_can_be_looked_up(link):
    plants = plants_on(link, 4)
    set_plant_dispatch(plant_id=plants[3].pk, enabled=False)
    row = order(link)
    deliver(link)
    Command.objects.filter(plant=plants[0]).update(state=State.COMPLETED)
    Command.objects.filter(plant=plants[1]).update(state=State.REJECTED)

    progress = progress_of(order=row)

    assert queries_of(lambda: progress_of(order=row)) == 1
    assert {name: count for name, count in progress.counts.items() if count} == {
        "sent": 1, "done": 1, "doubt": 1, "refused": 1,
    }  # fmt: skip
    assert progress.is_delivered
    assert [one.plant for one in plants_of_order(order=row, counted_as="doubt")] == [plants[1]]
    assert [one.plant for one in plants_of_order(order=row, counted_as="refused")] == [plants[3]]
    assert queries_of(lambda: list(plants_of_order(order=row))) == 1


# --- release ----------------------------------------------------------------------------------------------------------


def test_one_release_opens_every_latch_of_the_order_and_sends_the_base_modes(link):
    plants = plants_on(link, 3)
    row = order(link)
    deliver(link)

    released = let_go(row)

    modes = Command.objects.filter(kind=Kind.MODE)
    assert {one.plant_id for one in modes} == {plant.pk for plant in plants}
    assert {one.payload["reason"] for one in modes} == {"Emergency released: storm is over"}
    assert {one.state for one in modes} == {State.QUEUED}
    assert latched_by_order(order=row) == 0
    assert (released.released_at, released.released_by_name) == (LATER, "operator")


def test_latches_of_others_stay(link):
    mine, theirs = plants_on(link, 2)
    ask(theirs, stop_now())
    row = order(link)

    let_go(row)

    assert open_latch(plant_id=mine.pk) is None
    assert open_latch(plant_id=theirs.pk).order is None


def test_a_plant_that_was_released_alone_is_not_released_again(link):
    alone, other = plants_on(link, 2)
    row = order(link)
    release(alone)

    let_go(row)

    assert Command.objects.filter(kind=Kind.MODE, plant=alone).count() == 1
    assert open_latch(plant_id=other.pk) is None


def test_emergencies_that_were_not_delivered_are_withdrawn_by_the_release(link):
    plants_on(link, 2)
    row = order(link)

    let_go(row)

    assert {one.state for one in Command.objects.filter(kind=Kind.EMERGENCY)} == {State.CANCELLED}
    assert len(claims(link, at=LATER)) == 2


def test_where_the_base_mode_can_not_be_sent_the_latch_is_released_and_says_why(link):
    plant = factories.plant(on=link)
    row = order(link)
    Plant.objects.filter(pk=plant.pk).update(connection=None)

    let_go(row)

    base_mode = Command.objects.get(kind=Kind.MODE)
    assert open_latch(plant_id=plant.pk) is None
    assert (base_mode.state, base_mode.cause) == (State.CANCELLED, "NOT_CONNECTED")


def test_an_order_is_released_once_and_with_a_reason(link):
    plants_on(link, 1)
    row = order(link)

    with pytest.raises(DomainError) as without_reason:
        let_go(row, reason=" ")
    let_go(row)
    with pytest.raises(DomainError) as twice:
        let_go(row)

    assert (without_reason.value.code, twice.value.code) == ("REASON_REQUIRED", "ALREADY_RELEASED")


# --- crashes, threads, numbers ----------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("killed_at", ["store_many", "_latch", "take_back_all_unsent", "_write_down"])
def test_after_a_crash_the_tick_sends_what_is_left_and_nothing_twice(link, monkeypatch, killed_at):
    plants = plants_on(link, 5)
    monkeypatch.setattr(service, "BATCH", 2)
    with monkeypatch.context() as patch:
        crash_in(patch, killed_at, after=1)
        with pytest.raises(RuntimeError):
            order(link)
    sent_before = Command.objects.count()

    resume()

    assert sent_before == 2
    assert sorted(Command.objects.values_list("plant_id", flat=True)) == [plant.pk for plant in plants]
    assert progress_of(order=EmergencyOrder.objects.get()).counts["unsent"] == 5


@pytest.mark.django_db(transaction=True)
def test_after_a_crash_of_a_release_the_tick_opens_the_rest(link, monkeypatch):
    plants_on(link, 5)
    row = order(link)
    deliver(link)
    monkeypatch.setattr(service, "BATCH", 2)
    with monkeypatch.context() as patch:
        crash_in(patch, "withdraw_undelivered", after=1)
        with pytest.raises(RuntimeError):
            let_go(row)
    left = latched_by_order(order=row)

    resume()

    assert (left, latched_by_order(order=row)) == (3, 0)
    assert Command.objects.filter(kind=Kind.MODE).count() == 5


@pytest.mark.django_db(transaction=True)
def test_a_release_before_the_rest_was_sent_sends_it_no_more(link, monkeypatch):
    plants_on(link, 4)
    monkeypatch.setattr(service, "BATCH", 2)
    with monkeypatch.context() as patch:
        crash_in(patch, "store_many", after=1)
        with pytest.raises(RuntimeError):
            order(link)
    row = EmergencyOrder.objects.get()

    let_go(row)
    resume()

    assert Command.objects.filter(kind=Kind.EMERGENCY).count() == 2
    assert progress_of(order=row).counts["refused"] == 2


@pytest.mark.django_db(transaction=True)
def test_ticks_a_request_and_a_release_at_once_send_each_plant_one_emergency(link, monkeypatch):
    plants_on(link, 9)
    monkeypatch.setattr(service, "BATCH", 2)

    answers = together(lambda: order(link), lambda: order(link), resume, resume)
    row = EmergencyOrder.objects.get()
    released = together(lambda: let_go(row), resume, resume)

    assert not [one for one in [*answers, *released] if isinstance(one, Exception)]
    assert Command.objects.filter(kind=Kind.EMERGENCY).count() == 9
    assert Command.objects.filter(kind=Kind.MODE).count() == 9
    assert not EmergencyLatch.objects.filter(released_at__isnull=True).exists()


def test_an_order_takes_the_same_number_of_statements_for_few_plants_and_for_many(link):
    few, many = plants_on(link, 17), plants_on(link, 34)  # both by COPY, where the database has it

    def asked(plants, key):
        selection = Selection(plant_ids=frozenset(plant.pk for plant in plants))
        row = order(link, selection, key=key)
        return queries_of(lambda: let_go(row))

    def sent(plants, key):
        selection = Selection(plant_ids=frozenset(plant.pk for plant in plants))
        return queries_of(lambda: order(link, selection, key=key))

    assert asked(few, "a") == asked(many, "b")
    assert sent(few, "c") == sent(many, "d")


def test_a_tick_without_orders_asks_two_questions():
    assert queries_of(resume) == 2
