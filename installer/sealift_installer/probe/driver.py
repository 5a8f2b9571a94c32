"""The NVIDIA driver and its GPUs: NVML if it loads, else nvidia-smi, else the kernel.

Whichever answers, the facts have the same shape and, where both can know, the same
values.
"""

from __future__ import annotations

import re
from typing import Optional, Tuple

from sealift_manifests.preflight.facts import Driver, Fault, Gpu

from sealift_installer.probe import kernel, nvml_answer, smi
from sealift_installer.probe.answer import Answer
from sealift_installer.probe.processes import is_running
from sealift_installer.probe.sources import Sources

LIBRARY_PLACES = (
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib64",
    "/usr/lib",
    "/usr/lib/x86_64-linux-gnu/nvidia/current",
    "/usr/lib/aarch64-linux-gnu/nvidia",
    "/usr/local/nvidia/lib64",
    "/run/opengl-driver/lib",
)
_LIBRARIES = re.compile(
    r"(?:libnvidia-ml|libcuda)\.so\.(\d{3,}\.\d+(?:\.\d+)?)\Z", re.ASCII
)
_LISTS_NONE = ("no-devices", "not-loaded", "not-installed")
_JETSON = "/etc/nv_tegra_release"
_MODEL = "/proc/device-tree/model"


def read_driver(sources: Sources) -> Tuple[Driver, Optional[Tuple[Gpu, ...]]]:
    """Return the driver, and the GPUs it lists (None: it could not be asked)."""
    loaded = kernel.loaded_version(sources)
    on_disk = kernel.version_on_disk(sources)
    user_space = _user_space(sources)
    answer = nvml_answer.ask(sources) or smi.ask(sources)
    if answer is None:
        answer = _without_tools(sources, loaded, on_disk, user_space)
    gpus = answer.gpus
    if gpus is None:
        slug = answer.fault.slug if answer.fault else ""
        gpus = () if slug in _LISTS_NONE else kernel.known_gpus(sources)
    driver = Driver(
        loaded=loaded or answer.version,
        on_disk=on_disk,
        user_space=answer.user_space or user_space,
        module=kernel.module_kind(sources),
        cuda=answer.cuda,
        nouveau=kernel.nouveau_loaded(sources),
        persistenced=is_running(sources, "nvidia-persistenced"),
        fault=answer.fault,
    )
    return driver, gpus


def _user_space(sources: Sources) -> Optional[str]:
    for place in LIBRARY_PLACES:
        for name in sources.names(place) or ():
            found = _LIBRARIES.match(name)
            if found and _is_in_use(sources, place, name):
                return found.group(1)
    return None


def _is_in_use(sources: Sources, place: str, name: str) -> bool:
    # Files of an older driver may lie beside; the link says which one counts.
    link = f"{place}/{name.partition('.so')[0]}.so.1"
    return sources.link(link) in (None, name)


def _without_tools(
    sources: Sources,
    loaded: Optional[str],
    on_disk: Optional[str],
    user_space: Optional[str],
) -> Answer:
    if sources.exists(_JETSON):
        # The GPU is a part of the chip: it is on no bus, and needs no NVML.
        name = (sources.line(_MODEL) or "").rstrip("\0") or None
        return Answer(gpus=(Gpu(index=0, name=name, unified_memory=True),))
    if loaded:
        text = "neither libnvidia-ml.so.1 nor nvidia-smi can be used"
        return Answer(fault=Fault("library-missing", text))
    if on_disk or user_space:
        return Answer(
            fault=Fault("not-loaded", "the kernel module nvidia is not loaded")
        )
    return Answer(fault=Fault("not-installed"))
