"""How long commands are kept: ended ones for the retention, open ones for ever, and longer what something refers to."""

from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from dispatch.models import (
    Command,
    CommandEvent,
    EmergencyLatch,
    OutboundMessage,
    Outcome,
    PublishedSiteConfig,
    ScheduleNotice,
)
from dispatch.services.life import Move, advance_many
from dispatch.services.retention import prune_commands, prune_inbound, prune_notices, prune_outbox
from dispatch.states import ENDED, State
from plants.models import Disposition, InboundMessage
from tests import factories
from tests.dispatch.helpers import ask, mode, stop_now
from tests.factories import AT
from tests.threads import Aside

KEEP_DAYS = 400
OLD = AT + timedelta(days=KEEP_DAYS, seconds=1)
MANY = 2_500


def prune(at=OLD, **changes):
    return prune_commands(at=at, keep_days=KEEP_DAYS, **changes)


def command_in(state):
    command = ask(factories.plant(), mode())
    Command.objects.filter(pk=command.pk).update(state=state, state_at=AT)
    return command


@pytest.mark.django_db
@pytest.mark.parametrize("state", sorted(ENDED))
def test_a_command_that_ended_long_ago_goes_with_its_history_and_messages(state):
    command_in(state)

    assert prune(OLD - timedelta(seconds=1)) == 0
    assert prune() == 1
    assert not Command.objects.exists()
    assert not CommandEvent.objects.exists()
    assert not OutboundMessage.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("state", sorted(frozenset(State) - ENDED))
def test_an_open_command_stays_however_old_it_is(state):
    command_in(state)

    assert prune(AT + timedelta(days=9000)) == 0
    assert Command.objects.count() == 1


@pytest.mark.django_db
def test_a_command_stays_while_an_event_of_voke_that_speaks_of_it_is_kept():
    command = ask(factories.plant(), mode())
    inbound = InboundMessage.objects.create(
        connection=command.connection,
        message_id="m",
        routing_key="acme.event.execution",
        family="event.execution",
        sent_at=AT,
        received_at=AT,
        disposition=Disposition.APPLIED,
        body=b"{}",
    )
    advance_many(moves=[Move(command_id=command.pk, to=State.COMPLETED, inbound_id=inbound.pk)], at=AT)

    assert prune() == 0
    prune_inbound(at=OLD, keep_days=7)
    assert prune() == 1


@pytest.mark.django_db
def test_a_command_that_set_an_emergency_stays_as_its_proof():
    ask(factories.plant(), stop_now())
    Command.objects.update(state=State.COMPLETED, state_at=AT)
    EmergencyLatch.objects.update(released_at=AT)

    assert prune() == 0
    assert EmergencyLatch.objects.count() == 1


@pytest.mark.django_db
def test_of_thousands_of_old_commands_each_statement_takes_a_bounded_number():
    plant = factories.plant()
    first = ask(plant, mode())
    message = OutboundMessage.objects.get(command=first)
    copies = [Command(**_copy(first), idempotency_key=f"k{n}") for n in range(MANY)]
    Command.objects.bulk_create(copies, batch_size=1000)
    Command.objects.update(state=State.COMPLETED, state_at=AT)
    CommandEvent.objects.bulk_create(
        [CommandEvent(command=one, at=AT, word="COMPLETED", verdict="APPLIED") for one in copies],
        batch_size=1000,
    )
    OutboundMessage.objects.filter(pk=message.pk).update(outcome=Outcome.CONFIRMED)
    young = ask(plant, mode())

    with CaptureQueriesContext(connection) as one_step:
        assert _first_step_of() == 500
    rest = prune()

    assert rest == MANY + 1 - 500
    assert list(Command.objects.all()) == [young]
    assert set(CommandEvent.objects.values_list("command_id", flat=True)) == {young.pk}
    deletes = [query["sql"] for query in one_step.captured_queries if query["sql"].startswith("DELETE")]
    assert deletes
    assert len(one_step.captured_queries) < 40


def _first_step_of():
    """What one step takes: a run that is allowed no second one."""
    before = Command.objects.count()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dispatch.services.retention.STEPS_AT_MOST", 1)
        prune()
    return before - Command.objects.count()


def _copy(row):
    names = [field.attname for field in row._meta.concrete_fields]
    return {name: getattr(row, name) for name in names if name not in ("id", "idempotency_key")}


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_a_command_that_somebody_works_on_is_left_for_the_next_time():
    busy, idle = command_in(State.COMPLETED), command_in(State.COMPLETED)

    with transaction.atomic():
        list(Command.objects.select_for_update().filter(pk=busy.pk))
        done = Aside(prune).answer()

    assert done == 1
    assert list(Command.objects.all()) == [busy]
    assert idle.pk != busy.pk
    assert prune() == 1


@pytest.mark.django_db
def test_of_site_config_only_the_last_word_on_a_plant_stays():
    plant = factories.plant()
    old, last, waiting = (_config(plant, n) for n in range(3))
    OutboundMessage.objects.filter(pk=waiting.pk).update(outcome=Outcome.PENDING)
    PublishedSiteConfig.objects.create(
        plant=plant,
        family="config.topology",
        connection=plant.connection,
        digest="d",
        site_revision=1,
        message=last,
        published_at=AT,
    )

    assert prune_outbox(at=OLD - timedelta(seconds=1), keep_days=KEEP_DAYS) == 0
    assert prune_outbox(at=OLD, keep_days=KEEP_DAYS) == 1
    assert set(OutboundMessage.objects.values_list("pk", flat=True)) == {last.pk, waiting.pk}
    assert old.pk not in {last.pk, waiting.pk}


def _config(plant, n):
    return OutboundMessage.objects.create(
        connection=plant.connection,
        plant=plant,
        family="config.topology",
        routing_key="acme.config.topology",
        message_id=f"00000000-0000-4000-8000-00000000000{n}",
        correlation_id=f"00000000-0000-4000-9000-00000000000{n}",
        body=b"{}",
        signed=False,
        made_at=AT,
        outcome=Outcome.CONFIRMED,
    )


@pytest.mark.django_db
def test_notices_of_schedules_are_kept_as_long_as_commands_and_go_in_steps():
    plant = factories.plant()
    ScheduleNotice.objects.bulk_create(
        ScheduleNotice(plant=plant, schedule_id="s", status="ACTIVE", told_at=AT, received_at=AT)
        for _ in range(5)
    )

    assert prune_notices(at=OLD - timedelta(seconds=1), keep_days=KEEP_DAYS, limit=2) == 0
    assert prune_notices(at=OLD, keep_days=KEEP_DAYS, limit=2) == 5
