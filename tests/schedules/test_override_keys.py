"""An override under a key is begun once, and what would refuse it can be asked beforehand."""

from datetime import timedelta

import pytest

from dispatch.models import Command
from plants.errors import Conflict, DomainError, Several
from schedules.models import Override
from schedules.selectors.plans import slots_ahead
from schedules.services.override_checks import check_override
from schedules.services.overrides import begin_override, extend_override
from tests.dispatch.helpers import setpoint
from tests.schedules.carrying import ANN, emergency_stop, plain_plant, policy, put_in_force
from tests.schedules.plans import at, slot
from tests.threads import together

pytestmark = pytest.mark.django_db
TEN, ELEVEN = at("10:00"), at("11:00")
MINUTE = timedelta(minutes=1)


def begin(plant, *, kw=7.0, until=ELEVEN, now=TEN, key="k1", reason="the operator called"):
    return begin_override(
        organisation_id=plant.organisation_id,
        external_plant_id=plant.external_plant_id,
        payload=setpoint(kw),
        until_at=until,
        actor=ANN,
        reason=reason,
        at=now,
        policy=policy(),
        idempotency_key=key,
    )


def extend(row, until, *, now, key):
    return extend_override(
        organisation_id=row.organisation_id,
        override_id=row.pk,
        until_at=until,
        actor=ANN,
        reason="still",
        at=now,
        policy=policy(),
        idempotency_key=key,
    )


def check(plant, *, kw=7.0, until=ELEVEN, now=TEN):
    check_override(
        organisation_id=plant.organisation_id,
        external_plant_id=plant.external_plant_id,
        payload=setpoint(kw),
        until_at=until,
        at=now,
        policy=policy(),
    )


def test_the_same_key_twice_begins_one_override_and_sends_one_command():
    plant = plain_plant()

    first, second = begin(plant), begin(plant, now=TEN + MINUTE)

    assert first == second
    assert (Override.objects.count(), Command.objects.count()) == (1, 1)


@pytest.mark.parametrize("changes", [{"kw": 8.0}, {"until": ELEVEN + MINUTE}])
def test_a_key_that_began_something_else_is_refused(changes):
    plant = plain_plant()
    begin(plant)

    with pytest.raises(Conflict) as refused:
        begin(plant, **changes)

    assert refused.value.code == "IDEMPOTENCY_KEY_REUSED"
    assert Override.objects.count() == 1


def test_the_key_of_another_plants_override_is_refused():
    plant = plain_plant()
    begin(plant)

    with pytest.raises(Conflict) as refused:
        begin(plain_plant(on=plant.connection))

    assert refused.value.code == "IDEMPOTENCY_KEY_REUSED"


def test_extending_twice_under_one_key_extends_once():
    row = begin(plain_plant())

    first = extend(row, ELEVEN + MINUTE, now=TEN + MINUTE, key="k2")
    second = extend(row, ELEVEN + MINUTE, now=TEN + MINUTE, key="k2")

    assert first == second
    assert (Override.objects.count(), Command.objects.filter(idempotency_key="k2").count()) == (2, 1)


@pytest.mark.django_db(transaction=True)
def test_two_that_come_at_once_with_one_key_begin_one_override():
    plant = plain_plant()

    first, second = together(lambda: begin(plant), lambda: begin(plant))

    assert first == second == Override.objects.get()


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"kw": 5000.0}, "CONSTRAINT_VIOLATION"),
        ({"until": TEN}, "BAD_END"),
        ({"until": TEN + timedelta(days=2)}, "TOO_LONG"),
    ],
)
def test_the_dry_run_names_what_would_refuse_it_and_stores_nothing(changes, code):
    plant = plain_plant()

    with pytest.raises(DomainError) as refused:
        check(plant, **changes)

    found = refused.value.problems if isinstance(refused.value, Several) else [refused.value]
    assert [one.code for one in found] == [code]
    assert not Command.objects.exists()


def test_the_dry_run_of_one_that_fits_says_nothing_and_one_under_an_emergency_is_refused():
    plant = plain_plant()
    check(plant)
    emergency_stop(plant, TEN)

    with pytest.raises(Conflict) as refused:
        check(plant)

    assert refused.value.code == "PLANT_LATCHED"


def test_what_resumes_names_the_version_of_its_plan():
    plant = plain_plant()
    put_in_force(plant, slot("10:00", 3), slot("10:15", 4))

    ahead = slots_ahead(plant_id=plant.pk, at=at("10:05"))

    assert ahead.number == 1
    assert slots_ahead(plant_id=plain_plant().pk, at=TEN).number is None
