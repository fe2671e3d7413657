"""Every other door for text: whatever comes, only documented errors come out, in bounded time."""

import base64
import json
import math
from datetime import UTC, datetime
from functools import cache
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import rfc8785
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as new_ec_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import example, given
from hypothesis import strategies as st

import vcp
from esm.env import Env, SettingError
from esm.jwt_keys import parse_jwt_keys
from membroker import topic_matches
from plants.bulk import read_plants
from plants.encryption import UndecryptableSecret, decrypt, encrypt
from plants.errors import DomainError
from plants.models import Organisation
from plants.texts import storable_text
from plants.time_config import Block, Ratings, block_at, check_blocks, windows_of_day
from tests.hostile_bytes.events import json_values, texts
from tests.hostile_bytes.wide import examples
from tests.voke_sim.harness import config_document
from trading_api import mapping
from voke_sim.config_load import ConfigError, parse_config

any_text = st.text(max_size=60)
LARGEST = 2**53 - 1

# --- the wire ---------------------------------------------------------------------------------------------------------

signable: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-LARGEST, LARGEST)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)


@examples(150)
@given(signable)
@example({"\ufb33": 1, "\U0001f600": 2, "\r": 3, "1": 4, "é": 5})
@example([1e21, 1e-7, 5e-324, -0.0, 333333333.33333329, 2**53 - 1, 1.7976931348623157e308])
def test_canonical_json_is_that_of_rfc_8785(value: Any) -> None:
    assert vcp.canonical_json(value) == rfc8785.dumps(value)


@examples(150)
@given(st.datetimes(timezones=st.timezones() | st.just(UTC)))
def test_a_time_survives_the_wire_to_the_millisecond_in_every_zone(at: datetime) -> None:
    try:
        text = vcp.format_timestamp(at)
    except vcp.InvalidTimestamp:
        assert at.year in (1, 9999)
        return

    instant = at.astimezone(UTC)
    assert vcp.parse_timestamp(text) == instant.replace(microsecond=instant.microsecond // 1000 * 1000)


@examples(120)
@given(any_text, st.sampled_from(list(vcp.Family)), any_text)
def test_a_routing_key_that_can_be_built_is_read_as_what_it_was_built_from(
    prefix: str, family: vcp.Family, tail: str
) -> None:
    try:
        key = vcp.routing_key(prefix, family, tail)
    except vcp.UnroutableKey:
        return

    route = vcp.classify(key, prefix)
    assert len(key.encode()) <= 255
    assert (route.family, route.tail) == (family, tail)


@examples(120)
@given(any_text, any_text)
def test_any_routing_key_is_classified(key: str, prefix: str) -> None:
    assert vcp.classify(key, prefix).family is not None


@examples(120)
@given(
    any_text,
    st.dictionaries(st.sampled_from(["command", "eventAlarm", "event_alarm", "x"]), st.none() | any_text),
)
def test_queue_names_are_texts_that_amqp_takes_or_an_invalid_bundle(
    prefix: str, overrides: dict[str, Any]
) -> None:
    try:
        names = vcp.queue_names(prefix, overrides)
    except vcp.InvalidBundle as error:
        assert error.path.startswith("queues.")
    else:
        assert all(
            0 < len(name.encode(errors="replace")) <= 255 for name in (*names.to_voke, *names.to_partner)
        )


@examples(120)
@given(any_text | st.binary().map(bytes.hex), st.sampled_from(list(vcp.KeyDecoding)))
def test_any_signing_key_signs_and_verifies_or_is_an_invalid_one_that_is_not_quoted(
    key: str, decoding: vcp.KeyDecoding
) -> None:
    try:
        signature = vcp.sign({"a": 1}, key, decoding=decoding)
    except vcp.InvalidSigningKey as error:
        assert len(key) < 8 or key not in str(error)
    else:
        assert vcp.verify({"a": 1, "signature": signature}, key, decoding=decoding)


BOMBS = {
    "digits": b'{"a":' + b"9" * 1_000_000 + b"}",
    "negative exponent": b'{"a":1e-' + b"9" * 1_000_000 + b"}",
    "fraction": b'{"a":0.' + b"3" * 1_000_000 + b"}",
    "one key a hundred thousand times": b'{"a":1' + b',"a":1' * 100_000 + b"}",
    "a hundred thousand keys": b"{" + b",".join(b'"k%d":0' % n for n in range(100_000)) + b"}",
    "escapes": b'{"a":"' + b"\\u0041" * 150_000 + b'"}',
    "open brackets": b"[" * 1_000_000,
    "open objects": b'{"":' * 250_000,
    "empty arrays": b'{"a":[' + b"[]," * 100_000 + b"[]]}",
    "a lone surrogate at the end": b'{"a":"' + b"x" * 900_000 + b'\\ud800"}',
    "a NUL at the end": b'{"a":"' + b"x" * 900_000 + b'\\u0000"}',
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("body", BOMBS.values(), ids=BOMBS.keys())
def test_a_megabyte_made_to_be_expensive_is_read_or_refused(body: bytes) -> None:
    for door in (
        vcp.decode_object,
        vcp.parse_envelope,
        lambda text: vcp.parse_envelope(text, unique_keys=True),
    ):
        try:
            door(body)
        except vcp.ProtocolError as error:
            assert error.code.isupper()
            assert len(str(error)) < 1000


# --- the in-process broker --------------------------------------------------------------------------------------------


def _naive(pattern: tuple[str, ...], words: tuple[str, ...]) -> bool:
    """AMQP's rule word by word: `#` is nothing, or takes one word and stays."""

    @cache
    def match(p: int, w: int) -> bool:
        if p == len(pattern):
            return w == len(words)
        if pattern[p] == "#":
            return match(p + 1, w) or (w < len(words) and match(p, w + 1))
        return w < len(words) and pattern[p] in ("*", words[w]) and match(p + 1, w + 1)

    return match(0, 0)


_words = st.lists(st.sampled_from(["a", "b", "", "#", "*", "𝛘"]), min_size=1, max_size=7)


@examples(250)
@given(_words, _words)
def test_topics_match_as_the_rule_says_word_by_word(pattern: list[str], words: list[str]) -> None:
    assert topic_matches(".".join(pattern), ".".join(words)) is _naive(tuple(pattern), tuple(words))


@examples(60)
@given(any_text, any_text)
def test_any_pattern_and_key_are_compared(pattern: str, key: str) -> None:
    assert topic_matches(pattern, key) is _naive(tuple(pattern.split(".")), tuple(key.split(".")))


# --- texts and secrets in the database --------------------------------------------------------------------------------


@examples(120)
@given(st.text(st.characters(), max_size=60))
def test_any_text_is_storable_afterwards_and_stays_the_same_the_second_time(text: str) -> None:
    made = storable_text(text)

    assert "\0" not in made
    assert made.encode().decode() == made == storable_text(made)


@examples(60)
@given(texts)
def test_any_secret_comes_back(text: str) -> None:
    assert decrypt(encrypt(text)) == text


@examples(120)
@given(st.text(st.characters(), max_size=80) | any_text.map(lambda text: f"k1$gAAAA{text}"))
def test_any_stored_text_that_is_no_secret_is_undecryptable_and_not_quoted(stored: str) -> None:
    with pytest.raises(UndecryptableSecret) as caught:
        decrypt(stored)

    assert len(stored) < 12 or stored not in str(caught.value)


# --- time-config and plants by the document ---------------------------------------------------------------------------

_limits = st.floats() | st.sampled_from([math.inf, -math.inf, math.nan, -0.0, 1e308])
_blocks = st.lists(
    st.builds(
        Block,
        start_minute=st.integers(-5, 1450),
        end_minute=st.integers(-5, 1450),
        p_bat_min_kw=_limits,
        p_bat_max_kw=_limits,
        soc_min_pct=_limits,
        soc_max_pct=_limits,
    ),
    max_size=6,
)
_ratings = st.builds(
    Ratings,
    charge_kw=st.none() | _limits,
    discharge_kw=st.none() | _limits,
    soc_min_pct=st.none() | _limits,
    soc_max_pct=st.none() | _limits,
)


@examples(120)
@given(_blocks, _ratings, st.booleans(), st.sampled_from(["Europe/Prague", "America/Lima", "Pacific/Apia"]))
def test_blocks_that_pass_are_finite_ordered_and_have_one_meaning_at_every_minute(
    blocks: list[Block], ratings: Ratings, gaps: bool, zone: str
) -> None:
    problems = check_blocks(blocks, ratings=ratings, gaps_allowed=gaps)

    assert all(problem.path.startswith("timeConfigs") for problem in problems)
    if problems:
        return
    at = datetime(2026, 3, 29, 0, 30, tzinfo=UTC)
    assert all(math.isfinite(one.p_bat_min_kw) and one.p_bat_min_kw <= one.p_bat_max_kw for one in blocks)
    assert sum(one.end_minute - one.start_minute for one in blocks) <= 1440
    assert gaps or block_at(blocks, at=at, zone=ZoneInfo(zone)) is not None
    windows = windows_of_day(blocks, day=at.date(), zone=ZoneInfo(zone))
    assert all(earlier.end_at <= later.start_at for earlier, later in pairwise(windows))


@examples(120)
@given(st.text(st.characters(), max_size=8) | st.from_regex(r"[0-9]{2}:[0-9]{2}\s?", fullmatch=True))
def test_any_text_is_a_wall_clock_time_or_a_value_error(text: str) -> None:
    try:
        minute = mapping.parse_wall_clock(text)
    except ValueError:
        return

    assert f"{minute // 60:02}:{minute % 60:02}" == text


@examples(60)
@given(
    st.lists(
        st.text(max_size=20)
        | st.from_regex(r"(ACCEPTED|APPLIED|REJECTED)=\w{1,4}:(open|terminal)", fullmatch=True)
    )
)
def test_any_words_are_result_codes_or_a_value_error(words: list[str]) -> None:
    try:
        codes = mapping.parse_result_codes(words)
    except ValueError:
        return

    assert len({code.name for code in codes.values()}) == len(mapping.Outcome)


_members = st.dictionaries(
    st.sampled_from(
        [
            "externalPlantId",
            "vokeUuid",
            "name",
            "capacityKwh",
            "assets",
            "timeConfigs",
            "timeZone",
            "deviceId",
            "from",
        ]
    ),
    json_values | st.just([{}]) | st.just([{"from": "00:00", "to": "24:00", "pBatMin": 10**400}]),
    max_size=4,
)


@examples(120)
@given(json_values | st.lists(_members, max_size=3))
def test_any_document_is_plants_or_problems_with_their_paths(document: Any) -> None:
    try:
        sheets = read_plants(document, organisation=Organisation(name="x", slug="x"))
    except DomainError as error:
        assert all(one.path.startswith("[") or one.path == "" for one in getattr(error, "problems", [error]))
    else:
        assert isinstance(document, list)
        assert len(sheets) == len(document)


# --- settings ---------------------------------------------------------------------------------------------------------

_setting = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=60)
_numberish = st.from_regex(r"[+-]?[0-9_. eEinfa٣²]{1,12}", fullmatch=True) | st.just("9" * 5000)
READERS = {
    "text": lambda env: env.text("NAME", ""),
    "integer": lambda env: env.integer("NAME", 0, low=-5, high=5),
    "number": lambda env: env.number("NAME", 0, low=-5, high=5),
    "boolean": lambda env: env.boolean("NAME", False),
    "choice": lambda env: env.choice("NAME", "a", ("a", "b")),
    "words": lambda env: env.words("NAME"),
    "keys": lambda env: env.versioned_keys("NAME"),
    "database": lambda env: env.database("NAME", "sqlite://"),
    "jwt keys": lambda env: parse_jwt_keys("NAME", env.text("NAME", "")),
}
_pem = new_ec_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
_material = st.sampled_from(
    [base64.b64encode(b"k" * 32).decode(), base64.b64encode(_pem).decode(), "====", "é"]
)
_keys = st.lists(
    st.builds(
        lambda *parts: ":".join(parts),
        st.sampled_from(["a", "b", "", "ž"]),
        st.sampled_from(["HS256", "ES256", "none"]),
        _material,
    ),
    max_size=3,
).map(",".join)
_addresses = st.builds(
    lambda scheme, rest: f"{scheme}://{rest}", st.sampled_from(["postgres", "sqlite", "http"]), _setting
)


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS.keys())
@examples(60)
@given(value=_setting | _numberish | _keys | _addresses)
@example(value="postgres://user:huntersecret@[::1/x")
def test_any_value_of_a_setting_is_taken_or_refused_by_name_and_never_quoted(reader: Any, value: str) -> None:
    try:
        reader(Env({"NAME": value}))
    except SettingError as error:
        assert str(error).startswith("NAME: ")
        assert len(value) < 16 or value not in str(error)


# --- the stand-in's configuration -------------------------------------------------------------------------------------


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, item in items for place in [(*path, key), *_places(item, (*path, key))]]


PLACES = _places(config_document())


@examples(120)
@given(st.sampled_from(PLACES), json_values | st.sampled_from(["\ud800", 10**400, math.nan, "\0", -1, 2**64]))
def test_any_value_anywhere_in_the_stand_ins_configuration_is_taken_or_refused_with_its_field(
    place: tuple[Any, ...], value: Any
) -> None:
    document = json.loads(json.dumps(config_document()))
    here = document
    for step in place[:-1]:
        here = here[step]
    here[place[-1]] = value

    try:
        parse_config(document)
    except ConfigError as error:
        assert error.reason
