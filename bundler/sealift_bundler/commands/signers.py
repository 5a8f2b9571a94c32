"""Who signs: keys as the options name them."""

from __future__ import annotations

from pathlib import Path

from sealift_manifests.errors import SigningError

from sealift_bundler.commands.options import ask_passphrase
from sealift_bundler.signing import Signer, signer_from_agent, signer_from_key_file


def signers_of(key_files: list[Path], agent_keys: list[str]) -> list[Signer]:
    """Return the signers that the options name, or raise SigningError for none."""
    if not key_files and not agent_keys:
        raise SigningError(
            "no key to sign with was named",
            hint="Give --sign-key FILE (`sealift keygen FILE` makes one) or "
            "--sign-agent FINGERPRINT. An unsigned bundle cannot be installed.",
        )
    files = [signer_from_key_file(path, _ask) for path in key_files]
    return [*files, *(signer_from_agent(selector) for selector in agent_keys)]


def _ask(what: object) -> bytes:
    return ask_passphrase(f"Passphrase for {what}")
