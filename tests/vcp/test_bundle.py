"""Connection bundles as Voke may hand them out, AMQPS addresses, and secrets that never show."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import vcp
from tests.vcp.samples import SIGNING_KEY, same_every_run, without
from vcp import AmqpsAddress

URI = "amqps://acme:k%2Babc@amqp.voke.turena.cz:5671/partner-8d1f"
BUNDLE: dict[str, Any] = {
    "amqpsUri": URI,
    "apiKey": "k+abc",
    "signingKey": SIGNING_KEY,
    "keyId": "8d1f",
    "slug": "acme",
    "queuePrefix": "acme-q",
    "routingPrefix": "acme-r",
    "queues": {"command": "vcp.acme.command", "eventStatus": "vcp.acme.event.status"},
    "restBaseUrl": "https://api.voke.turena.cz/api/v1",
}


def parse(bundle: Any) -> vcp.ConnectionBundle:
    return vcp.parse_bundle(json.dumps(bundle).encode())


class TestBundle:
    def test_the_full_form_reads_as_given(self) -> None:
        assert parse(BUNDLE) == vcp.ConnectionBundle(
            amqps_uri=URI,
            api_key="k+abc",
            signing_key=SIGNING_KEY,
            key_id="8d1f",
            slug="acme",
            queue_prefix="acme-q",
            routing_prefix="acme-r",
            queues={"command": "vcp.acme.command", "eventStatus": "vcp.acme.event.status"},
            rest_base_url="https://api.voke.turena.cz/api/v1",
            vhost="partner-8d1f",
            username="acme",
        )

    def test_the_uri_alone_is_enough(self) -> None:
        assert parse({"amqpsUri": URI}) == vcp.ConnectionBundle(
            amqps_uri=URI,
            api_key="k+abc",
            signing_key=None,
            key_id="8d1f",
            slug="acme",
            queue_prefix="acme",
            routing_prefix="acme",
            queues={},
            rest_base_url=None,
            vhost="partner-8d1f",
            username="acme",
        )

    def test_the_routing_prefix_follows_the_queue_prefix(self) -> None:
        parsed = parse(without(BUNDLE, "routingPrefix"))

        assert (parsed.slug, parsed.queue_prefix, parsed.routing_prefix) == ("acme", "acme-q", "acme-q")

    def test_a_create_response_is_read_around_and_inside(self) -> None:
        response = {"id": 1, "key": "k+abc", "signingKey": SIGNING_KEY, "connectionBundle": {"amqpsUri": URI}}

        parsed = parse(response)

        assert (parsed.api_key, parsed.signing_key, parsed.slug) == ("k+abc", SIGNING_KEY, "acme")

    def test_members_inside_win_over_those_around(self) -> None:
        parsed = parse(
            {"slug": "outer", "signingKey": SIGNING_KEY, "connectionBundle": {**BUNDLE, "signingKey": None}}
        )

        assert (parsed.slug, parsed.signing_key) == ("acme", SIGNING_KEY)

    @pytest.mark.parametrize("empty", [None, ""])
    def test_null_and_empty_members_count_as_absent(self, empty: object) -> None:
        names = ["apiKey", "signingKey", "keyId", "slug", "queuePrefix", "routingPrefix", "restBaseUrl"]

        assert parse({"amqpsUri": URI, **dict.fromkeys(names, empty)}) == parse({"amqpsUri": URI})

    @pytest.mark.parametrize("vhost", ["%2F", "", "shared", "partner-"])
    def test_another_vhost_names_no_key(self, vhost: str) -> None:
        parsed = parse({"amqpsUri": f"amqps://acme:k@host/{vhost}"})

        assert parsed.key_id is None
        assert parsed.vhost == ("/" if vhost in ("%2F", "") else vhost)

    @pytest.mark.parametrize(
        ("change", "path"),
        [
            ({"amqpsUri": None}, "amqpsUri"),
            ({"amqpsUri": 5}, "amqpsUri"),
            ({"apiKey": 5}, "apiKey"),
            ({"signingKey": ["x"]}, "signingKey"),
            ({"slug": {}}, "slug"),
            ({"restBaseUrl": True}, "restBaseUrl"),
            ({"keyId": "x" * 5000}, "keyId"),
            ({"queuePrefix": "a.*"}, "queuePrefix"),
            ({"queuePrefix": "#"}, "queuePrefix"),
            ({"queuePrefix": "x" * 65}, "queuePrefix"),
            ({"routingPrefix": "acme."}, "routingPrefix"),
            ({"routingPrefix": "ac me"}, "routingPrefix"),
            ({"routingPrefix": "acme\n"}, "routingPrefix"),
            ({"queues": []}, "queues"),
            ({"queues": {"command": 5}}, "queues.command"),
            ({"queues": {"eventAlarm": ""}}, "queues.eventAlarm"),
            ({"connectionBundle": "text"}, "connectionBundle"),
        ],
    )
    def test_a_member_that_cannot_be_used_is_named(self, change: dict[str, Any], path: str) -> None:
        with pytest.raises(vcp.InvalidBundle) as caught:
            parse({**BUNDLE, **change})
        assert caught.value.path == path

    @pytest.mark.parametrize("body", [b"", b"[]", b"amqps://acme:k@host/v", b'{"amqpsUri":NaN}'])
    def test_bytes_that_are_no_object_end_in_a_protocol_error(self, body: bytes) -> None:
        with pytest.raises(vcp.ProtocolError):
            vcp.parse_bundle(body)

    def test_no_secret_shows_in_a_repr(self) -> None:
        text = repr(parse(BUNDLE)) + str(parse(BUNDLE)) + f"{parse(BUNDLE)}"

        assert not any(secret in text for secret in ("k+abc", "k%2Babc", SIGNING_KEY))
        assert "acme" in text


ADDRESS = AmqpsAddress(
    host="amqp.voke.turena.cz", port=5671, username="acme", password="k+abc", vhost="partner-8d1f"
)


class TestAddress:
    @pytest.mark.parametrize(
        ("uri", "address"),
        [
            (URI, ADDRESS),
            ("AMQPS://acme:k%2Babc@AMQP.voke.turena.cz/partner-8d1f", ADDRESS),
            (
                "amqps://a%40b:p%2Fw%3A%25@h:5672/%2Fv%20h%C5%BE",
                AmqpsAddress(host="h", port=5672, username="a@b", password="p/w:%", vhost="/v hž"),
            ),
            ("amqps://u:p@h", AmqpsAddress(host="h", username="u", password="p", vhost="/")),
            ("amqps://u:p@h/", AmqpsAddress(host="h", username="u", password="p", vhost="/")),
            (
                "amqps://u:p@[::1]:1/v",
                AmqpsAddress(host="::1", port=1, username="u", password="p", vhost="v"),
            ),
        ],
    )
    def test_an_address_reads_decoded(self, uri: str, address: AmqpsAddress) -> None:
        assert vcp.parse_amqps_uri(uri) == address

    @pytest.mark.parametrize(
        "uri",
        [
            "",
            "acme:topsecret@host/v",
            "amqp://acme:topsecret@host/v",
            "https://acme:topsecret@host/v",
            "amqps://host/v",
            "amqps://acme@host/v",
            "amqps://:topsecret@host/v",
            "amqps://acme:@host/v",
            "amqps://acme:topsecret@/v",
            "amqps://acme:topsecret@host:0/v",
            "amqps://acme:topsecret@host:65536/v",
            "amqps://acme:topsecret@host:port/v",
            "amqps://acme:topsecret@[::1/v",
            "amqps://acme:topsecret@host/a/b",
            "amqps://acme:topsecret@host/v?verify=verify_none",
            "amqps://acme:topsecret@host/v#x",
            "amqps://acme:top%zzsecret@host/v",
            "amqps://acme:topsecret%FF@host/v",
            "amqps://acme:top secret@host/v",
            "amqps://acme:topsecret@host/v\n",
            "amqps://acme:topsecretž@host/v",
        ],
    )
    def test_an_address_that_cannot_be_used_is_refused_and_its_password_not_told(self, uri: str) -> None:
        with pytest.raises(vcp.InvalidBundle) as caught:
            vcp.parse_amqps_uri(uri)

        assert caught.value.path == "amqpsUri"
        assert "secret" not in str(caught.value)
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__ or caught.value.__context__ is None

    def test_an_address_is_built_percent_encoded(self) -> None:
        address = AmqpsAddress(host="h", port=1, username="a@b", password="k+/c%", vhost="/")

        assert vcp.build_amqps_uri(address) == "amqps://a%40b:k%2B%2Fc%25@h:1/%2F"

    def test_the_password_does_not_show_in_a_repr(self) -> None:
        assert "k+abc" not in repr(ADDRESS)
        assert "acme" in repr(ADDRESS)

    PARTS = st.text(min_size=1, max_size=20)

    @same_every_run
    @given(
        username=PARTS,
        password=PARTS,
        vhost=PARTS,
        port=st.integers(1, 65535),
        host=st.sampled_from(["h.cz", "::1"]),
    )
    def test_every_address_survives_the_way_out_and_in(
        self, username: str, password: str, vhost: str, port: int, host: str
    ) -> None:
        address = AmqpsAddress(host=host, port=port, username=username, password=password, vhost=vhost)

        assert vcp.parse_amqps_uri(vcp.build_amqps_uri(address)) == address
