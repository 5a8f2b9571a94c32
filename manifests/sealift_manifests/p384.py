"""Verify ECDSA P-384 with SHA-384 in plain Python.

Verify only: there is no secret here, so nothing needs constant time. Keys are
uncompressed points (0x04, x, y). Of a signature (r, s) also (r, -s) is valid: that lies
in ECDSA itself, so signature bytes must never serve as an identity.
"""

from __future__ import annotations

import hashlib
from typing import Tuple

from sealift_manifests.curves import Group

KEY_SIZE = 97

_P = 2**384 - 2**128 - 2**96 + 2**32 - 1
_ORDER = int(
    "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf"
    "581a0db248b0a77aecec196accc52973",
    16,
)
_B = int(
    "b3312fa7e23ee7e4988e056be3f82d19181d9c6efe8141120314088f5013875a"
    "c656398d8a2ed19d2a85c8edd3ec2aef",
    16,
)
_BASE_X = int(
    "aa87ca22be8b05378eb1c71ef320ad746e1d3b628ba79b9859f741e082542a38"
    "5502f25dbf55296c3a545e3872760ab7",
    16,
)
_BASE_Y = int(
    "3617de4a96262c6f5d9e98bf9292dc29f8f41dbd289a147ce9da3113b5f0b8c0"
    "0a60b1ce1d7e819d7a431d7c90ea0e5f",
    16,
)

# Jacobian coordinates: x = X/Z^2, y = Y/Z^3; Z = 0 is the point at infinity.
_Point = Tuple[int, int, int]
_INFINITY: _Point = (1, 1, 0)
_BASE: _Point = (_BASE_X, _BASE_Y, 1)


def _double(a: _Point) -> _Point:
    x, y, z = a
    if z == 0 or y == 0:
        return _INFINITY
    zz, yy = z * z % _P, y * y % _P
    s = 4 * x * yy % _P
    slope = 3 * (x - zz) * (x + zz) % _P  # the curve has a = -3
    x3 = (slope * slope - 2 * s) % _P
    y3 = (slope * (s - x3) - 8 * yy * yy) % _P
    return x3, y3, 2 * y * z % _P


def _add(a: _Point, b: _Point) -> _Point:
    if a[2] == 0:
        return b
    if b[2] == 0:
        return a
    x1, y1, z1 = a
    x2, y2, z2 = b
    z1z1, z2z2 = z1 * z1 % _P, z2 * z2 % _P
    u1, u2 = x1 * z2z2 % _P, x2 * z1z1 % _P
    s1, s2 = y1 * z2 * z2z2 % _P, y2 * z1 * z1z1 % _P
    h, slope = (u2 - u1) % _P, (s2 - s1) % _P
    if h == 0:
        return _INFINITY if slope else _double(a)
    hh = h * h % _P
    hhh, v = h * hh % _P, u1 * hh % _P
    x3 = (slope * slope - hhh - 2 * v) % _P
    y3 = (slope * (v - x3) - s1 * hhh) % _P
    return x3, y3, z1 * z2 * h % _P


_GROUP = Group(_INFINITY, _add, _double)


def _public_point(key: bytes) -> _Point:
    if len(key) != KEY_SIZE or key[0] != 4:
        raise ValueError("a P-384 key is one uncompressed point of 97 bytes")
    x, y = int.from_bytes(key[1:49], "big"), int.from_bytes(key[49:], "big")
    if x >= _P or y >= _P:
        raise ValueError("the point is not in its canonical encoding")
    if (y * y - x * x * x + 3 * x - _B) % _P:
        raise ValueError("the point is not on the curve")
    return x, y, 1  # the group has prime order, so there is no small subgroup


def check_public_key(key: bytes) -> None:
    """Raise ValueError unless these 97 bytes are an uncompressed point on the curve."""
    _public_point(key)


def verify(key: bytes, message: bytes, r: int, s: int) -> bool:
    """Say whether (r, s) is a signature with `key` on the SHA-384 of `message`."""
    try:
        point = _public_point(key)
    except ValueError:
        return False
    if not (0 < r < _ORDER and 0 < s < _ORDER):
        return False
    e = int.from_bytes(hashlib.sha384(message).digest(), "big")
    w = pow(s, -1, _ORDER)
    x, _, z = _GROUP.sum_of_multiples((e * w % _ORDER, _BASE), (r * w % _ORDER, point))
    if z == 0:
        return False
    return x * pow(z * z, -1, _P) % _P % _ORDER == r


def parse_der(signature: bytes) -> Tuple[int, int]:
    """Return (r, s) of a DER signature, as openssl writes it, or raise ValueError."""
    if len(signature) < 2 or signature[0] != 0x30:
        raise ValueError("the signature is not a DER sequence")
    # Two integers of at most 49 bytes: the length always fits the one-byte form.
    if signature[1] > 0x7F or signature[1] != len(signature) - 2:
        raise ValueError("the signature's length is wrong, or bytes trail it")
    r, rest = _take_integer(signature[2:])
    s, rest = _take_integer(rest)
    if rest:
        raise ValueError("bytes trail the two integers of the signature")
    return r, s


def _take_integer(data: bytes) -> Tuple[int, bytes]:
    if len(data) < 3 or data[0] != 0x02 or not 0 < data[1] <= len(data) - 2:
        raise ValueError("the signature does not hold two DER integers")
    digits, rest = data[2 : 2 + data[1]], data[2 + data[1] :]
    if digits[0] & 0x80:
        raise ValueError("an integer of the signature is negative")
    if digits[0] == 0 and len(digits) > 1 and not digits[1] & 0x80:
        raise ValueError("an integer of the signature is padded")
    return int.from_bytes(digits, "big"), rest


def verify_der(key: bytes, message: bytes, signature: bytes) -> bool:
    """Say whether the DER `signature` with `key` fits the SHA-384 of `message`."""
    try:
        r, s = parse_der(signature)
    except ValueError:
        return False
    return verify(key, message, r, s)
