"""Which keys this host trusts, and how it comes to trust the first one.

Before the first install the operator names keys that came by another way than the
bundle. From then on the host's own list decides, and options cannot widen it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, Tuple

from sealift_manifests.errors import TrustStoreError, UntrustedKeyError
from sealift_manifests.paths import is_outer_name
from sealift_manifests.sums import SUMS_NAME
from sealift_manifests.trust import NAMESPACE, Accepted, Policy, Trust, parse_policy

from sealift_installer import durable
from sealift_installer.layout import Layout


@dataclass(frozen=True)
class KeyFile:
    """A file with keys that the command line names, read once.

    It may lie on a medium that answers differently the second time.
    """

    path: str
    text: str

    @classmethod
    def read(cls, path: str) -> KeyFile:
        """Read the file at `path`, or raise TrustStoreError."""
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                return cls(path, file.read())
        except OSError as error:
            raise TrustStoreError(
                f"{path} cannot be read: {error.strerror}",
                hint="Name a file with public keys that came by another way than the "
                "bundle.",
            ) from error


@dataclass(frozen=True)
class NamedKeys:
    """What the command line says about trust: files, and fingerprints."""

    allowed_signers: Tuple[KeyFile, ...] = ()
    key_files: Tuple[KeyFile, ...] = ()
    fingerprints: Tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Whether any key was named."""
        return bool(self.allowed_signers or self.key_files or self.fingerprints)


def trust_to_verify(layout: Layout, named: NamedKeys) -> Trust:
    """Return the trust for looking at a bundle: the named keys, or the host's."""
    return named_trust(layout, named) if named else host_trust(layout)


def trust_to_install(layout: Layout, named: NamedKeys) -> Trust:
    """Return the trust for an install: the host's, or the named keys at first.

    A list without a usable key is a list too: it trusts nobody. Raises
    UntrustedKeyError when the host has its list and a named key is not in it.
    """
    if durable.read_file(layout.allowed_signers) is None:
        return named_trust(layout, named)
    host = host_trust(layout)
    known = {signer.key.fingerprint for signer in host.signers}
    asked = named_trust(layout, named)
    fingerprints = {signer.key.fingerprint for signer in asked.signers}
    unknown = sorted((fingerprints | asked.fingerprints) - known)
    if unknown:
        raise UntrustedKeyError(
            f"{layout.allowed_signers} decides whom this host trusts, and it does not "
            f"list {', '.join(unknown)}",
            hint=f"If this host is to trust that key as well, add its line to "
            f"{layout.allowed_signers} by hand. Leave the option out to use the list.",
        )
    return host


def host_trust(layout: Layout) -> Trust:
    """Return what the host's own list and policy say; empty trust without a list."""
    data = durable.read_file(layout.allowed_signers)
    if data is None:
        return Trust(policy=_policy(layout))
    found = Trust.from_allowed_signers(
        data.decode("utf-8", errors="replace"), layout.allowed_signers
    )
    return Trust.combined([found], _policy(layout))


def named_trust(layout: Layout, named: NamedKeys) -> Trust:
    """Return trust in exactly the keys named on the command line."""
    parts = [Trust.from_fingerprints(named.fingerprints)]
    for file in named.allowed_signers:
        parts.append(Trust.from_allowed_signers(file.text, file.path))
    for file in named.key_files:
        parts.append(Trust.from_key_file(file.text, file.path))
    return Trust.combined(parts, _policy(layout))


def remember(layout: Layout, named: NamedKeys, accepted: Tuple[Accepted, ...]) -> None:
    """Keep the named keys as the host's own list, if it has none yet."""
    if durable.read_file(layout.allowed_signers) is not None:
        return
    lines: List[str] = [file.text.rstrip("\n") for file in named.allowed_signers]
    listed = {
        signer.key
        for file in named.allowed_signers
        for signer in Trust.from_allowed_signers(file.text, file.path).signers
    }
    for one in accepted:
        if one.key not in listed:
            lines.append(f'{_signer(one)} namespaces="{NAMESPACE}" {one.key.line}')
    durable.make_directories(layout.config)
    text = "".join(line + "\n" for line in lines)
    durable.replace_file(layout.allowed_signers, text.encode("utf-8"), 0o644)


def _policy(layout: Layout) -> Policy:
    data = durable.read_file(layout.policy)
    if data is None:
        return Policy()
    return parse_policy(data.decode("utf-8", errors="replace"), layout.policy)


def _signer(one: Accepted) -> str:
    """Return a name for a line of the list: that of the file, which nobody signed."""
    name = one.file[len(SUMS_NAME) + 1 : -len(".sig")]
    return name if is_outer_name(name) else one.key.fingerprint
