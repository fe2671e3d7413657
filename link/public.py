"""Which addresses are of the public internet. Pure.

Whoever may name a host of a broker, of a REST address or of a webhook could else make this platform ask the metadata
service of a cloud, or a server that listens inside only.
"""

import ipaddress

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_IPV6_PUBLIC = ipaddress.ip_network("2000::/3")


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
