"""Start `nvml` beside us, with a time limit, and turn what it said into facts."""

from __future__ import annotations

import json
import os
import re
import sys
from typing import Any, Dict, Optional, Tuple

from sealift_manifests.preflight.facts import Fault, Gpu, MigInstance

import sealift_installer
from sealift_installer.probe.answer import MIB, Answer, bus_id, fault_of
from sealift_installer.probe.sources import Sources, run_limited

_START = (
    "import sys; sys.path.insert(0, sys.argv.pop()); "
    "from sealift_installer.probe import nvml; nvml.main(tuple(sys.argv[1:]))"
)
_FAULTS = {
    4: "no-permission",
    9: "not-loaded",
    12: "library-missing",
    15: "gpu-lost",
    18: "version-mismatch",
}
_GPU_FAULTS = {15: "gpu-lost", 16: "requires-reset"}

# As `nvidia-smi -q` prints them, so far as that is known.
BRANDS = {
    1: "Quadro",
    2: "Tesla",
    3: "NVS",
    4: "Grid",
    5: "GeForce",
    6: "Titan",
    7: "NVIDIA_VAPPS",
    8: "NVIDIA_VPC",
    9: "NVIDIA_VCS",
    10: "NVIDIA_VWS",
    11: "NVIDIA_CLOUD_GAMING",
    12: "Quadro RTX",
    13: "NVIDIA RTX",
    14: "NVIDIA",
    15: "GeForce RTX",
    16: "Titan RTX",
}
_COMPUTE_MODES = ("Default", "Exclusive_Thread", "Prohibited", "Exclusive_Process")
_RECOVERY = ("None", "Reset", "Reboot", "Drain P2P", "Drain and Reset")
_FABRIC = (None, "Not Started", "In Progress", "Completed")
_PROFILE = re.compile(r"\bMIG (\S+)")


def ask(sources: Sources) -> Optional[Answer]:
    """Return what NVML says; None where it cannot be loaded."""
    if sources.nvml is None or not sys.executable:
        return None
    where = os.path.dirname(os.path.dirname(str(sealift_installer.__file__)))
    ran = run_limited(
        # -I and -B: load nothing that lies around, write nothing.
        (sys.executable, "-I", "-B", "-c", _START, sources.nvml, where),
        sources.path,
        sources.patience,
    )
    if ran is None:
        return None
    if ran.status is None:
        text = f"NVML did not answer within {sources.patience:.0f} seconds"
        return Answer(fault=Fault("probe-timeout", text))
    try:
        found = json.loads(ran.out)
    except ValueError:
        text = f"NVML broke off: status {ran.status}; {ran.said[-400:]}"
        return Answer(fault=Fault("unknown-error", text))
    return None if "unloadable" in found else _answer(found)


def _answer(found: Dict[str, Any]) -> Answer:
    fault = None
    if "words" in found:
        slug = _FAULTS.get(found["code"]) or fault_of(found["words"]).slug
        fault = Fault(slug, found["words"])
    gpus = found.get("gpus")
    if gpus == []:
        fault = Fault("no-devices", "NVML finds no GPU")
    return Answer(
        version=found.get("version"),
        user_space=_without_cuda(found.get("user_space")),
        cuda=_cuda(found.get("cuda")),
        gpus=None if gpus is None else tuple(map(_gpu, gpus)),
        fault=fault,
    )


def _without_cuda(version: Optional[str]) -> Optional[str]:
    """NVML says 12.550.54.15: CUDA's major version, then the driver's version."""
    first, _, rest = (version or "").partition(".")
    return rest if first.isdigit() and int(first) < 100 and "." in rest else version


def _cuda(number: Optional[int]) -> Optional[str]:
    return f"{number // 1000}.{number % 1000 // 10}" if number else None


def _gpu(found: Dict[str, Any]) -> Gpu:
    mig, ecc, rows = (found.get(key) or () for key in ("mig", "ecc", "rows"))
    capability, memory = found.get("capability"), found.get("memory")
    return Gpu(
        index=found["index"],
        name=found.get("name"),
        uuid=found.get("uuid"),
        bus_id=bus_id(found.get("bus_id")),
        compute_capability=".".join(map(str, capability)) if capability else None,
        brand=BRANDS.get(found.get("brand") or 0),
        memory_total=_whole_mib(memory[0]) if memory else None,
        memory_free=_whole_mib(memory[1]) if memory else None,
        mig=bool(mig[0]) if mig else None,
        mig_instances=_instances(found),
        ecc=bool(ecc[0]) if ecc else None,
        ecc_uncorrected=found.get("uncorrected"),
        row_remap_pending=bool(rows[2]) if rows else None,
        row_remap_failed=bool(rows[3]) if rows else None,
        persistence=_flag(found.get("persistence")),
        compute_mode=_word(_COMPUTE_MODES, found.get("compute_mode")),
        recovery_action=_word(_RECOVERY, found.get("recovery")),
        fabric_state=_word(_FABRIC, found.get("fabric_state")),
        fabric_status=found.get("fabric_status"),
        unified_memory=found.get("unified"),
        fault=_gpu_fault(found),
    )


def _gpu_fault(found: Dict[str, Any]) -> Optional[Fault]:
    if "words" not in found:
        return None
    return Fault(_GPU_FAULTS.get(found["code"], "unknown-error"), found["words"])


def _instances(found: Dict[str, Any]) -> Optional[Tuple[MigInstance, ...]]:
    if found.get("mig") and not found["mig"][0]:
        return ()
    instances = found.get("instances")
    if instances is None:
        return None
    return tuple(_instance(each) for each in instances)


def _instance(found: Dict[str, Any]) -> MigInstance:
    profile = _PROFILE.search(found["name"] or "")
    memory = found["memory"]
    return MigInstance(
        uuid=found["uuid"],
        profile=profile.group(1) if profile else None,
        memory_total=None if memory is None else _whole_mib(memory),
    )


def _whole_mib(size: int) -> int:
    # nvidia-smi says whole MiB: both ways then give the same facts.
    return size // MIB * MIB


def _flag(value: Optional[int]) -> Optional[bool]:
    return None if value is None else bool(value)


def _word(words: Tuple[Optional[str], ...], value: Optional[int]) -> Optional[str]:
    return words[value] if value is not None and value < len(words) else None
