"""The support bundle: what helps is in it, no secret of any kind is, and it is made with the database away too."""

import base64
import io
import json
import stat
import uuid
import zipfile
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection

from dispatch.models import Command, CommandEvent, Outcome
from esm import clock
from plants.models import Alarm, LinkHealth, LinkState, User
from plants.services.dead_letters import Letter, store_dead_letters
from tests import factories
from tests.dispatch.helpers import ask, broker_says, claims, deliver, setpoint
from tests.factories import AT
from tests.link.helpers import hear, realtime
from trading_api.models import Credential, PullJournal
from watch import support, support_database
from watch.models import Notification, NotificationChannel
from watch.services.ticks import note_tick
from watch.support import DATABASE_PARTS, OWN_PARTS, make_bundle
from watch.support_installation import SHOWN, revision
from watch.support_redaction import Redactor

pytestmark = pytest.mark.django_db


def members(bundle):
    with zipfile.ZipFile(io.BytesIO(bundle.content)) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


def part(name, *, at=AT):
    return json.loads(members(make_bundle(at=at))[name])


# --- no secret --------------------------------------------------------------------------------------------------------

KEY = base64.b64encode(b"field-key-of-32-bytes-0123456789").decode()
PEPPER = base64.b64encode(b"a-pepper-of-32-bytes-01234567890").decode()
SECRETS = {
    "API key": "api-key-plain-4711",
    "signing key": "5ec4e7" * 10 + "abcd",
    "password of the address": "amqp-pass-4711",
    "hash of a client secret": "c11e47" * 10 + "beef",
    "hash of a person's password": "argon2-hash-4711",
    "person's name": "anna.operator",
    "person's e-mail address": "anna@acme.example",
    "webhook's secret": "webhook-secret-4711",
    "webhook's address": "https://hooks.example/T4711/B4711",
    "addresses of a channel": "oncall@acme.example",
    "body of a message": "body-marker-4711",
    "body of a dead letter": "letter-marker-4711",
    "header of a dead letter": "header-marker-4711",
    "body in the journal": "journal-marker-4711",
    "reason that a person wrote": "reason-marker-4711",
    "address of a client": "203.0.113.77",
    "SECRET_KEY": "django-secret-key-4711" * 3,
    "FIELD_KEYS": KEY,
    "SECRET_PEPPERS": PEPPER,
    "EMAIL_PASSWORD": "mail-pass-4711",
    "METRICS_TOKEN": "metrics-token-4711" * 2,
    "REDIS password": "redis-pass-4711",
}


QUOTED = (
    "API key", "signing key", "FIELD_KEYS", "METRICS_TOKEN", "webhook's address", "person's e-mail address",
)  # fmt: skip


@pytest.fixture
def world(settings):
    """Every kind of secret, in rows and in settings, and texts of libraries that quote some of them."""
    settings.SECRET_KEY = SECRETS["SECRET_KEY"]
    settings.SECRET_PEPPERS = {"p1": base64.b64decode(PEPPER)}
    settings.FIELD_KEYS = {"k1": base64.b64decode(KEY)}
    settings.EMAIL_HOST_PASSWORD = SECRETS["EMAIL_PASSWORD"]
    settings.METRICS_TOKEN = SECRETS["METRICS_TOKEN"]
    settings.REDIS_URL = f"redis://:{SECRETS['REDIS password']}@redis:6379/0"
    uri = f"amqps://acme:{SECRETS['password of the address']}@broker:5671/partner-1"
    link = factories.connection(api_key=SECRETS["API key"], signing_key=SECRETS["signing key"], amqps_uri=uri)
    quoted = " ".join([uri, *(SECRETS[name] for name in QUOTED)])
    assert len(quoted) < 400
    people_and_channels(link, quoted)
    LinkHealth.objects.create(
        connection=link, role="CONSUME", state=LinkState.DOWN, since=AT, seen_at=AT, error_code="LINK_DOWN",
        last_error=quoted, error_at=AT,
    )  # fmt: skip
    return wire(link, quoted)


def people_and_channels(link, quoted):
    User.objects.create(
        username=SECRETS["person's name"],
        email=SECRETS["person's e-mail address"],
        password=SECRETS["hash of a person's password"],
    )
    Credential.objects.create(
        organisation=link.organisation, client_id="client-1", pepper_version="p1", created_at=AT,
        secret_hash=SECRETS["hash of a client secret"],
    )  # fmt: skip
    channel = NotificationChannel.objects.create(
        name="hook", kind="WEBHOOK", created_at=AT, url=SECRETS["webhook's address"],
        secret=SECRETS["webhook's secret"], addresses=SECRETS["addresses of a channel"],
    )  # fmt: skip
    Notification.objects.create(
        channel=channel, uid=uuid.UUID(int=1), event="RAISED", severity="ERROR", rank=2, code="X",
        content={"message": SECRETS["body of a message"]}, state="FAILED", made_at=AT, last_error=quoted,
    )  # fmt: skip


def wire(link, quoted):
    """A returned command, a dead letter, a reading and a failed pull."""
    plant = factories.plant(on=link)
    command = ask(plant, setpoint(), reason=SECRETS["reason that a person wrote"])
    broker_says(Outcome.RETURNED, *claims(link), detail=quoted)
    CommandEvent.objects.filter(command=command).update(
        actor=SECRETS["person's name"], detail={"payload": SECRETS["body of a message"], "broker": quoted}
    )
    command.messages.update(body=SECRETS["body of a message"].encode())
    marker = SECRETS["body of a dead letter"]
    letter = Letter(
        queue="q", routing_key="acme.x", headers={"x": SECRETS["header of a dead letter"]}, body=marker.encode(),
        reason="BAD_JSON", path="", detail=marker,
    )  # fmt: skip
    store_dead_letters(connection_id=link.pk, letters=[letter], at=AT)
    hear(link, realtime(plant, note=SECRETS["body of a message"]))
    PullJournal.objects.create(
        at=AT, endpoint="update", method="POST", status=500, latency_ms=1, bytes_in=1, bytes_out=1, detail=quoted,
        body=SECRETS["body in the journal"], address=SECRETS["address of a client"],
    )  # fmt: skip
    return command


def test_no_member_holds_any_secret_whatever_quoted_it(world):
    bundle = make_bundle(at=AT)

    found = {
        (kind, name)
        for name, text in members(bundle).items()
        for kind, secret in SECRETS.items()
        if secret in text
    }
    assert found == set()
    assert bundle.problems == {}
    assert "[redacted]" in members(bundle)["links.json"]


def test_what_could_not_be_decrypted_is_taken_out_as_it_stands(world):
    link = world.connection
    type(link).objects.filter(pk=link.pk).update(name="clear-text-key-4711")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE plants_connection SET api_key = %s", ["clear-text-key-4711"])

    assert "clear-text-key-4711" not in str(members(make_bundle(at=AT)))


def test_a_setting_that_is_not_on_the_list_is_only_told_to_be_set_or_not(settings):
    settings.A_NEW_SETTING = "its value"
    settings.ANOTHER_NEW_SETTING = ""

    shown = part("settings.json")

    assert (shown["A_NEW_SETTING"], shown["ANOTHER_NEW_SETTING"]) == ("[set]", "[not set]")
    assert (shown["SECRET_KEY"], shown["RELAY_WINDOW"]) == ("[set]", settings.RELAY_WINDOW)
    assert shown["DATABASES"]["default"].keys() == {"ENGINE", "NAME", "HOST", "PORT", "PASSWORD"}


def test_no_setting_that_is_shown_is_called_like_a_secret():
    words = ("SECRET", "KEY_", "KEYS", "PASSWORD", "PEPPER", "TOKEN", "URL", "USER")
    assert {name for name in SHOWN if any(word in name for word in words)} == {
        "TRADING_TOKEN_AUDIENCE",
        "TRADING_TOKEN_ISSUER",
        "TRADING_TOKEN_TTL_S",
    }


# --- what helps -------------------------------------------------------------------------------------------------------


def test_versions_packages_and_migrations_are_in_it():
    versions, migrations = part("versions.json"), part("migrations.json")

    assert versions["packages"]["Django"]
    assert versions["made_at"] == AT.isoformat()
    assert "plants.0001_initial" in migrations["applied"]
    assert (migrations["pending"], migrations["unknown to this code"]) == ([], [])


def test_a_link_that_is_down_is_told_with_its_error_and_what_to_do(world):
    [link] = part("links.json")
    [error] = part("errors.json")["links"]

    consume = link["halves"][1]
    assert (link["state"], consume["state"], consume["code"]) == ("DOWN", "DOWN", "LINK_DOWN")
    assert link["advice"]
    assert error["error_code"] == "LINK_DOWN"
    assert error["last_error"].startswith("[redacted]")


def test_a_command_in_doubt_is_told_with_its_messages_and_everything_that_happened(world):
    [told] = part("commands_in_doubt.json")

    assert (told["id"], told["state"], told["cause"]) == (world.pk, "RETURNED", "BROKER_RETURNED")
    assert [message["outcome"] for message in told["messages"]] == ["RETURNED"]
    assert [event["word"] for event in told["events"]] == ["SCHEDULED", "QUEUED", "RETURNED"]
    assert {event["actor"] for event in told["events"]} == {"a person"}
    assert "payload" not in told["events"][0]["detail"]


def test_a_command_that_went_well_is_not_in_it():
    plant = factories.plant()
    ask(plant, setpoint())
    deliver(plant.connection)
    Command.objects.update(state="COMPLETED")

    assert part("commands_in_doubt.json") == []


def test_dead_letters_ticks_alarms_and_failed_pulls_are_told(world):
    note_tick(name="queue_due", started_at=AT, duration_s=1, error=ValueError())
    facts = {"code": "X", "severity": "ERROR", "raised_at": AT, "told_at": AT, "received_at": AT}
    Alarm.objects.create(alarm_id="1", origin="PLATFORM", message="our words", **facts)
    Alarm.objects.create(alarm_id="2", origin="VOKE", message="their words", **facts)

    errors = part("errors.json")

    assert [(one["reason"], one["letters"]) for one in part("dead_letters.json")] == [("BAD_JSON", 1)]
    assert [one["error_code"] for one in errors["ticks"]] == ["ValueError"]
    assert [one["status"] for one in errors["pulls answered by 5xx"]] == [500]
    assert [one["error_code"] for one in errors["notifications"]] == [""]
    assert {one["message"] for one in part("alarms.json")} == {"our words", ""}
    assert "esm_dead_letters_open{" in members(make_bundle(at=AT))["metrics.txt"]


def test_sizes_are_told():
    assert part("database.json")["bytes"] > 0


@pytest.mark.postgresql
def test_sizes_tell_tables_partitions_and_sessions():
    told = part("database.json")

    assert {"plants_plant", "dispatch_command"} <= {row["name"] for row in told["largest tables"]}
    assert sum(row["number"] for row in told["sessions"]) >= 1


# --- bounds -----------------------------------------------------------------------------------------------------------


def test_lists_have_an_end(monkeypatch):
    monkeypatch.setattr(support_database, "NEWEST", 2)
    plant = factories.plant()
    for _ in range(4):
        ask(plant, setpoint())
    Command.objects.update(state="UNCONFIRMED")

    told = part("commands_in_doubt.json", at=AT + timedelta(minutes=1))

    assert [one["id"] for one in told] == sorted(Command.objects.values_list("pk", flat=True))[:-3:-1]


def test_a_part_that_fails_is_named_and_the_others_stand(monkeypatch):
    def broken(_at):
        raise OperationalError("canceling statement: password wrong at db.internal")

    monkeypatch.setattr(support, "DATABASE_PARTS", {**DATABASE_PARTS, "links.json": broken})

    bundle = make_bundle(at=AT)

    assert bundle.problems == {"links.json": "OperationalError"}
    assert "links.json: OperationalError" in members(bundle)["README.txt"]
    assert "db.internal" not in str(members(bundle))
    assert "errors.json" in bundle.members


def test_when_time_is_over_the_rest_is_left_out():
    now = [0.0]

    def later():
        now[0] += 20
        return now[0]

    bundle = make_bundle(at=AT, monotonic=later)

    assert {"database.json", "commands_in_doubt.json"} <= bundle.problems.keys()
    assert "migrations.json" in bundle.members


def test_with_the_database_away_it_says_so_and_gives_the_rest(monkeypatch):
    def gone(*, wait_s):
        raise OperationalError("no route to esm:pw@db.internal")

    monkeypatch.setattr(support, "ask_database", gone)

    bundle = make_bundle(at=AT)

    assert set(bundle.members) == {*OWN_PARTS, "README.txt"}
    assert set(bundle.problems) == set(DATABASE_PARTS)
    assert "the database is away: OperationalError" in members(bundle)["README.txt"]


def test_without_knowing_what_to_take_out_nothing_of_the_database_goes_in(monkeypatch):
    def broken():
        raise OperationalError

    monkeypatch.setattr(support, "secrets_of_rows", broken)

    assert set(make_bundle(at=AT).members) == {*OWN_PARTS, "README.txt"}


# --- the command ------------------------------------------------------------------------------------------------------


def test_the_command_writes_one_file_for_its_owner_alone_and_overwrites_none(tmp_path, capsys):
    path = tmp_path / "bundle.zip"
    with clock.frozen(AT):
        call_command("support_bundle", output=path)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert zipfile.is_zipfile(path)
    assert "bundle.zip: 11 files" in capsys.readouterr().err
    with pytest.raises(CommandError, match="File exists"):
        call_command("support_bundle", output=path)


def test_the_command_writes_to_standard_output_where_there_is_no_disk(capfdbinary):
    with clock.frozen(AT):
        call_command("support_bundle", output="-")

    with zipfile.ZipFile(io.BytesIO(capfdbinary.readouterr().out)) as archive:
        assert "README.txt" in archive.namelist()


def test_the_revision_is_read_from_a_checkout_in_each_of_its_forms(tmp_path):
    git = tmp_path / ".git"
    (git / "refs" / "heads").mkdir(parents=True)
    assert revision(tmp_path) == ""
    (git / "HEAD").write_text("ref: refs/heads/main\n")
    (git / "packed-refs").write_text("# pack-refs\nabc123 refs/heads/main\n")
    assert revision(tmp_path) == "abc123"
    (git / "refs" / "heads" / "main").write_text("def456\n")
    assert revision(tmp_path) == "def456"
    (git / "HEAD").write_text("789abc\n")
    assert revision(tmp_path) == "789abc"


def test_texts_are_cut_and_short_secrets_do_not_eat_them():
    clean = Redactor(["", "a", "long-secret", "long-secret-indeed"]).clean

    assert clean({"x": ["a long-secret-indeed", 1, None]}) == {"x": ["a [redacted]", 1, None]}
    assert clean("y" * 5000).endswith("… (5000 characters)")
