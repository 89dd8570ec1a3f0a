"""Masks addresses and numbers by which a person can be reached, in text.

E-mail addresses, IP addresses and phone numbers, as FineWeb (arXiv 2406.17557, section 3.7, the
first two) and MINT-1T (arXiv 2406.11271, section 2.3) do it. Names are left alone.
"""

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import phonenumbers

from schemas.document import Document, Image, Node, Signal, Text

# Lengths after RFC 5321 §4.5.3.1 and RFC 1035 §2.3.4, so that no text takes long.
_EMAIL = re.compile(
    r"(?<![\w.%+-])[\w.%+-]{1,64}@(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,8}"
    r"(?:[^\W\d_]{2,24}|(?:xn|XN)--[a-zA-Z0-9-]{1,58}[a-zA-Z0-9])(?![\w-])"
)
_IPV4 = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?!\.?\w)")
_IPV6 = re.compile(r"(?<![\w:.])(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{0,4}(?![\w:])", re.IGNORECASE)
# No phone number has fewer digits (ITU-T E.164 numbers that libphonenumber knows).
_DIGITS = re.compile(r"\d(?:[^\w\n]{0,3}\d){6}")


@dataclass(frozen=True)
class PiiMask:
    """What is masked in texts and in the words of images.

    Attributes:
      email: e-mail addresses become ``[email]``.
      ip: public IP addresses, version 4 and 6, become ``[ip]``; private ones name nobody.
      phone: valid phone numbers with their country's code become ``[phone]``.
      phone_regions: countries (ISO 3166-1, e.g. ``US``) whose numbers are known without it, too.
    """

    email: bool = True
    ip: bool = True
    phone: bool = True
    phone_regions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for region in self.phone_regions:
            if region not in phonenumbers.SUPPORTED_REGIONS:
                raise ValueError(f"mask: phone_regions: {region!r} is no country's code")


@dataclass
class Masked:
    """How many of each kind were masked."""

    email: int = 0
    ip: int = 0
    phone: int = 0


def mask_document(document: Document, mask: PiiMask) -> Document:
    """The document with its texts and the words of its images masked, and a signal for each kind:
    ``pii_email``, ``pii_ip`` and ``pii_phone``, how many were masked."""
    found = Masked()

    def masked(text: str) -> str:
        return mask_text(text, mask, found) if text else text

    def of(node: Node) -> Node:
        if isinstance(node, Text):
            return replace(node, text=masked(node.text))
        assert isinstance(node, Image)
        return replace(
            node, alt=masked(node.alt), title=masked(node.title), caption=masked(node.caption)
        )

    title, nodes = masked(document.title), tuple(of(node) for node in document.nodes)
    signals = tuple(
        Signal(f"pii_{kind.name}", float(getattr(found, kind.name)))
        for kind in fields(Masked)
        if getattr(mask, kind.name)
    )
    return replace(document, nodes=nodes, title=title, signals=document.signals + signals)


def mask_text(text: str, mask: PiiMask, found: Masked) -> str:
    """`text` masked; what was masked is counted in `found`."""
    if mask.email and "@" in text:
        text, n = _EMAIL.subn("[email]", text)
        found.email += n
    if mask.ip:
        for pattern, sign in ((_IPV4, "."), (_IPV6, ":")):
            if sign in text:
                text, n = _replaced(pattern, text, "[ip]", _is_public)
                found.ip += n
    if mask.phone and _DIGITS.search(text):
        for region in (None, *mask.phone_regions):
            text, n = _without_phones(text, region)
            found.phone += n
    return text


def _replaced(
    pattern: re.Pattern[str], text: str, by: str, wanted: Callable[[str], bool]
) -> tuple[str, int]:
    count = 0

    def replacement(match: re.Match[str]) -> str:
        nonlocal count
        if not wanted(match[0]):
            return match[0]
        count += 1
        return by

    return pattern.sub(replacement, text), count


def _is_public(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_global
    except ValueError:
        return False


def _without_phones(text: str, region: str | None) -> tuple[str, int]:
    matches = list(phonenumbers.PhoneNumberMatcher(text, region))
    for match in reversed(matches):
        text = f"{text[: match.start]}[phone]{text[match.end :]}"
    return text, len(matches)
