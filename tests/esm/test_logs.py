"""Log lines: one per event with its ids, and no secret, body or password in any of them, tracebacks included."""

import json
import logging

import pytest
import structlog

from esm.logs import REDACTED, configure_logging, redact, scrub
from plants.encryption import Secret

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
        ("https://api.voke.turena.cz/api/v1", "https://api.voke.turena.cz/api/v1"),
        ("mail anna@example.com", "mail anna@example.com"),
    ],
)
def test_user_and_password_of_an_address_are_cut_out_of_every_text(text, shown):
    assert scrub(text) == shown
    assert logged({"error": text}) == {"error": shown}


def test_a_structure_that_contains_itself_has_an_end():
    loop = {}
    loop["again"] = loop

    assert REDACTED in str(logged({"loop": loop}))


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
