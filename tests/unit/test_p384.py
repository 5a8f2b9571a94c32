"""Our ECDSA P-384 verification, against NIST, RFC 6979, `cryptography` and attacks."""

import hashlib
import random
import re
from pathlib import Path

import cryptography_vectors
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)
from damage import flipped
from sealift_manifests import p384

SCHEME = ec.ECDSA(hashes.SHA384())
VECTORS = Path(cryptography_vectors.__file__).parent / "asymmetric/ECDSA"


def nist(file: str, section: str) -> list[dict[str, str]]:
    """The cases of one section of a NIST response file."""
    text = (VECTORS / "FIPS_186-3" / file).read_text().replace("\r", "")
    body = re.split(r"^\[", text.split(f"[{section}]\n")[1], flags=re.MULTILINE)[0]
    blocks = (dict(re.findall(r"^(\w+) = (.*)$", b, re.M)) for b in body.split("\n\n"))
    return [block for block in blocks if block]


def point_of(case: dict[str, str]) -> bytes:
    return b"\4" + b"".join(int(case[q], 16).to_bytes(48, "big") for q in ("Qx", "Qy"))


def raw(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def others_say(key: ec.EllipticCurvePublicKey, message: bytes, der: bytes) -> bool:
    try:
        key.verify(der, message, SCHEME)
    except InvalidSignature:
        return False
    return True


def signed(message: bytes = b"bundle"):
    private = ec.generate_private_key(ec.SECP384R1())
    return private.public_key(), private.sign(message, SCHEME)


def test_the_signature_cases_of_nist_are_judged_as_nist_judges_them():
    cases = nist("SigVer.rsp", "P-384,SHA-384")
    verdicts = [case["Result"][0] == "P" for case in cases]

    ours = [
        p384.verify(
            point_of(c), bytes.fromhex(c["Msg"]), int(c["R"], 16), int(c["S"], 16)
        )
        for c in cases
    ]

    assert len(cases) == 15
    assert {True, False} == set(verdicts)
    assert ours == verdicts


def test_the_signatures_that_nist_generated_are_accepted():
    cases = nist("SigGen.txt", "P-384,SHA-384")

    ours = [
        p384.verify(
            point_of(c), bytes.fromhex(c["Msg"]), int(c["R"], 16), int(c["S"], 16)
        )
        for c in cases
    ]

    assert len(ours) == 15
    assert all(ours)


def test_the_key_cases_of_nist_are_judged_as_nist_judges_them():
    verdicts, ours = [], []

    for case in nist("PKV.rsp", "P-384"):
        verdicts.append(case["Result"][0] == "P")
        try:
            p384.check_public_key(point_of(case))
            ours.append(True)
        except (ValueError, OverflowError):
            ours.append(False)

    assert len(verdicts) == 12
    assert {True, False} == set(verdicts)
    assert ours == verdicts


def test_the_vectors_of_rfc_6979_are_accepted_in_der_and_fit_no_other_message():
    text = (VECTORS / "RFC6979/evppkey_ecdsa_rfc6979.txt").read_text()
    pem = text.split("PublicKey=P-384_PUB\n")[1].split("\n\n")[0]
    public = load_pem_public_key(pem.encode())
    assert isinstance(public, ec.EllipticCurvePublicKey)
    found = re.findall(
        r"DigestVerify = SHA384\nKey = P-384_PUB\n"
        r'Input = "(\w+)"\nOutput = ([0-9A-F]+)\n(Result)?',
        text,
    )

    assert len(found) == 4
    for message, output, fails in found:
        der = bytes.fromhex(output)
        assert p384.verify_der(raw(public), message.encode(), der) is not bool(fails)
        assert not p384.verify_der(raw(public), b"other", der)


def test_random_good_and_damaged_signatures_are_judged_as_cryptography_judges_them():
    dice = random.Random(6979)
    verdicts = []

    for _ in range(60):
        private = ec.derive_private_key(dice.getrandbits(380) + 1, ec.SECP384R1())
        public, message = private.public_key(), dice.randbytes(dice.randrange(100))
        der = private.sign(message, SCHEME)
        if dice.random() < 0.5:
            der = flipped(der, dice.randrange(len(der) * 8))
        ours = p384.verify_der(raw(public), message, der)
        assert ours == others_say(public, message, der)
        verdicts.append(ours)

    assert 15 < sum(verdicts) < 45


def test_every_flipped_bit_of_a_signature_is_noticed():
    public, der = signed()

    accepted = [
        bit
        for bit in range(len(der) * 8)
        if p384.verify_der(raw(public), b"bundle", flipped(der, bit))
    ]

    assert p384.verify_der(raw(public), b"bundle", der)
    assert accepted == []


@pytest.mark.parametrize(
    ("r", "s"),
    [
        (0, 1),
        (1, 0),
        (0, 0),
        (p384._ORDER, 1),
        (1, p384._ORDER),
        (p384._ORDER, p384._ORDER),
        (p384._P, 1),
        (-1, 1),
    ],
)
def test_numbers_outside_the_group_are_refused(r, s):
    public, _ = signed()

    assert not p384.verify(raw(public), b"bundle", r, s)


def test_a_number_with_the_group_order_added_is_refused():
    public, der = signed()
    r, s = decode_dss_signature(der)

    assert p384.verify(raw(public), b"bundle", r, s)
    assert not p384.verify(raw(public), b"bundle", r + p384._ORDER, s)
    assert not p384.verify(raw(public), b"bundle", r, s + p384._ORDER)


def test_the_other_valid_half_of_a_signature_is_known_and_accepted():
    """ECDSA allows it and openssl takes it: so signature bytes are no identity."""
    public, der = signed()
    r, s = decode_dss_signature(der)

    assert p384.verify(raw(public), b"bundle", r, p384._ORDER - s)
    assert others_say(public, b"bundle", encode_dss_signature(r, p384._ORDER - s))


def with_r(content: bytes) -> bytes:
    """A DER signature whose r is these content bytes, and whose s is 1."""
    body = b"\x02" + bytes([len(content)]) + content + b"\x02\x01\x01"
    return b"\x30" + bytes([len(body)]) + body


@pytest.mark.parametrize(
    "der",
    [
        b"",
        b"\x30",
        b"\x30\x00",
        b"\x31" + with_r(b"\x01")[1:],
        with_r(b""),
        with_r(b"\x00\x01"),
        with_r(b"\xff"),
        with_r(b"\x01") + b"\x00",
        with_r(b"\x01")[:-1],
        b"\x30\x81\x06" + with_r(b"\x01")[2:],
        # 0x81 says "one length byte follows"; read as 129 it would fit this body
        b"\x30\x81\x02\x3f" + b"\1" * 63 + b"\x02\x3e" + b"\1" * 62,
        b"\x30\x80" + with_r(b"\x01")[2:] + b"\x00\x00",
        b"\x30\x09" + with_r(b"\x01")[2:] + b"\x02\x01\x01",
        b"\x30\x03\x02\x01\x01",
        b"\x30\x06\x03\x01\x01\x02\x01\x01",
        b"\x30\x06\x02\x05\x01\x02\x01\x01",
    ],
    ids=lambda der: der.hex()[:24],
)
def test_der_that_is_not_the_one_right_spelling_is_refused(der):
    assert p384.parse_der(with_r(b"\x01")) == (1, 1)
    with pytest.raises(ValueError):
        p384.parse_der(der)


@pytest.mark.parametrize(
    "change",
    [
        lambda key: key[:-1],
        lambda key: key + b"\0",
        lambda key: key[:49] + b"\0" + key[49:],
        lambda key: b"\2" + key[1:49],
        lambda key: b"\6" + key[1:],
        lambda key: b"\0",
        lambda key: flipped(key, 300),
        lambda key: b"\4" + b"\xff" * 96,
        lambda key: b"\4" + bytes(96),
    ],
)
def test_bytes_that_are_no_uncompressed_point_are_refused_as_key(change):
    public, der = signed()
    bad = change(raw(public))

    with pytest.raises(ValueError):
        p384.check_public_key(bad)
    assert not p384.verify_der(bad, b"bundle", der)


def test_a_second_spelling_of_a_point_is_refused_as_key():
    """Only points with a tiny x have one: x and x + p must both fit 48 bytes."""
    x, y = next((x, y) for x in range(1, 50) if (y := height_at(x)) is not None)
    canonical = b"\4" + x.to_bytes(48, "big") + y.to_bytes(48, "big")
    other = b"\4" + (x + p384._P).to_bytes(48, "big") + y.to_bytes(48, "big")

    p384.check_public_key(canonical)
    with pytest.raises(ValueError, match="canonical"):
        p384.check_public_key(other)


def height_at(x: int) -> int | None:
    """The y of a point with this x, if there is one."""
    square = (x**3 - 3 * x + p384._B) % p384._P
    y = pow(square, (p384._P + 1) // 4, p384._P)
    return y if y * y % p384._P == square else None


def test_a_sum_that_is_the_point_at_infinity_is_refused():
    """With key = -e/r times the base point, the equation yields no point at all."""
    e = int.from_bytes(hashlib.sha384(b"bundle").digest(), "big")
    r = 5
    secret = -e * pow(r, -1, p384._ORDER) % p384._ORDER
    public = ec.derive_private_key(secret, ec.SECP384R1()).public_key()

    assert not p384.verify(raw(public), b"bundle", r, 7)
