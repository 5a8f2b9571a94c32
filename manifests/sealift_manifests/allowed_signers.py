"""Read OpenSSH's `allowed_signers` format: trusted keys, for what and how long.

Pure: handed text, not files. The principals are names to report: nobody is asked for
an identity, as `ssh-keygen -Y verify -I` does, so their patterns are not matched.
Certificate authorities are refused. A key of a type that Sealift cannot verify (RSA,
FIDO) is skipped and remembered, so that it does not lock the host out of the others.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Dict, List, Optional, Tuple

from .errors import TrustStoreError
from .sshsig import ALGORITHMS, PublicKey, fingerprint_of, split_key_line

_PRINCIPALS = re.compile(r'(?:"([^"]*)"|([^\s"]+))\s+(?=\S)')
_OPTIONS = re.compile(r'((?:[^\s"]|"[^"]*")+)\s+(?=\S)')
_OPTION = re.compile(r'([A-Za-z-]+)(?:="([^"]*)")?(?:,(?=.)|\Z)')
_KEY_TYPE = re.compile(r"(?:ssh|ecdsa|sk)-[a-z0-9@.-]+\s")
_TIME = re.compile(r"(\d{8})(\d{4})?(\d{2})?(Z|UTC)?\Z", re.IGNORECASE)


@dataclass(frozen=True)
class AllowedSigner:
    """A trusted key, with the names, purposes and time it is trusted for.

    No namespaces means every namespace. Both ends of the time are inclusive.
    """

    principals: Tuple[str, ...]
    key: PublicKey
    namespaces: Tuple[str, ...] = ()
    valid_after: Optional[datetime] = None
    valid_before: Optional[datetime] = None

    @property
    def name(self) -> str:
        """The principals, or the fingerprint when there are none."""
        return ",".join(self.principals) or self.key.fingerprint

    def objection(self, namespace: str, now: datetime) -> Optional[str]:
        """Say why this line does not cover a signature, or None when it does."""
        if self.namespaces and not _matches(self.namespaces, namespace):
            return f"{self.name} is not allowed to sign for {namespace}"
        if self.valid_after and now < self.valid_after:
            return f"{self.name} is trusted only after {_utc(self.valid_after)}"
        if self.valid_before and now > self.valid_before:
            return f"{self.name} was trusted until {_utc(self.valid_before)}"
        return None


@dataclass(frozen=True)
class SkippedKey:
    """A key that the host trusts but Sealift cannot verify."""

    where: str
    key_type: str
    fingerprint: str


@dataclass(frozen=True)
class AllowedSigners:
    """All keys of one file, and those that had to be skipped."""

    signers: Tuple[AllowedSigner, ...]
    skipped: Tuple[SkippedKey, ...]


def parse_allowed_signers(text: str, where: str) -> Tuple[AllowedSigner, ...]:
    """Return the signers of a file named `where`, or raise TrustStoreError."""
    return read_allowed_signers(text, where).signers


def read_allowed_signers(text: str, where: str) -> AllowedSigners:
    """Return signers and skipped keys of a file named `where`."""
    signers: List[AllowedSigner] = []
    skipped: List[SkippedKey] = []
    for number, line in enumerate(text.split("\n"), start=1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        place = f"{where}, line {number}"
        try:
            found = _parse_line(line, place)
        except ValueError as error:
            raise TrustStoreError(
                f"{place}: {error}",
                hint="Correct that line. Its form is: NAME "
                'namespaces="sealift-bundle@v1" ssh-ed25519 AAAA...',
            ) from error
        if isinstance(found, AllowedSigner):
            signers.append(found)
        else:
            skipped.append(found)
    return AllowedSigners(tuple(signers), tuple(skipped))


def _parse_line(line: str, place: str) -> AllowedSigner | SkippedKey:
    match = _PRINCIPALS.match(line)
    if not match:
        raise ValueError("it does not start with the names of a signer")
    principals = tuple((match[1] or match[2] or "").split(","))
    if not all(principals):
        raise ValueError("a signer's name is empty")
    rest = line[match.end() :]
    options: Dict[str, str] = {}
    if not _KEY_TYPE.match(rest):
        found = _OPTIONS.match(rest)
        if not found:
            raise ValueError("there is no key on it")
        options = _parse_options(found[1])
        rest = rest[found.end() :]
    key_type, blob, comment = split_key_line(rest)
    after, before = _time(options, "valid-after"), _time(options, "valid-before")
    if after and before and after >= before:
        raise ValueError("valid-before is not later than valid-after")
    if key_type not in ALGORITHMS:
        return SkippedKey(place, key_type, fingerprint_of(blob))
    return AllowedSigner(
        principals=principals,
        key=PublicKey(key_type, blob, comment),
        namespaces=tuple(filter(None, options.get("namespaces", "").split(","))),
        valid_after=after,
        valid_before=before,
    )


def _parse_options(text: str) -> Dict[str, str]:
    options: Dict[str, str] = {}
    at = 0
    while at < len(text):
        match = _OPTION.match(text, at)
        if not match:
            raise ValueError(f"the options {text[at:]!a} cannot be read")
        name, value = match[1].lower(), match[2]
        if name == "cert-authority":
            raise ValueError("certificate authorities are not supported")
        if name not in ("namespaces", "valid-after", "valid-before"):
            raise ValueError(f"the option {name} is not known")
        if not value or not value.strip(","):
            raise ValueError(f'the option {name} needs a value in quotes: {name}="..."')
        if name in options:
            raise ValueError(f"the option {name} is given twice")
        options[name] = value
        at = match.end()
    return options


def _time(options: Dict[str, str], name: str) -> Optional[datetime]:
    text = options.get(name)
    if text is None:
        return None
    match = _TIME.match(text)
    if not match or (match[3] and not match[2]):
        raise ValueError(f"{name} is not a time like 20261231 or 20261231235959Z")
    digits = match[1] + (match[2] or "0000") + (match[3] or "00")
    try:
        naive = datetime.strptime(digits, "%Y%m%d%H%M%S")
        # Without Z, OpenSSH means the host's own time zone.
        return naive.replace(tzinfo=timezone.utc) if match[4] else naive.astimezone()
    except (ValueError, OverflowError, OSError) as error:
        raise ValueError(f"{name} names a time that does not exist: {text}") from error


def _utc(time: datetime) -> str:
    return time.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")


def _matches(patterns: Tuple[str, ...], text: str) -> bool:
    """OpenSSH's pattern list: `*`, `?`, and `!` which outweighs every match."""
    allowed = False
    for pattern in patterns:
        wanted = re.escape(pattern.lstrip("!")).replace(r"\*", ".*").replace(r"\?", ".")
        if re.fullmatch(wanted, text, re.DOTALL):
            if pattern.startswith("!"):
                return False
            allowed = True
    return allowed
