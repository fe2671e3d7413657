"""Which addresses a webhook may reach: resolved once, judged, and connected to as resolved.

A name that is looked up again for the connection could answer differently; whoever may edit a channel would then reach
the metadata service of a cloud, or a server that only listens inside. So the resolver's answer is what is used.
"""

import ipaddress
import queue
import socket
import threading
from collections.abc import Callable, Sequence

from watch.errors import SendError

Resolver = Callable[[str, int], Sequence[str]]
ADDRESSES_TRIED = 3
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_IPV6_PUBLIC = ipaddress.ip_network("2000::/3")


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


def is_public(address: str) -> bool:
    """Whether an address is of the public internet: not loopback, private, link-local, site-local, shared, multicast or
    reserved.

    An IPv6 address that only wraps an IPv4 one (mapped, 6to4, NAT64) is judged by what it wraps.
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        wrapped = ip.ipv4_mapped or ip.sixtofour
        if ip in _NAT64:
            wrapped = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if wrapped is not None:
            ip = wrapped
        elif ip not in _IPV6_PUBLIC:  # site-local and IPv4-compatible ones would count as global
            return False
    return ip.is_global and not ip.is_multicast
