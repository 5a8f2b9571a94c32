"""Which Hub is asked: the address as given, from the environment, or the public one."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from huggingface_hub import constants
from sealift_manifests.errors import UsageError


def endpoint_or_default(endpoint: str | None = None) -> str:
    """Return the Hub's address: as given, or HF_ENDPOINT, or the public Hub."""
    address = endpoint or os.environ.get("HF_ENDPOINT") or constants.ENDPOINT
    try:
        parts = urlsplit(address)
        # Reading the port checks it.
        usable = (
            parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        )
    except ValueError:
        usable = False
    if not usable:
        raise UsageError(
            # Not quoted: it may hold a password.
            "the endpoint given for the Hub is not an http or https address",
            hint="Set HF_ENDPOINT to one like https://huggingface.co, or unset it.",
        )
    return address.rstrip("/")
