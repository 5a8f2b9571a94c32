"""What an error message means: from a text of NVIDIA's, Docker's or vLLM's to a slug.

The first pattern that matches counts, so the narrow ones come first.
"""

from __future__ import annotations

import re
from typing import Optional, Tuple

from sealift_manifests.preflight.catalog import KINDS, Kind
from sealift_manifests.preflight.tables import Tables

PATTERNS: Tuple[Tuple[str, str], ...] = (
    # nvidia-smi and NVML
    (r"couldn't communicate with the NVIDIA driver", "driver-not-loaded"),
    (r"nvml error: driver not loaded|\bDriver Not Loaded\b", "driver-not-loaded"),
    (r"Driver/library version mismatch", "driver-mismatch"),
    (r"NVML/RM version mismatch", "driver-mismatch"),
    (r"No devices were found", "gpu-none"),
    (r"\bInsufficient Permissions\b", "driver-permission"),
    (r"operating system has blocked the request", "driver-permission"),
    (r"GPU is lost|GPU has fallen off the bus", "gpu-lost"),
    (r"GPU requires reset", "gpu-reset-needed"),
    (r"load library failed: libnvidia-ml\.so", "driver-library-missing"),
    (r"NVML Shared Library Not Found", "driver-library-missing"),
    (r"nvidia-smi: (?:command )?not found", "driver-not-installed"),
    (r"Failed to initialize NVML: Unknown Error", "toolkit-reload"),
    # the kernel log and Fabric Manager
    (r"use of the NVIDIA open kernel modules", "gpu-modules-wrong"),
    (r"fabric manager .*don't match with driver version", "fabric-manager-version"),
    (r"Xid \(PCI:[0-9a-f:.]+\): (?:79|95)\b", "gpu-xid-fatal"),
    (r"NVRM: Xid\b", "gpu-xid"),
    # CUDA
    (r"\berror:? 802\b", "fabric-manager-off"),
    (r"\berror:? 803\b", "compat-harmful"),
    (r"\berror:? 804\b", "compat-wrong-gpu"),
    (r"\berror:? 222\b", "code-ptx-too-new"),
    (r"\berror:? 209\b", "code-missing"),
    (r"system not yet initialized|\bSYSTEM_NOT_READY\b", "fabric-manager-off"),
    (r"unsupported display driver / cuda driver combination", "compat-harmful"),
    (r"SYSTEM_DRIVER_MISMATCH", "compat-harmful"),
    (r"forward compatibility was attempted on non supported HW", "compat-wrong-gpu"),
    (r"COMPAT_NOT_SUPPORTED_ON_DEVICE", "compat-wrong-gpu"),
    (r"UNSUPPORTED_PTX_VERSION", "code-ptx-too-new"),
    (r"unsupported toolchain", "code-ptx-too-new"),
    (r"no kernel image is available for execution", "code-missing"),
    (r"CUDA driver version is insufficient", "cuda-driver-too-old"),
    (r"no CUDA-capable device is detected|\berror:? 100\b", "gpu-not-visible"),
    # the container toolkit
    (r"invalid expression|too many requirements", "require-malformed"),
    (r"requirement error|unsatisfied condition:", "require-refused"),
    (r"device error: .*unknown device", "gpu-not-there"),
    (r"bpf_prog_query\(BPF_CGROUP_DEVICE\) failed", "toolkit-cgroup2"),
    (r"invoking the NVIDIA Container Runtime Hook directly", "toolkit-mode"),
    # Docker and Compose
    (r'could not select device driver "?cdi"?', "cdi-off"),
    (r'could not select device driver "?(?:nvidia)?"? ', "toolkit-missing"),
    (r"unknown or invalid runtime name: nvidia", "toolkit-not-configured"),
    (r"Unknown runtime specified nvidia", "toolkit-not-configured"),
    (r"unresolvable CDI devices", "cdi-missing"),
    (r"failed to discover GPU vendor from CDI", "toolkit-missing"),
    (r"no CDI device driver registered", "toolkit-missing"),
    (r"AMD CDI spec not found", "toolkit-missing"),
    (r"nvidia\.com/gpu=\S+.*no such file", "compose-too-old"),
    (r"KeyError: 'id'", "compose-v1"),
    # vLLM
    (r"is less than desired GPU memory utilization", "memory-busy"),
    (r"larger than the available KV cache memory", "memory-too-small"),
    (r"CUDA out of memory", "memory-too-small"),
    (r"must be divisible by tensor parallel size", "heads-not-divisible"),
)
"""Regular expressions and the slug each leads to."""

_COMPILED = tuple(
    (re.compile(pattern, re.IGNORECASE | re.DOTALL), slug) for pattern, slug in PATTERNS
)
_BLANK = re.compile(r"<[a-z]+>")
LONGEST = 1 << 20
"""Of a longer text the end is looked at: the reason stands there."""


def explain(text: str) -> Optional[str]:
    """Return the slug of the finding that an error message means, or None."""
    text = " ".join(text[-LONGEST:].split())
    return next((slug for pattern, slug in _COMPILED if pattern.search(text)), None)


def remedy_of(kind: Kind, tables: Tables) -> str:
    """Return what to do about a finding that only a text told of: no host was read."""
    remedy = kind.remedy
    if kind.slug.startswith("toolkit-"):
        remedy = remedy.replace("<version>", tables.recommended_toolkit)
    if remedy == "<remedy>":
        return f"{kind.meaning[0].upper()}{kind.meaning[1:]}: `preflight` has figures."
    if _BLANK.search(remedy):
        return f"{remedy} (`preflight` says what stands in <>.)"
    return remedy


def kind_of(text: str) -> Optional[Kind]:
    """Return meaning and remedy of an error message, or None."""
    slug = explain(text)
    return KINDS[slug] if slug else None
