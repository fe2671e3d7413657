"""Backup and restore, rehearsed: a dump while rows are written, a fresh cluster, and nothing sent twice afterwards.

One rehearsal for all tests of this module: a world with secrets, commands in every state, readings in partitions and a
latch is backed up; then what was waiting is published, as it would have been before a disaster; the dump is restored
into an empty cluster, and the platform's own ticks and relay run there, within every replay margin.
"""

import dataclasses
import json
import stat
import subprocess
import sys
import threading
from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection, connections

from dispatch.models import Command
from dispatch.policy import current_policy
from dispatch.services.site_config import publish_changed
from dispatch.states import State
from esm import clock
from esm.backup import KEY_SETTINGS, Manifest, keys_as_env, manifest_of, read_manifest
from esm.postgres_tools import Database, ToolFailed, configured_database
from esm.restore import check_dump, differences, has_digests, restore_dump
from people.models import PersonSession
from plants.models import Installation, RecentTelemetryBody
from plants.services.partitions import forget_known_partitions
from tests import factories
from tests.dispatch.helpers import ask, claims, deliver, setpoint, stop_now
from tests.factories import SIGNING_KEY
from tests.link.helpers import hear, realtime
from tests.services.postgres import PostgresServer
from tests.services.proc import child_environment
from trading_api.models import Credential, ServedVersion

# pytest-django makes a database only when a test is marked so. The first test waits for the whole rehearsal.
pytestmark = [pytest.mark.django_db, pytest.mark.timeout(400)]
ROOT = Path(__file__).resolve().parent.parent.parent
API_KEY = "api-key-of-the-rehearsal"
AFTER_SENT = (
    State.SENT, State.ACCEPTED, State.QUEUED_BY_VOKE, State.PARTIAL, State.REJECTED, State.EXECUTING, State.COMPLETED,
    State.DEVIATED, State.FAILED, State.CANCELLED, State.SUPERSEDED, State.EXPIRED, State.RETURNED, State.REFUSED,
    State.UNCONFIRMED,
)  # fmt: skip


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rehearsal:
    """What was backed up, what was sent afterwards, what the restore said, and what the platform did there."""

    directory: Path
    dump: Path
    manifest: Manifest
    written_meanwhile: int
    sent_after_backup: frozenset[str]
    said: str
    found: dict
    there: Database
    server: PostgresServer


def plant(link):
    return factories.plant(on=link)


def build_world(at):
    """Commands named by their reason: every state, waiting ones attempted and not, planned ones due and later."""
    link = factories.connection(api_key=API_KEY, rest_base_url="")
    for state in AFTER_SENT:
        ask(plant(link), setpoint(valid_until=at + timedelta(hours=1)), at=at, reason=state.value)
    deliver(link, at=at)
    for state in AFTER_SENT:
        Command.objects.filter(reason=state.value).update(state=state)
    soon = at + timedelta(minutes=10)
    ask(plant(link), setpoint(valid_until=soon), at=at, reason="attempted")
    assert len(claims(link, at=at)) == 1
    ask(plant(link), setpoint(valid_until=soon), at=at, reason="waiting")
    ask(plant(link), stop_now(), at=at, reason="stop")
    due = {"due_at": at + timedelta(seconds=2), "reason": "due since"}
    ask(plant(link), setpoint(valid_until=soon), at=at, **due)
    later = {"due_at": at + timedelta(hours=4), "reason": "later"}
    ask(plant(link), setpoint(valid_until=at + timedelta(hours=5)), at=at, **later)
    publish_changed(at=at, policy=current_policy())
    measured = plant(link)
    hear(link, *(realtime(measured, at=at - timedelta(hours=hours)) for hours in (0, 24, 48)), at=at)
    credential = Credential.objects.create(
        organisation=link.organisation,
        client_id="client",
        secret_hash="x",
        pepper_version="p1",
        created_at=at,
    )
    ServedVersion.objects.create(credential=credential, plant=measured, number=3, served_at=at)
    PersonSession.objects.create(session_key="s", session_data="x", expire_date=at + timedelta(days=1))
    Installation.objects.create(pk=1, dispatch_enabled=True)
    return link


class Writer:
    """Rows in a table of their own thread, one transaction each, while the backup runs."""

    def __init__(self, plant_id):
        self._plant_id = plant_id
        self._stop = threading.Event()
        self.begun = threading.Event()
        self.count = 0
        self._thread = threading.Thread(target=self._write)

    def _write(self):
        try:
            while not self._stop.is_set():
                RecentTelemetryBody.objects.create(
                    plant_id=self._plant_id, routing_key="acme.x", received_at=clock.now(), body=b"x"
                )
                self.count += 1
                self.begun.set()
        finally:
            connections.close_all()

    def __enter__(self):
        self._thread.start()
        assert self.begun.wait(60)
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join(60)


def python(*words, url):
    """A process of ours on another database, with the keys of this one."""
    environment = child_environment(
        DATABASE_URL=url, DJANGO_SETTINGS_MODULE="esm.settings", LOG_LEVEL="ERROR"
    )
    return subprocess.run(
        [sys.executable, *words], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False
    )  # fmt: skip


def facts_of(server, name):
    return Database(
        {
            "ENGINE": "django.db.backends.postgresql", "NAME": name, "USER": "esm", "PASSWORD": server.password,
            "HOST": "127.0.0.1", "PORT": str(server.port),
        }
    )  # fmt: skip


@pytest.fixture(scope="module")
def rehearsal(django_db_setup, django_db_blocker, tmp_path_factory):
    directory = tmp_path_factory.mktemp("backup")
    with django_db_blocker.unblock(), PostgresServer(durable=False) as fresh:
        forget_known_partitions()
        try:
            link = build_world(clock.now())
            with Writer(link.plants.first().pk) as writer:
                before = writer.count
                call_command("backup", output=directory, stdout=StringIO())
                meanwhile = writer.count - before
            [dump] = directory.glob("*.dump")
            sent = frozenset(one.message_id for one in deliver(link, at=clock.now()))
            said = python("manage.py", "restore", str(dump), url=fresh.url)
            assert said.returncode == 0, said.stdout + said.stderr
            probed = python("-m", "tests.process.restored_probe", url=fresh.url)
            assert probed.returncode == 0, probed.stdout + probed.stderr
            yield Rehearsal(
                directory=directory,
                dump=dump,
                manifest=read_manifest(manifest_of(dump)),
                written_meanwhile=meanwhile,
                sent_after_backup=sent,
                said=said.stdout,
                found=json.loads(probed.stdout),
                there=facts_of(fresh, "esm"),
                server=fresh,
            )
        finally:
            call_command("flush", interactive=False, verbosity=0)
            connection.close()


# --- the backup -------------------------------------------------------------------------------------------------------


def test_the_backup_was_taken_while_rows_were_being_written(rehearsal):
    assert rehearsal.written_meanwhile > 0
    assert rehearsal.manifest.tables["plants_recenttelemetrybody"].rows > 0


def test_dump_and_manifest_are_for_their_owner_alone_and_nothing_half_is_left(rehearsal):
    files = sorted(rehearsal.directory.iterdir())

    assert [file.suffix for file in files] == [".dump", ".json"]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_neither_dump_nor_manifest_holds_a_key_or_a_secret_in_clear_text(rehearsal):
    packed = rehearsal.dump.read_bytes() + manifest_of(rehearsal.dump).read_bytes()
    plain = subprocess.run(
        ["pg_restore", "--file=-", rehearsal.dump], capture_output=True, timeout=120, check=True
    )

    keys = keys_as_env(child_environment()).encode()
    secrets = [
        API_KEY.encode(),
        SIGNING_KEY.encode(),
        *(line.partition(b"=")[2] for line in keys.splitlines()),
    ]
    assert [secret for secret in secrets if secret in packed or secret in plain.stdout] == []
    assert rehearsal.manifest.keys["FIELD_KEYS"].keys() == settings.FIELD_KEYS.keys()


# --- the restore ------------------------------------------------------------------------------------------------------


def test_every_row_of_every_table_is_as_it_was_in_the_snapshot(rehearsal):
    assert "every row is as it was backed up, and every secret can be read" in rehearsal.said
    assert rehearsal.manifest.tables["dispatch_command"].rows == len(AFTER_SENT) + 5
    assert len({facts.digest for facts in rehearsal.manifest.tables.values() if facts.rows}) > 10


def test_a_row_that_differs_is_found(rehearsal):
    """The probe changed rows there since."""
    differing = differences(manifest=rehearsal.manifest, database=rehearsal.there)

    assert any(line.startswith("dispatch_command: ") for line in differing)
    assert not any(line.startswith("plants_asset: ") for line in differing)


def test_secrets_are_decrypted_there_with_the_same_keys(rehearsal):
    [(api_key, signing_key, uri)] = rehearsal.found["secrets"]

    assert (api_key, signing_key) == (API_KEY, SIGNING_KEY)
    assert uri.startswith("amqps://")


def test_partitions_and_sequences_are_right(rehearsal):
    partitions = [
        name for name in rehearsal.found["partitions"] if name.startswith("plants_telemetryreading_2")
    ]

    assert len(partitions) >= 3
    assert (
        sum(rehearsal.manifest.tables[name].rows for name in partitions if name in rehearsal.manifest.tables)
        == 3
    )
    assert rehearsal.found["sequences behind"] == []
    assert rehearsal.found["new row"] > 0


# --- nothing twice ----------------------------------------------------------------------------------------------------


def test_dispatch_is_off_and_nothing_leaves_until_a_person_switches_it_on(rehearsal):
    assert rehearsal.found["dispatch"] is False
    assert rehearsal.found["published while off"] == []
    assert "dispatch is OFF" in rehearsal.said


def test_nothing_that_was_sent_after_the_backup_is_sent_again_and_no_command_of_then_is(rehearsal):
    """Within their replay margin, attempted or not, due since, and an emergency: only site config leaves."""
    keys = {key.partition(".")[2] for key, _ in rehearsal.found["published when on"]}

    assert rehearsal.sent_after_backup
    assert not {message for _, message in rehearsal.found["published when on"]} & rehearsal.sent_after_backup
    assert keys == {"config.topology", "config.constraints", "config.fallback"}


def test_what_may_have_been_sent_is_unconfirmed_with_its_reason_and_what_is_planned_stays_planned(rehearsal):
    states, causes = rehearsal.found["states"], rehearsal.found["causes"]

    doubtful = ("attempted", "waiting", "stop", "due since")
    assert {states[reason] for reason in doubtful} == {"UNCONFIRMED"}
    assert {causes[reason] for reason in doubtful} == {"RESTORED"}
    assert states["later"] == "SCHEDULED"


def test_what_was_known_of_every_other_command_is_known_there(rehearsal):
    assert {state: rehearsal.found["states"][state] for state in AFTER_SENT} == {
        state: state.value for state in AFTER_SENT
    }


def test_the_latch_holds_there_too(rehearsal):
    assert rehearsal.found["latches"] == 1


def test_no_etag_of_the_past_can_name_new_content(rehearsal):
    assert min(rehearsal.found["revisions"]) > 1_000_000


# --- refusals ---------------------------------------------------------------------------------------------------------


def test_a_database_that_is_not_empty_is_refused(rehearsal):
    with pytest.raises(ToolFailed, match="is not empty"):
        restore_dump(dump=rehearsal.dump, database=rehearsal.there, timeout_s=60)


def test_other_keys_are_refused_before_anything_is_touched(rehearsal, settings):
    settings.FIELD_KEYS = dict.fromkeys(settings.FIELD_KEYS, b"k" * 32)

    with pytest.raises(ToolFailed, match="lack keys of the backup: FIELD_KEYS"):
        check_dump(dump=rehearsal.dump, manifest=rehearsal.manifest, without_keys=False)
    check_dump(dump=rehearsal.dump, manifest=rehearsal.manifest, without_keys=True)


def test_a_backup_of_a_newer_version_of_the_platform_is_refused(rehearsal):
    newer = dataclasses.replace(
        rehearsal.manifest, migrations=(*rehearsal.manifest.migrations, "plants.9999_later")
    )

    with pytest.raises(ToolFailed, match=r"newer version of the platform: plants\.9999_later"):
        check_dump(dump=rehearsal.dump, manifest=newer, without_keys=False)


def test_a_torn_dump_is_refused(rehearsal, tmp_path):
    torn = tmp_path / "torn.dump"
    torn.write_bytes(rehearsal.dump.read_bytes()[:-1000])

    with pytest.raises(ToolFailed, match="cut or changed"):
        check_dump(dump=torn, manifest=rehearsal.manifest, without_keys=False)


def test_a_restore_that_fails_half_way_leaves_nothing(rehearsal, tmp_path):
    torn = tmp_path / "torn.dump"
    torn.write_bytes(rehearsal.dump.read_bytes()[:-1000])
    rehearsal.server.create_database("half")
    there = facts_of(rehearsal.server, "half")

    with pytest.raises(ToolFailed, match=r"pg_restore failed|psql failed"):
        restore_dump(dump=torn, database=there, timeout_s=60)

    with there.session() as session:
        tables = session.execute("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace")
        assert tables.fetchone() == (0,)


def test_a_program_that_takes_too_long_is_ended(rehearsal):
    rehearsal.server.create_database("slow")

    with pytest.raises(ToolFailed, match="failed"):
        restore_dump(dump=rehearsal.dump, database=facts_of(rehearsal.server, "slow"), timeout_s=0.001)


def test_a_database_that_is_not_there_is_named_in_words(rehearsal):
    with (
        pytest.raises(ToolFailed, match="database nowhere can't be reached"),
        facts_of(rehearsal.server, "nowhere").session(),
    ):
        pass


def test_a_backup_without_digests_does_not_count_as_compared_row_by_row(rehearsal):
    counted = {
        name: dataclasses.replace(facts, digest="") for name, facts in rehearsal.manifest.tables.items()
    }
    told = [
        has_digests(one)
        for one in (rehearsal.manifest, dataclasses.replace(rehearsal.manifest, tables=counted))
    ]

    assert told == [True, False]


def test_settling_another_database_than_the_one_named_is_refused():
    with pytest.raises(CommandError, match="not somewhere-else"):
        call_command("settle_restored", database="somewhere-else")


# --- keys -------------------------------------------------------------------------------------------------------------


def test_keys_are_written_as_lines_of_env_for_their_owner_alone(tmp_path):
    call_command("backup_keys", output=str(tmp_path / "keys.env"), stdout=StringIO())

    lines = (tmp_path / "keys.env").read_text().splitlines()
    assert [line.partition("=")[0] for line in lines] == list(KEY_SETTINGS)
    assert all(line.partition("=")[2] for line in lines)
    assert stat.S_IMODE((tmp_path / "keys.env").stat().st_mode) == 0o600


def test_keys_are_not_written_beside_a_dump(rehearsal):
    with pytest.raises(CommandError, match="belong elsewhere"):
        call_command("backup_keys", output=str(rehearsal.directory / "keys.env"))


def test_the_password_of_the_database_is_not_on_the_command_line():
    database = configured_database()

    assert settings.DATABASE_SERVER.password not in database.address
    assert database.environment()["PGPASSWORD"] == settings.DATABASE_SERVER.password
