"""Read an OpenSSH private key file and sign with it.

Ed25519 and ECDSA P-384 only. Asks for a passphrase only when the file needs one.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import (
    SSHPrivateKeyTypes,
    load_ssh_private_key,
)
from sealift_manifests.errors import SigningError
from sealift_manifests.sshwire import put_mpint

AskPassphrase = Callable[[Path], bytes]
"""Asked for the passphrase of a key file, and only when it is encrypted."""

PrivateKey = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey

_MAX_KEY_FILE = 64 * 1024
_PRIVATE = b"PRIVATE KEY-----"


def load_private_key(path: Path, ask_passphrase: AskPassphrase) -> PrivateKey:
    """Return the Ed25519 or P-384 key in `path`, or raise SigningError."""
    data = _read_private(path)
    try:
        key = load_ssh_private_key(data, None)
    except TypeError:
        # This is how cryptography says that a passphrase is needed.
        key = _decrypt(path, data, ask_passphrase)
    except UnsupportedAlgorithm as error:
        raise _wrong_type(path, str(error)) from error
    except ValueError as error:
        raise SigningError(
            f"the key file {path} is not an OpenSSH private key",
            hint="Name the private key file, not its .pub file. A key in another "
            f"format is rewritten in place by: ssh-keygen -p -f {path}",
        ) from error
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key
    if isinstance(key, ec.EllipticCurvePrivateKey):
        if key.curve.name == "secp384r1":
            return key
        raise _wrong_type(path, f"ECDSA {key.curve.name}")
    raise _wrong_type(path, type(key).__name__)


def sign_with(key: PrivateKey, data: bytes) -> bytes:
    """Return the signature in the form that OpenSSH gives it for the key's type."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(data)
    # Deterministic, so that a bad random source cannot give the key away.
    scheme = ec.ECDSA(hashes.SHA384(), deterministic_signing=True)
    r, s = decode_dss_signature(key.sign(data, scheme))
    return put_mpint(r) + put_mpint(s)


def _decrypt(
    path: Path, data: bytes, ask_passphrase: AskPassphrase
) -> SSHPrivateKeyTypes:
    try:
        return load_ssh_private_key(data, _passphrase(path, ask_passphrase))
    except UnsupportedAlgorithm as error:
        if "bcrypt" not in str(error):
            raise _wrong_type(path, str(error)) from error
        raise SigningError(
            f"the key file {path} is encrypted, and that needs the package bcrypt",
            hint="Run: pip install bcrypt. Or add the key to ssh-agent and sign with "
            "that.",
        ) from error
    except (ValueError, InvalidTag) as error:
        raise SigningError(
            f"the key file {path} does not open: the passphrase is wrong, or the file "
            "is damaged",
            hint=f"Try the passphrase with: ssh-keygen -y -f {path}",
        ) from error


def _read_private(path: Path) -> bytes:
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            facts = os.fstat(file.fileno())
            if not stat.S_ISREG(facts.st_mode):
                raise OSError("it is not a file")
            data = file.read(_MAX_KEY_FILE)
            # The rule of ssh itself: others must not read a key that is ours. What
            # is no private key gets a better answer than chmod.
            if (
                _PRIVATE in data
                and facts.st_uid == os.getuid()
                and facts.st_mode & 0o077
            ):
                raise SigningError(
                    f"the key file {path} can be read by others",
                    hint=f"Run: chmod 600 {path}",
                )
            return data
    except OSError as error:
        raise SigningError(
            f"the key file {path} cannot be read: {error.strerror or error}",
            hint="Name the private key file, not its .pub file.",
        ) from error


def _passphrase(path: Path, ask_passphrase: AskPassphrase) -> bytes:
    passphrase = ask_passphrase(path)
    if not passphrase:
        raise SigningError(
            f"the key file {path} is encrypted, and no passphrase was given",
            hint="Give its passphrase, or add the key to ssh-agent and sign with that.",
        )
    return passphrase


def _wrong_type(path: Path, found: str) -> SigningError:
    return SigningError(
        f"the key file {path} holds no Ed25519 or ECDSA P-384 key ({found})",
        hint="Make one: ssh-keygen -t ed25519, or ssh-keygen -t ecdsa -b 384.",
    )
