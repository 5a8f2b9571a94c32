"""By which path a service gets its GPUs, and so who checks NVIDIA_REQUIRE_*.

"legacy": the toolkit's hook and nvidia-container-cli, which check. "csv": Tegra,
where the toolkit checks itself. "jit-cdi" and "cdi": nobody checks. None: not known.
"""

from __future__ import annotations

from typing import FrozenSet, Optional

from sealift_manifests.preflight.facts import HostFacts, Toolkit
from sealift_manifests.preflight.needs import GpuRequest
from sealift_manifests.preflight.versions import at_least

CDI_KIND = "nvidia.com/gpu"
JIT_CDI_TOOLKIT = "1.18"
"""From here on the mode "auto" of the nvidia runtime means jit-cdi."""

CDI_FIRST_DOCKER = "29.2"
"""From here on Docker takes CDI for --gpus where nvidia-cdi-hook is there."""

_DIALECTS = {"legacy": "c", "csv": "go", "jit-cdi": "", "cdi": ""}


def gpu_path(facts: HostFacts, request: Optional[GpuRequest]) -> Optional[str]:
    """Return the path by which the engine serves a request for GPUs."""
    engine = facts.engine
    if engine is None or engine.kind is None:
        return None
    if engine.kind == "podman":
        return "cdi"
    if request is None:
        return None
    if request.form == "devices" or request.driver == "cdi":
        return "cdi"
    if request.form == "runtime":
        return _runtime_path(facts.toolkit)
    if request.form in ("reservations", "gpus"):
        return _gpus_path(facts)
    return None


def dialect_of(path: Optional[str]) -> Optional[str]:
    """Return which evaluator checks NVIDIA_REQUIRE_* on a path; "" for none."""
    return None if path is None else _DIALECTS[path]


def cdi_devices(facts: HostFacts) -> Optional[FrozenSet[str]]:
    """Return the full names of NVIDIA's CDI devices; None where nothing was read."""
    if facts.cdi_specs is None:
        known = facts.engine.cdi_devices if facts.engine else None
        return None if known is None else frozenset(known)
    names = set((facts.engine.cdi_devices if facts.engine else None) or ())
    for spec in facts.cdi_specs:
        if spec.kind is None or spec.devices is None:
            return None
        names.update(f"{spec.kind}={device}" for device in spec.devices)
    return frozenset(name for name in names if name.startswith(f"{CDI_KIND}="))


def _runtime_path(toolkit: Optional[Toolkit]) -> Optional[str]:
    if toolkit is None or toolkit.mode is None:
        return None
    if toolkit.mode not in ("", "auto"):
        return toolkit.mode if toolkit.mode in _DIALECTS else None
    is_jit = at_least(toolkit.version, JIT_CDI_TOOLKIT)
    return None if is_jit is None else "jit-cdi" if is_jit else "legacy"


def _gpus_path(facts: HostFacts) -> Optional[str]:
    toolkit = facts.toolkit
    prefers_cdi = at_least(
        facts.engine.version if facts.engine else None, CDI_FIRST_DOCKER
    )
    if prefers_cdi is False:
        return "legacy"
    if prefers_cdi is None or toolkit is None or toolkit.cdi_hook is None:
        return None
    if not toolkit.cdi_hook:
        return "legacy"
    # Without a specification it is not known which of the two drivers answers.
    return "cdi" if cdi_devices(facts) else None
