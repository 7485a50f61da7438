"""Which addresses webhooks may go to: a name is looked up once an attempt, and what was checked is connected to."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final

from likeness.webhooks.errors import AddressError

# RFC 6052: networks without IPv4 reach it through these, the last four bytes being the IPv4 address.
_TRANSLATED: Final = IPv6Network("64:ff9b::/96")


def resolve(host: str, port: int, *, private: bool, flags: int = 0) -> list[str]:
    """All addresses of a host, in the system's order of preference; raises AddressError if one of them is not public,
    unless private ones are allowed. `flags` are those of getaddrinfo.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    except (OSError, UnicodeError) as error:
        raise AddressError(f"The name {host} of webhook_url has no address. Check it, and the name server.") from error
    addresses = list(dict.fromkeys(str(address[0]) for *_, address in found))
    for address in addresses:
        if not (private or is_public(address)):
            raise AddressError(
                f"webhook_url leads to {address}, which is not a public address. Choose another receiver, or set"
                " webhook_private."
            )
    return addresses


def is_public(address: str) -> bool:
    """Whether an address is anybody's on the internet: not private, loopback, link-local, multicast or reserved."""
    found = ip_address(address)
    found = _within(found) or found
    site_local = isinstance(found, IPv6Address) and found.is_site_local
    # `is_global` alone takes multicast and a part of the reserved ones for public.
    return found.is_global and not (found.is_multicast or found.is_reserved or site_local)


def _within(address: IPv4Address | IPv6Address) -> IPv4Address | None:
    """The IPv4 address that an IPv6 one stands for."""
    if isinstance(address, IPv4Address):
        return None
    if address in _TRANSLATED:
        return IPv4Address(address.packed[-4:])
    return address.ipv4_mapped or address.sixtofour
