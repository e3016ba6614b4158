"""Which addresses may be connected to: those checked after name resolution, and no others."""

from __future__ import annotations

import ipaddress
import socket

import httpx

from schemas.errors import ModelError


def checked_address(url: httpx.URL, *, local: bool) -> str:
    """The numeric address to connect to. `local`: this machine is allowed, and nothing else.

    Raises ModelError for one that is private, link-local, multicast or reserved, or without https.
    """
    if url.scheme != "https" and not (local and url.scheme == "http"):
        raise ModelError(f"{url.host or 'an address'} was given without https; only https is asked")
    try:
        found = socket.getaddrinfo(url.host, url.port or 443, type=socket.SOCK_STREAM)
    except OSError:
        raise ConnectionError(f"the name {url.host} has no address") from None
    addresses = [ipaddress.ip_address(one[4][0]) for one in found]
    for one in addresses:
        mapped = getattr(one, "ipv4_mapped", None) or one
        if not (mapped.is_loopback if local else mapped.is_global and not mapped.is_multicast):
            raise ModelError(f"{url.host} leads to {one}, which is not allowed; correct generator.url")
    return str(addresses[0])
