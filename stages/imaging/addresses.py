"""Which machines a URL from a page may make us talk to: public ones.

The name is resolved here, every address it has is checked, and the connection is made to a checked
address, so that a name server cannot answer the check one way and the connection another.

Source: OWASP, Server-Side Request Forgery Prevention; the special-purpose registries of IANA
(RFC 6890) through `ipaddress`, and the exceptions named below.
"""

import ipaddress
import socket

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# Public by the registries, yet inside: where clouds answer for the machine that asks.
_FORBIDDEN = tuple(
    ipaddress.ip_network(network)
    for network in (
        "168.63.129.16/32",  # Azure
        "192.0.0.0/24",  # IETF protocol assignments; Oracle Cloud's metadata
        "192.88.99.0/24",  # 6to4 relays, RFC 7526
        "fec0::/10",  # site-local, RFC 3879
        "64:ff9b:1::/48",  # local NAT64, RFC 8215
        "3fff::/20",  # documentation, RFC 9637; not in the registries of older Pythons
    )
)
# Where other protocols are spoken, of which a request could be a message: mail, IRC, X11 ...
# Source: WHATWG Fetch, 2.9 "Port blocking".
FORBIDDEN_PORTS = frozenset(
    (
        *(0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95),
        *(101, 102, 103, 104, 109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179),
        *(389, 427, 465, 512, 513, 514, 515, 526, 530, 531, 532, 540, 548, 554, 556, 563, 587),
        *(601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061),
        *(6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080),
    )
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
# An IPv4 address in IPv6 clothes has no business in DNS.
_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")


class ForbiddenAddress(OSError):
    """A name leads to an address that is not public."""


def is_public(address: Address, allow_loopback: bool = False) -> bool:
    """Whether an address may be connected to; an IPv6 address that carries an IPv4 address (NAT64,
    6to4, Teredo) is judged by that."""
    if allow_loopback and address.is_loopback:
        return True
    if any(address in network for network in _FORBIDDEN if network.version == address.version):
        return False
    if isinstance(address, ipaddress.IPv6Address) and (carried := _carried(address)):
        return address not in _MAPPED and is_public(carried)
    return address.is_global and not address.is_multicast and not address.is_reserved


def _carried(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if address.teredo:
        return address.teredo[1]
    return address.ipv4_mapped or address.sixtofour


def resolve(host: str, port: int, allow_loopback: bool = False) -> list[str]:
    """The addresses of a host, in the order of the resolver.

    Raises:
      ForbiddenAddress: one of them is not public.
      OSError: the name has no address.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:  # a label that is too long or empty
        raise OSError(f"{host!r} is no host name") from error
    addresses = list(dict.fromkeys(str(info[4][0]) for info in found))
    if not addresses:
        raise OSError(f"{host!r} has no address")
    for text in addresses:
        if not is_public(ipaddress.ip_address(text), allow_loopback):
            raise ForbiddenAddress(f"{host} leads to {text}")
    return addresses
