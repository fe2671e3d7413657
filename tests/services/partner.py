"""What Voke sets up in its broker for one partner key: vhost, user, least rights, exchange, queues, bindings.

Written out from the fact sheet (section 2), not taken from `vcp.routing`: the broker that the tests run
against must not inherit a mistake of the code under test. A test compares the two.
"""

import re
import secrets
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

EXCHANGE = "vcp"
VOKE_USER = "voke"

# queue member of the bundle -> (queue name after `vcp.{slug}.`, binding keys after `{slug}.`)
QUEUES: dict[str, tuple[str, tuple[str, ...]]] = {
    "command": ("command", ("command.#",)),
    "config": ("config", ("config.#",)),
    "schedule": ("schedule", ("schedule.*",)),
    "eventTelemetry": ("event.telemetry", ("event.telemetry.#",)),
    "eventStatus": ("event.status", ("event.command.ack", "event.mode.*", "event.schedule.*")),
    "eventAlarm": ("event.alarm", ("event.alarm.#",)),
    "eventExecution": ("event.execution", ("event.execution.#",)),
}


@dataclass(frozen=True, kw_only=True)
class Partner:
    """One partner key of the test broker: its address, its rights and the bundle that Voke would hand over.

    `uri` is the partner's own AMQPS address (least rights), `voke_uri` the other side's in the same vhost
    (all rights).
    """

    slug: str
    key_id: str
    api_key: str = field(repr=False)
    signing_key: str = field(repr=False)
    uri: str = field(repr=False)
    voke_uri: str = field(repr=False)

    @property
    def vhost(self) -> str:
        return vhost_of(self.key_id)

    @property
    def queues(self) -> dict[str, str]:
        """Queue names by the bundle's member names."""
        return queue_names(self.slug)

    @property
    def dead_queue(self) -> str:
        """Where the seven queues dead-letter to."""
        return f"vcp.{self.slug}.dead"

    def bundle(self) -> dict[str, Any]:
        """The connection bundle as `manage.py connect_voke` imports it."""
        return {
            "amqpsUri": self.uri,
            "apiKey": self.api_key,
            "signingKey": self.signing_key,
            "keyId": self.key_id,
            "slug": self.slug,
            "queuePrefix": self.slug,
            "queues": self.queues,
            "restBaseUrl": "https://localhost/api/v1",
        }


def vhost_of(key_id: str) -> str:
    return f"partner-{key_id}"


def queue_names(slug: str) -> dict[str, str]:
    return {member: f"vcp.{slug}.{tail}" for member, (tail, _) in QUEUES.items()}


def bindings(slug: str) -> list[tuple[str, str]]:
    """(queue, binding key) of every binding between the exchange and the seven queues."""
    names = queue_names(slug)
    return [(names[member], f"{slug}.{key}") for member, (_, keys) in QUEUES.items() for key in keys]


def new_partner(slug: str, key_id: str, *, port: int, voke_password: str) -> Partner:
    """A partner with fresh secrets; the API key holds the characters that a URI must escape."""
    api_key = f"k+{secrets.token_urlsafe(18)}/=%"
    return Partner(
        slug=slug,
        key_id=key_id,
        api_key=api_key,
        signing_key=secrets.token_hex(32),
        uri=amqps_uri(slug, api_key, port, vhost_of(key_id)),
        voke_uri=amqps_uri(VOKE_USER, voke_password, port, vhost_of(key_id)),
    )


def amqps_uri(user: str, password: str, port: int, vhost: str) -> str:
    return (
        f"amqps://{quote(user, safe='')}:{quote(password, safe='')}@localhost:{port}/{quote(vhost, safe='')}"
    )


def definitions(partners: list[Partner], voke_password: str, *, quorum: bool = False) -> dict[str, Any]:
    """RabbitMQ definitions for these partners and for Voke's own user; their queues classic, or quorum queues."""
    result: dict[str, Any] = {
        "users": [{"name": VOKE_USER, "password": voke_password, "tags": []}],
        "vhosts": [],
        "permissions": [],
        "topic_permissions": [],
        "exchanges": [],
        "queues": [],
        "bindings": [],
    }
    for partner in partners:
        _add_rights(result, partner)
        _add_topology(result, partner, quorum=quorum)
    return result


def _add_rights(result: dict[str, Any], partner: Partner) -> None:
    vhost, slug = partner.vhost, re.escape(partner.slug)
    result["vhosts"].append({"name": vhost})
    result["users"].append({"name": partner.slug, "password": partner.api_key, "tags": []})
    result["permissions"] += [
        {"user": VOKE_USER, "vhost": vhost, "configure": ".*", "write": ".*", "read": ".*"},
        {
            "user": partner.slug,
            "vhost": vhost,
            "configure": "^$",
            "write": f"^{EXCHANGE}$",
            "read": rf"^vcp\.{slug}\.event\..*",
        },
    ]
    result["topic_permissions"].append(
        {
            "user": partner.slug,
            "vhost": vhost,
            "exchange": EXCHANGE,
            "write": rf"^{slug}\.(command|config|schedule)\..*",
            "read": rf"^{slug}\.event\..*",
        }
    )


def _add_topology(result: dict[str, Any], partner: Partner, *, quorum: bool) -> None:
    vhost = partner.vhost
    result["exchanges"].append(
        {
            "name": EXCHANGE,
            "vhost": vhost,
            "type": "topic",
            "durable": True,
            "auto_delete": False,
            "arguments": {},
        }
    )
    kind = {"x-queue-type": "quorum"} if quorum else {}
    dead_letter = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": partner.dead_queue}
    for name in partner.queues.values():
        result["queues"].append(_queue(name, vhost, kind | dead_letter))
    result["queues"].append(_queue(partner.dead_queue, vhost, kind))
    result["bindings"] += [
        {
            "source": EXCHANGE,
            "vhost": vhost,
            "destination": queue,
            "destination_type": "queue",
            "routing_key": key,
            "arguments": {},
        }
        for queue, key in bindings(partner.slug)
    ]


def _queue(name: str, vhost: str, arguments: dict[str, str]) -> dict[str, Any]:
    return {"name": name, "vhost": vhost, "durable": True, "auto_delete": False, "arguments": arguments}
