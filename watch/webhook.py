"""Sends one signed webhook: a POST over a socket of its own, with one deadline for everything and a bounded answer.

- Signature: `X-Signature: t=UNIX,v1=HEX`, where HEX is HMAC-SHA256 of `UNIX.BODY` (the exact bytes) under the channel's
  secret. The receiver compares in constant time and refuses a `t` that is more than five minutes off.
- `X-Notification-Id` is the same at every attempt: a receiver that knows it has the message already.
- Taken means 2xx. A redirect is not followed (it could lead inside) and counts as a refusal.
- Only the status line of the answer is read; nothing of the rest is kept or shown.
"""

import hashlib
import hmac
import json
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import SplitResult, urlsplit

from watch.addresses import Resolver, public_addresses, resolve, system_resolver
from watch.errors import SendError

ANSWER_MAX_BYTES = 16_384
_AGAIN = frozenset({408, 425, 429})


@dataclass(frozen=True, kw_only=True)
class WebhookOptions:
    """What is allowed and how long one attempt may take; `tls` None = the system's authorities."""

    timeout_s: float
    allow_http: bool = False
    allow_private: bool = False
    resolver: Resolver = system_resolver
    tls: ssl.SSLContext | None = None


def body_of(content: Mapping[str, Any]) -> bytes:
    """The bytes that are signed and sent."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def signature(body: bytes, *, secret: str, at: datetime) -> str:
    """The value of `X-Signature`."""
    unix = int(at.timestamp())
    digest = hmac.new(secret.encode(), b"%d." % unix + body, hashlib.sha256).hexdigest()
    return f"t={unix},v1={digest}"


def parse_url(url: str, *, allow_http: bool) -> SplitResult:
    """The parts of a webhook's address; SendError says what is wrong with it."""
    wrong = "the address must be https://HOST[:PORT]/PATH without user, password and fragment"
    try:
        parts = urlsplit(url)
        usable = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable or not url.isascii() or any(char <= " " for char in url):
        raise SendError(wrong, code="BAD_URL", permanent=True)
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise SendError(wrong, code="BAD_URL", permanent=True)
    if parts.scheme != "https" and not (parts.scheme == "http" and allow_http):
        raise SendError(wrong, code="BAD_URL", permanent=True)
    return parts


def send_webhook(
    *, url: str, secret: str, uid: str, content: Mapping[str, Any], at: datetime, options: WebhookOptions
) -> int:
    """POST the content; answers the 2xx status, raises SendError for everything else."""
    parts = parse_url(url, allow_http=options.allow_http)
    deadline = time.monotonic() + options.timeout_s
    host, port = str(parts.hostname), parts.port or (443 if parts.scheme == "https" else 80)
    found = resolve(host, port, resolver=options.resolver, timeout_s=options.timeout_s)
    addresses = public_addresses(found, host=host, allow_private=options.allow_private)
    body = body_of(content)
    request = _request(parts, body, uid=uid, signed=signature(body, secret=secret, at=at))
    with _connected(addresses, port, host, deadline) as plain:
        stream = _encrypted(plain, host, options) if parts.scheme == "https" else plain
        with stream:
            status = _exchange(stream, request, host, deadline)
    if 200 <= status < 300:
        return status
    permanent = 300 <= status < 500 and status not in _AGAIN
    raise SendError(f"{host} answered {status}", code=f"HTTP_{status}", permanent=permanent)


def _request(parts: SplitResult, body: bytes, *, uid: str, signed: str) -> bytes:
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    head = (
        f"POST {target} HTTP/1.1",
        f"Host: {parts.netloc}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "User-Agent: esm-partner-platform",
        f"X-Notification-Id: {uid}",
        f"X-Signature: {signed}",
        "Connection: close",
    )
    return "\r\n".join(head).encode("ascii") + b"\r\n\r\n" + body


def _connected(addresses: list[str], port: int, host: str, deadline: float) -> socket.socket:
    for number, address in enumerate(addresses):
        # A share of the time each: one address that swallows everything must not hide the next.
        share_s = _left(deadline, host) / (len(addresses) - number)
        try:
            plain = socket.create_connection((address, port), timeout=share_s)
        except OSError:
            continue
        plain.settimeout(max(0.001, deadline - time.monotonic()))
        return plain
    raise SendError(f"{host} can't be reached on port {port}", code="UNREACHABLE")


def _encrypted(plain: socket.socket, host: str, options: WebhookOptions) -> socket.socket:
    context = options.tls or ssl.create_default_context()
    try:
        return context.wrap_socket(plain, server_hostname=host)
    except ssl.SSLCertVerificationError as error:
        raise SendError(
            f"the certificate of {host} is not trusted: {error.verify_message}", code="CERTIFICATE_REFUSED"
        ) from None
    except TimeoutError:
        raise SendError(f"{host} did not answer in time", code="TIMEOUT") from None
    except OSError:
        raise SendError(f"{host} does not speak TLS", code="TLS_FAILED") from None


def _exchange(stream: socket.socket, request: bytes, host: str, deadline: float) -> int:
    """Send the request and read as far as the final status line; 1xx answers are passed over."""
    received = b""
    try:
        stream.settimeout(_left(deadline, host))
        stream.sendall(request)
        while len(received) < ANSWER_MAX_BYTES:
            status, received = _status(received, host)
            if status is not None:
                return status
            stream.settimeout(_left(deadline, host))
            chunk = stream.recv(2048)
            if not chunk:
                break
            received += chunk
    except TimeoutError:
        raise SendError(f"{host} did not answer in time", code="TIMEOUT") from None
    except OSError:
        raise SendError(f"{host} cut the connection", code="CONNECTION_LOST") from None
    raise SendError(f"{host} does not answer as a web server does", code="BAD_ANSWER")


def _status(received: bytes, host: str) -> tuple[int | None, bytes]:
    """(status of a complete status line or None, what is still to be read)."""
    line, complete, _ = received.partition(b"\r\n")
    if not complete:
        return None, received
    words = line.split(b" ", 2)
    if (
        len(words) < 2
        or not words[0].startswith(b"HTTP/1.")
        or not (words[1].isdigit() and len(words[1]) == 3)
    ):
        raise SendError(f"{host} does not answer as a web server does", code="BAD_ANSWER")
    status = int(words[1])
    if status >= 200 or status == 101:
        return status, received
    _, over, rest = received.partition(b"\r\n\r\n")
    return _status(rest, host) if over else (None, received)


def _left(deadline: float, host: str) -> float:
    left_s = deadline - time.monotonic()
    if left_s <= 0:
        raise SendError(f"{host} did not answer in time", code="TIMEOUT")
    return left_s
