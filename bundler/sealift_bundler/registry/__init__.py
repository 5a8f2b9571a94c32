"""Images straight from a registry, without a daemon, byte for byte.

`parse_reference` -> `resolve` -> `fetch` -> `verify_layers`.
"""

from .check import LayerFacts, verify_layers
from .documents import Descriptor, Platform
from .fetch import fetch
from .reference import ImageReference, parse_reference
from .resolve import ResolvedImage, resolve
from .transport import HttpPolicy

__all__ = [
    "Descriptor",
    "HttpPolicy",
    "ImageReference",
    "LayerFacts",
    "Platform",
    "ResolvedImage",
    "fetch",
    "parse_reference",
    "resolve",
    "verify_layers",
]
