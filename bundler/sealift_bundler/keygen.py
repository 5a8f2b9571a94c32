"""Make a key pair to sign bundles with, in OpenSSH's file formats.

Writes files that `ssh-keygen`, `ssh-add` and, for P-384, `openssl` take. Never
overwrites one. Says nothing to the user: that is for the command.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from sealift_manifests.errors import OutputError, SigningError
from sealift_manifests.sshsig import PublicKey, parse_public_key
from sealift_manifests.trust import NAMESPACE

_PrivateKey = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey


@dataclass(frozen=True)
class GeneratedKey:
    """The files of a new key pair, and how to trust it."""

    private: Path
    public: Path
    pem: Path | None
    public_key: PublicKey
    allowed_signers_line: str

    @property
    def fingerprint(self) -> str:
        """What to compare by another way than the bundle's medium."""
        return self.public_key.fingerprint


def generate_key(
    path: Path,
    algorithm: str = "ed25519",
    comment: str = "release",
    passphrase: bytes | None = None,
) -> GeneratedKey:
    """Write `path` (0600), `path.pub` and, for `p384`, `path.pem` for openssl."""
    comment = " ".join(comment.split())
    key = _generate(algorithm)
    public = key.public_key()
    line = public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode("ascii")
    public_key = parse_public_key(f"{line} {comment}")
    files = {path: (_private_bytes(key, passphrase), 0o600)}
    files[_beside(path, ".pub")] = (f"{line} {comment}".strip().encode() + b"\n", 0o644)
    pem = None
    if algorithm == "p384":
        pem = _beside(path, ".pem")
        text = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        files[pem] = (text, 0o644)
    _write_all(files)
    return GeneratedKey(
        private=path,
        public=_beside(path, ".pub"),
        pem=pem,
        public_key=public_key,
        allowed_signers_line=allowed_signers_line(public_key),
    )


def allowed_signers_line(key: PublicKey) -> str:
    """Return the line that makes a host trust `key` for bundles and nothing else."""
    name = re.sub(r"[^A-Za-z0-9._@-]+", "-", key.comment).strip("-") or "release"
    return f'{name} namespaces="{NAMESPACE}" {key.line}'


def _generate(algorithm: str) -> _PrivateKey:
    if algorithm == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    if algorithm == "p384":
        return ec.generate_private_key(ec.SECP384R1())
    raise SigningError(
        f"{algorithm!r} is not a kind of key that Sealift makes",
        hint="Choose ed25519, or p384 for FIPS hosts and hosts without ssh-keygen.",
    )


def _private_bytes(key: _PrivateKey, passphrase: bytes | None) -> bytes:
    scheme: KeySerializationEncryption = NoEncryption()
    if passphrase:
        scheme = BestAvailableEncryption(passphrase)
    try:
        return key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, scheme)
    except UnsupportedAlgorithm as error:
        raise SigningError(
            "encrypting a key file needs the package bcrypt",
            hint="Run: pip install bcrypt. Or make the key with ssh-keygen.",
        ) from error
    except ValueError as error:
        raise SigningError(
            f"the passphrase cannot be used: {error}", hint="Choose another one."
        ) from error


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _write_all(files: dict[Path, tuple[bytes, int]]) -> None:
    with _undone_on_failure() as written:
        for path, (data, mode) in files.items():
            try:
                handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
                written.append(path)
                with open(handle, "wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
            except FileExistsError as error:
                raise OutputError(
                    f"{path} is there already and is not overwritten",
                    hint="Choose another name. A key that signed a bundle is still "
                    "needed by the hosts that trust it.",
                ) from error
            except OSError as error:
                raise OutputError(
                    f"{path} cannot be written: {error.strerror or error}",
                    hint="Choose a directory that is there and writable.",
                ) from error


@contextmanager
def _undone_on_failure() -> Iterator[list[Path]]:
    written: list[Path] = []
    try:
        yield written
    except BaseException:
        for path in written:
            with suppress(OSError):
                path.unlink()
        raise
