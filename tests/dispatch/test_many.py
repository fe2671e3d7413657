"""Asking for commands of many plants at once: the same rows and refusals as one by one, in few statements."""

import itertools
import uuid
from datetime import timedelta

import pytest
from django.db import connection as database
from django.db import transaction
from django.forms.models import model_to_dict
from django.test.utils import CaptureQueriesContext

from dispatch.bell import heard_by
from dispatch.models import Command, CommandEvent, OutboundMessage, Verification
from dispatch.requests import CommandRequest
from dispatch.services.commands import Submitted, submit
from dispatch.services.many import MOST_REQUESTS, submit_many
from dispatch.states import State
from plants.errors import DomainError, Several
from plants.models import ConnectionMode, Plant
from plants.services.organisations import set_installation_dispatch
from tests import factories
from tests.dispatch.helpers import (
    ask,
    batch,
    device,
    energy,
    mode,
    request_for,
    setpoint,
    stop_now,
)
from tests.factories import AT, OPERATOR
from tests.threads import Aside, together, until_blocked
from vcp import Direction, Priority

pytestmark = pytest.mark.django_db
SOON = AT + timedelta(minutes=5)


def submit_all(*requests, owner, at=AT, new_id=uuid.uuid4):
    return submit_many(
        requests=requests,
        organisation_id=owner.pk,
        actor=OPERATOR,
        at=at,
        policy=factories.policy(),
        new_id=new_id,
    )


def one_by_one(*requests, owner, at=AT, new_id=uuid.uuid4):
    answers = []
    for request in requests:
        try:
            answers.append(
                submit(
                    organisation_id=owner.pk,
                    request=request,
                    actor=OPERATOR,
                    at=at,
                    policy=factories.policy(),
                    new_id=new_id,
                )
            )
        except DomainError as refusal:
            answers.append(refusal)
    return answers


def counted_ids():
    numbers = itertools.count(1)
    return lambda: uuid.UUID(int=next(numbers))


# --- the same as one by one -------------------------------------------------------------------------------------------


def everything_asked():
    """A fleet in every condition, and what is asked of it: one row for each way that a request may go."""
    owner = factories.organisation()
    link = factories.connection(owner=owner)
    second = factories.connection(owner=owner, signature_kid="k7")
    fine, other, moved = factories.plant(on=link), factories.plant(on=link), factories.plant(on=second)
    latched, switched_off = factories.plant(on=link), factories.plant(on=link)
    ask(latched, stop_now())
    Plant.objects.filter(pk=switched_off.pk).update(dispatch_enabled=False)
    observing = factories.plant(on=factories.connection(owner=owner, mode=ConnectionMode.OBSERVE))
    silent = factories.plant(on=factories.connection(owner=owner, dispatch_enabled=False))
    unscoped = factories.plant(on=factories.connection(owner=owner, scopes=["vcp:read"]))
    unsigned = factories.plant(on=factories.connection(owner=owner, signing_key=""))
    lost_key = factories.plant(on=factories.connection(owner=owner))
    factories.make_undecryptable(lost_key.connection)
    wrong_key = factories.plant(on=factories.connection(owner=owner, key_decoding="rot"))
    loose = factories.plant(on=link)
    Plant.objects.filter(pk=loose.pk).update(connection=None)
    ask(fine, mode(), idempotency_key="known")
    foreign = factories.plant()
    return owner, [
        request_for(fine, setpoint()),
        request_for(fine, setpoint(20.0, priority=Priority.HIGH), reason="peak", batch_ref="b1", automatic=True),
        request_for(fine, setpoint(), due_at=SOON),
        request_for(other, setpoint(valid_until=None)),
        request_for(other, setpoint(valid_until=None), due_at=SOON),
        request_for(other, energy(5.0)),
        request_for(moved, mode()),
        request_for(fine, batch()),
        request_for(fine, batch(device("B9", power_kw=3.0))),
        request_for(fine, batch(device(power_kw=39.0), device(power_kw=39.0))),
        request_for(fine, setpoint(51.0)),
        request_for(fine, setpoint(101.0, direction=Direction.IMPORT)),
        request_for(fine, setpoint(valid_from=AT - timedelta(hours=2), valid_until=AT - timedelta(hours=1))),
        request_for(fine, mode(), due_at=AT - timedelta(hours=1)),
        request_for(fine, mode(), due_at=AT + timedelta(days=4000)),
        request_for(fine, mode(), due_at=SOON.replace(tzinfo=None)),
        request_for(fine, setpoint(float("nan"))),
        request_for(fine, mode(), reason="a\0b"),
        request_for(fine, mode(), idempotency_key="a\0b"),
        request_for(fine, mode(), idempotency_key=""),
        request_for(fine, mode(), idempotency_key="x" * 129),
        request_for(fine, mode(), idempotency_key="known"),
        request_for(other, mode(), idempotency_key="known"),
        request_for(fine, mode(), idempotency_key="twice"),
        request_for(fine, mode(), idempotency_key="twice"),
        request_for(fine, setpoint(), idempotency_key="twice"),
        request_for(latched, mode(), idempotency_key="after a refusal"),
        request_for(fine, mode(), idempotency_key="after a refusal"),
        request_for(latched, setpoint()),
        request_for(switched_off, setpoint()),
        request_for(observing, setpoint()),
        request_for(silent, setpoint()),
        request_for(unscoped, setpoint()),
        *(request_for(unsigned, payload) for payload in (setpoint(), mode(), batch())),
        *(request_for(lost_key, payload) for payload in (setpoint(), mode(), batch())),
        request_for(wrong_key, setpoint()),
        request_for(loose, setpoint()),
        request_for(foreign, setpoint()),
        CommandRequest(external_plant_id="nowhere", payload=mode()),
    ]  # fmt: skip


def all_of(answer):
    """What was answered, without the numbers that the database gave."""
    if isinstance(answer, Submitted):
        return answer.created, stored_of(answer.command), told_of(answer.command)
    problems = answer.problems if isinstance(answer, Several) else [answer]
    return [(type(one), one.code, one.path, str(one)) for one in problems]


def stored_of(command):
    row = Command.objects.get(pk=command.pk)
    assert model_to_dict(row) == model_to_dict(command), "what is answered is what is stored"
    return {name: value for name, value in model_to_dict(row).items() if name != "id"}


def told_of(command):
    events = CommandEvent.objects.filter(command_id=command.pk).order_by("pk")
    messages = OutboundMessage.objects.filter(command_id=command.pk).order_by("pk")
    told = ("at", "told_at", "word", "verdict", "cause", "actor", "detail")
    sent = (
        "connection_id", "plant_id", "family", "routing_key", "message_id", "correlation_id", "body", "signed",
        "urgent", "made_at", "deliver_by_at", "not_before_at", "place", "attempted_at", "attempts", "outcome",
        "detail",
    )  # fmt: skip
    return [
        *([getattr(event, name) for name in told] for event in events),
        *([getattr(message, name) for name in sent] for message in messages),
        [event.outbound.message_id if event.outbound else None for event in events],
        [
            {name: value for name, value in model_to_dict(row).items() if name != "command"}
            for row in Verification.objects.filter(command_id=command.pk)
        ],
    ]


def each_from_the_same_state(owner, requests, *, at=AT):
    """What each way answers and stores, the first undone before the second."""
    found = []
    for way in (one_by_one, submit_all):
        with transaction.atomic():
            answers = way(*requests, owner=owner, at=at, new_id=counted_ids())
            found.append([all_of(answer) for answer in answers])
            transaction.set_rollback(True)
    return found


def test_many_at_once_are_judged_stored_and_told_as_each_would_be_alone():
    owner, requests = everything_asked()

    alone, together_ = each_from_the_same_state(owner, requests)

    assert together_ == alone


def test_the_table_of_conditions_holds_each_refusal_once_at_least():
    owner, requests = everything_asked()

    codes = {answer.code for answer in submit_all(*requests, owner=owner) if isinstance(answer, DomainError)}

    assert codes >= {
        "ALREADY_OVER", "CANNOT_BUILD", "CONNECTION_OBSERVES", "CONSTRAINT_VIOLATION", "DISPATCH_OFF",
        "IDEMPOTENCY_KEY_REUSED", "NOT_CONNECTED", "PLANT_LATCHED", "PLANT_NOT_FOUND", "SCOPE_MISSING",
        "SIGNING_KEY_MISSING", "UNKNOWN_ASSET", "VALIDATION_ERROR",
    }  # fmt: skip


def test_with_dispatch_switched_off_for_the_installation_all_are_refused_alike():
    owner, requests = everything_asked()
    set_installation_dispatch(enabled=False)

    alone, together_ = each_from_the_same_state(owner, requests)

    assert together_ == alone


def test_a_fleet_that_goes_by_copy_is_stored_as_each_plant_alone():
    link = factories.connection()
    plants = [factories.plant(on=link) for _ in range(20)]
    requests = [request_for(plant, setpoint(float(n))) for n, plant in enumerate(plants)]

    alone, together_ = each_from_the_same_state(link.organisation, requests)

    assert together_ == alone


def test_messages_of_one_plant_stand_in_the_order_of_the_requests():
    plant = factories.plant()
    requests = [request_for(plant, setpoint(float(n))) for n in range(20)]

    answers = submit_all(*requests, owner=plant.organisation)

    ids = [OutboundMessage.objects.get(command=answer.command).pk for answer in answers]
    assert ids == sorted(ids)


# --- few statements ---------------------------------------------------------------------------------------------------


def statements_for(count, *, links=1):
    owner = factories.organisation()
    over = [factories.connection(owner=owner) for _ in range(links)]
    plants = [factories.plant(on=over[n % links]) for n in range(count)]
    requests = [
        request_for(plant, setpoint(), idempotency_key=f"k{count}-{links}-{n}")
        for n, plant in enumerate(plants)
    ]
    with CaptureQueriesContext(database) as captured:
        answers = submit_all(*requests, owner=owner)
    assert all(answer.created for answer in answers)
    return len(captured)


def test_twice_as_many_plants_over_more_connections_cost_no_more_statements():
    assert statements_for(40, links=8) == statements_for(20) <= 14


def test_nothing_asked_is_nothing_answered(django_assert_num_queries):
    owner = factories.organisation()

    with django_assert_num_queries(3):  # the savepoint and the plants
        assert submit_all(owner=owner) == []


def test_emergencies_are_not_sent_this_way():
    plant = factories.plant()

    with pytest.raises(ValueError, match="latches the plant"):
        submit_all(request_for(plant, mode()), request_for(plant, stop_now()), owner=plant.organisation)

    assert not Command.objects.exists()


def test_more_than_one_call_may_hold_is_refused_before_anything_is_stored():
    plant = factories.plant()

    with pytest.raises(ValueError, match="at most"):
        submit_all(*[request_for(plant, mode())] * (MOST_REQUESTS + 1), owner=plant.organisation)

    assert not Command.objects.exists()


# --- at the same moment -----------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_two_calls_with_the_same_keys_at_once_make_each_command_once():
    link = factories.connection()
    plants = [factories.plant(on=link) for _ in range(4)]
    requests = [request_for(plant, mode(), idempotency_key=f"k{n}") for n, plant in enumerate(plants)]

    answers = together(
        lambda: submit_all(*requests, owner=link.organisation),
        lambda: submit_all(*reversed(requests), owner=link.organisation),
    )

    created = [[one.created for one in each] for each in answers]
    assert sorted(created) == [[False] * 4, [True] * 4]
    assert Command.objects.count() == 4


@pytest.mark.django_db(transaction=True)
def test_a_key_that_is_used_for_another_plant_meanwhile_is_found_on_the_second_try():
    link = factories.connection()
    first, second = factories.plant(on=link), factories.plant(on=link)

    with transaction.atomic():
        ask(first, mode(), idempotency_key="k1")
        person = Aside(
            lambda: submit_all(
                request_for(second, mode(), idempotency_key="k1"),
                request_for(second, mode()),
                owner=link.organisation,
            )
        )
        until_blocked()

    refused, made = person.answer()
    assert refused.code == "IDEMPOTENCY_KEY_REUSED"
    assert made.created


@pytest.mark.django_db(transaction=True)
def test_a_call_that_waits_for_an_emergency_is_refused_for_that_plant_only():
    link = factories.connection()
    stopped, free = factories.plant(on=link), factories.plant(on=link)

    with transaction.atomic():
        ask(stopped, stop_now())
        plan = Aside(
            lambda: submit_all(
                request_for(free, setpoint()), request_for(stopped, setpoint()), owner=link.organisation
            )
        )
        until_blocked()

    made, refused = plan.answer()
    assert (made.command.state, refused.code) == (State.QUEUED, "PLANT_LATCHED")


@pytest.mark.django_db(transaction=True)
def test_every_connection_that_got_something_is_rung_once():
    owner = factories.organisation()
    links = [factories.connection(owner=owner) for _ in range(2)]
    requests = [request_for(factories.plant(on=link), setpoint()) for link in links for _ in range(2)]
    heard: list[int] = []

    with heard_by(heard.append):
        submit_all(*requests, owner=owner)

    assert sorted(heard) == sorted(link.pk for link in links)
