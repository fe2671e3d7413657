"""The shell's commands: what they do, and that a wrong word changes nothing and says which."""

import json
from datetime import timedelta
from io import StringIO
from types import SimpleNamespace

import pytest
from django.core.cache import cache
from django.core.management import call_command
from django.core.management.base import CommandError

from dispatch.models import Command
from esm import clock, pulse
from esm.ticks import run_tick
from plants.models import Connection, ConnectionMode, Organisation, Plant, TimeConfigBlock
from plants.selectors.connections import secret_versions
from tests import factories
from tests.dispatch.helpers import ask, mode
from tests.factories import AT

pytestmark = pytest.mark.django_db
SIGNING_KEY = "00112233445566778899aabbccddeeff" * 2


def run(*words) -> str:
    out = StringIO()
    call_command(*words, stdout=out)
    return out.getvalue()


@pytest.fixture
def bundle(tmp_path):
    path = tmp_path / "bundle.json"
    content = {
        "amqpsUri": "amqps://acme:k%2Babc@amqp.voke.turena.cz:5671/partner-8d1f",
        "apiKey": "k+abc",
        "signingKey": SIGNING_KEY,
        "keyId": "8d1f",
        "slug": "acme",
        "queues": {"command": "vcp.special.command"},
    }
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def plants(tmp_path):
    path = tmp_path / "plants.json"
    content = [
        {
            "externalPlantId": "P-1",
            "vokeUuid": "7a1d2c3b-4e5f-4a6b-8c7d-9e0f1a2b3c4d",
            "name": "Depot",
            "assets": [{"deviceId": "B1", "assetType": "BESS", "ratedPowerKw": 50}],
            "timeConfigs": [
                {"from": "00:00", "to": "24:00", "pBatMin": -50, "pBatMax": 50, "socMin": 10, "socMax": 90}
            ],
        }
    ]
    path.write_text(json.dumps(content))
    return SimpleNamespace(path=path, content=content)


def test_connect_voke_imports_a_bundle_that_only_observes_and_keeps_its_names(bundle):
    owner = factories.organisation(slug="acme")

    run("connect_voke", str(bundle), "--organisation", "acme", "--scopes", "vcp:connect, vcp:write:mode")

    row = Connection.objects.get(organisation=owner)
    assert row.mode == ConnectionMode.OBSERVE
    assert row.queues == {"command": "vcp.special.command"}
    assert row.scopes == ["vcp:connect", "vcp:write:mode"]
    assert (row.vhost, row.key_id, str(row.api_key)) == ("partner-8d1f", "8d1f", "k+abc")


def test_connect_voke_leaves_nothing_behind_when_a_plant_is_mistyped(bundle):
    factories.organisation(slug="acme")

    with pytest.raises(CommandError, match="--plants: 1 of them"):
        run("connect_voke", str(bundle), "--organisation", "acme", "--plants", "NOBODY")

    assert not Connection.objects.exists()


def test_connect_voke_takes_over_the_plants_of_another_connection_and_says_what_followed(bundle):
    owner = factories.organisation(slug="acme")
    plant = factories.plant(on=factories.connection(owner=owner, name="first key"))
    ask(plant, mode(), at=clock.now())

    said = run(
        "connect_voke", str(bundle), "--organisation", "acme", "--name", "second", "--takes-over", "first key"
    )

    old, new = Connection.objects.order_by("pk")
    assert "second': vhost partner-8d1f, ACTIVE, 1 plants" in said
    assert (
        "takes over from 'first key': 1 plants and 0 planned commands moved, 1 waiting messages signed"
        in said
    )
    assert (old.succeeded_by, Plant.objects.get().connection) == (new, new)


def test_connect_voke_names_the_connections_that_there_are_when_it_knows_none_of_that_name(bundle):
    factories.connection(owner=factories.organisation(slug="acme"), name="first key")

    with pytest.raises(CommandError, match=r"--takes-over: no connection is called 'frist'.*first key"):
        run("connect_voke", str(bundle), "--organisation", "acme", "--takes-over", "frist")

    assert Connection.objects.count() == 1


def test_connect_voke_leaves_nothing_behind_when_the_bundle_can_not_take_over(bundle):
    factories.connection(owner=factories.organisation(slug="acme"), name="first key")
    bundle.write_text(json.dumps(json.loads(bundle.read_text()) | {"signingKey": None}))

    with pytest.raises(CommandError, match="SIGNING_KEY_MISSING"):
        run("connect_voke", str(bundle), "--organisation", "acme", "--takes-over", "first key")

    assert Connection.objects.count() == 1


def test_connect_voke_names_the_field_of_a_broken_bundle(tmp_path):
    factories.organisation(slug="acme")
    path = tmp_path / "broken.json"
    path.write_text('{"amqpsUri": "amqp://acme:key@host/vhost"}')

    with pytest.raises(CommandError, match="INVALID_BUNDLE amqpsUri"):
        run("connect_voke", str(path), "--organisation", "acme")


def test_import_plants_makes_organisation_plant_assets_and_blocks(plants):
    run("import_plants", str(plants.path), "--organisation", "acme", "--create", "Acme Energy")

    plant = Plant.objects.get(external_plant_id="P-1")
    assert plant.organisation.name == "Acme Energy"
    assert plant.assets.get().external_id == "B1"
    assert TimeConfigBlock.objects.get(plant=plant).end_minute == 1440


def test_import_plants_names_every_problem_and_keeps_nothing(plants):
    plants.content[0]["assets"][0]["deviceId"] = "b1"
    plants.content.append({"externalPlantId": "P-2", "name": "Two", "colour": "red"})
    plants.path.write_text(json.dumps(plants.content))

    with pytest.raises(CommandError, match=r"\[1\]\.colour"):
        run("import_plants", str(plants.path), "--organisation", "acme", "--create", "Acme")

    assert not Plant.objects.exists()
    assert not Organisation.objects.exists()


def test_send_dry_run_checks_and_sends_nothing():
    plant = factories.plant()

    text = run("send", "mode", "PEAK_SHAVING", "--plant", plant.external_plant_id, "--dry-run")

    assert "nothing was sent" in text
    assert not Command.objects.exists()


def test_send_names_code_and_field_of_a_refusal():
    plant = factories.plant()

    with pytest.raises(CommandError, match=r"CONSTRAINT_VIOLATION payload.targetValueKw"):
        run(
            "send", "site-setpoint", "--plant", plant.external_plant_id, "--power-kw", "5000", "--direction", "EXPORT"
        )  # fmt: skip

    assert not Command.objects.exists()


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (("site-setpoint", "--energy-kwh", "5", "--direction", "IMPORT"), "site-setpoint"),
        (
            (
                "device",
                "--device",
                "B1",
                "--asset-type",
                "BESS",
                "--command",
                "BESS_CHARGE",
                "--power-kw",
                "5",
            ),
            "device",
        ),
        (("mode", "ZERO_EXPORT", "--for-minutes", "5"), "mode"),
        (("emergency", "HOLD"), "emergency"),
        (("json", "command.mode", '{"mode":"STANDARD"}'), "mode"),
    ],
)
def test_send_speaks_every_command_type(words, kind):
    plant = factories.plant()

    run("send", *words, "--plant", plant.external_plant_id)

    assert Command.objects.get().kind == kind


def test_send_release_needs_a_latched_plant_and_a_reason():
    plant = factories.plant()
    run("send", "emergency", "STOP", "--plant", plant.external_plant_id)

    with pytest.raises(CommandError, match="REASON_REQUIRED"):
        run("send", "release", "--plant", plant.external_plant_id)

    run("send", "release", "--plant", plant.external_plant_id, "--reason", "over")
    assert list(Command.objects.order_by("pk").values_list("kind", flat=True)) == ["emergency", "mode"]


def test_rotate_keys_writes_every_secret_under_the_newest_version(settings):
    link = factories.connection()
    old_version, old_key = next(iter(settings.FIELD_KEYS.items()))
    settings.FIELD_KEYS = {"k2": bytes(range(32)), old_version: old_key}

    run("rotate_keys")

    assert secret_versions() == {"k2"}
    settings.FIELD_KEYS = {"k2": bytes(range(32))}
    assert str(Connection.objects.get(pk=link.pk).api_key) == "key"


def test_rotate_keys_changes_nothing_while_a_secret_is_unreadable(settings):
    factories.connection()
    settings.FIELD_KEYS = {"k9": bytes(range(32))}

    with pytest.raises(CommandError, match=r"amqps_uri key version .* is not in FIELD_KEYS"):
        run("rotate_keys")


def test_the_database_check_finds_unreadable_and_outdated_secrets(settings):
    from esm.checks import stored_secrets_decrypt

    factories.connection()
    old_version, old_key = next(iter(settings.FIELD_KEYS.items()))
    settings.FIELD_KEYS = {"k2": bytes(range(32)), old_version: old_key}
    outdated = [problem.id for problem in stored_secrets_decrypt(databases=["default"])]
    settings.FIELD_KEYS = {"k2": bytes(range(32))}
    unreadable = [problem.id for problem in stored_secrets_decrypt(databases=["default"])]

    assert outdated == ["esm.W002"]
    assert unreadable == ["esm.E001"] * 3 + ["esm.W002"]


def test_health_of_a_loop_is_told_by_its_pulse(settings, tmp_path):
    settings.PULSE_DIR = str(tmp_path)
    with pytest.raises(CommandError, match="relay: does not run"):
        run("health", "relay")

    pulse.Pulse("relay").beat()

    assert "relay: alive" in run("health", "relay")


def test_each_worker_is_told_alive_by_ticks_of_its_own_kind(settings):
    settings.EMBEDDED = False
    cache.clear()
    with clock.frozen(AT):
        run_tick("queue_due", at=AT)

        assert "worker: alive" in run("health", "worker")
        assert "beat: alive" in run("health", "beat")
        with pytest.raises(CommandError, match="slow-worker: does not run"):
            run("health", "slow-worker")

        run_tick("journal", at=AT)
        assert "slow-worker: alive" in run("health", "slow-worker")


@pytest.mark.parametrize(("name", "tick"), [("worker", "queue_due"), ("slow-worker", "journal")])
def test_a_worker_whose_last_tick_is_too_old_is_not_healthy(settings, name, tick):
    """A slow tick may last until it is cut off; nothing else of its worker is heard meanwhile."""
    settings.EMBEDDED = False
    run_tick(tick, at=AT)
    limit_s = {"worker": 30, "slow-worker": 30 + settings.CELERY_TASK_TIME_LIMIT}[name]

    with clock.frozen(AT + timedelta(seconds=limit_s)):
        assert f"{name}: alive" in run("health", name)
    with clock.frozen(AT + timedelta(seconds=limit_s + 1)), pytest.raises(CommandError, match="last sign"):
        run("health", name)
