"""Log lines: one per event with its ids, and no secret, body or password in any of them, tracebacks included."""

import ast
import json
import logging
import re
from pathlib import Path

import pytest
import structlog
from django.test import Client

from esm.logs import REDACTED, REDACTED_KEYS, configure_logging, redact
from esm.ticks import BY_NAME, Tick, run_tick
from link.side_thread import SideThread
from plants.encryption import Secret
from plants.redaction import scrub
from tests.factories import AT
from trading_api.models import PullJournal

ROOT = Path(__file__).resolve().parent.parent.parent
URI = "amqps://acme:very-secret@localhost:5671/partner-1"


@pytest.fixture
def lines(capsys):
    """What is logged within the test, as lines; the logging of the test run is put back."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    saved = structlog.get_config()
    yield lambda: [line for line in capsys.readouterr().err.splitlines() if line]
    root.handlers, root.level = handlers, level
    structlog.configure(**saved)


def logged(event):
    return redact(None, "info", dict(event))


@pytest.mark.parametrize(
    "key",
    ["password", "api_key", "apiKey", "signing_key", "signingKey", "Authorization", "X-API-Key", "body", "payload",
     "token", "accessToken", "access_token", "clientSecret", "client_secret", "amqps_uri", "signature", "Set-Cookie"],
)  # fmt: skip
def test_what_is_called_like_a_secret_is_never_shown(key):
    assert logged({key: "very-secret"}) == {key: REDACTED}


def test_a_secret_within_a_structure_is_not_shown_either():
    event = {"headers": {"Authorization": "Bearer x", "Accept": "json"}, "items": [{"password": "x", "n": 1}]}

    assert logged(event) == {
        "headers": {"Authorization": REDACTED, "Accept": "json"},
        "items": [{"password": REDACTED, "n": 1}],
    }


def test_a_decrypted_secret_is_not_shown_whatever_it_is_called():
    assert logged({"value": Secret("very-secret"), "many": [Secret("very-secret")]}) == {
        "value": REDACTED,
        "many": [REDACTED],
    }


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"can't reach {URI}", "can't reach amqps://***@localhost:5671/partner-1"),
        ("redis://:very-secret@redis:6379/0", "redis://***@redis:6379/0"),
        ("amqps://acme:very@secret@host/1 not reached", "amqps://***@host/1 not reached"),
        ("https://api.voke.turena.cz/api/v1", "https://api.voke.turena.cz/api/v1"),
        ("mail anna@example.com", "mail anna@example.com"),
        ("sent Authorization: Bearer abcdefgh12345678", "sent Authorization: Bearer ***"),
        ("token eyJhbGciOiJub25l.eyJzdWIiOiIxIn0.c2ln refused", "token *** refused"),
        (
            'null value in column "x"\nDETAIL:  Failing row contains (1, very-secret\nbody of it, 2).\nCONTEXT:  COPY',
            'null value in column "x"\nDETAIL:  ***\nCONTEXT:  COPY',
        ),
        ("DETAIL:  Key (name)=(very-secret) already exists.", "DETAIL:  ***"),
    ],
)
def test_user_and_password_of_an_address_are_cut_out_of_every_text(text, shown):
    assert scrub(text) == shown
    assert logged({"error": text}) == {"error": shown}


def test_a_structure_that_contains_itself_has_an_end():
    loop = {}
    loop["again"] = loop

    assert REDACTED in str(logged({"loop": loop}))


def test_what_is_no_text_is_shown_as_text_without_secrets_and_bytes_not_at_all():
    event = {"error": ConnectionError(f"no route to {URI}"), "seen": {URI}, "raw": b"very-secret"}

    told = logged(event)

    assert "very-secret" not in str(told)
    assert (told["error"], told["raw"]) == (
        "ConnectionError('no route to amqps://***@localhost:5671/partner-1')",
        REDACTED,
    )


def test_what_is_no_secret_stays_as_it_is():
    event = {
        "action": "relay.published",
        "count": 3,
        "connection_id": 7,
        "ok": True,
        "nothing": None,
        "ratio": 0.5,
    }

    assert logged(event) == event


@pytest.mark.parametrize("fmt", ["json", "console"])
def test_a_traceback_tells_neither_the_passwords_of_addresses_nor_local_variables(lines, fmt):
    configure_logging(level="INFO", fmt=fmt)
    local_secret = "in-a-local-variable"

    def fail():
        kept = local_secret
        raise ConnectionError(f"no route to {URI} {len(kept)}")

    try:
        fail()
    except ConnectionError:
        structlog.get_logger("test").exception("failed", action="test.failed")

    text = "\n".join(lines())
    assert "ConnectionError" in text
    assert "fail" in text
    assert "very-secret" not in text
    assert local_secret not in text


@pytest.mark.parametrize("fmt", ["json", "console"])
def test_a_library_that_tells_of_an_exception_after_it_was_handled_keeps_its_traceback(lines, fmt):
    configure_logging(level="INFO", fmt=fmt)
    try:
        raise ConnectionError(f"no route to {URI}")
    except ConnectionError as error:
        kept = error

    logging.getLogger("asyncio").error("Task exception was never retrieved", exc_info=kept)

    text = "\n".join(lines())
    assert "Traceback" in text
    assert "no route to amqps://***@localhost:5671/partner-1" in text


def test_json_lines_carry_action_ids_level_logger_and_time(lines):
    configure_logging(level="INFO", fmt="json")

    structlog.get_logger("link.relay").info("published", action="relay.published", connection_id=7)

    [line] = [json.loads(one) for one in lines()]
    assert (line["event"], line["action"], line["connection_id"]) == ("published", "relay.published", 7)
    assert (line["level"], line["logger"]) == ("info", "link.relay")
    assert line["timestamp"].endswith("Z")


def test_records_of_the_standard_library_pass_the_same_way(lines):
    configure_logging(level="INFO", fmt="json")

    logging.getLogger("some.library").warning("gone: %s", URI)

    [line] = [json.loads(one) for one in lines()]
    assert line["event"] == "gone: amqps://***@localhost:5671/partner-1"


def test_what_is_below_the_level_and_what_chatty_libraries_say_is_not_logged(lines):
    configure_logging(level="INFO", fmt="json")

    structlog.get_logger("test").debug("quiet")
    logging.getLogger("pika").info("chatter")

    assert lines() == []


def test_a_line_of_a_library_is_found_by_its_loggers_name(lines):
    configure_logging(level="INFO", fmt="json")

    for name in ("uvicorn.error", "celery.app.trace", "django.request"):
        logging.getLogger(name).warning("something")

    assert [json.loads(line)["action"] for line in lines()] == [
        "uvicorn.error",
        "celery.app.trace",
        "django.request",
    ]


def test_the_request_id_of_the_answer_is_in_the_log_lines_and_in_the_pull_journal(lines, db):
    configure_logging(level="INFO", fmt="json")

    answer = Client().post("/trading/token", "{}", content_type="application/json")

    row = PullJournal.objects.get()
    assert {json.loads(line)["request_id"] for line in lines()} == {answer["X-Request-Id"]}
    assert (row.request_id, answer.json()["requestId"]) == (answer["X-Request-Id"],) * 2


def test_what_a_tick_logs_names_the_tick(lines, db, monkeypatch):
    configure_logging(level="INFO", fmt="json")
    said = Tick(
        name="said", period_s=1, run=lambda _at: structlog.get_logger("x").info("did", action="x.did")
    )
    monkeypatch.setitem(BY_NAME, "said", said)

    run_tick("said", at=AT)

    assert [json.loads(line)["tick"] for line in lines()] == ["said"]


def test_what_a_worker_and_the_thread_beside_it_log_names_the_connection(lines):
    configure_logging(level="INFO", fmt="json")
    side = SideThread(name="beside")

    with structlog.contextvars.bound_contextvars(connection_id=7):
        side.do(lambda: structlog.get_logger("x").info("did", action="x.did")).wait(20)
    side.stop()

    assert [json.loads(line)["connection_id"] for line in lines()] == [7]


# --- every logging call of ours ---------------------------------------------------------------------------------------

ROOMS = (
    "esm",
    "vcp",
    "membroker",
    "plants",
    "metering",
    "dispatch",
    "link",
    "trading_api",
    "watch",
    "voke_sim",
)
LEVELS = {"debug", "info", "warning", "error", "exception", "critical", "log", "msg"}
FORBIDDEN = re.compile(r"(^|_)(key|secret|token|password|body|payload|headers|envelope|email)$")
HARMLESS = {"routing_key"}


def complaints(source):
    """What is wrong with the logging calls of a module: (line, why)."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not (
            isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LEVELS
        ):
            continue
        if not (
            isinstance(node.func.value, ast.Name)
            and node.func.value.id in {"log", "_log", "logger", "_logger"}
        ):
            continue
        given = {keyword.arg: keyword.value for keyword in node.keywords}
        action = given.get("action")
        if action is None:
            found.append((node.lineno, "no action"))
        elif isinstance(action, ast.Constant) and not re.fullmatch(r"[a-z_]+(\.[a-z_]+)*", str(action.value)):
            found.append((node.lineno, "an action that nobody can search for"))
        if any(isinstance(part, ast.JoinedStr) for part in node.args):
            found.append((node.lineno, "a text that is made of values"))
        if None in given:
            found.append((node.lineno, "fields that nobody sees here"))
        bad = [name for name in given if name and FORBIDDEN.search(name) and name not in HARMLESS]
        if bad or REDACTED_KEYS & set(given):
            found.append((node.lineno, f"a field for what must not be logged: {bad}"))
    return found


@pytest.mark.parametrize(
    ("call", "why"),
    [
        ('log.info("sent")', "no action"),
        ('log.info("sent", action="Sent it")', "an action that nobody can search for"),
        ('log.info(f"sent {x}", action="sent")', "a text that is made of values"),
        ('log.info("sent", action="sent", **row)', "fields that nobody sees here"),
        ('log.info("sent", action="sent", api_key=x)', "a field for what must not be logged: ['api_key']"),
        ('_log.info("sent", action="sent", raw_body=x)', "a field for what must not be logged: ['raw_body']"),
    ],
)
def test_the_reader_of_logging_calls_finds_what_is_wrong(call, why):
    assert complaints(call) == [(1, why)]


def test_every_logging_call_names_its_action_and_no_field_for_a_secret_or_a_body():
    files = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]
    found = [
        f"{path.relative_to(ROOT)}:{line}: {why}"
        for path in files
        for line, why in complaints(path.read_text())
    ]

    assert len(files) > 200
    assert found == []


def test_only_structlog_is_logged_with():
    """The standard library's loggers take texts made of values; ours are only configured."""
    users = {
        str(path.relative_to(ROOT))
        for room in ROOMS
        for path in sorted((ROOT / room).rglob("*.py"))
        if re.search(r"\bgetLogger\(", path.read_text())
    }

    assert users == {"esm/logs.py", "voke_sim/__main__.py"}
