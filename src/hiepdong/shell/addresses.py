"""From which address a request comes: what limits and slowed sign-ins count by."""

from collections.abc import Collection
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from django.conf import settings
from django.http import HttpRequest

Address = IPv4Address | IPv6Address
LONGEST_CHAIN = 32  # addresses in a header; what is longer was made up


def address_of(request: HttpRequest) -> str:
    """Return the address that asks, at most 64 characters.

    Behind front servers named in HIEPDONG_PROXIES it is the last address in X-Forwarded-For that is none of them: those before
    it are what the asker wrote. A header that comes from anywhere else is not read: it would let one be everybody.
    """
    peer = str(request.META.get("REMOTE_ADDR", ""))[:64]
    return behind(settings.HIEPDONG_PROXIES, peer, request.META.get("HTTP_X_FORWARDED_FOR", ""))


def behind(proxies: Collection[IPv4Network | IPv6Network], peer: str, forwarded: str) -> str:
    """Return the nearest address that is no trusted proxy, seen from `peer` through the addresses that it forwarded.

    What cannot be read as an address ends the walk: the proxy that passed it on stands for it.
    """
    here = _read(peer)
    if here is None:
        return peer
    for word in reversed(forwarded.rsplit(",", LONGEST_CHAIN)[-LONGEST_CHAIN:]):
        before = _read(word.strip())
        if before is None or not any(here in network for network in proxies):
            break
        here = before
    return str(here)


def _read(text: str) -> Address | None:
    """Return an address, written alone or with a port; an IPv4 address inside an IPv6 one as itself."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found
