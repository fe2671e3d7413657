"""docker-compose.yml: its rules, and every service's command with its environment as a process of this machine."""

import re
import subprocess
import sys

import psycopg
import pytest
import yaml

from dispatch.models import OutboundMessage
from esm.tasks import app
from esm.ticks import TICKS
from plants.models import Connection, LinkHealth, TelemetryReading
from scripts.new_env import filled
from tests.process.compose import COMPLETED, FILE, HEALTHY, MissingVariable, interpolated, read_compose
from tests.process.local_stack import PORTS, LocalStack, image_environment
from tests.process.processes import ROOT
from tests.services.proc import wait_until
from trading_api.models import Credential, PullJournal

EXAMPLE = (ROOT / ".env.example").read_text(encoding="utf-8")
TEXT = FILE.read_text(encoding="utf-8")
APP_SECRETS = ("DJANGO_SECRET_KEY", "FIELD_KEYS", "SECRET_PEPPERS", "JWT_KEYS")
PLATFORM = {"migrate", "web", "worker", "slow-worker", "beat", "relay", "consumer"}
SIM = {"sim-init", "rabbitmq", "sim-connect", "voke-sim"}
# Compose uses these itself, gives them to fewer services (AMQP_CA_FILE), or the image decides (paths in it).
NOT_SHARED = {"POSTGRES_PASSWORD", "REDIS_PASSWORD", "WEB_BIND", "ESM_TAG", "AMQP_CA_FILE"} | {
    "STATIC_ROOT",
    "PULSE_DIR",
}


def new_variables() -> dict[str, str]:
    """What `scripts/new_env.py` writes into `.env`."""
    return dict(re.findall(r"^([A-Z_]+)=(.+)$", filled(EXAMPLE, "esm.example.com"), re.MULTILINE))


@pytest.fixture(scope="module")
def compose():
    return read_compose(new_variables())


def every_service(compose):
    return compose.services.values()


# Reading ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("$A-${A}", "a-a"),
        ("${NONE:-x}${EMPTY:-y}${A:-z}", "xya"),
        ("${NONE:+x}${EMPTY:+x}${A:+/run/b}", "/run/b"),
        ("${A:?must be there}", "a"),
        ("exec $$HOME", "exec $HOME"),
    ],
)
def test_variables_are_replaced_as_compose_does(text, result):
    assert interpolated(text, {"A": "a", "EMPTY": ""}) == result


@pytest.mark.parametrize(
    "name", ["ALLOWED_HOSTS", "CSRF_TRUSTED_ORIGINS", "POSTGRES_PASSWORD", "REDIS_PASSWORD"]
)
@pytest.mark.parametrize("change", [dict.pop, lambda variables, name: variables.update({name: ""})])
def test_a_required_variable_that_is_missing_or_empty_is_refused_by_name(name, change):
    variables = new_variables()
    change(variables, name)

    with pytest.raises(MissingVariable, match=f"^{name}: is required"):
        read_compose(variables)


@pytest.mark.parametrize("name", APP_SECRETS)
def test_migrate_on_which_all_others_wait_refuses_a_missing_secret_by_name(name, tmp_path):
    variables = new_variables()
    del variables[name]
    migrate = read_compose(variables).services["migrate"]
    environment = {
        **image_environment(),
        **migrate.environment,
        # A developer's machine may have the demo's settings; the image has none.
        "ESM_VAR_DIR": str(tmp_path),
    }

    done = subprocess.run(
        [sys.executable, *migrate.command[1:]],
        env=environment, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert done.returncode != 0
    assert f"{name}: is required" in done.stderr


# Rules ------------------------------------------------------------------------------------------------------


def test_without_a_profile_there_is_the_platform_and_its_two_servers(compose):
    assert {service.name for service in compose.active()} == PLATFORM | {"postgres", "redis"}
    assert {service.name for service in compose.active("sim")} == PLATFORM | SIM | {"postgres", "redis"}


def test_no_service_may_gain_rights_write_its_root_or_fill_the_host(compose):
    for service in every_service(compose):
        raw = service.raw
        assert raw["read_only"] is True, service.name
        assert raw["cap_drop"] == ["ALL"] and "cap_add" not in raw and "privileged" not in raw, service.name
        assert raw["security_opt"] == ["no-new-privileges:true"], service.name
        assert {"max-size", "max-file"} <= set(raw["logging"]["options"]), service.name
        assert set(raw["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}, service.name
        assert any(mount.startswith("/tmp:size=") for mount in raw["tmpfs"]), service.name


def test_no_service_runs_as_root(compose):
    ours = [service for service in every_service(compose) if service.is_ours]
    images = [service for service in every_service(compose) if not service.is_ours]

    assert "\nUSER 10001:10001\n" in (ROOT / "Dockerfile").read_text()
    assert not any("user" in service.raw for service in ours)
    assert {service.raw["user"] for service in images} == {"999:999"}


def test_every_long_running_service_has_a_health_check_a_grace_and_comes_back(compose):
    one_shots = {service.name for service in every_service(compose) if service.is_one_shot}

    assert one_shots == {"migrate", "sim-init", "sim-connect"}
    for service in every_service(compose):
        if service.is_one_shot:
            assert service.raw["restart"] == "no"
            continue
        assert service.raw["restart"] == "unless-stopped", service.name
        assert service.stop_grace_s >= 15, service.name
        assert service.health_timeout_s > 0, service.name
        assert {"interval", "retries", "start_period", "start_interval"} <= set(service.raw["healthcheck"])


def test_our_processes_get_their_signals_and_their_children_are_reaped(compose):
    ours = [service for service in every_service(compose) if service.is_ours]

    assert all(service.raw["init"] is True for service in ours)
    assert all(isinstance(service.raw["command"], list) for service in ours)


@pytest.mark.parametrize("profiles", [(), ("sim",)])
def test_somebody_waits_for_every_one_shot_else_up_wait_would_call_its_end_a_failure(compose, profiles):
    active = compose.active(*profiles)
    awaited = {
        need for service in active for need, how in service.needs.items() if how["condition"] == COMPLETED
    }

    assert {service.name for service in active if service.is_one_shot} <= awaited


def test_a_service_waits_for_health_or_completion_never_for_a_mere_start(compose):
    for service in every_service(compose):
        for need, how in service.needs.items():
            expected = COMPLETED if compose.services[need].is_one_shot else HEALTHY
            assert how["condition"] == expected, f"{service.name} -> {need}"


def test_only_web_is_published_and_by_default_to_this_machine_only(compose):
    published = {
        service.name: service.raw["ports"] for service in every_service(compose) if "ports" in service.raw
    }
    moved = read_compose({**new_variables(), "WEB_BIND": "192.0.2.7:443"})

    assert published == {"web": ["127.0.0.1:8000:8000"]}
    assert moved.services["web"].raw["ports"] == ["192.0.2.7:443:8000"]
    assert not any(
        "network_mode" in s.raw and s.raw["network_mode"] == "host" for s in every_service(compose)
    )


def test_database_and_cache_are_on_a_network_without_a_way_out_and_keep_their_data(compose):
    assert compose.raw["networks"]["inside"] == {"internal": True}
    for name in ("postgres", "redis"):
        service = compose.services[name]
        assert service.raw["networks"] == ["inside"]
        assert [volume for volume, _ in service.mounts.values()] == [name]
    assert {"postgres", "redis"} <= set(compose.raw["volumes"])


def test_no_password_or_key_has_a_value_in_the_file():
    names = re.compile(r"PASSWORD|SECRET|KEY|PEPPER|AUTH")
    defaults = re.findall(r"\$\{([A-Z_]+):-([^}]*)\}", TEXT)
    values = [
        (name, value)
        for body in yaml.safe_load(TEXT)["services"].values()
        for name, value in body.get("environment", {}).items()
        if names.search(name)
    ]

    assert {default for name, default in defaults if names.search(name)} == {"./deploy/no-secret"}
    for name, value in values:
        # Required, passed through, or the path of a file.
        assert value is None or value.startswith(("${", "/srv/sim/voke/")), name


def test_images_are_pinned_to_a_version(compose):
    for service in every_service(compose):
        if not service.is_ours:
            assert re.search(r":\d+(\.\d+)?(-\w+)?$", service.raw["image"]), service.name


def test_every_setting_of_the_example_reaches_every_process_of_the_platform(compose):
    named = set(re.findall(r"^(?:# )?([A-Z_]+)=", EXAMPLE, re.MULTILINE)) - NOT_SHARED
    variables = {**new_variables(), **dict.fromkeys(named, "given")}
    given = read_compose(variables)

    for name in PLATFORM | {"sim-connect"}:
        assert named <= set(given.services[name].environment), name


def test_a_setting_that_is_not_given_stays_unset(compose):
    assert "LOG_LEVEL" not in compose.services["web"].environment
    assert "STATIC_ROOT" not in compose.services["web"].environment  # the image's own


@pytest.mark.parametrize("name", APP_SECRETS)
def test_a_secret_may_be_a_file_of_the_host(name):
    variables = new_variables()
    del variables[name]
    compose = read_compose({**variables, f"{name}_FILE": "/etc/esm/secret"})

    for service in PLATFORM | {"sim-connect"}:
        assert compose.services[service].environment[f"{name}_FILE"] == f"/run/secrets/{name.lower()}"
        assert name not in compose.services[service].environment
        assert name.lower() in compose.services[service].raw["secrets"]
    assert compose.raw["secrets"][name.lower()]["file"] == "/etc/esm/secret"


def test_a_secret_that_is_no_file_mounts_one_that_says_so(compose):
    for name in APP_SECRETS:
        assert compose.services["web"].environment[f"{name}_FILE"] == ""
        assert "Never read" in (ROOT / compose.raw["secrets"][name.lower()]["file"]).read_text()


def queues_of_workers(compose):
    """{service: the queues that its worker serves}."""
    words = {
        service.name: service.command for service in every_service(compose) if "worker" in service.command
    }
    return {
        name: {word.partition("=")[2] for word in command if word.startswith("--queues=")}
        for name, command in words.items()
    }


def test_every_ticks_queue_has_a_worker_and_due_commands_share_theirs_with_no_slow_tick(compose):
    queues = {name: plan["options"]["queue"] for name, plan in app.conf.beat_schedule.items()}
    slow, quick = ({queues[tick.name] for tick in TICKS if tick.slow is kind} for kind in (True, False))
    served = queues_of_workers(compose)

    assert served == {"worker": quick, "slow-worker": slow}
    assert not slow & quick


def test_only_what_talks_to_others_has_a_way_out(compose):
    outside = {
        service.name for service in every_service(compose) if "outside" in service.raw.get("networks", [])
    }

    assert outside & PLATFORM == {"web", "slow-worker", "relay", "consumer"}


# The profile sim ----------------------------------------------------------------------------------------------


def test_the_platform_sees_of_the_sim_only_its_authority_and_voke_none_of_the_platforms_secrets(compose):
    for name in ("relay", "consumer"):
        assert compose.services[name].mounts == {"/srv/sim/tls": ("sim-tls", True)}
    for name in ("web", "worker", "slow-worker", "beat", "migrate"):
        assert compose.services[name].mounts == {}
    voke = compose.services["voke-sim"]
    assert set(voke.mounts) == {"/srv/sim/tls", "/srv/sim/voke"}
    assert "secrets" not in voke.raw
    assert not set(APP_SECRETS) & set(voke.environment)


def test_a_volume_is_mounted_where_the_image_has_a_folder_of_its_user(compose):
    made = set(re.search(r"^    (/srv/sim .*)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)[1].split())
    mounted = {
        target
        for service in every_service(compose)
        for target in service.mounts
        if target.startswith("/srv/")
    }

    assert mounted <= made


def test_make_up_gives_relay_and_consumer_the_authority_of_the_sim(compose):
    plan = subprocess.run(
        ["make", "--dry-run", "up", "PROFILE=sim"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    ).stdout
    path, private = re.search(
        r"AMQP_CA_FILE=(\S+) CONNECT_ALLOW_PRIVATE=(\S+) docker compose --profile sim ", plan
    ).groups()
    with_sim = read_compose({**new_variables(), "AMQP_CA_FILE": path, "CONNECT_ALLOW_PRIVATE": private})

    for name in ("relay", "consumer"):
        assert with_sim.services[name].environment["AMQP_CA_FILE"] == path == "/srv/sim/tls/ca.pem"
        assert compose.services[name].environment["AMQP_CA_FILE"] == ""
        assert with_sim.services[name].environment["CONNECT_ALLOW_PRIVATE"] == "true"
    assert "AMQP_CA_FILE" not in with_sim.services["web"].environment


def test_the_image_has_every_room_and_what_pages_load():
    named = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    rooms = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests", "bench"}

    assert rooms | {"manage.py", "requirements.txt", "scripts", "static"} <= named


# Everything runs --------------------------------------------------------------------------------------------


@pytest.fixture
def stack(tmp_path):
    """The profile sim; one secret is a file, as in a hardened installation."""
    variables = {
        **new_variables(),
        "AMQP_CA_FILE": "/srv/sim/tls/ca.pem",
        "CONNECT_ALLOW_PRIVATE": "true",
    }
    secret = tmp_path / "field_keys"
    secret.write_text(variables.pop("FIELD_KEYS") + "\n")
    compose = read_compose({**variables, "FIELD_KEYS_FILE": str(secret)})
    with LocalStack(compose, "sim", directory=tmp_path) as local:
        yield local


def test_every_service_runs_turns_healthy_closes_the_loop_survives_a_second_up_and_stops_in_order(stack):
    stack.up()

    with psycopg.connect(stack.database_url, autocommit=True, connect_timeout=10) as database:
        for table, condition in (
            (TelemetryReading, "TRUE"),
            (PullJournal, "endpoint = 'list' AND status = 200"),
            (OutboundMessage, "outcome = 'CONFIRMED'"),
            (LinkHealth, "role = 'PUBLISH' AND state = 'CONNECTED'"),
            (LinkHealth, "role = 'CONSUME' AND state = 'CONNECTED'"),
        ):
            wait_until(
                lambda table=table, condition=condition: count(database, table, condition),
                timeout_s=120,
                what=f"{table._meta.db_table} where {condition}",
                interval_s=0.1,
            )
        before = identity(stack, database)
        for name in ("migrate", "sim-init", "sim-connect"):
            stack.run_again(name)
        after = identity(stack, database)

    assert after == before
    assert all(stack.is_healthy(name) for name in PORTS)
    assert stack.down() == dict.fromkeys([*(PLATFORM - {"migrate"}), "redis", "voke-sim"], 0)


def count(database, model, condition):
    return database.execute(f"SELECT count(*) FROM {model._meta.db_table} WHERE {condition}").fetchone()[0]


def identity(stack, database):
    """What a second `up` must leave as it is: rows, keys, certificates, credentials."""
    rows = {model.__name__: count(database, model, "TRUE") for model in (Connection, Credential)}
    volumes = stack.volume_files()
    return rows, {name: volumes[name] for name in volumes if "journal" not in name}
