"""Images straight from a registry, without a daemon, byte for byte.

`resolve` -> `fetch` -> `verify_layers`.
"""

from .check import LayerFacts, verify_layers
from .documents import Descriptor, Platform
from .fetch import fetch
from .resolve import ResolvedImage, resolve
from .transport import HttpPolicy

__all__ = [
    "Descriptor",
    "HttpPolicy",
    "LayerFacts",
    "Platform",
    "ResolvedImage",
    "fetch",
    "resolve",
    "verify_layers",
]
