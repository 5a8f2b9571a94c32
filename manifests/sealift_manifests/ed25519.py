"""Verify Ed25519 signatures (RFC 8032) in plain Python.

Verify only: there is no secret here, so nothing needs constant time. Stricter than
most libraries, because leniency has been a hole: a public key must lie in the
prime-order subgroup, in its one canonical encoding. That refuses the small-order
keys, under which one signature fits every message. With such a key the equation
keeps R in the same subgroup, so the cofactor makes no difference; S must be below the
group order, and R may not be the neutral element. Honest signers never notice.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Tuple

from sealift_manifests.curves import Group

KEY_SIZE = 32
SIGNATURE_SIZE = 64

_P = 2**255 - 19
_ORDER = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, -1, _P) % _P
_D2 = 2 * _D % _P
_SQRT_OF_MINUS_ONE = pow(2, (_P - 1) // 4, _P)

# Extended coordinates: x = X/Z, y = Y/Z, xy = T/Z.
_Point = Tuple[int, int, int, int]
_NEUTRAL: _Point = (0, 1, 1, 0)


def _add(a: _Point, b: _Point) -> _Point:
    x1, y1, z1, t1 = a
    x2, y2, z2, t2 = b
    m = (y1 - x1) * (y2 - x2) % _P
    n = (y1 + x1) * (y2 + x2) % _P
    c = t1 * _D2 * t2 % _P
    d = 2 * z1 * z2
    e, f, g, h = n - m, d - c, d + c, n + m
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _double(a: _Point) -> _Point:
    x, y, z, _ = a
    xx, yy = x * x % _P, y * y % _P
    h = xx + yy
    e = h - (x + y) * (x + y)
    g = xx - yy
    f = 2 * z * z + g
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


_GROUP = Group(_NEUTRAL, _add, _double)


def _is_neutral(a: _Point) -> bool:
    return a[0] == 0 and a[1] == a[2]


def _encode(a: _Point) -> bytes:
    inverse = pow(a[2], -1, _P)
    x, y = a[0] * inverse % _P, a[1] * inverse % _P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def _decode(data: bytes) -> _Point:
    packed = int.from_bytes(data, "little")
    sign, y = packed >> 255, packed & (1 << 255) - 1
    if y >= _P:
        raise ValueError("the point is not in its canonical encoding")
    u, v = (y * y - 1) % _P, (_D * y * y + 1) % _P
    x = u * pow(v, 3, _P) * pow(u * pow(v, 7, _P), (_P - 5) // 8, _P) % _P
    if (v * x * x - u) % _P:
        x = x * _SQRT_OF_MINUS_ONE % _P
    if (v * x * x - u) % _P:
        raise ValueError("the point is not on the curve")
    if x == 0 and sign:
        raise ValueError("the point is not in its canonical encoding")
    if x & 1 != sign:
        x = _P - x
    return x, y, 1, x * y % _P


_BASE = _decode((4 * pow(5, -1, _P) % _P).to_bytes(32, "little"))


@lru_cache(maxsize=64)
def _public_point(key: bytes) -> _Point:
    if len(key) != KEY_SIZE:
        raise ValueError(f"an Ed25519 key has {KEY_SIZE} bytes, this one {len(key)}")
    point = _decode(key)
    if _is_neutral(point):
        raise ValueError("the key is a point of small order: anyone can sign for it")
    if not _is_neutral(_GROUP.sum_of_multiples((_ORDER, point), (0, _NEUTRAL))):
        raise ValueError("the key is not in the prime-order subgroup")
    return point


def check_public_key(key: bytes) -> None:
    """Raise ValueError unless an honest signer can have this key of 32 bytes."""
    _public_point(bytes(key))


def verify(key: bytes, message: bytes, signature: bytes) -> bool:
    """Say whether `signature` (64 bytes) on `message` was made with `key`."""
    try:
        point = _public_point(bytes(key))
    except ValueError:
        return False
    if len(signature) != SIGNATURE_SIZE:
        return False
    r, s = bytes(signature[:32]), int.from_bytes(signature[32:], "little")
    if s >= _ORDER:
        return False
    challenge = hashlib.sha512(r + bytes(key) + message).digest()
    h = int.from_bytes(challenge, "little") % _ORDER
    minus_key = (_P - point[0], point[1], 1, _P - point[3])
    expected = _GROUP.sum_of_multiples((s, _BASE), (h, minus_key))
    return not _is_neutral(expected) and _encode(expected) == r
