"""A pasted bundle as it was understood: every member by name, secrets by their last four characters only."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from django.utils.translation import gettext, gettext_lazy

from link.names import NameRefused, NameTimeout, NameUnknown, resolve
from plants.errors import Invalid
from vcp import ConnectionBundle, ProtocolError, parse_amqps_uri, parse_bundle
from vcp.jsontext import decode_object

MAX_BUNDLE_BYTES: Final = 65_536
_RESOLVE_S: Final = 3.0
_SHOWN: Final = 4
_SHORTEST: Final = 12
"""Of a shorter secret nothing is shown: four characters would be too much of it."""
_KNOWN: Final = frozenset(
    {
        "connectionBundle", "key", "amqpsUri", "apiKey", "signingKey", "slug", "keyId", "queuePrefix",
        "routingPrefix", "queues", "restBaseUrl", "vhost", "username",
    }
)  # fmt: skip
_LABELS: Final = {
    "host": gettext_lazy("Host"),
    "vhost": gettext_lazy("Virtual host"),
    "user": gettext_lazy("User"),
    "slug": gettext_lazy("Organisation at Voke"),
    "key_id": gettext_lazy("Key"),
    "queues": gettext_lazy("Queues"),
    "routing": gettext_lazy("Routing keys"),
    "rest": gettext_lazy("REST address"),
    "api_key": gettext_lazy("API key"),
    "signing_key": gettext_lazy("Signing key"),
}


@dataclass(frozen=True, kw_only=True)
class Member:
    """One member: `note` says what was concluded or is missing; `secret` = the text is masked."""

    name: str
    label: str
    text: str
    secret: bool = False
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Understood:
    """The bundle, what of it is shown, members that nobody knows, and the host's problem ('' = none)."""

    bundle: ConnectionBundle
    members: Sequence[Member]
    unknown: Sequence[str]
    host_problem: str
    host_code: str


def masked(secret: str) -> str:
    """The last four characters behind dots; nothing of a short one."""
    return f"••••{secret[-_SHOWN:]}" if len(secret) >= _SHORTEST else "••••"


def understand(text: str) -> Understood:
    """Read a pasted bundle. Raises `Invalid` with the member's path; the text itself is never part of an error."""
    body = text.strip().encode()
    if not body:
        raise Invalid(gettext("Paste the bundle that Voke showed."), path="bundle", code="BUNDLE_MISSING")
    if len(body) > MAX_BUNDLE_BYTES:
        raise Invalid(gettext("This is too large for a bundle."), path="bundle", code="BUNDLE_TOO_LARGE")
    try:
        bundle = parse_bundle(body)
        document = decode_object(body)
    except ProtocolError as error:
        raise Invalid(error.words, path=error.path or "bundle", code=error.code) from None
    problem, code = host_problem(bundle)
    return Understood(
        bundle=bundle,
        members=_members(bundle),
        unknown=_unknown(document),
        host_problem=problem,
        host_code=code,
    )


def host_problem(bundle: ConnectionBundle) -> tuple[str, str]:
    """Why the broker's host may not or can't be gone to, and the code; ('', '') = it may.

    That a name is not known now hinders nobody from importing: the check says more.
    """
    address = parse_amqps_uri(bundle.amqps_uri)
    try:
        resolve(address.host, address.port, timeout_s=_RESOLVE_S)
    except NameRefused:
        return gettext("It leads to an address that is not public, and CONNECT_ALLOW_PRIVATE is off."), (
            "ADDRESS_REFUSED"
        )
    except (NameUnknown, NameTimeout):
        return gettext("The name does not resolve from here now."), "NAME_UNKNOWN"
    return "", ""


def _unknown(document: dict[str, object]) -> list[str]:
    inner = document.get("connectionBundle")
    names = set(document) | (set(inner) if isinstance(inner, dict) else set())
    return sorted(name[:60] for name in names - _KNOWN)[:20]


def _members(bundle: ConnectionBundle) -> list[Member]:
    address = parse_amqps_uri(bundle.amqps_uri)
    plain = {
        "host": f"{address.host}:{address.port}",
        "vhost": bundle.vhost,
        "user": address.username,
        "slug": bundle.slug,
        "key_id": bundle.key_id or "",
        "queues": f"vcp.{bundle.queue_prefix}.…",
        "routing": f"{bundle.routing_prefix}.…",
        "rest": bundle.rest_base_url or "",
    }
    notes = {
        "key_id": gettext("not in the bundle") if not bundle.key_id else "",
        "rest": gettext("not in the bundle: Voke's usual one is used") if not bundle.rest_base_url else "",
        "queues": gettext("named in the bundle") if bundle.queues else gettext("built from the prefix"),
    }
    found = [
        Member(name=name, label=str(_LABELS[name]), text=text, note=notes.get(name, ""))
        for name, text in plain.items()
    ]
    found.append(
        Member(name="api_key", label=str(_LABELS["api_key"]), text=masked(bundle.api_key), secret=True)
    )
    missing = gettext("missing: nothing that must be signed can be sent with this key")
    found.append(
        Member(
            name="signing_key",
            label=str(_LABELS["signing_key"]),
            text=masked(bundle.signing_key) if bundle.signing_key else "",
            secret=True,
            note="" if bundle.signing_key else missing,
        )
    )
    return found
