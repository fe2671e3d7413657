"""Which addresses a webhook may reach: resolved once, judged, and connected to as resolved.

A name that is looked up again for the connection could answer differently; whoever may edit a channel would then reach
the metadata service of a cloud, or a server that only listens inside. So the resolver's answer is what is used.
"""

import queue
import socket
import threading
from collections.abc import Callable, Sequence

from link.public import is_public
from watch.errors import SendError

Resolver = Callable[[str, int], Sequence[str]]
ADDRESSES_TRIED = 3


def system_resolver(host: str, port: int) -> Sequence[str]:
    """Every address of a host as the system knows it."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def resolve(host: str, port: int, *, resolver: Resolver, timeout_s: float) -> Sequence[str]:
    """The addresses of a host within a time; the system's resolver knows no timeout of ours, so it runs aside."""
    answer: queue.SimpleQueue[Sequence[str] | OSError | UnicodeError] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answer.put(resolver(host, port))
        except (OSError, UnicodeError) as error:
            answer.put(error)

    threading.Thread(target=ask, name="resolve", daemon=True).start()
    try:
        found = answer.get(timeout=timeout_s)
    except queue.Empty:
        raise SendError(f"the name {host} was not resolved in time", code="DNS_TIMEOUT") from None
    if isinstance(found, Exception) or not found:
        raise SendError(f"the name {host} can't be resolved", code="DNS_FAILED")
    return found


def public_addresses(found: Sequence[str], *, host: str, allow_private: bool) -> list[str]:
    """The first few of the addresses; refused when any of them is not of the public internet."""
    if not allow_private and not all(is_public(address) for address in found):
        raise SendError(
            f"{host} leads to an address that is not public (NOTIFY_ALLOW_PRIVATE allows it)",
            code="ADDRESS_REFUSED",
            permanent=True,
        )
    return list(found[:ADDRESSES_TRIED])
