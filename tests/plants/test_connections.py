"""Connections: imported from a bundle into OBSERVE, switched, their links' health, their scopes, their plants."""

import json
from datetime import timedelta
from itertools import pairwise

import pytest

from plants.errors import Conflict, DomainError
from plants.models import Connection, ConnectionMode, LinkHealth, LinkState, Plant
from plants.selectors.connections import predecessors_of, successors_of
from plants.selectors.plants import resolve_sites
from plants.services.connection_settings import save_connection
from plants.services.connections import (
    attach_plants,
    import_bundle,
    may_send,
    set_connection_dispatch,
    set_mode,
)
from plants.services.link_health import note_link
from plants.services.succession import hand_over, retire
from tests import factories
from tests.factories import AT, SIGNING_KEY
from tests.threads import together
from vcp import Family, KeyDecoding, parse_bundle

pytestmark = pytest.mark.django_db


def bundle(**changes):
    members = {
        "amqpsUri": "amqps://acme:k%2Babc@amqp.voke.turena.cz:5671/partner-8d1f",
        "signingKey": SIGNING_KEY,
        "queues": {"command": "vcp.acme.command"},
    } | changes
    return parse_bundle(
        json.dumps({key: value for key, value in members.items() if value is not None}).encode()
    )


def imported(owner=None, **changes):
    facts = {
        "organisation": owner or factories.organisation(),
        "bundle": bundle(),
        "name": "Voke",
        "source": "ref-esm",
        "scopes": ["vcp:write:mode", "vcp:connect", "vcp:connect"],
        "sign_emergency": True,
        "key_decoding": KeyDecoding.HEX,
        "at": AT,
    } | changes
    return import_bundle(**facts)


def refused(work):
    with pytest.raises(DomainError) as caught:
        work()
    return caught.value


# --- import -----------------------------------------------------------------------------------------------------------


def test_an_imported_connection_only_observes_and_keeps_what_the_bundle_says():
    link = Connection.objects.get(pk=imported().pk)

    assert (link.mode, link.dispatch_enabled, link.activated_at) == (ConnectionMode.OBSERVE, True, None)
    assert (link.slug, link.queue_prefix, link.routing_prefix) == ("acme", "acme", "acme")
    assert (link.vhost, link.key_id, link.queues) == ("partner-8d1f", "8d1f", {"command": "vcp.acme.command"})
    assert (link.api_key, link.signing_key) == ("k+abc", SIGNING_KEY)
    assert link.scopes == ["vcp:connect", "vcp:write:mode"]
    assert link.rest_base_url == "https://api.voke.turena.cz/api/v1"


@pytest.mark.parametrize(("sign_emergency", "signed"), [(True, True), (False, False)])
def test_whether_emergencies_are_signed_is_decided_at_import(sign_emergency, signed):
    link = imported(sign_emergency=sign_emergency)

    assert ("command.emergency" in link.signed_families) is signed
    assert {"command.device", "command.mode", "schedule.create", "schedule.cancel"} <= set(
        link.signed_families
    )


@pytest.mark.parametrize(
    ("key", "decoding"),
    [("zz" * 32, KeyDecoding.HEX), ("ab" * 31, KeyDecoding.HEX), ("too short", KeyDecoding.UTF8)],
)
def test_a_key_that_can_not_sign_is_refused_at_import_and_not_quoted(key, decoding):
    error = refused(lambda: imported(bundle=bundle(signingKey=key), key_decoding=decoding))

    assert (error.code, error.path) == ("INVALID_SIGNING_KEY", "signingKey")
    assert key not in str(error)
    assert not Connection.objects.exists()


def test_a_key_that_signs_as_text_is_taken_as_text():
    assert imported(bundle=bundle(signingKey="k" * 32), key_decoding=KeyDecoding.UTF8).key_decoding == "UTF8"


def test_a_bundle_without_a_signing_key_can_observe_and_never_become_active():
    link = imported(bundle=bundle(signingKey=None))

    error = refused(lambda: set_mode(connection=link, mode=ConnectionMode.ACTIVE, at=AT))

    assert (error.code, error.path) == ("SIGNING_KEY_MISSING", "signing_key")
    assert Connection.objects.get().mode == ConnectionMode.OBSERVE


def test_a_name_is_taken_once_per_organisation():
    owner = imported().organisation

    error = refused(lambda: imported(owner))

    assert error.path == "name"
    assert imported(bundle=bundle(amqpsUri="amqps://b:k@localhost/partner-2")).name == "Voke"


def test_a_bundle_is_imported_once_because_two_readers_of_a_queue_would_share_its_events():
    """Each would hear half: acknowledgements and telemetry of the other's plants would be lost to it."""
    link = imported()

    again = refused(lambda: imported(link.organisation, name="again"))
    elsewhere = refused(imported)

    assert (again.code, again.path) == ("CONNECTION_EXISTS", "bundle")
    assert elsewhere.code == "CONNECTION_EXISTS"
    assert f"connection {link.pk}" not in elsewhere.message  # another organisation's
    assert Connection.objects.count() == 1


def test_partners_with_queues_of_their_own_may_share_a_vhost():
    imported(bundle=bundle(amqpsUri="amqps://acme:k@localhost/", queues={}))

    other = imported(bundle=bundle(amqpsUri="amqps://other:k@localhost/", queues={}))

    assert other.queue_prefix == "other"


@pytest.mark.parametrize(
    ("changes", "path"),
    [({"name": "x" * 81}, "name"), ({"source": "x" * 65}, "source"), ({"name": ""}, "name")],
)
def test_what_does_not_fit_is_named(changes, path):
    assert refused(lambda: imported(**changes)).path == path


@pytest.mark.django_db(transaction=True)
def test_two_imports_of_one_name_at_once_make_one_connection_and_one_refusal():
    owner = factories.organisation()

    answers = together(lambda: imported(owner), lambda: imported(owner))

    assert sorted(isinstance(one, DomainError) for one in answers) == [False, True]
    assert Connection.objects.count() == 1


# --- modes, switches, scopes ------------------------------------------------------------------------------------------


def test_activation_is_remembered_and_observing_again_keeps_the_time():
    link = imported()

    set_mode(connection=link, mode=ConnectionMode.ACTIVE, at=AT)
    set_mode(connection=link, mode=ConnectionMode.OBSERVE, at=AT + timedelta(hours=1))

    stored = Connection.objects.get()
    assert (stored.mode, stored.activated_at) == (ConnectionMode.OBSERVE, AT)
    assert (link.mode, link.activated_at) == (ConnectionMode.OBSERVE, AT)


def test_a_connection_that_signs_nothing_needs_no_key_to_become_active():
    link = factories.connection(signing_key="", signed_families=[], mode=ConnectionMode.OBSERVE)

    set_mode(connection=link, mode=ConnectionMode.ACTIVE, at=AT)

    assert Connection.objects.get().mode == ConnectionMode.ACTIVE


def test_the_dispatch_switch_of_a_connection_is_set_alone():
    one, other = factories.connection(), factories.connection()

    set_connection_dispatch(connection_id=one.pk, enabled=False)

    assert [row.dispatch_enabled for row in Connection.objects.order_by("pk")] == [False, True]
    assert other.pk


@pytest.mark.parametrize(
    ("family", "scopes", "allowed"),
    [
        (Family.COMMAND_MODE, [], True),
        (Family.COMMAND_MODE, ["vcp:write:mode"], True),
        (Family.COMMAND_MODE, ["vcp:write:setpoint"], False),
        (Family.COMMAND_EMERGENCY, ["vcp:write:setpoint"], False),
        (Family.COMMAND_EMERGENCY, ["special:emergency"], True),
        (Family.CONFIG_TOPOLOGY, ["vcp:write:config"], True),
        (Family.CONFIG_TOPOLOGY, ["vcp:connect"], False),
    ],
)
def test_told_scopes_decide_what_may_be_sent(family, scopes, allowed):
    link = factories.connection(scopes=scopes)

    assert may_send(link, family, emergency_scope="special:emergency") is allowed


# --- health -----------------------------------------------------------------------------------------------------------


def told(link, state, *, at=AT, role=LinkHealth.Role.CONSUME, **changes):
    note_link(connection_id=link.pk, role=role, state=state, at=at, **changes)
    return LinkHealth.objects.get(connection=link, role=role)


def test_a_state_that_lasts_is_seen_anew_and_keeps_its_beginning():
    link = factories.connection()
    told(link, LinkState.CONNECTED)

    row = told(link, LinkState.CONNECTED, at=AT + timedelta(seconds=5))

    assert (row.since, row.seen_at) == (AT, AT + timedelta(seconds=5))


def test_a_new_state_has_a_new_beginning_and_its_error():
    link = factories.connection()
    told(link, LinkState.CONNECTED)

    row = told(link, LinkState.DOWN, at=AT + timedelta(seconds=5), error="x" * 500)

    assert (row.state, row.since) == ("DOWN", AT + timedelta(seconds=5))
    assert row.last_error == "x" * 400


def test_the_last_error_and_the_last_event_stay_when_nothing_new_is_said_of_them():
    link = factories.connection()
    told(link, LinkState.DOWN, error="gone", event_at=AT)

    row = told(link, LinkState.CONNECTED, at=AT + timedelta(seconds=5))

    assert (row.last_error, row.last_event_at) == ("gone", AT)


def test_both_halves_of_a_link_have_a_health_of_their_own():
    link = factories.connection()
    told(link, LinkState.CONNECTED)

    told(link, LinkState.DOWN, role=LinkHealth.Role.PUBLISH)

    assert sorted(LinkHealth.objects.values_list("role", "state")) == [
        ("CONSUME", "CONNECTED"),
        ("PUBLISH", "DOWN"),
    ]


@pytest.mark.django_db(transaction=True)
def test_two_processes_that_tell_of_one_link_at_once_make_one_row():
    link = factories.connection()

    answers = together(*[lambda: told(link, LinkState.CONNECTED)] * 4)

    assert not [one for one in answers if isinstance(one, Exception)]
    assert LinkHealth.objects.count() == 1


# --- plants -----------------------------------------------------------------------------------------------------------


def test_plants_of_the_organisation_are_attached_and_announced_anew():
    plant = factories.plant()
    link = factories.connection(owner=plant.organisation)

    count = attach_plants(connection=link, external_plant_ids=[plant.external_plant_id, "NOBODY"])

    moved = Plant.objects.get(pk=plant.pk)
    assert count == 1
    assert (moved.connection, moved.site_revision) == (link, plant.site_revision + 1)


def test_plants_of_another_organisation_are_not_attached():
    plant = factories.plant()

    count = attach_plants(connection=factories.connection(), external_plant_ids=[plant.external_plant_id])

    assert count == 0
    assert Plant.objects.get(pk=plant.pk).connection == plant.connection


def test_two_plants_with_one_uuid_of_voke_can_not_share_a_connection():
    first = factories.plant()
    second = factories.plant(on=factories.connection(owner=first.organisation), voke_uuid=first.voke_uuid)

    with pytest.raises(Conflict) as caught:
        attach_plants(connection=first.connection, external_plant_ids=[second.external_plant_id])

    assert caught.value.code == "VOKE_UUID_TAKEN"


# --- one connection takes over from another ---------------------------------------------------------------------------


def line_of(count):
    """Connections of one organisation, each taken over by the next."""
    owner = factories.organisation()
    links = [factories.connection(owner=owner) for _ in range(count)]
    for old, new in pairwise(links):
        hand_over(old_id=old.pk, new_id=new.pk, at=AT)
    return links


def test_a_connection_knows_all_that_took_over_from_it_and_all_that_it_took_over_from():
    first, second, third = line_of(3)

    assert successors_of(first.pk) == [second.pk, third.pk]
    assert predecessors_of(third.pk) == [second.pk, first.pk]
    assert (successors_of(third.pk), predecessors_of(first.pk)) == ([], [])


def test_a_circle_of_successors_ends_where_it_began():
    """No service makes one; a row that somebody wrote by hand must not hang a consumer."""
    first, second = line_of(2)
    Connection.objects.filter(pk=second.pk).update(succeeded_by=first)

    assert successors_of(first.pk) == [second.pk]
    assert predecessors_of(first.pk) == [second.pk]


def test_events_of_a_connection_that_was_taken_over_still_find_its_plants():
    first, second = line_of(2)
    third = factories.connection(owner=first.organisation)
    plants = [factories.plant(on=link) for link in (second, third)]
    hand_over(old_id=second.pk, new_id=third.pk, at=AT)
    stranger = factories.plant()
    wanted = [str(one.voke_uuid) for one in [*plants, stranger]]

    found = resolve_sites(connection_id=first.pk, site_ids=wanted)

    assert found == {str(one.voke_uuid): one.pk for one in plants}
    assert resolve_sites(connection_id=third.pk, site_ids=wanted) == {wanted[1]: plants[1].pk}


def test_plants_are_not_attached_to_a_connection_that_was_taken_over():
    old, new = line_of(2)
    plant = factories.plant(on=new)

    with pytest.raises(Conflict) as caught:
        attach_plants(connection=old, external_plant_ids=[plant.external_plant_id])

    assert caught.value.code == "CONNECTION_SUCCEEDED"


def test_only_a_connection_that_was_taken_over_retires_and_only_once():
    old, new = line_of(2)

    assert [retire(connection_id=pk, at=AT) for pk in (old.pk, new.pk, old.pk)] == [True, False, False]


def test_settings_that_were_opened_before_a_takeover_do_not_undo_it():
    old = factories.connection()
    opened = Connection.objects.get(pk=old.pk)
    new = factories.connection(owner=old.organisation)
    hand_over(old_id=old.pk, new_id=new.pk, at=AT)

    save_connection(connection=opened)

    old.refresh_from_db()
    assert (old.succeeded_by, old.handed_over_at) == (new, AT)


@pytest.mark.parametrize(
    ("changes", "looked_at_again"),
    [({"scopes": ["vcp:write:config"]}, 1), ({"site_id_kind": "EXTERNAL"}, 1), ({"name": "Another"}, 0)],
    ids=["scopes", "site id", "name"],
)
def test_settings_on_which_site_config_depends_make_plants_due_for_it(changes, looked_at_again):
    plant = factories.plant()
    for name, value in changes.items():
        setattr(plant.connection, name, value)

    save_connection(connection=plant.connection)

    assert Plant.objects.get(pk=plant.pk).site_revision == plant.site_revision + looked_at_again
