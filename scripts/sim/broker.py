"""RabbitMQ as Voke runs it for one partner key: TLS only, one vhost, two users with least rights, bounded queues.

The partner may publish commands, config and schedules and read its four event queues; Voke's side the other way
round. Neither may declare anything. Definitions hold password hashes, never a password.
"""

import base64
import hashlib
import re
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vcp import EXCHANGE, AmqpsAddress, bindings, build_amqps_uri, queue_names

SLUG = "demo"
KEY_ID = "sim"
VHOST = f"partner-{KEY_ID}"
VOKE_USER = "voke"
QUEUES = queue_names(SLUG)
DEAD_QUEUE = f"vcp.{SLUG}.dead"
MAX_MESSAGES = 100_000
"""Each queue's bound: a platform that is down for days must not fill the disk."""


@dataclass(frozen=True, kw_only=True)
class Passwords:
    """Of the broker's two users; the partner's is the API key of the bundle."""

    partner: str = field(repr=False)
    voke: str = field(repr=False)


def new_passwords() -> Passwords:
    """Fresh ones, 256 bit each."""
    return Passwords(partner=secrets.token_urlsafe(32), voke=secrets.token_urlsafe(32))


def address(user: str, password: str, *, host: str, port: int) -> str:
    """The AMQPS address of one of the users."""
    return build_amqps_uri(AmqpsAddress(host=host, port=port, username=user, password=password, vhost=VHOST))


def configuration(directory: Path, *, port: int) -> str:
    """rabbitmq.conf for the files in `directory`."""
    return "\n".join(
        [
            "listeners.tcp = none",
            f"listeners.ssl.default = {port}",
            f"ssl_options.cacertfile = {directory / 'ca.pem'}",
            f"ssl_options.certfile = {directory / 'server.pem'}",
            f"ssl_options.keyfile = {directory / 'server.key'}",
            "ssl_options.versions.1 = tlsv1.3",
            "ssl_options.versions.2 = tlsv1.2",
            "ssl_options.verify = verify_none",  # clients prove themselves by password, not by certificate
            "ssl_options.fail_if_no_peer_cert = false",
            f"load_definitions = {directory / 'definitions.json'}",
            "log.console = true",
            "log.file = false",
            "vm_memory_high_watermark.absolute = 256MB",
            "disk_free_limit.absolute = 50MB",
            "",
        ]
    )


def definitions(passwords: Passwords) -> dict[str, Any]:
    """The document that RabbitMQ loads when it boots; loading it again changes nothing."""
    return {
        "users": [_user(SLUG, passwords.partner), _user(VOKE_USER, passwords.voke)],
        "vhosts": [{"name": VHOST}],
        "permissions": [
            _permission(SLUG, read=QUEUES.to_partner),
            _permission(VOKE_USER, read=QUEUES.to_voke),
        ],
        "topic_permissions": [
            _topic_permission(SLUG, write="(command|config|schedule)", read="event"),
            _topic_permission(VOKE_USER, write="event", read="(command|config|schedule)"),
        ],
        "exchanges": [
            {
                "name": EXCHANGE,
                "vhost": VHOST,
                "type": "topic",
                "durable": True,
                "auto_delete": False,
                "arguments": {},
            }
        ],
        "queues": [
            # A publisher learns that a full queue refuses its command; events give way to newer ones.
            *(_queue(name, overflow="reject-publish", dead=True) for name in QUEUES.to_voke),
            *(_queue(name, overflow="drop-head", dead=True) for name in QUEUES.to_partner),
            _queue(DEAD_QUEUE, overflow="drop-head", dead=False),
        ],
        "bindings": [
            {
                "source": EXCHANGE,
                "vhost": VHOST,
                "destination": queue,
                "destination_type": "queue",
                "routing_key": key,
                "arguments": {},
            }
            for queue, key in bindings(QUEUES, SLUG)
        ],
    }


def _user(name: str, password: str) -> dict[str, Any]:
    """RabbitMQ's stored form: salt of four bytes, then SHA-256 over salt and password."""
    salt = secrets.token_bytes(4)
    digest = hashlib.sha256(salt + password.encode()).digest()
    return {
        "name": name,
        "password_hash": base64.b64encode(salt + digest).decode(),
        "hashing_algorithm": "rabbit_password_hashing_sha256",
        "tags": [],
    }


def _permission(user: str, *, read: tuple[str, ...]) -> dict[str, str]:
    names = "|".join(re.escape(name) for name in read)
    return {
        "user": user,
        "vhost": VHOST,
        "configure": "^$",
        "write": f"^{re.escape(EXCHANGE)}$",
        "read": f"^({names})$",
    }


def _topic_permission(user: str, *, write: str, read: str) -> dict[str, str]:
    return {
        "user": user,
        "vhost": VHOST,
        "exchange": EXCHANGE,
        "write": rf"^{re.escape(SLUG)}\.{write}\.",
        "read": rf"^{re.escape(SLUG)}\.{read}\.",
    }


def _queue(name: str, *, overflow: str, dead: bool) -> dict[str, Any]:
    arguments: dict[str, Any] = {"x-max-length": MAX_MESSAGES, "x-overflow": overflow}
    if dead:
        arguments |= {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": DEAD_QUEUE}
    return {"name": name, "vhost": VHOST, "durable": True, "auto_delete": False, "arguments": arguments}
