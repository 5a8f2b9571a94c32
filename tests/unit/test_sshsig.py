"""SSHSIG: what is accepted, and that nothing else is."""

import base64
from functools import cache

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from damage import flipped
from sealift_bundler.keyfile import PrivateKey, sign_with
from sealift_manifests import sshsig
from sealift_manifests.errors import SignatureError
from sealift_manifests.sshwire import put_mpint, put_string, put_u32

SPACE = "sealift-bundle@v1"
SUMS = b"0" * 64 + b"  manifest.json\n"
KINDS = ("ed25519", "p384")


@cache
def private_key(kind: str) -> PrivateKey:
    if kind == "ed25519":
        return ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    return ec.derive_private_key(2**300 + 384, ec.SECP384R1())


def public_key(kind: str) -> sshsig.PublicKey:
    public = private_key(kind).public_key()
    line = public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    return sshsig.parse_public_key(line)


def armor(blob: bytes) -> bytes:
    text = base64.b64encode(blob)
    lines = [text[at : at + 70] for at in range(0, len(text), 70)]
    return b"\n".join(
        [b"-----BEGIN SSH SIGNATURE-----", *lines, b"-----END SSH SIGNATURE-----\n"]
    )


def blob(kind="ed25519", message=SUMS, **changed) -> bytes:
    """An honest envelope, except for the fields that a test changes."""
    key = public_key(kind)
    part = {
        "magic": b"SSHSIG",
        "version": 1,
        "key": key.blob,
        "namespace": SPACE,
        "reserved": b"",
        "hash": "sha512",
        "inner_type": key.algorithm.encode(),
        "trailing": b"",
        "trailing_inside": b"",
        **changed,
    }
    known = part["hash"] if part["hash"] in ("sha256", "sha512") else "sha512"
    data = sshsig.signed_data(message, part["namespace"], known)
    body = part.get("body") or sign_with(private_key(kind), data)
    signature = put_string(part["inner_type"]) + put_string(body)
    fields = (part["key"], part["namespace"].encode(), part["reserved"])
    return (
        part["magic"]
        + put_u32(part["version"])
        + b"".join(map(put_string, fields))
        + put_string(part["hash"].encode())
        + put_string(signature + part["trailing_inside"])
        + part["trailing"]
    )


def is_accepted(armored: bytes, message: bytes = SUMS) -> bool:
    try:
        sshsig.verify_sshsig(armored, message, SPACE)
    except SignatureError:
        return False
    return True


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("hash_name", ["sha256", "sha512"])
def test_an_honest_signature_gives_the_key_that_made_it(kind, hash_name):
    armored = armor(blob(kind, hash=hash_name))

    assert sshsig.verify_sshsig(armored, SUMS, SPACE) == public_key(kind)


def test_every_flipped_bit_of_an_armored_ed25519_signature_is_noticed():
    armored = armor(blob())

    accepted = [
        bit for bit in range(len(armored) * 8) if is_accepted(flipped(armored, bit))
    ]

    assert is_accepted(armored)
    assert accepted == []


@pytest.mark.parametrize("kind", KINDS)
def test_every_flipped_bit_inside_the_armor_is_noticed(kind):
    inner = blob(kind)

    accepted = [
        bit for bit in range(len(inner) * 8) if is_accepted(armor(flipped(inner, bit)))
    ]

    assert accepted == []


def test_every_flipped_bit_of_the_message_is_noticed():
    armored = armor(blob())

    accepted = [
        bit for bit in range(len(SUMS) * 8) if is_accepted(armored, flipped(SUMS, bit))
    ]

    assert accepted == []


def test_every_truncation_is_noticed():
    armored, inner = armor(blob()), blob()

    assert not any(is_accepted(armored[:size]) for size in range(len(armored) - 1))
    assert not any(is_accepted(armor(inner[:size])) for size in range(len(inner)))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"magic": b"SSHSIH"}, "SSHSIG"),
        ({"version": 2}, "version 2"),
        ({"version": 0}, "version 0"),
        ({"reserved": b"x"}, "reserved"),
        ({"hash": "sha1"}, "unknown hash 'sha1'"),
        ({"hash": ""}, "unknown hash"),
        ({"trailing": b"\0"}, "1 bytes trail"),
        ({"trailing_inside": b"\0"}, "1 bytes trail"),
        ({"inner_type": b"ecdsa-sha2-nistp384"}, "different types"),
        ({"inner_type": b""}, "different types"),
        ({"key": b""}, "ends too early"),
        ({"body": bytes(63)}, "does not match"),
        ({"body": bytes(65)}, "does not match"),
    ],
    ids=str,
)
def test_an_envelope_that_is_not_as_it_must_be_is_refused(changed, words):
    with pytest.raises(SignatureError, match=words):
        sshsig.verify_sshsig(armor(blob(**changed)), SUMS, SPACE)


def test_a_signature_for_another_purpose_is_refused_and_its_purpose_escaped():
    armored = armor(blob(namespace="git\x1b[31m\u202e"))

    with pytest.raises(SignatureError) as caught:
        sshsig.verify_sshsig(armored, SUMS, SPACE)

    assert "git\\x1b[31m\\u202e" in caught.value.message
    assert caught.value.message.isprintable()


def test_a_signature_by_one_key_under_the_name_of_another_is_refused():
    other = ed25519.Ed25519PrivateKey.generate().public_key()
    line = other.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    armored = armor(blob(key=sshsig.parse_public_key(line).blob))

    with pytest.raises(SignatureError, match="does not match"):
        sshsig.verify_sshsig(armored, SUMS, SPACE)


def test_a_signature_by_a_small_order_key_is_refused():
    neutral = put_string(b"ssh-ed25519") + put_string(b"\1" + bytes(31))
    armored = armor(blob(key=neutral, body=b"\1" + bytes(63)))

    with pytest.raises(SignatureError, match="small order"):
        sshsig.verify_sshsig(armored, SUMS, SPACE)


@pytest.mark.parametrize("padding", [b"\0", b"\0\0"])
def test_a_padded_number_in_an_ecdsa_signature_is_refused(padding):
    body = put_string(padding + b"\1") + put_mpint(1)

    with pytest.raises(SignatureError, match="padded"):
        sshsig.verify_sshsig(armor(blob("p384", body=body)), SUMS, SPACE)


def test_bytes_behind_the_numbers_of_an_ecdsa_signature_are_refused():
    body = sign_with(private_key("p384"), sshsig.signed_data(SUMS, SPACE, "sha512"))

    assert is_accepted(armor(blob("p384", body=body)))
    with pytest.raises(SignatureError, match="trail"):
        sshsig.verify_sshsig(armor(blob("p384", body=body + b"\0")), SUMS, SPACE)


@pytest.mark.parametrize(
    "change",
    [
        lambda a: a + b"\n",
        lambda a: a + b"x",
        lambda a: b"\n" + a,
        lambda a: a.replace(b"\n", b"\r\n"),
        lambda a: a.replace(b"SIGNATURE-----\n", b"SIGNATURE-----\n\n", 1),
        lambda a: a.replace(b"U1NIU0lH", b"U1NI U0lH"),
        lambda a: a.replace(b"BEGIN SSH", b"BEGIN PGP"),
        lambda a: b"",
        lambda a: b"-----BEGIN SSH SIGNATURE-----\n-----END SSH SIGNATURE-----\n",
    ],
)
def test_armor_that_is_not_as_it_must_be_is_refused(change):
    assert not is_accepted(change(armor(blob())))


def test_a_file_too_large_for_a_signature_is_not_even_decoded():
    with pytest.raises(SignatureError, match="too large"):
        sshsig.parse_sshsig(armor(blob(trailing=bytes(20_000))))


def test_stray_bits_in_the_last_base64_digit_are_refused():
    armored = armor(blob())
    ending = b"A==\n-----END"
    other = armored.replace(ending, b"B==\n-----END")

    assert ending in armored
    assert base64.b64decode(b"".join(other.split(b"\n")[1:-2])) == blob()
    assert not is_accepted(other)


def test_the_final_newline_may_be_missing():
    assert is_accepted(armor(blob()).rstrip(b"\n"))


def test_a_key_line_keeps_its_comment_but_equality_does_not_see_it():
    key = public_key("ed25519")
    named = sshsig.parse_public_key(f"  {key.line}   release  of acme \n")

    assert named.comment == "release  of acme"
    assert named == key
    assert hash(named) == hash(key)
    assert named.line == key.line


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", "its type, a space, and base64"),
        ("ssh-ed25519", "its type, a space, and base64"),
        ("ssh-ed25519 AAA", "not whole base64"),
        ("ssh-ed25519 Ä", "not whole base64"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----", "private key"),
        ("ecdsa-sha2-nistp384 {ed}", "not of type 'ecdsa-sha2-nistp384'"),
        ("ssh-ed25519 {long}", "bytes trail"),
        ("ssh-ed25519 {short}", "32 bytes, this one 31"),
        ("ecdsa-sha2-nistp384 {p256}", "another curve"),
        ("ssh-rsa {rsa}", "ssh-rsa are not supported"),
    ],
)
def test_a_line_that_is_no_usable_key_is_refused(line, words):
    ed = public_key("ed25519").blob
    rsa_key = rsa.generate_private_key(65537, 2048).public_key()
    filled = line.format(
        ed=base64.b64encode(ed).decode(),
        long=base64.b64encode(ed + b"\0").decode(),
        short=base64.b64encode(
            put_string(b"ssh-ed25519") + put_string(bytes(31))
        ).decode(),
        p256=base64.b64encode(
            put_string(b"ecdsa-sha2-nistp384")
            + put_string(b"nistp256")
            + put_string(public_key("p384").raw)
        ).decode(),
        rsa=rsa_key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
        .decode()
        .split()[1],
    )

    with pytest.raises(ValueError, match=words):
        sshsig.parse_public_key(filled)


def test_a_public_key_file_may_have_comments_and_several_keys():
    text = "\n".join(
        ["# ours", public_key("ed25519").line, "", public_key("p384").line + " hsm", ""]
    )

    keys = sshsig.parse_public_keys(text)

    assert keys == (public_key("ed25519"), public_key("p384"))


def test_a_public_key_file_without_a_key_is_refused():
    with pytest.raises(ValueError, match="no key"):
        sshsig.parse_public_keys("# nothing\n")
