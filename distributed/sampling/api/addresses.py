"""Which addresses may be connected to: those checked after name resolution, and no others."""

from __future__ import annotations

import ipaddress
import socket

import httpx

from schemas.errors import ModelError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def checked_address(url: httpx.URL, *, local: bool) -> str:
    """The numeric address to connect to. `local`: this machine is allowed, and nothing else.

    Raises ModelError for one that is private, link-local, multicast or reserved, or without https.
    """
    if url.scheme != "https" and not (local and url.scheme == "http"):
        raise ModelError(f"{url.host or 'an address'} was given without https; only https is asked")
    try:
        entries = socket.getaddrinfo(url.host, url.port or 443, type=socket.SOCK_STREAM)
    except OSError:
        raise ConnectionError(f"the name {url.host} has no address") from None
    addresses = [ipaddress.ip_address(entry[4][0]) for entry in entries]
    for address in addresses:
        reached = _reached(address)
        if not (reached.is_loopback if local else reached.is_global and not reached.is_multicast):
            raise ModelError(f"{url.host} leads to {address}, which is not allowed; correct generator.url")
    return str(addresses[0])


def _reached(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for, by any of the ways to write one in the other."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    teredo = address.teredo[1] if address.teredo else None
    return address.ipv4_mapped or address.sixtofour or teredo or address
