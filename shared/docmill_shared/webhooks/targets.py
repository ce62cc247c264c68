"""Which addresses docmill calls for a stranger: public ones on the internet, and no others.

An owner chooses the URL, and the janitor that calls it stands inside the operator's network. So a
URL must have a plain form that every parser reads alike, and every address that its name resolves
to must be public. The form is checked wherever a URL comes in; addresses are checked at each
attempt, since a name can change its answer, and the call goes to the very address that was checked.
"""

import ipaddress
import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from urllib.parse import urlsplit

from docmill_shared.errors import DocmillError

LONGEST_URL = 2048

#: Everything else, spaces, control characters and letters beyond ASCII too, parsers differ about.
_PLAIN = re.compile(r"[!-\[\]-~]+", re.ASCII)
_AUTHORITY = re.compile(r"(\[[0-9a-f:.]+\]|[^\[\]:]+)(:[0-9]{1,5})?", re.ASCII | re.IGNORECASE)
_NAME = re.compile(r"([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_-]{1,63}", re.ASCII)
#: By WHATWG's rules a host whose last part looks like a number is an IPv4 address.
_NUMBER_LIKE = re.compile(r"(.*\.)?([0-9]+|0x[0-9a-f]*)", re.ASCII)
#: Names that mean this machine or its network, whatever they resolve to.
_LOCAL_NAMES = ("localhost", "local", "internal", "intranet", "lan", "home.arpa", "onion")

#: Not public, though ``is_global`` says so, at least in some versions of Python; the last is the
#: host of a virtual machine in Azure, which answers with its metadata.
_NOT_PUBLIC_4 = tuple(
    IPv4Network(each) for each in ("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32")
)
#: Only this part of IPv6 is assigned to the internet.
_INTERNET_6 = IPv6Network("2000::/3")
_NOT_PUBLIC_6 = (IPv6Network("2001::/23"), IPv6Network("3fff::/20"))
#: A translator calls the IPv4 address in the last 32 bits (RFC 6052).
_NAT64 = IPv6Network("64:ff9b::/96")


class TargetRefused(DocmillError):
    """The URL or an address of its host is not one that docmill calls; the message is a sentence.

    It names no address: what a name resolves to inside the network is not for its owner to know.
    """


@dataclass(frozen=True, slots=True)
class Target:
    """A URL in its parts."""

    https: bool
    host: str  #: a name, or an address without brackets
    port: int
    path: str  #: with the query

    @property
    def is_address(self) -> bool:
        """Whether the host is an address, which need not be resolved."""
        return _address(self.host) is not None


def parse(url: str, *, allow_private: bool = False) -> Target:
    """The parts of a URL that docmill may call, as far as can be said without resolving its host.

    Raises:
        TargetRefused: it is not one.
    """
    if len(url) > LONGEST_URL:
        raise TargetRefused(f"The URL must not be longer than {LONGEST_URL} characters.")
    if not _PLAIN.fullmatch(url):
        raise TargetRefused(
            "The URL must be plain ASCII without spaces and backslashes: percent-encode the path, "
            "and write an international name in its xn-- form."
        )
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise TargetRefused("This is not a URL.") from None
    scheme = parts.scheme
    if scheme != "https" and not (allow_private and scheme == "http"):
        raise TargetRefused("The URL must begin with https://.")
    if "@" in parts.netloc:
        raise TargetRefused("The URL must not hold a user name or a password.")
    if "#" in url:
        raise TargetRefused("The URL must not have a fragment.")
    if not _AUTHORITY.fullmatch(parts.netloc):
        raise TargetRefused("The host is not a name or an address.")
    https = scheme == "https"
    host = _host(parts.netloc, parts.hostname or "", allow_private=allow_private)
    port = (443 if https else 80) if port is None else port
    if port < 1024 and port not in ((443, 80) if allow_private else (443,)):
        raise TargetRefused("The port must be 443, or 1024 or above.")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(https, host, port, path)


def require_public(addresses: list[str]) -> None:
    """Refuse unless there are addresses and every one of them is public.

    Raises:
        TargetRefused: one is not; a name that also means something inside is not called at all.
    """
    if not addresses or not all(is_public(each) for each in addresses):
        raise TargetRefused("The host is not, or not only, on the public internet.")


def is_public(address: str) -> bool:
    """Whether this is the address of a host on the internet, or translates to one."""
    found = _address(address)
    if isinstance(found, IPv6Address):
        if found.ipv4_mapped is not None:
            found = found.ipv4_mapped
        elif found in _NAT64:
            found = IPv4Address(int(found) & 0xFFFFFFFF)
    if found is None or not found.is_global or found.is_multicast:
        return False
    if isinstance(found, IPv4Address):
        return not any(found in each for each in _NOT_PUBLIC_4)
    # 6to4 and Teredo lead through relays to an IPv4 address; nobody offers services there.
    if found.sixtofour is not None or found not in _INTERNET_6:
        return False
    return not any(found in each for each in _NOT_PUBLIC_6)


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _host(netloc: str, host: str, *, allow_private: bool) -> str:
    bracketed = netloc.startswith("[")
    address = _address(host)
    if bracketed:
        if not isinstance(address, IPv6Address):
            raise TargetRefused("What stands in brackets must be an IPv6 address.")
    elif address is None:
        if host.endswith("."):
            raise TargetRefused("The host must not end with a dot.")
        if not _NAME.fullmatch(host) or len(host) > 253:
            raise TargetRefused("The host is not a name or an address.")
        if _NUMBER_LIKE.fullmatch(host):
            raise TargetRefused("Write an IPv4 address as four decimal numbers.")
    if allow_private:
        return host
    if address is not None:
        require_public([host])
    elif "." not in host or host.endswith(tuple(f".{each}" for each in _LOCAL_NAMES)):
        raise TargetRefused("The host must have a public name.")
    return host
