"""Our Ed25519 verification, against RFC 8032, `cryptography` and known attacks."""

import hashlib
import random
from pathlib import Path

import cryptography_vectors
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from damage import flipped
from sealift_manifests import ed25519

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
NEUTRAL = (1).to_bytes(32, "little")
TORSION_Y = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD83D3D706A17C7

SMALL_ORDER_POINTS = [
    y.to_bytes(32, "little")
    for y in (
        1,
        P - 1,
        0,
        0 | 1 << 255,
        TORSION_Y,
        TORSION_Y | 1 << 255,
        P - TORSION_Y,
        P - TORSION_Y | 1 << 255,
    )
]
SECOND_SPELLINGS = [
    y.to_bytes(32, "little")
    for y in (1 | 1 << 255, P - 1 | 1 << 255, P, P + 1, P | 1 << 255, P + 1 | 1 << 255)
]


def rfc_vectors():
    folder = Path(cryptography_vectors.__file__).parent
    for line in (folder / "asymmetric/Ed25519/sign.input").read_text().splitlines():
        _, key, message, signed, _ = line.split(":")
        yield bytes.fromhex(key), bytes.fromhex(message), bytes.fromhex(signed[:128])


def others_say(key: bytes, message: bytes, signature: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def test_the_vectors_of_the_rfc_authors_are_accepted_and_fit_no_other_message():
    vectors = list(rfc_vectors())[::8]

    assert len(vectors) == 128
    for key, message, signature in vectors:
        assert ed25519.verify(key, message, signature)
        assert not ed25519.verify(key, message + b"\0", signature)


def test_random_good_and_damaged_signatures_are_judged_as_cryptography_judges_them():
    dice = random.Random(8032)
    verdicts = []

    for _ in range(150):
        private = Ed25519PrivateKey.from_private_bytes(dice.randbytes(32))
        key = private.public_key().public_bytes_raw()
        message = dice.randbytes(dice.randrange(100))
        signature = private.sign(message)
        if dice.random() < 0.5:
            signature = flipped(signature, dice.randrange(512))
        ours = ed25519.verify(key, message, signature)
        assert ours == others_say(key, message, signature)
        verdicts.append(ours)

    assert 50 < sum(verdicts) < 100


def test_every_flipped_bit_of_a_signature_is_noticed():
    private = Ed25519PrivateKey.generate()
    key, message = private.public_key().public_bytes_raw(), b"bundle"
    signature = private.sign(message)

    accepted = [
        bit
        for bit in range(512)
        if ed25519.verify(key, message, flipped(signature, bit))
    ]

    assert ed25519.verify(key, message, signature)
    assert accepted == []


@pytest.mark.parametrize("point", SMALL_ORDER_POINTS, ids=lambda p: p.hex()[:8])
def test_a_key_of_small_order_is_refused(point):
    signature_for_anything = NEUTRAL + bytes(32)

    with pytest.raises(ValueError, match=r"small order|subgroup"):
        ed25519.check_public_key(point)
    assert not ed25519.verify(point, b"anything", signature_for_anything)


def test_the_neutral_key_would_have_let_one_signature_fit_every_message():
    signature = NEUTRAL + bytes(32)

    assert others_say(NEUTRAL, b"one", signature)
    assert others_say(NEUTRAL, b"another", signature)
    assert not ed25519.verify(NEUTRAL, b"one", signature)


@pytest.mark.parametrize("point", SECOND_SPELLINGS, ids=lambda p: p.hex()[:8])
def test_a_second_spelling_of_a_point_is_refused_as_key(point):
    with pytest.raises(ValueError, match="canonical"):
        ed25519.check_public_key(point)


def test_a_good_key_with_a_small_order_point_added_is_refused():
    good = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    torsion = ed25519._decode(SMALL_ORDER_POINTS[4])
    mixed = ed25519._encode(ed25519._add(ed25519._decode(good), torsion))

    ed25519.check_public_key(good)
    with pytest.raises(ValueError, match="subgroup"):
        ed25519.check_public_key(mixed)


@pytest.mark.parametrize("key", [b"", bytes(31), bytes(33), b"\2" + bytes(31)])
def test_bytes_that_are_no_point_are_refused_as_key(key):
    with pytest.raises(ValueError, match=r"bytes|curve"):
        ed25519.check_public_key(key)


@pytest.mark.parametrize("r", SMALL_ORDER_POINTS, ids=lambda p: p.hex()[:8])
def test_a_signature_whose_r_has_small_order_is_refused(r):
    """With the secret in hand, s = h*a makes the equation hold for a neutral R."""
    secret, key, message = chosen_key()
    s = challenge(r, key, message) * secret % ORDER

    assert not ed25519.verify(key, message, r + s.to_bytes(32, "little"))


def test_the_forged_neutral_r_would_have_passed_elsewhere():
    secret, key, message = chosen_key()
    s = challenge(NEUTRAL, key, message) * secret % ORDER

    assert others_say(key, message, NEUTRAL + s.to_bytes(32, "little"))


def test_s_with_the_group_order_added_is_refused():
    private = Ed25519PrivateKey.generate()
    signature = private.sign(b"bundle")
    s = int.from_bytes(signature[32:], "little") + ORDER
    malleated = signature[:32] + s.to_bytes(32, "little")

    key = private.public_key().public_bytes_raw()
    assert ed25519.verify(key, b"bundle", signature)
    assert not ed25519.verify(key, b"bundle", malleated)


@pytest.mark.parametrize("change", [lambda s: s[:-1], lambda s: s + b"\0"])
def test_a_signature_of_another_length_is_refused(change):
    private = Ed25519PrivateKey.generate()
    signature = change(private.sign(b"bundle"))

    key = private.public_key().public_bytes_raw()
    assert not ed25519.verify(key, b"bundle", signature)


def chosen_key():
    """A key of which we know the scalar: twelve times the base point."""
    secret = 12
    nothing = (0, ed25519._NEUTRAL)
    point = ed25519._GROUP.sum_of_multiples((secret, ed25519._BASE), nothing)
    return secret, ed25519._encode(point), b"bundle"


def challenge(r: bytes, key: bytes, message: bytes) -> int:
    return int.from_bytes(hashlib.sha512(r + key + message).digest(), "little") % ORDER
