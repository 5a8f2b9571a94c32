"""Sign a bundle's SHA256SUMS with OpenSSH keys, from a file or from ssh-agent.

Each signer leaves an SSHSIG; a P-384 signer also a DER signature for `openssl dgst`.
Every signature is verified with the code of the offline side before it is returned.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import (
    encode_dss_signature,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
)
from sealift_manifests import p384
from sealift_manifests.errors import SealiftError, SigningError
from sealift_manifests.sshsig import (
    P384,
    PublicKey,
    fingerprint_of,
    key_type_of,
    parse_public_keys,
    signed_data,
    verify_sshsig,
)
from sealift_manifests.sshwire import WireReader, put_string, put_u32
from sealift_manifests.trust import NAMESPACE, companion_file, signature_file

from sealift_bundler import sshagent
from sealift_bundler.keyfile import (
    AskPassphrase,
    PrivateKey,
    load_private_key,
    sign_with,
)

_HASH = "sha512"


class Signer(Protocol):
    """Something that holds a private key."""

    @property
    def public_key(self) -> PublicKey:
        """The key to verify with; its comment names the signer."""

    def sshsig(self, message: bytes) -> bytes:
        """Return an armored SSHSIG on `message` for bundles."""

    def der(self, message: bytes) -> bytes | None:
        """Return what `openssl dgst -sha384 -verify` takes, with a P-384 key."""


@dataclass(frozen=True)
class _WireSigner:
    """Builds both forms from one function that signs bytes as OpenSSH does."""

    public_key: PublicKey
    sign: Callable[[bytes], bytes]

    def sshsig(self, message: bytes) -> bytes:
        signature = self.sign(signed_data(message, NAMESPACE, _HASH))
        fields = (self.public_key.blob, NAMESPACE.encode(), b"", _HASH.encode())
        blob = b"SSHSIG" + put_u32(1) + b"".join(map(put_string, fields))
        return _armor(blob + put_string(signature))

    def der(self, message: bytes) -> bytes | None:
        if self.public_key.algorithm != P384:
            return None
        try:
            reader = WireReader(self.sign(message))
            reader.string()
            numbers = WireReader(reader.string())
            return encode_dss_signature(numbers.mpint(), numbers.mpint())
        except ValueError as error:
            raise SigningError(
                f"{self.public_key.fingerprint} gave a malformed signature: {error}",
                hint="Try again; if it stays so, sign with another key or agent.",
            ) from error


def signer_from_key_file(
    path: Path, ask_passphrase: AskPassphrase, *, name: str | None = None
) -> Signer:
    """Return a signer for an OpenSSH private key, Ed25519 or ECDSA P-384.

    It is named after `name`, or the comment in the `.pub` file beside it, or the file.
    """
    key = load_private_key(path, ask_passphrase)
    return _signer_of(
        key, lambda blob: name or _comment_beside(path, blob) or path.name
    )


def throw_away_signer(name: str) -> Signer:
    """Return a signer with a new Ed25519 key that nothing else ever has."""
    return _signer_of(Ed25519PrivateKey.generate(), lambda _: name)


def _signer_of(key: PrivateKey, name: Callable[[bytes], str]) -> Signer:
    """Return a signer for a key; `name` makes its name of the public key's blob."""
    line = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    algorithm, text = line.decode("ascii").split(" ")
    blob = base64.b64decode(text)
    return _WireSigner(
        PublicKey(algorithm, blob, name(blob)),
        lambda data: put_string(algorithm.encode()) + put_string(sign_with(key, data)),
    )


def signer_from_agent(
    selector: Path | str | None = None, *, name: str | None = None
) -> Signer:
    """Return a signer for a key in ssh-agent.

    `selector` is a `.pub` file, a fingerprint (`SHA256:...`), or None when the agent
    holds exactly one key of a usable type.
    """
    usable = _usable(sshagent.list_keys())
    wanted, given = _wanted(selector)
    found = [key for key in usable if wanted in (None, key.fingerprint)]
    if len(found) != 1:
        raise _not_one_key(wanted, usable)
    key = found[0]
    comment = name or given or key.comment or key.fingerprint[7:19]
    return _WireSigner(
        PublicKey(key.algorithm, key.blob, comment),
        lambda data: sshagent.sign(key.blob, data),
    )


def named_signers(signers: Iterable[Signer]) -> tuple[tuple[str, Signer], ...]:
    """Return each signer with the name its files get, unique on any file system.

    Raises SigningError for no signer, or for the same key twice.
    """
    named: dict[str, Signer] = {}
    keys: set[PublicKey] = set()
    for signer in signers:
        key = signer.public_key
        if key in keys:
            raise SigningError(
                f"the key {key.fingerprint} is named twice",
                hint="Name each key once: two signatures by one key count as one.",
            )
        keys.add(key)
        named[_unique_name(key.comment, named)] = signer
    if not named:
        raise SigningError(
            "there is no key to sign with",
            hint="Name a key file or a key in ssh-agent; an unsigned bundle cannot be "
            "installed.",
        )
    return tuple(named.items())


def sign_sums(sums: bytes, signers: Iterable[Signer]) -> dict[str, bytes]:
    """Return the signature files for SHA256SUMS, by name, each already verified."""
    files: dict[str, bytes] = {}
    for name, signer in named_signers(signers):
        key = signer.public_key
        files[signature_file(name)] = _checked_sshsig(signer, sums)
        der = signer.der(sums)
        if der is not None:
            if not p384.verify_der(key.raw, sums, der):
                raise _not_verified(key)
            files[companion_file(name)] = der
    return files


def signer_name(text: str) -> str:
    """Return a name for files from a comment such as `release@example`."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.")[:64].rstrip("-.")
    # `NAME.p384.sig` is the name of the file for openssl.
    return re.sub(r"\.p384\Z", "-p384", name, flags=re.IGNORECASE) or "signer"


def _unique_name(comment: str, others: Iterable[str]) -> str:
    # Bundles are carried on FAT too, where case makes no difference.
    taken = {other.lower() for other in others}
    base = name = signer_name(comment)
    number = 1
    while name.lower() in taken:
        number += 1
        name = f"{base}-{number}"
    return name


def _checked_sshsig(signer: Signer, sums: bytes) -> bytes:
    armored = signer.sshsig(sums)
    try:
        made_by = verify_sshsig(armored, sums, NAMESPACE)
    except SealiftError as error:
        raise _not_verified(signer.public_key) from error
    if made_by != signer.public_key:
        raise _not_verified(signer.public_key)
    return armored


def _not_verified(key: PublicKey) -> SigningError:
    return SigningError(
        f"the signature just made with {key.fingerprint} does not verify",
        hint="The key file, token or agent is faulty. Sign with another one.",
    )


def _armor(blob: bytes) -> bytes:
    text = base64.b64encode(blob)
    lines = [text[at : at + 70] for at in range(0, len(text), 70)]
    edge = b"-----%s SSH SIGNATURE-----"
    return b"\n".join([edge % b"BEGIN", *lines, edge % b"END", b""])


def _comment_beside(path: Path, blob: bytes) -> str:
    beside = path.with_name(path.name + ".pub")
    try:
        keys = parse_public_keys(beside.read_text("utf-8"))
    except (OSError, ValueError):
        return ""  # only the name would have come from there
    return next((key.comment for key in keys if key.blob == blob), "")


def _usable(keys: Iterable[sshagent.AgentKey]) -> list[PublicKey]:
    usable = []
    for key in keys:
        try:
            usable.append(PublicKey(key_type_of(key.blob), key.blob, key.comment))
        except ValueError:
            continue  # RSA, certificates and the like may live in the same agent
    return usable


def _wanted(selector: Path | str | None) -> tuple[str | None, str]:
    """Return the fingerprint that is selected, and the name given with it."""
    if selector is None:
        return None, ""
    if str(selector).startswith("SHA256:"):
        return str(selector), ""
    try:
        keys = parse_public_keys(Path(selector).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise SigningError(
            f"{selector} is not a usable public key file: {error}",
            hint="Name the .pub file of a key in ssh-agent, or its fingerprint as "
            "ssh-add -l prints it.",
        ) from error
    if len(keys) != 1:
        raise SigningError(
            f"{selector} holds {len(keys)} keys", hint="Name a file with one key."
        )
    return fingerprint_of(keys[0].blob), keys[0].comment


def _not_one_key(wanted: str | None, usable: list[PublicKey]) -> SigningError:
    held = "\n".join(f"  {k.fingerprint} {k.algorithm} {k.comment}" for k in usable)
    listing = f"; usable there:\n{held}" if usable else "; it holds no usable key"
    if wanted is None and usable:
        return SigningError(
            f"the ssh-agent holds {len(usable)} usable keys{listing}",
            hint="Say which one, by its fingerprint or its .pub file.",
        )
    what = f"the key {wanted}" if wanted else "an Ed25519 or ECDSA P-384 key"
    return SigningError(
        f"the ssh-agent does not hold {what}{listing}",
        hint="Add it with ssh-add KEYFILE, or plug in the token that holds it.",
    )
