"""The envelope: what is required, what is taken, what survives, and what we send."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

import vcp
from tests.vcp.samples import ENVELOPE, PAYLOADS, SIGNING_KEY, body_of, without
from vcp import Family

AT = datetime(2026, 1, 2, 3, 4, 5, 678_900, tzinfo=UTC)
MESSAGE_ID = ENVELOPE["messageId"]


def envelope_failure(body: bytes) -> vcp.ProtocolError:
    try:
        envelope = vcp.parse_envelope(body)
    except vcp.ProtocolError as error:
        return error
    raise AssertionError(f"parsed as {envelope}")


class TestParse:
    def test_a_full_envelope_reads_as_typed_values(self) -> None:
        raw = {
            **ENVELOPE,
            "correlationId": "c-1",
            "signatureAlgo": "HMAC-SHA256",
            "signature": "s" * 43,
            "signatureKid": "k1",
            "payload": {"a": 1},
        }

        assert vcp.parse_envelope(json.dumps(raw).encode()) == vcp.Envelope(
            version="1.1",
            message_id=MESSAGE_ID,
            timestamp=datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC),
            source="ref-esm",
            site_id="7a1d2c3b-4e5f-4a6b-8c7d-9e0f1a2b3c4d",
            payload={"a": 1},
            correlation_id="c-1",
            signature_algo="HMAC-SHA256",
            signature="s" * 43,
            signature_kid="k1",
            raw=raw,
        )

    def test_the_optional_members_may_be_absent_or_null(self) -> None:
        names = ["correlationId", "signatureAlgo", "signature", "signatureKid"]
        nulls = vcp.parse_envelope(body_of(**dict.fromkeys(names)))

        for envelope in (vcp.parse_envelope(body_of()), nulls):
            assert (envelope.correlation_id, envelope.signature_algo) == (None, None)
            assert (envelope.signature, envelope.signature_kid) == (None, None)

    def test_members_unknown_to_us_are_kept_in_raw(self) -> None:
        envelope = vcp.parse_envelope(body_of(traceId="t-1", raw={"own": "raw"}))

        assert envelope.raw == {**ENVELOPE, "traceId": "t-1", "raw": {"own": "raw"}}

    @pytest.mark.parametrize("name", list(ENVELOPE))
    def test_a_missing_member_is_named(self, name: str) -> None:
        error = envelope_failure(json.dumps(without(ENVELOPE, name)).encode())

        assert (error.code, error.path) == ("MISSING_FIELD", name)

    @pytest.mark.parametrize("name", [name for name in ENVELOPE if name != "version"])
    @pytest.mark.parametrize("value", [None, 5, True, ["x"]])
    def test_a_required_member_of_another_type_is_refused(self, name: str, value: object) -> None:
        error = envelope_failure(body_of(**{name: value}))

        assert (error.code, error.path) == ("WRONG_TYPE", name)

    @pytest.mark.parametrize("name", ["correlationId", "signatureAlgo", "signature", "signatureKid"])
    @pytest.mark.parametrize("value", [5, True, {}])
    def test_an_optional_member_of_another_type_is_refused(self, name: str, value: object) -> None:
        error = envelope_failure(body_of(**{name: value}))

        assert (error.code, error.path) == ("WRONG_TYPE", name)

    @pytest.mark.parametrize("version", ["1.0", "1.2", "2", "1.1 ", "", 1.1, None, {}, ["1.1"]])
    def test_only_version_1_1_is_spoken(self, version: object) -> None:
        error = envelope_failure(body_of(version=version))

        assert (error.code, error.path) == ("UNSUPPORTED_VERSION", "version")

    def test_another_version_is_named_before_anything_else_is_judged(self) -> None:
        error = envelope_failure(b'{"version":"2.0","messageId":5,"somethingNew":true}')

        assert error.code == "UNSUPPORTED_VERSION"

    @pytest.mark.parametrize("text", ["2026-01-02T03:04:05+00:00", "2026-01-02T03:04:05", "yesterday", ""])
    def test_a_timestamp_in_another_form_is_refused(self, text: str) -> None:
        error = envelope_failure(body_of(timestamp=text))

        assert (error.code, error.path) == ("INVALID_TIMESTAMP", "timestamp")

    @pytest.mark.parametrize("algo", ["HMAC-SHA512", "none", "", "hmac-sha256"])
    def test_another_signature_algorithm_is_refused(self, algo: str) -> None:
        error = envelope_failure(body_of(signatureAlgo=algo))

        assert (error.code, error.path) == ("INVALID_SIGNATURE_ALGO", "signatureAlgo")

    @pytest.mark.parametrize("name", ["messageId", "source", "siteId"])
    @pytest.mark.parametrize(
        ("text", "is_taken"), [("", False), ("x" * 129, False), ("x" * 128, True), ("7", True)]
    )
    def test_an_id_has_one_to_128_characters(self, name: str, text: str, is_taken: bool) -> None:
        if is_taken:
            assert vcp.parse_envelope(body_of(**{name: text})).raw[name] == text
        else:
            error = envelope_failure(body_of(**{name: text}))
            assert (error.code, error.path) == ("INVALID_VALUE", name)

    @pytest.mark.parametrize("name", ["correlationId", "signatureKid"])
    def test_an_optional_id_has_at_most_128_characters(self, name: str) -> None:
        error = envelope_failure(body_of(**{name: "x" * 129}))

        assert (error.code, error.path) == ("INVALID_VALUE", name)

    def test_a_site_may_be_named_by_uuid_or_external_plant_id(self) -> None:
        assert vcp.parse_envelope(body_of(siteId="PLANT-42")).site_id == "PLANT-42"

    def test_the_payload_is_not_judged_before_its_family_is_known(self) -> None:
        envelope = vcp.parse_envelope(body_of(payload={"whatever": [1]}))

        assert envelope.payload == {"whatever": [1]}

    def test_a_key_named_twice_is_refused_where_it_is_asked_for(self) -> None:
        body = body_of()[:-1] + b',"siteId":"other"}'

        assert vcp.parse_envelope(body).site_id == "other"
        with pytest.raises(vcp.DuplicateKey):
            vcp.parse_envelope(body, unique_keys=True)

    @pytest.mark.parametrize("payload", [b'{"x":1e999}', b'{"x":' + b"9" * 400 + b"}", b'{"x":NaN}'])
    def test_a_number_beyond_a_double_is_refused_wherever_it_stands(self, payload: bytes) -> None:
        error = envelope_failure(body_of(payload=0).replace(b'"payload": 0', b'"payload": ' + payload))

        assert error.code == "INVALID_NUMBER"

    def test_an_untyped_whole_number_beyond_2_to_the_53_survives_in_raw(self) -> None:
        assert vcp.parse_envelope(body_of(sequence=2**60)).raw["sequence"] == 2**60


def new(**changes: Any) -> dict[str, Any]:
    members: dict[str, Any] = {
        "message_id": MESSAGE_ID,
        "timestamp": AT,
        "source": "ref-esm",
        "site_id": "PLANT-7",
        "payload": vcp.Emergency(type=vcp.EmergencyType.HOLD),
    }
    return vcp.new_envelope(**{**members, **changes})


class TestNew:
    def test_an_envelope_is_a_plain_dict_in_wire_names(self) -> None:
        assert new() == {
            "version": "1.1",
            "messageId": MESSAGE_ID,
            "timestamp": "2026-01-02T03:04:05.678Z",
            "source": "ref-esm",
            "siteId": "PLANT-7",
            "payload": {"type": "HOLD"},
        }

    def test_optional_members_stand_in_it_when_they_are_given(self) -> None:
        envelope = new(correlation_id="c-1", signature_algo="HMAC-SHA256", signature_kid="k1")

        assert (envelope["correlationId"], envelope["signatureAlgo"]) == ("c-1", "HMAC-SHA256")
        assert envelope["signatureKid"] == "k1"

    @pytest.mark.parametrize("family", Family)
    def test_every_family_travels_signed_from_struct_to_struct(self, family: Family) -> None:
        payload = vcp.parse_payload(family, PAYLOADS[family])

        body = vcp.encode_envelope(vcp.signed_envelope(new(payload=payload), SIGNING_KEY))

        assert vcp.verify_body(body, SIGNING_KEY)
        assert vcp.parse_payload(family, vcp.parse_envelope(body).payload) == payload

    def test_whole_floats_go_out_as_javascript_writes_them(self) -> None:
        body = vcp.encode_envelope(new(payload=vcp.Constraints(max_import_kw=50.0)))

        assert b'"payload":{"maxImportKw":50}' in body

    def test_a_payload_may_be_given_as_a_dict(self) -> None:
        assert new(payload={"any": ["thing", 1.5]})["payload"] == {"any": ["thing", 1.5]}

    @pytest.mark.parametrize(
        "message_id",
        [
            "",
            "m-1",
            "3f0c8f6e-0b1d-1c58-9d4e-6a5f5c0a7b11",
            "3f0c8f6e-0b1d-4c58-7d4e-6a5f5c0a7b11",
            "3f0c8f6e0b1d4c589d4e6a5f5c0a7b11",
            "{3f0c8f6e-0b1d-4c58-9d4e-6a5f5c0a7b11}",
            MESSAGE_ID + "\n",
            5,
        ],
    )
    def test_our_message_id_is_a_uuid4(self, message_id: Any) -> None:
        with pytest.raises(vcp.InvalidValue) as caught:
            new(message_id=message_id)
        assert caught.value.path == "messageId"

    def test_a_uuid4_counts_in_either_case(self) -> None:
        vcp.check_message_id(MESSAGE_ID.upper())

    @pytest.mark.parametrize(
        ("change", "error", "path"),
        [
            ({"source": ""}, vcp.InvalidValue, "source"),
            ({"site_id": "x" * 129}, vcp.InvalidValue, "siteId"),
            ({"site_id": 7}, vcp.WrongType, "siteId"),
            ({"correlation_id": "x" * 129}, vcp.InvalidValue, "correlationId"),
            ({"signature_algo": "RSA"}, vcp.InvalidSignatureAlgo, "signatureAlgo"),
            ({"source": "nul\x00"}, vcp.InvalidText, "source"),
            ({"payload": {"reason": "nul\x00"}}, vcp.InvalidText, "payload.reason"),
            ({"payload": {"nul\x00": 1}}, vcp.InvalidText, "payload"),
            ({"payload": {"reason": "\ud800"}}, vcp.InvalidText, "payload.reason"),
            ({"source": "\udfff"}, vcp.InvalidText, "source"),
            ({"payload": {"x": [1, float("nan")]}}, vcp.InvalidNumber, "payload.x[1]"),
            ({"payload": {"x": object()}}, vcp.WrongType, "payload.x"),
            ({"payload": {"x": {5: 1}}}, vcp.WrongType, "payload.x"),
            ({"payload": vcp.Constraints(max_import_kw=-1.0)}, vcp.InvalidValue, "payload.maxImportKw"),
            (
                {"payload": vcp.Constraints(max_import_kw=float("inf"))},
                vcp.InvalidNumber,
                "payload.maxImportKw",
            ),
            ({"payload": vcp.Constraints(max_import_kw=1e17)}, vcp.InvalidNumber, "payload.maxImportKw"),
            ({"payload": vcp.DeviceBatch(commands=())}, vcp.InvalidValue, "payload.commands"),
            ({"payload": vcp.DeviceParams()}, vcp.WrongType, "payload"),
            ({"payload": None}, vcp.WrongType, "payload"),
            ({"timestamp": datetime(2026, 1, 2)}, vcp.InvalidTimestamp, "timestamp"),
        ],
    )
    def test_what_the_receiver_would_refuse_is_never_built(
        self, change: dict[str, Any], error: type[vcp.ProtocolError], path: str
    ) -> None:
        with pytest.raises(error) as caught:
            new(**change)
        assert caught.value.path == path

    def test_another_zones_time_goes_out_in_utc(self) -> None:
        prague = AT.astimezone(timezone(timedelta(hours=1)))

        assert new(timestamp=prague) == new()

    def test_a_device_batch_given_as_a_list_goes_out_like_a_tuple(self) -> None:
        command = vcp.DeviceCommand(
            device_id="B1", asset_type=vcp.AssetType.BESS, command=vcp.DeviceCommandType.BESS_STOP
        )
        as_list: Any = [command]

        listed = new(payload=vcp.DeviceBatch(commands=as_list))

        assert listed == new(payload=vcp.DeviceBatch(commands=(command,)))
