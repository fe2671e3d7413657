"""Protocol errors: one class per failure, a stable code, a path in wire names."""

import pickle

import pytest

import vcp
from vcp import errors

SUBCLASSES = [
    kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, ValueError)
]


def test_every_failure_has_a_code_of_its_own() -> None:
    codes = [kind.code for kind in SUBCLASSES]

    assert len(codes) == len(set(codes))
    assert all(code == code.upper() and code.replace("_", "").isalpha() for code in codes)


@pytest.mark.parametrize("kind", SUBCLASSES)
def test_every_failure_is_a_protocol_error_that_the_package_offers(kind: type[vcp.ProtocolError]) -> None:
    assert issubclass(kind, vcp.ProtocolError)
    assert getattr(vcp, kind.__name__) is kind


def test_an_error_tells_code_path_and_detail() -> None:
    error = vcp.WrongType("expected a number", path="payload.commands[2].deviceId")

    assert str(error) == "WRONG_TYPE at payload.commands[2].deviceId: expected a number"
    assert str(vcp.WrongType("no object")) == "WRONG_TYPE: no object"


@pytest.mark.parametrize(
    ("prefix", "path", "joined"),
    [
        ("payload", "a.b", "payload.a.b"),
        ("payload", ".a", "payload.a"),
        ("payload.items", "[2].x", "payload.items[2].x"),
        ("payload", "", "payload"),
        ("", "a", "a"),
        ("", ".a", "a"),
        ("", "", ""),
    ],
)
def test_a_path_reads_from_the_outermost_object(prefix: str, path: str, joined: str) -> None:
    moved = vcp.MissingField("x", path=path).under(prefix)

    assert (type(moved), moved.path) == (vcp.MissingField, joined)


def test_an_error_stays_short_whatever_the_peer_sent() -> None:
    assert len(str(vcp.InvalidValue("x" * 1_000_000, path="y" * 1_000_000))) < 700


def test_an_error_can_be_stored_whatever_the_peer_sent() -> None:
    error = vcp.InvalidValue("nul \x00, pair \ud800", path="key\x00.\udfff")

    assert (error.detail, error.path) == ("nul \\u0000, pair \\ud800", "key\\u0000.\\udfff")


def test_an_error_travels_between_processes() -> None:
    error = pickle.loads(pickle.dumps(vcp.InvalidTimestamp("bad", path="timestamp")))

    assert (type(error), error.path, error.detail) == (vcp.InvalidTimestamp, "timestamp", "bad")
