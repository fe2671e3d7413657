"""Celery's side of the ticks: beat plans each of them, and one that waited for too long is dropped."""

import pytest
from django.core.cache import cache
from kombu import Connection, Producer

from esm import clock, tasks
from esm.celery import QUICK_QUEUE, SLOW_QUEUE
from esm.pulse import LAST_TICK_KEY
from esm.ticks import TICKS
from tests.factories import AT


def test_beat_plans_every_tick_at_its_period():
    planned = tasks.app.conf.beat_schedule

    assert {name: (one["schedule"], one["args"]) for name, one in planned.items()} == {
        tick.name: (tick.period_s, (tick.name,)) for tick in TICKS
    }


@pytest.mark.parametrize("tick", TICKS, ids=lambda tick: tick.name)
def test_a_tick_that_waited_longer_than_its_period_is_dropped(tick):
    """After a stop of the workers its successors do the work; two seconds leave a fast one time to be taken."""
    options = tasks.app.conf.beat_schedule[tick.name]["options"]

    assert options["expires"] == max(tick.period_s, 2)


@pytest.mark.parametrize("tick", TICKS, ids=lambda tick: tick.name)
def test_a_tick_that_may_take_seconds_has_another_queue_than_those_that_may_not(tick):
    queue = tasks.app.conf.beat_schedule[tick.name]["options"]["queue"]

    assert queue == (SLOW_QUEUE if tick.slow else QUICK_QUEUE)


@pytest.mark.parametrize("name", [QUICK_QUEUE, SLOW_QUEUE])
def test_what_is_sent_to_a_queue_reaches_that_queue_alone(name):
    """Over Celery's own transport: a tick that reached both would keep due commands waiting after all."""
    with Connection("memory://") as broker, broker.channel() as channel:
        queues = [queue.bind(channel) for queue in tasks.app.amqp.queues.values()]
        for queue in queues:
            queue.declare()
            queue.purge()
        sent_to = tasks.app.amqp.queues[name]

        Producer(channel).publish({}, exchange=sent_to.exchange, routing_key=sent_to.routing_key)

        assert {queue.name for queue in queues if queue.get() is not None} == {name}


def test_a_worker_that_is_given_no_queue_serves_all_of_them():
    assert {queue.name for queue in tasks.app.amqp.queues.consume_from.values()} == {QUICK_QUEUE, SLOW_QUEUE}


@pytest.mark.django_db
def test_the_task_runs_the_tick_of_its_name_by_the_platforms_clock():
    with clock.frozen(AT):
        assert tasks.tick("queue_due")

    assert cache.get(LAST_TICK_KEY) == AT
