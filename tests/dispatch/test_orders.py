"""Emergencies for a selection: counted before, sent once, plant by plant, released as one."""

import pytest

from dispatch.models import Command, EmergencyOrder, OrderedPlant, Outcome
from dispatch.selectors import open_latch
from dispatch.services.orders import Selection, count_selection
from dispatch.states import State
from plants.errors import DomainError
from plants.services.plants import set_plant_dispatch
from tests import factories
from tests.dispatch.helpers import (
    ask,
    claims,
    envelope_of,
    hold_now,
    last_event,
    message_of,
    mode,
    state_of,
    stop_now,
    words_of,
)
from tests.dispatch.ordering import ALL, order, plants_on, refused
from tests.factories import AT
from vcp import EmergencyType

pytestmark = pytest.mark.django_db


@pytest.fixture
def link():
    return factories.connection()


# --- counting ---------------------------------------------------------------------------------------------------------


def test_a_selection_is_counted_and_said_in_words(link):
    first, second, _ = plants_on(link, 3)
    factories.plant(on=factories.connection(owner=link.organisation))
    factories.plant()

    def counted(selection):
        found = count_selection(organisation_id=link.organisation_id, selection=selection)
        return found.count, found.scope

    assert counted(ALL) == (4, "all plants of the organisation")
    assert counted(Selection(connection_id=link.pk)) == (3, f"all plants of connection {link.name}")
    assert counted(Selection(plant_ids=frozenset({first.pk, second.pk}))) == (2, "2 selected plants")


def test_plants_of_another_organisation_are_not_among_the_selected(link):
    mine, strange = factories.plant(on=link), factories.plant()

    counted = count_selection(
        organisation_id=link.organisation_id, selection=Selection(plant_ids=frozenset({mine.pk, strange.pk}))
    )

    assert counted.count == 1


def test_an_empty_selection_is_refused(link):
    with pytest.raises(DomainError) as caught:
        count_selection(organisation_id=link.organisation_id, selection=ALL)

    assert caught.value.code == "NOTHING_SELECTED"


def test_when_the_selection_has_changed_nothing_is_sent(link):
    plants_on(link, 2)
    token = count_selection(organisation_id=link.organisation_id, selection=ALL).token
    factories.plant(on=link)

    assert refused(link, token=token) == "SELECTION_CHANGED"
    assert not Command.objects.exists()
    assert not EmergencyOrder.objects.exists()


@pytest.mark.parametrize(("reason", "code"), [(" ", "REASON_REQUIRED"), ("a\0b", "VALIDATION_ERROR")])
def test_an_order_without_a_reason_that_can_be_sent_is_refused(link, reason, code):
    plants_on(link, 1)

    assert refused(link, reason=reason) == code
    assert not EmergencyOrder.objects.exists()


# --- sending ----------------------------------------------------------------------------------------------------------


def test_every_plant_is_latched_and_its_emergency_goes_first_and_is_signed(link):
    plants = plants_on(link, 3)

    row = order(link)

    for plant in plants:
        latch = open_latch(plant_id=plant.pk)
        message = message_of(latch.command)
        assert (latch.type, latch.order, latch.set_by_name) == ("STOP", row, "operator")
        assert (message.urgent, message.signed, message.deliver_by_at) == (True, True, None)
        assert envelope_of(message)["payload"] == {"type": "STOP", "reason": "storm"}
        assert words_of(latch.command) == [("SCHEDULED", "APPLIED"), ("QUEUED", "APPLIED")]
    assert (row.asked, row.scope) == (3, "all plants of the organisation")


def test_an_order_does_to_a_plant_what_a_single_emergency_does(link):
    """The same command, message and latch, whichever way it was asked for."""
    one, other = plants_on(link, 2)
    single = ask(one, stop_now("storm"), reason="storm")
    order(link, Selection(plant_ids=frozenset({other.pk})))
    ordered = open_latch(plant_id=other.pk).command

    def facts(command):
        message = message_of(command)
        skipped = {"_state", "id", "plant_id", "batch_ref", "request_digest"}
        row = {
            name: value
            for name, value in vars(command).items()
            if name not in skipped and "_cache" not in name
        }
        return row, (
            message.family,
            message.urgent,
            message.signed,
            message.deliver_by_at,
            message.routing_key,
        )

    single.refresh_from_db()
    ordered = Command.objects.get(pk=ordered.pk)
    assert facts(Command.objects.get(pk=single.pk)) == facts(ordered)


def test_what_is_unsent_is_taken_back_and_names_its_own_plants_emergency(link):
    one, other = plants_on(link, 2)
    queued, attempted = ask(one, mode()), ask(other, mode())
    claims(link)
    later = ask(one, mode(), at=AT)

    order(link)

    assert (state_of(queued), state_of(attempted), state_of(later)) == (
        State.UNCONFIRMED, State.UNCONFIRMED, State.SUPERSEDED,
    )  # fmt: skip
    assert last_event(later).detail == {"winner": open_latch(plant_id=one.pk).command_id}
    assert last_event(attempted).detail == {"winner": open_latch(plant_id=other.pk).command_id}
    assert message_of(attempted).outcome == Outcome.ABANDONED


def test_the_same_key_makes_one_order(link):
    plants_on(link, 2)

    first, again = order(link), order(link)

    assert first.pk == again.pk
    assert Command.objects.count() == 2


def test_a_key_that_made_an_order_makes_no_other_one(link):
    plants_on(link, 1)
    order(link)

    assert refused(link, type=EmergencyType.HOLD) == "IDEMPOTENCY_KEY_REUSED"
    assert refused(link, reason="flood") == "IDEMPOTENCY_KEY_REUSED"


def test_one_plant_that_can_not_be_commanded_stops_nobody_and_says_why(link):
    fine, dark = plants_on(link, 2)
    set_plant_dispatch(plant_id=dark.pk, enabled=False)

    row = order(link)

    of_dark = OrderedPlant.objects.get(order=row, plant=dark)
    assert open_latch(plant_id=fine.pk) is not None
    assert open_latch(plant_id=dark.pk) is None
    assert (of_dark.command, of_dark.refusal) == (None, "DISPATCH_OFF")
    assert of_dark.detail == "dispatch is switched off for the plant"


def test_a_connection_whose_key_can_not_be_read_spares_only_its_own_plants(link):
    fine = factories.plant(on=link)
    broken = factories.connection(owner=link.organisation)
    mute = factories.plant(on=broken)
    factories.make_undecryptable(broken)

    row = order(link)

    assert open_latch(plant_id=fine.pk) is not None
    assert OrderedPlant.objects.get(order=row, plant=mute).refusal == "CANNOT_BUILD"


def test_a_hold_is_refused_where_a_stop_is_in_force(link):
    stopped, free = plants_on(link, 2)
    ask(stopped, stop_now())

    row = order(link, type=EmergencyType.HOLD)

    assert OrderedPlant.objects.get(order=row, plant=stopped).refusal == "STOP_IN_FORCE"
    assert open_latch(plant_id=stopped.pk).type == "STOP"
    assert open_latch(plant_id=free.pk).type == "HOLD"


def test_a_stop_strengthens_a_hold_of_somebody_else_and_leaves_the_latch_theirs(link):
    plant = factories.plant(on=link)
    hold = ask(plant, hold_now())

    row = order(link)

    latch = open_latch(plant_id=plant.pk)
    assert (latch.type, latch.order, state_of(hold)) == ("STOP", None, State.SUPERSEDED)
    assert latch.command == OrderedPlant.objects.get(order=row).command
