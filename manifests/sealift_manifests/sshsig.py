"""OpenSSH public keys, and verification of SSHSIG signatures (`ssh-keygen -Y`).

Says who made a signature, never whether that key is trusted. Two key types: Ed25519,
and ECDSA on P-384. Stricter than ssh-keygen: the base64 must be canonical and the
reserved field, which ssh-keygen leaves out of the signed data, must be empty.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass, field
from typing import Tuple

from . import ed25519, p384
from .errors import SignatureError
from .sshwire import WireReader, put_string

ED25519 = "ssh-ed25519"
P384 = "ecdsa-sha2-nistp384"
ALGORITHMS = (ED25519, P384)

MAX_SIGNATURE_SIZE = 16 * 1024

_MAGIC = b"SSHSIG"
_BEGIN = b"-----BEGIN SSH SIGNATURE-----\n"
_END = b"\n-----END SSH SIGNATURE-----"
_HASHES = {"sha256": hashlib.sha256, "sha512": hashlib.sha512}
_KEY_TYPE = re.compile(r"[a-z0-9][a-z0-9@.-]{0,63}\Z")
_HINT = (
    "Copy the bundle from its medium again. If it fails a second time, ask the people "
    "who built it for a new one. Do not install it."
)


@dataclass(frozen=True)
class PublicKey:
    """A public key that a signature can be verified with; a bad one cannot exist."""

    algorithm: str
    blob: bytes
    comment: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if self.algorithm not in ALGORITHMS:
            raise ValueError(f"keys of type {self.algorithm} are not supported")
        if key_type_of(self.blob) != self.algorithm:
            raise ValueError(f"the key data is not of type {self.algorithm}")
        if self.algorithm == ED25519:
            ed25519.check_public_key(self.raw)
        else:
            p384.check_public_key(self.raw)

    @property
    def raw(self) -> bytes:
        """The 32 bytes of an Ed25519 key, or the uncompressed point of a P-384 key."""
        reader = WireReader(self.blob)
        reader.string()
        if self.algorithm == P384 and reader.string() != b"nistp384":
            raise ValueError("the key names another curve than its type")
        raw = reader.string()
        reader.end()
        return raw

    @property
    def fingerprint(self) -> str:
        """`SHA256:` and base64, as `ssh-keygen -l` prints it."""
        return fingerprint_of(self.blob)

    @property
    def line(self) -> str:
        """Type and base64, as in a `.pub` file, without the comment."""
        return f"{self.algorithm} {base64.b64encode(self.blob).decode('ascii')}"


def fingerprint_of(blob: bytes) -> str:
    """Return the fingerprint of a key of any type."""
    digest = hashlib.sha256(blob).digest()
    return "SHA256:" + base64.b64encode(digest).decode("ascii").rstrip("=")


def key_type_of(blob: bytes) -> str:
    """Return the type that a key blob names, or raise ValueError."""
    name = WireReader(blob).string().decode("ascii")
    if not _KEY_TYPE.match(name):
        raise ValueError("the key has no proper type name")
    return name


def split_key_line(line: str) -> Tuple[str, bytes, str]:
    """Return type, blob and comment of a public key line; the type may be any."""
    if "PRIVATE KEY" in line:
        raise ValueError("it is a private key; the public one is in the .pub file")
    words = line.split(None, 2)
    if len(words) < 2:
        raise ValueError("a key is written as its type, a space, and base64")
    try:
        blob = decode_base64(words[1].encode("ascii"))
    except ValueError as error:
        raise ValueError("the key is not whole base64") from error
    if key_type_of(blob) != words[0]:
        raise ValueError(f"the key data is not of type {words[0]!a}")
    return words[0], blob, words[2].strip() if len(words) > 2 else ""


def parse_public_key(line: str) -> PublicKey:
    """Return the key of one `.pub` line, or raise ValueError."""
    algorithm, blob, comment = split_key_line(line)
    return PublicKey(algorithm, blob, comment)


def parse_public_keys(text: str) -> Tuple[PublicKey, ...]:
    """Return the keys of a `.pub` file, at least one, or raise ValueError."""
    lines = [line.strip() for line in text.split("\n")]
    keys = [parse_public_key(line) for line in lines if line and line[0] != "#"]
    if not keys:
        raise ValueError("there is no key in it")
    return tuple(keys)


def decode_base64(text: bytes) -> bytes:
    """Return what canonical base64 stands for; ValueError for every other spelling."""
    try:
        data = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError("it is not base64") from error
    # Python takes stray bits in the last digit, which would give a key two spellings.
    if base64.b64encode(data) != text:
        raise ValueError("it is not canonical base64")
    return data


@dataclass(frozen=True)
class SshSignature:
    """An SSHSIG envelope, taken apart but not verified."""

    key_type: str
    key_blob: bytes
    namespace: str
    hash_name: str
    signature: bytes


def signed_data(message: bytes, namespace: str, hash_name: str) -> bytes:
    """Return the bytes that an SSHSIG on `message` really signs."""
    fields = (
        namespace.encode("utf-8"),
        b"",
        hash_name.encode("ascii"),
        _HASHES[hash_name](message).digest(),
    )
    return _MAGIC + b"".join(map(put_string, fields))


def parse_sshsig(armored: bytes) -> SshSignature:
    """Take a signature file apart, or raise SignatureError."""
    if len(armored) > MAX_SIGNATURE_SIZE:
        raise SignatureError("the signature file is too large to be one", hint=_HINT)
    try:
        return _parse_blob(_unarmor(armored))
    except ValueError as error:
        raise SignatureError(
            f"the signature file is malformed: {error}", hint=_HINT
        ) from error


def _unarmor(armored: bytes) -> bytes:
    text = armored[:-1] if armored.endswith(b"\n") else armored
    if not (text.startswith(_BEGIN) and text.endswith(_END)):
        raise ValueError("it does not begin and end as an SSH signature does")
    lines = text[len(_BEGIN) : -len(_END)].split(b"\n")
    if not all(lines):
        raise ValueError("it has an empty line")
    return decode_base64(b"".join(lines))


def _parse_blob(blob: bytes) -> SshSignature:
    reader = WireReader(blob)
    if reader.take(len(_MAGIC)) != _MAGIC:
        raise ValueError("it does not start with SSHSIG")
    version = reader.u32()
    if version != 1:
        raise ValueError(f"it has version {version}, known is version 1")
    key_blob = reader.string()
    namespace = reader.string().decode("utf-8")
    if reader.string():
        raise ValueError("its reserved field is in use")
    hash_name = reader.string().decode("ascii")
    if hash_name not in _HASHES:
        raise ValueError(f"it names the unknown hash {hash_name[:40]!a}")
    signature = reader.string()
    reader.end()
    return SshSignature(
        key_type_of(key_blob), key_blob, namespace, hash_name, signature
    )


def verify_sshsig(armored: bytes, message: bytes, namespace: str) -> PublicKey:
    """Return the key that signed `message`; trusting it is another question."""
    parsed = parse_sshsig(armored)
    if parsed.namespace != namespace:
        raise SignatureError(
            f"the signature was made for {parsed.namespace[:80]!a}, "
            f"not for {namespace!r}",
            hint="It signs something else than a bundle. Ask the people who built the "
            "bundle for its own signature. Do not install it.",
        )
    try:
        key = PublicKey(parsed.key_type, parsed.key_blob)
        good = _fits(key, parsed, signed_data(message, namespace, parsed.hash_name))
    except ValueError as error:
        raise SignatureError(
            f"the signature cannot be verified: {error}", hint=_HINT
        ) from error
    if not good:
        raise SignatureError("the signature does not match what it signs", hint=_HINT)
    return key


def _fits(key: PublicKey, parsed: SshSignature, data: bytes) -> bool:
    reader = WireReader(parsed.signature)
    if reader.string() != key.algorithm.encode("ascii"):
        raise ValueError("key and signature are of different types")
    body = reader.string()
    reader.end()
    if key.algorithm == ED25519:
        return ed25519.verify(key.raw, data, body)
    numbers = WireReader(body)
    r, s = numbers.mpint(), numbers.mpint()
    numbers.end()
    return p384.verify(key.raw, data, r, s)
