"""Keys of ssh-keygen, and its word on our signatures, for tests of what we sign.

Programs are run for real. The fixtures that use this are those of the contract tests.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from sealift_manifests.trust import NAMESPACE

SUMS = b"0" * 64 + b"  manifest.json\n"
KINDS = ("ed25519", "p384")
_SSH_KEYGEN_TYPE = {"ed25519": ("ed25519", "256"), "p384": ("ecdsa", "384")}


def tell(*argv: object, given: bytes = b"", **extra: Any) -> str:
    """Run a program that must succeed, and return what it says."""
    done = run(*argv, given=given, **extra)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def run(
    *argv: object, given: bytes = b"", **extra: Any
) -> subprocess.CompletedProcess[bytes]:
    """Run a program to its end."""
    return subprocess.run(
        [str(word) for word in argv],
        input=given,
        capture_output=True,
        timeout=30,
        **extra,
    )


def never_asked(path: Path) -> bytes:
    """Fail: the key at `path` needs no passphrase."""
    raise AssertionError(f"a passphrase for {path} was asked for")


def made_by_ssh_keygen(path: Path, kind: str, passphrase: str = "") -> Path:
    """Make a key pair of a kind with ssh-keygen; return the private file."""
    name, bits = _SSH_KEYGEN_TYPE[kind]
    tell(
        *("ssh-keygen", "-q", "-t", name, "-b", bits),
        *("-C", "ann@acme", "-N", passphrase, "-f", path),
    )
    return path


def ssh_keygen_verifies(folder: Path, line: str, armored: bytes, message: bytes) -> str:
    """Return `good` or `bad`, as ssh-keygen finds a signature by an allowed signer."""
    (folder / "allowed_signers").write_text(line + "\n")
    (folder / "sums.sig").write_bytes(armored)
    done = run(
        *("ssh-keygen", "-Y", "verify", "-f", folder / "allowed_signers"),
        *("-I", line.split()[0], "-n", NAMESPACE, "-s", folder / "sums.sig"),
        given=message,
    )
    return "good" if done.returncode == 0 else "bad"
