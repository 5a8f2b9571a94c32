"""Signers of any name, and the trust that allows them, for tests of trust."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from sealift_bundler.signing import Signer, signer_from_key_file
from sealift_manifests.trust import Policy, Trust, check_signatures

SUMS = b"0" * 64 + b"  manifest.json\n"
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@cache
def signer(name: str, folder: Path) -> Signer:
    """Return the signer of this name; one that starts with hsm has a P-384 key."""
    key: ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey
    key = ed25519.Ed25519PrivateKey.generate()
    if name.startswith("hsm"):
        key = ec.generate_private_key(ec.SECP384R1())
    path = folder / name
    path.touch(mode=0o600)
    path.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    )
    return signer_from_key_file(path, no_passphrase)


def no_passphrase(path: Path) -> bytes:
    """Fail: none of these keys is encrypted."""
    raise AssertionError(f"{path} is not encrypted")


def allowing(
    *signers: Signer, options: str = "", policy: Policy | None = None
) -> Trust:
    """Return trust in these signers, each by the comment of its key."""
    lines = [f"{s.public_key.comment} {options} {s.public_key.line}" for s in signers]
    trust = Trust.from_allowed_signers("\n".join(lines), "allowed_signers")
    return Trust.combined([trust], policy or Policy())


def accepted_names(
    signatures: Mapping[str, bytes], trust: Trust, now: datetime = NOW
) -> list[str]:
    """Return the names of those whose signatures on SUMS are accepted."""
    return [a.principal for a in check_signatures(SUMS, signatures, trust, now)]
