"""DER, as much of it as a timestamp needs: an encoder, and a strict reader.

Written by hand because the general-purpose CMS builder was the one bottleneck of the instance
(4.8 ms a timestamp against 0.05 ms). Source: ITU-T X.690.

    >>> integer(5).hex()
    '020105'
"""

from __future__ import annotations

from dataclasses import dataclass

from chainlab.errors import MalformedInput

__all__ = [
    "Element",
    "context",
    "generalized_time",
    "integer",
    "octets",
    "oid",
    "parse",
    "sequence",
    "set_of",
    "tlv",
    "utc_time",
    "utf8",
]

BOOLEAN, INTEGER, OCTET_STRING, NULL, OID, UTF8 = 0x01, 0x02, 0x04, 0x05, 0x06, 0x0C
UTC_TIME, GENERALIZED_TIME, SEQUENCE, SET = 0x17, 0x18, 0x30, 0x31


def tlv(tag: int, *parts: bytes) -> bytes:
    """Tag, length, value: the value is the concatenation of ``parts``."""
    body = b"".join(parts)
    size = len(body)
    if size < 0x80:
        return bytes((tag, size)) + body
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + body


def sequence(*parts: bytes) -> bytes:
    """SEQUENCE of encoded parts."""
    return tlv(SEQUENCE, *parts)


def set_of(*parts: bytes) -> bytes:
    """SET OF encoded parts, in DER's order."""
    return tlv(SET, *sorted(parts))


def context(number: int, *parts: bytes) -> bytes:
    """Constructed context-specific tag ``[number]``."""
    return tlv(0xA0 | number, *parts)


def integer(value: int) -> bytes:
    """INTEGER of a non-negative value."""
    return tlv(INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def octets(value: bytes) -> bytes:
    """OCTET STRING."""
    return tlv(OCTET_STRING, value)


def utf8(text: str) -> bytes:
    """UTF8String."""
    return tlv(UTF8, text.encode())


def utc_time(text: str) -> bytes:
    """UTCTime from ``YYMMDDhhmmssZ``."""
    return tlv(UTC_TIME, text.encode("ascii"))


def generalized_time(text: str) -> bytes:
    """GeneralizedTime from ``YYYYMMDDhhmmssZ``."""
    return tlv(GENERALIZED_TIME, text.encode("ascii"))


def oid(dotted: str) -> bytes:
    """OBJECT IDENTIFIER from its dotted form."""
    first, second, *rest = (int(arc) for arc in dotted.split("."))
    body = bytearray()
    for arc in (first * 40 + second, *rest):
        groups = [arc & 0x7F]
        while arc := arc >> 7:
            groups.append(arc & 0x7F | 0x80)
        body += bytes(reversed(groups))
    return tlv(OID, bytes(body))


@dataclass(frozen=True)
class Element:
    """One decoded element: its tag, its value, and its whole encoding."""

    tag: int
    value: bytes
    encoded: bytes

    def children(self) -> list[Element]:
        """The elements inside a constructed one."""
        return parse(self.value)


def parse(data: bytes) -> list[Element]:
    """The elements that ``data`` consists of.

    Raises `MalformedInput` for a truncated element or a length that is not DER.
    """
    elements, at = [], 0
    while at < len(data):
        start = at
        if len(data) - at < 2:
            raise MalformedInput("truncated DER: an element has no length")
        tag, size = data[at], data[at + 1]
        at += 2
        if size == 0x80 or tag & 0x1F == 0x1F:
            raise MalformedInput("not DER: indefinite length or multi-byte tag")
        if size > 0x80:
            width = size & 0x7F
            raw = data[at : at + width]
            size = int.from_bytes(raw, "big")
            at += width
            if len(raw) != width or raw[0] == 0 or size < 0x80 or width > 4:
                raise MalformedInput("not DER: the length is not in its shortest form")
        if at + size > len(data):
            raise MalformedInput("truncated DER: an element is longer than its input")
        elements.append(Element(tag, data[at : at + size], data[start : at + size]))
        at += size
    return elements
