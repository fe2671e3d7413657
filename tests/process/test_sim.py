"""What the profile sim makes for itself: complete or made anew, private, least rights, and safe to repeat."""

import json
import stat

import pytest

from plants.models import Connection, ConnectionMode, Plant
from scripts.sim import broker, connect, init
from scripts.sim.stand_in import configuration
from tests.services import partner
from trading_api.models import Credential
from voke_sim.config_load import parse_config

WORDS = [
    "--broker=rabbitmq:5671",
    "--reverse-url=http://web:8000",
    "--rest=0.0.0.0:4410",
    "--rest-url=http://voke.internal:4410/api/v1",
]


@pytest.fixture
def root(tmp_path):
    init.main([f"--root={tmp_path}", *WORDS])
    return tmp_path


def contents(root):
    return {str(file.relative_to(root)): file.read_bytes() for file in root.rglob("*") if file.is_file()}


def again(root):
    before = contents(root)
    init.main([f"--root={root}", *WORDS])
    return before, contents(root)


# init -------------------------------------------------------------------------------------------------------


def test_a_second_run_changes_nothing(root):
    before, after = again(root)

    assert after == before


@pytest.mark.parametrize("folder", init.FOLDERS)
def test_when_one_folder_is_lost_or_incomplete_everything_is_made_anew_and_fits_together(root, folder):
    (root / folder / init.GENERATION).unlink()

    before, after = again(root)

    assert init.generations(root) != {None}
    assert len(init.generations(root)) == 1
    for name in ("broker/server.key", "partner/bundle.json", "voke/signing_key"):
        assert after[name] != before[name]
    assert json.loads(after["partner/bundle.json"])["signingKey"].encode() == after["voke/signing_key"]
    assert after["tls/ca.pem"] == after["broker/ca.pem"]


def test_what_is_made_is_readable_for_its_user_and_group_only(root):
    modes = {stat.S_IMODE(file.stat().st_mode) for file in root.rglob("*") if file.is_file()}

    assert modes == {0o640}


def test_no_password_stands_in_the_brokers_files(root):
    bundle = json.loads((root / "partner" / "bundle.json").read_text())
    voke_uri = (root / "voke" / "amqps_uri").read_text()
    files = "".join((root / "broker" / name).read_text() for name in ("definitions.json", "rabbitmq.conf"))

    assert bundle["apiKey"] not in files
    assert voke_uri.split(":")[2].split("@")[0] not in files


def test_the_topology_is_the_one_that_the_fact_sheet_tells():
    made = broker.definitions(broker.new_passwords())

    assert {(one["destination"], one["routing_key"]) for one in made["bindings"]} == set(
        partner.bindings(broker.SLUG)
    )
    assert {queue["name"] for queue in made["queues"]} == {
        *partner.queue_names(broker.SLUG).values(),
        broker.DEAD_QUEUE,
    }
    assert all(queue["arguments"]["x-max-length"] for queue in made["queues"])


def test_neither_side_may_declare_or_read_what_is_the_others():
    made = broker.definitions(broker.new_passwords())
    rights = {one["user"]: one for one in made["permissions"]}

    assert {one["configure"] for one in rights.values()} == {"^$"}
    assert {one["write"] for one in rights.values()} == {"^vcp$"}
    assert "event" in rights[broker.SLUG]["read"] and "command" not in rights[broker.SLUG]["read"]
    assert "command" in rights[broker.VOKE_USER]["read"] and "event" not in rights[broker.VOKE_USER]["read"]


def test_every_asset_of_the_plants_stands_at_the_modelled_site():
    plants = json.loads(init.PLANTS.read_text())
    document = configuration(plants, reverse_url="http://web:8000", rest_host="0.0.0.0", rest_port=4410)
    secrets = {
        "partner": {**document["partner"], "signing_key": "00" * 32},
        "transport": {**document["transport"], "uri": "amqps://voke:x@rabbitmq:5671/partner-sim"},
        "reverse": {**document["reverse"], "client_id": "x", "client_secret": "x"},
        "rest": {**document["rest"], "api_key": "x"},
    }

    config = parse_config({**document, **secrets})

    assert {site.external_plant_id: set(site.device_ids) for site in config.sites} == {
        plant["externalPlantId"]: {asset["deviceId"] for asset in plant["assets"]} for plant in plants
    }


# connect ----------------------------------------------------------------------------------------------------


def connect_all(root):
    connect.ensure_plants(root / "partner" / "plants.json")
    connect.ensure_connection(root / "partner" / "bundle.json")
    connect.ensure_credentials(root / "voke")


@pytest.mark.django_db
def test_a_second_connect_finds_everything_done(root):
    connect_all(root)
    before = contents(root)

    connect_all(root)

    connection = Connection.objects.get()
    assert contents(root) == before
    assert (connection.mode, connection.plants.count()) == (ConnectionMode.ACTIVE, Plant.objects.count())
    assert Credential.objects.get().client_id == (root / "voke" / "client_id").read_text()


@pytest.mark.django_db
def test_new_volumes_beside_an_old_database_renew_the_connection_and_replace_the_credentials(root):
    connect_all(root)
    first = (root / "voke" / "client_id").read_text()
    for file in [*root.rglob("generation"), root / "voke" / "client_id"]:
        file.unlink()
    init.main([f"--root={root}", *WORDS])

    connect_all(root)

    connection = Connection.objects.get()
    bundle = json.loads((root / "partner" / "bundle.json").read_text())
    assert (connection.amqps_uri, connection.signing_key) == (bundle["amqpsUri"], bundle["signingKey"])
    assert connection.mode == ConnectionMode.ACTIVE
    assert not Credential.objects.get(client_id=first).enabled
    assert Credential.objects.get(enabled=True).client_id == (root / "voke" / "client_id").read_text()
