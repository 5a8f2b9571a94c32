"""Does a port speak TLS? A server that does hangs up on plain HTTP, unanswered."""

from __future__ import annotations

import socket

from sealift_installer.reach import Address

_CIPHERS, _NO_COMPRESSION = b"\x00\x02\x00\x2f", b"\x01\x00"
_BODY = b"\x03\x03" + bytes(32) + b"\x00" + _CIPHERS + _NO_COMPRESSION
_HANDSHAKE = b"\x01" + len(_BODY).to_bytes(3, "big") + _BODY
_HELLO = b"\x16\x03\x01" + len(_HANDSHAKE).to_bytes(2, "big") + _HANDSHAKE
"""The least greeting of a client of TLS 1.2. Nobody need agree to it: who speaks TLS
says so in TLS, with a greeting or an alert."""

_HANDSHAKE_OR_ALERT = (b"\x16\x03", b"\x15\x03")


def speaks_tls(address: Address, within: float) -> bool:
    """Say whether what listens there answers TLS; `within` is for each of 3 steps."""
    try:
        with socket.create_connection(address, within) as wire:
            wire.sendall(_HELLO)
            return wire.recv(5)[:2] in _HANDSHAKE_OR_ALERT
    except OSError:
        return False
