"""What the driver answered, in one shape for NVML and for nvidia-smi."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Optional, Tuple

from sealift_manifests.preflight.facts import Fault, Gpu

MIB = 1 << 20

_TEXTS = (
    ("couldn't communicate with the NVIDIA driver", "not-loaded"),
    ("Driver Not Loaded", "not-loaded"),
    ("version mismatch", "version-mismatch"),
    ("No devices were found", "no-devices"),
    ("Insufficient Permissions", "no-permission"),
    ("GPU is lost", "gpu-lost"),
    ("fallen off the bus", "gpu-lost"),
    ("libnvidia-ml", "library-missing"),
    ("Shared Library Not Found", "library-missing"),
)
_GPU_TEXTS = (
    ("GPU is lost", "gpu-lost"),
    ("requires reset", "requires-reset"),
)
_BUS = re.compile(r"(?:([0-9a-fA-F]{4,8}):)?([0-9a-fA-F]{2}):([0-9a-fA-F]{2})\.([0-7])")
_SAYS_NOTHING = (
    "",
    "N/A",
    "[N/A]",
    "[Not Supported]",
    "Not Supported",
    "[Unknown Error]",
)


@dataclass(frozen=True)
class Answer:
    """What NVML or nvidia-smi said; `fault` where it could say nothing else."""

    version: Optional[str] = None
    user_space: Optional[str] = None
    cuda: Optional[str] = None
    gpus: Optional[Tuple[Gpu, ...]] = None
    fault: Optional[Fault] = None


def fault_of(text: str) -> Fault:
    """Return the fault that a message of the driver's tools is about."""
    for words, slug in _TEXTS:
        if words.lower() in text.lower():
            return Fault(slug, text)
    return Fault("unknown-error", text)


def gpu_fault_of(text: str) -> Optional[Fault]:
    """Return the fault of one GPU that stands in the place of a value, or None."""
    for words, slug in _GPU_TEXTS:
        if words in text:
            return Fault(slug, text)
    return None


def said(text: Optional[str]) -> Optional[str]:
    """Return a value of nvidia-smi's, None for the words it has for no value."""
    stripped = (text or "").strip()
    return None if stripped in _SAYS_NOTHING or stripped[:1] == "[" else stripped


def bus_id(text: Optional[str]) -> Optional[str]:
    """Return a bus id as the kernel spells it: 0000:07:00.0."""
    found = _BUS.search(text or "")
    if not found:
        return None
    domain, bus, device, function = found.groups()
    return f"{int(domain or '0', 16):04x}:{bus}:{device}.{function}".lower()
