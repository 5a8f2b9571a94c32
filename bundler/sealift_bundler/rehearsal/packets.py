"""What a frame from a container tries to reach: a name, or an address. Pure."""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass

_ETHERNET = 14
_IPV4, _IPV6 = 0x0800, 0x86DD
_TCP, _UDP = 6, 17
_SYN, _ACK = 0x02, 0x10
_DNS = 53
_MOST_LABELS = 64


@dataclass(frozen=True, order=True)
class Attempt:
    """Somebody at address `source` wanted to reach `target`.

    `target` is a name that was asked for, or an address and a port (`tcp/443`).
    """

    source: str
    target: str
    how: str


def read_frame(frame: bytes) -> Attempt | None:
    """Return what an Ethernet frame tries to reach; None for what leads nowhere.

    Only the first packet of a TCP connection counts, and no broadcast or multicast.
    """
    try:
        kind = int.from_bytes(frame[12:_ETHERNET], "big")
        if kind == _IPV4:
            return _ipv4(frame[_ETHERNET:])
        if kind == _IPV6:
            return _ipv6(frame[_ETHERNET:])
    except (IndexError, struct.error, ValueError):
        pass  # Cut short, or nothing that a network stack sends.
    return None


def _ipv4(packet: bytes) -> Attempt | None:
    header = (packet[0] & 0x0F) * 4
    source, target = (ipaddress.ip_address(packet[n : n + 4]) for n in (12, 16))
    return _transport(str(source), target, packet[9], packet[header:])


def _ipv6(packet: bytes) -> Attempt | None:
    source, target = (ipaddress.ip_address(packet[n : n + 16]) for n in (8, 24))
    return _transport(str(source), target, packet[6], packet[40:])


def _transport(
    source: str,
    target: ipaddress.IPv4Address | ipaddress.IPv6Address,
    protocol: int,
    data: bytes,
) -> Attempt | None:
    is_somebody = not (
        target.is_multicast or target.is_unspecified or target.is_link_local
    )
    if not is_somebody or str(target) == "255.255.255.255":
        return None
    if protocol == _TCP:
        port, flags = struct.unpack_from(">H", data, 2)[0], data[13]
        is_first = flags & (_SYN | _ACK) == _SYN
        if port == _DNS or not is_first:
            return None
        return Attempt(source, f"{target}", f"tcp/{port}")
    if protocol == _UDP:
        port = struct.unpack_from(">H", data, 2)[0]
        if port == _DNS:
            return Attempt(source, _question(data[8:]), "dns")
        return Attempt(source, f"{target}", f"udp/{port}")
    return None


def _question(message: bytes) -> str:
    """Return the name that a DNS message asks for."""
    labels: list[str] = []
    at = 12
    while (length := message[at]) and len(labels) < _MOST_LABELS:
        label = message[at + 1 : at + 1 + length]
        if length > 63 or len(label) != length:
            raise ValueError("no plain name")
        labels.append(label.decode("ascii", "backslashreplace"))
        at += 1 + length
    return ".".join(labels)
