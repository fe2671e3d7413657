"""The connection bundle that Voke shows once, and AMQPS addresses.

Interpretation: the bundle's members are known ([doc], [pub per-org-amqp-queues]), its JSON layout is not;
the fact sheet's import form is read here, tolerant of what is missing and of the create response around it.
Secrets never show in a repr or an error.
"""

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

import msgspec

from vcp.errors import InvalidBundle
from vcp.jsontext import decode_object
from vcp.routing import queue_names
from vcp.said import said

DEFAULT_PORT: Final = 5671
_VHOST_PREFIX: Final = "partner-"
_BAD_PERCENT: Final = re.compile(r"%(?![0-9A-Fa-f]{2})").search
_BAD_CHAR: Final = re.compile(r"[^\x21-\x7e]").search
_PREFIX: Final = re.compile(r"(?=.{1,64}\Z)[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*").fullmatch
_MAX_MEMBER: Final = 4096


class AmqpsAddress(msgspec.Struct, frozen=True, kw_only=True):
    """Where and as whom to connect over AMQP with TLS; all parts decoded."""

    host: str
    port: int = DEFAULT_PORT
    username: str
    password: str
    vhost: str

    def __repr__(self) -> str:
        return (
            f"AmqpsAddress(host={self.host!r}, port={self.port}, username={self.username!r}, "
            f"password=***, vhost={self.vhost!r})"
        )


class ConnectionBundle(msgspec.Struct, frozen=True, kw_only=True):
    """All that a partner needs to connect. `signing_key` is None for a key without write scopes."""

    amqps_uri: str
    api_key: str
    signing_key: str | None
    key_id: str | None
    slug: str
    queue_prefix: str
    routing_prefix: str
    queues: dict[str, str]
    """Queue names by the bundle's keys; what it doesn't name follows from the prefix."""
    rest_base_url: str | None
    vhost: str
    username: str

    def __repr__(self) -> str:
        secret = "***" if self.signing_key else None
        return (
            f"ConnectionBundle(slug={self.slug!r}, key_id={self.key_id!r}, username={self.username!r}, "
            f"vhost={self.vhost!r}, queue_prefix={self.queue_prefix!r}, queues={self.queues!r}, "
            f"routing_prefix={self.routing_prefix!r}, rest_base_url={self.rest_base_url!r}, "
            f"amqps_uri=***, api_key=***, signing_key={secret})"
        )


def parse_amqps_uri(uri: str) -> AmqpsAddress:
    """Read `amqps://user:password@host[:port]/vhost`, parts percent-encoded; no path means vhost `/`.

    Raises InvalidBundle with path `amqpsUri`: another scheme, a missing part, bad encoding, a query.
    """
    if not isinstance(uri, str) or _BAD_CHAR(uri) or _BAD_PERCENT(uri):
        raise _bad_uri(said("expected printable ASCII with valid percent-encoding"))
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname, parts.port
        username, password, vhost = (
            unquote(part, errors="strict")
            for part in (parts.username or "", parts.password or "", parts.path.removeprefix("/"))
        )
    except ValueError:
        raise _bad_uri(said("not a valid address")) from None  # the cause would quote the password
    if parts.scheme != "amqps":
        raise _bad_uri(said("the scheme must be amqps: never without TLS"))
    if not host or not username or not password:
        raise _bad_uri(said("host, user and password are required"))
    if port == 0 or "/" in parts.path[1:] or parts.query or parts.fragment:
        raise _bad_uri(said("expected amqps://user:password@host:port/vhost and nothing more"))
    return AmqpsAddress(
        host=host, port=port or DEFAULT_PORT, username=username, password=password, vhost=vhost or "/"
    )


def _bad_uri(detail: str) -> InvalidBundle:
    return InvalidBundle(detail, path="amqpsUri")


def build_amqps_uri(address: AmqpsAddress) -> str:
    """The address as a URI, user, password and vhost percent-encoded. The result holds the password."""
    host = f"[{address.host}]" if ":" in address.host else address.host
    user, password, vhost = (
        quote(part, safe="") for part in (address.username, address.password, address.vhost)
    )
    return f"amqps://{user}:{password}@{host}:{address.port}/{vhost}"


def parse_bundle(body: bytes) -> ConnectionBundle:
    """Read a bundle's JSON.

    Its members stand at the top, or under `connectionBundle` with `key` and `signingKey` beside it.

    What is missing follows from the rest: slug and API key from the URI, key id from the vhost, queue
    prefix from the slug, routing prefix from the queue prefix. Raises ProtocolError (InvalidBundle with
    the member's path).
    """
    members = _flattened(decode_object(body))
    uri = _text(members, "amqpsUri")
    if uri is None:
        raise InvalidBundle(said("required"), path="amqpsUri")
    address = parse_amqps_uri(uri)
    slug = _text(members, "slug") or address.username
    queue_prefix = _prefix(_text(members, "queuePrefix") or slug, "queuePrefix")
    has_key_id = address.vhost.startswith(_VHOST_PREFIX) and address.vhost != _VHOST_PREFIX
    return ConnectionBundle(
        amqps_uri=uri,
        api_key=_text(members, "apiKey") or address.password,
        signing_key=_text(members, "signingKey"),
        key_id=_text(members, "keyId") or (address.vhost.removeprefix(_VHOST_PREFIX) if has_key_id else None),
        slug=slug,
        queue_prefix=queue_prefix,
        routing_prefix=_prefix(_text(members, "routingPrefix") or queue_prefix, "routingPrefix"),
        queues=_queues(members.get("queues"), queue_prefix),
        rest_base_url=_text(members, "restBaseUrl"),
        vhost=address.vhost,
        username=address.username,
    )


def _flattened(document: dict[str, Any]) -> dict[str, Any]:
    """Inner members win over the create response's around them; `key` there is the API key."""
    inner = document.get("connectionBundle", {})
    if not isinstance(inner, dict):
        raise InvalidBundle(said("expected an object"), path="connectionBundle")
    outer = {name: value for name, value in document.items() if name != "connectionBundle"}
    if "key" in outer:
        outer.setdefault("apiKey", outer["key"])
    return {**outer, **{name: value for name, value in inner.items() if value is not None}}


def _text(members: Mapping[str, Any], name: str) -> str | None:
    """An optional text member; null and "" count as absent."""
    value = members.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) > _MAX_MEMBER:
        raise InvalidBundle(
            said("expected a text of at most %(limit)s characters", limit=_MAX_MEMBER), path=name
        )
    return value


def _prefix(value: str, name: str) -> str:
    """Words that routing keys and queue names can begin with; a wildcard would bind foreign messages."""
    if _PREFIX(value) is None:
        raise InvalidBundle(said("expected letters, digits, `-` and `_` in words joined by dots"), path=name)
    return value


def _queues(value: Any, queue_prefix: str) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidBundle(said("expected an object"), path="queues")
    queue_names(queue_prefix, value)
    return {name: queue for name, queue in value.items() if isinstance(queue, str)}
