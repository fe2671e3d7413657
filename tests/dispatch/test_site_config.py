"""Topology, limits and fallback reach Voke: on activation and on change, the newest wins, never while observing."""

from datetime import timedelta

import pytest

from dispatch.models import OutboundMessage, Outcome, PublishedSiteConfig
from dispatch.services.site_config import publish_changed, switch_connection
from plants.models import Connection, ConnectionMode, Plant
from plants.services.connection_settings import save_connection
from plants.services.organisations import set_installation_dispatch
from plants.services.plants import save_assets, save_plant, set_plant_dispatch
from tests import factories
from tests.dispatch.helpers import broker_says, claims, deliver, envelope_of
from tests.factories import AT

pytestmark = pytest.mark.django_db
PAUSE = timedelta(seconds=240)


def publish(at=AT):
    return publish_changed(at=at, policy=factories.policy())


def messages():
    return list(OutboundMessage.objects.order_by("pk"))


def told(family):
    """The payloads of a family, oldest first."""
    return [envelope_of(one)["payload"] for one in messages() if one.family == family]


def change_limit(plant, kw, at=AT):
    plant.max_export_kw = kw
    save_plant(plant=plant, at=at)


def test_a_plant_of_an_active_connection_is_published_topology_first():
    plant = factories.plant()

    count = publish()

    assert count == 1
    assert [one.routing_key for one in messages()] == [
        "acme.config.topology",
        "acme.config.constraints",
        "acme.config.fallback",
    ]
    assert [one.signed for one in messages()] == [False] * 3
    assert told("config.topology") == [
        {
            "assets": [
                {"deviceId": "B1", "assetType": "BESS", "ratedPowerKw": 40, "capacityKwh": 80},
                {"deviceId": "S1", "assetType": "FVE", "ratedPowerKw": 60},
            ]
        }
    ]
    assert told("config.constraints") == [
        {"maxImportKw": 100, "maxExportKw": 50, "maxChargeKw": 40, "maxDischargeKw": 40}
    ]
    assert told("config.fallback") == [{"mode": "STANDARD", "afterSeconds": 900}]
    assert envelope_of(messages()[0])["siteId"] == str(plant.voke_uuid)


def test_nothing_is_published_again_without_a_change():
    factories.plant()
    publish()

    assert publish() == 0
    assert len(messages()) == 3


def test_a_changed_limit_publishes_the_limits_alone():
    plant = factories.plant()
    publish()

    change_limit(plant, 30.0)
    publish()

    assert [one["maxExportKw"] for one in told("config.constraints")] == [50, 30]
    assert len(told("config.topology")) == 1


def test_a_changed_asset_publishes_the_topology_alone():
    plant = factories.plant()
    publish()

    save_assets(plant=plant, changed=[factories.battery("B2")], removed=[], at=AT)
    publish()

    assert [len(one["assets"]) for one in told("config.topology")] == [2, 3]
    assert len(told("config.constraints")) == 1


def test_a_changed_fallback_publishes_the_fallback_alone():
    plant = factories.plant()
    publish()
    plant.fallback_mode, plant.fallback_after_s = "ZERO_EXPORT", 300

    save_plant(plant=plant, at=AT)
    publish()

    assert told("config.fallback") == [
        {"mode": "STANDARD", "afterSeconds": 900},
        {"mode": "ZERO_EXPORT", "afterSeconds": 300},
    ]
    assert len(messages()) == 4


def test_the_fallback_is_signed_where_the_connection_signs_its_family():
    factories.plant(on=factories.connection(signed_families=["config.fallback"]))

    publish()

    assert [one.family for one in messages() if one.signed] == ["config.fallback"]
    assert envelope_of(messages()[2])["signature"]


def test_a_change_that_voke_is_not_told_of_publishes_nothing():
    plant = factories.plant()
    publish()
    plant.name = "Depot by another name"
    save_plant(plant=plant, at=AT)

    assert publish() == 0
    assert len(messages()) == 3


def test_a_new_site_id_is_told_everything_again():
    """The plant's UUID at Voke became known: what was published under its external id did not reach the new one."""
    plant = factories.plant(voke_uuid=None)
    publish()
    plant.voke_uuid = "7a1d2c3b-4e5f-4a6b-8c7d-9e0f1a2b3c4d"
    save_plant(plant=plant, at=AT)

    publish()

    uuid = "7a1d2c3b-4e5f-4a6b-8c7d-9e0f1a2b3c4d"
    assert [envelope_of(one)["siteId"] for one in messages()] == [plant.external_plant_id] * 3 + [uuid] * 3


def test_another_connection_is_told_everything():
    plant = factories.plant()
    publish()
    plant.connection = factories.connection(owner=plant.organisation)
    save_plant(plant=plant, at=AT)

    publish()

    assert [one.connection_id for one in messages()[3:]] == [plant.connection_id] * 3


def test_a_newer_config_replaces_one_that_was_not_sent_yet():
    plant = factories.plant()
    publish()
    change_limit(plant, 30.0)

    publish()

    outcomes = [one.outcome for one in messages() if one.family == "config.constraints"]
    assert outcomes == [Outcome.REPLACED, Outcome.PENDING]
    assert len(deliver(plant.connection)) == 3


def test_a_newer_config_goes_after_one_that_is_on_its_way():
    plant = factories.plant()
    publish()
    broker_says(Outcome.CONFIRMED, *claims(plant.connection))
    claims(plant.connection)
    change_limit(plant, 30.0)
    publish()

    claimed = deliver(plant.connection)

    bodies = [envelope_of(OutboundMessage.objects.get(pk=one.outbound_id)) for one in claimed]
    limits = [one["payload"]["maxExportKw"] for one in bodies if "maxExportKw" in one["payload"]]
    assert limits == [50, 30]


# --- whether at all ---------------------------------------------------------------------------------------------------


def test_an_observing_connection_is_published_when_it_becomes_active():
    link = factories.connection(mode=ConnectionMode.OBSERVE)
    factories.plant(on=link)
    before = publish()

    switch_connection(connection=link, mode=ConnectionMode.ACTIVE, at=AT)

    assert (before, publish()) == (0, 1)
    assert len(messages()) == 3


def test_activating_again_tells_everything_again():
    plant = factories.plant()
    publish()
    deliver(plant.connection)
    switch_connection(connection=plant.connection, mode=ConnectionMode.OBSERVE, at=AT)

    switch_connection(connection=plant.connection, mode=ConnectionMode.ACTIVE, at=AT)

    assert publish() == 1
    assert len(deliver(plant.connection)) == 3


@pytest.mark.parametrize(
    "switch",
    [
        lambda plant, on: set_installation_dispatch(enabled=on),
        lambda plant, on: Connection.objects.update(dispatch_enabled=on),
        lambda plant, on: set_plant_dispatch(plant_id=plant.pk, enabled=on),
    ],
    ids=["installation", "connection", "plant"],
)
def test_each_dispatch_switch_holds_publication_back(switch):
    plant = factories.plant()
    switch(plant, False)
    held = publish()

    switch(plant, True)

    assert (held, publish()) == (0, 1)


def test_a_plant_without_a_connection_is_not_published():
    Plant.objects.filter(pk=factories.plant().pk).update(connection=None)

    assert publish() == 0


def test_without_the_scope_for_config_nothing_is_stored_and_the_plant_is_not_looked_at_for_ever():
    factories.plant(on=factories.connection(scopes=["vcp:write:mode"]))

    counts = [publish(), publish()]

    assert counts == [1, 0]
    assert messages() == []


def test_config_that_was_held_back_for_want_of_a_scope_goes_when_the_scope_is_given():
    """It counted as published, with no message, until something of the plant changed."""
    link = factories.connection(scopes=["vcp:write:mode"])
    factories.plant(on=link)
    publish()
    link.scopes = ["vcp:write:config", "vcp:write:mode"]

    save_connection(connection=link)

    assert (publish(), publish()) == (1, 0)
    assert [one.family for one in messages()] == ["config.topology", "config.constraints", "config.fallback"]


# --- what came to nothing ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", [Outcome.RETURNED, Outcome.REFUSED])
def test_config_that_the_broker_did_not_take_is_made_anew_after_a_pause(outcome):
    """It counted as published for ever, and Voke never learnt of the plant's devices."""
    plant = factories.plant()
    publish()
    for _ in ("topology", "constraints", "fallback"):
        broker_says(outcome, *claims(plant.connection))

    at_once = publish(AT + PAUSE - timedelta(seconds=1))
    later = publish(AT + PAUSE)

    assert (at_once, later) == (0, 1)
    assert [one.outcome for one in messages()] == [outcome] * 3 + [Outcome.PENDING] * 3


def test_config_that_was_never_confirmed_is_made_anew():
    plant = factories.plant()
    publish()
    claims(plant.connection)
    claims(plant.connection, at=AT + PAUSE)

    publish(AT + 2 * PAUSE)

    topologies = [one.outcome for one in messages() if one.family == "config.topology"]
    assert topologies == [Outcome.ABANDONED, Outcome.PENDING]


def test_confirmed_config_stays_published():
    plant = factories.plant()
    publish()
    deliver(plant.connection)

    assert publish(AT + 10 * PAUSE) == 0
    assert PublishedSiteConfig.objects.count() == 3


@pytest.mark.parametrize(
    "spoil",
    [
        lambda link: Connection.objects.filter(pk=link.pk).update(routing_prefix="a b"),
        factories.make_undecryptable,
    ],
    ids=["prefix broken", "key undecryptable"],
)
def test_a_plant_whose_config_cannot_be_built_stops_nobody_elses(spoil):
    broken, sound = factories.plant(), factories.plant()
    spoil(broken.connection)

    count = publish()

    assert count == 1
    assert {one.plant_id for one in messages()} == {sound.pk}


def test_plants_whose_config_cannot_be_built_do_not_use_up_the_turn_of_others():
    broken = factories.connection()
    for _ in range(2):
        factories.plant(on=broken)
    sound = factories.plant()
    factories.make_undecryptable(broken)

    count = publish_changed(at=AT, policy=factories.policy(), limit=1)

    assert count == 1
    assert {one.plant_id for one in messages()} == {sound.pk}
