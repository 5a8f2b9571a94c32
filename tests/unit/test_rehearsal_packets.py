"""What a container tries to reach is read off its frames, and nothing else is."""

from __future__ import annotations

import ipaddress
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sealift_bundler.rehearsal.packets import Attempt, read_frame

INSIDE, OUTSIDE = "172.18.0.2", "203.0.113.9"
SYN, ACK = 0x02, 0x10


def ethernet(kind: int, packet: bytes) -> bytes:
    return bytes(12) + kind.to_bytes(2, "big") + packet


def ipv4(protocol: int, data: bytes, target: str = OUTSIDE, options: int = 0) -> bytes:
    ends = ipaddress.ip_address(INSIDE).packed + ipaddress.ip_address(target).packed
    head = bytes([0x45 + options, 0]) + bytes(7) + bytes([protocol, 0, 0]) + ends
    return ethernet(0x0800, head + bytes(4 * options) + data)


def ipv6(protocol: int, data: bytes) -> bytes:
    ends = (ipaddress.ip_address(each).packed for each in ("fd00::2", "2001:db8::9"))
    head = bytes([0x60]) + bytes(5) + bytes([protocol, 64])
    return ethernet(0x86DD, head + b"".join(ends) + data)


def tcp(port: int, flags: int) -> bytes:
    return struct.pack(">HHIIBBHHH", 40000, port, 1, 0, 0x50, flags, 0, 0, 0)


def udp(port: int, data: bytes = b"") -> bytes:
    return struct.pack(">HHHH", 40000, port, 8 + len(data), 0) + data


def question(name: str) -> bytes:
    labels = b"".join(bytes([len(x)]) + x.encode() for x in name.split("."))
    return bytes(12) + labels + b"\0" + b"\0\1\0\1"


def test_the_first_packet_of_a_connection_is_an_attempt_and_its_others_are_none():
    assert read_frame(ipv4(6, tcp(443, SYN))) == Attempt(INSIDE, OUTSIDE, "tcp/443")
    assert read_frame(ipv4(6, tcp(443, SYN), options=3)) is not None
    assert read_frame(ipv4(6, tcp(443, SYN | ACK))) is None
    assert read_frame(ipv4(6, tcp(443, ACK))) is None


def test_a_name_that_is_asked_for_is_told_as_a_name():
    asked = read_frame(ipv4(17, udp(53, question("huggingface.co"))))

    assert asked == Attempt(INSIDE, "huggingface.co", "dns")


def test_other_datagrams_and_ipv6_count_too():
    assert read_frame(ipv4(17, udp(123))) == Attempt(INSIDE, OUTSIDE, "udp/123")
    expected = Attempt("fd00::2", "2001:db8::9", "tcp/80")
    assert read_frame(ipv6(6, tcp(80, SYN))) == expected


@pytest.mark.parametrize("target", ["224.0.0.251", "255.255.255.255", "169.254.1.1"])
def test_what_is_meant_for_everybody_nearby_is_no_attempt(target):
    assert read_frame(ipv4(17, udp(5353), target)) is None


@given(st.binary(max_size=120))
def test_no_frame_is_too_odd_to_be_looked_at(data):
    read_frame(data)
    read_frame(ipv4(17, udp(53, data)))
    read_frame(ethernet(0x0800, data))
