"""Rules about the GPUs: whether the driver drives them, and their health."""

from __future__ import annotations

from typing import Iterator

from sealift_manifests.preflight.case import Case, gpu_label
from sealift_manifests.preflight.catalog import found
from sealift_manifests.preflight.facts import Gpu
from sealift_manifests.preflight.findings import Finding

_FATAL_XIDS = (79, 95)
_RESET_ACTIONS = ("reset", "reboot", "drain and reset")
_NEEDS_OPEN = ("GH200",)
"""GPUs of a generation that takes both kinds of modules, that take the open ones."""


def driver_drives_gpu(case: Case) -> Iterator[Finding]:
    """Expect a branch of the driver that drives each GPU."""
    for gpu in case.gpus:
        architecture, branch = case.architecture(gpu), case.branch
        if case.capability(gpu) is None:
            label = gpu_label([gpu])
            yield found("gpu-unknown", label, "not known", "its compute capability")
        if architecture is None or branch is None:
            continue
        last, first = architecture.last_branch, architecture.first_branch
        measured = f"driver {case.driver_version}, {architecture.name}"
        if last is not None and branch > last:
            needed = f"branch {last} or older"
            slug = "gpu-driver-too-new"
            yield found(slug, gpu_label([gpu]), measured, needed, branch=str(last))
        elif first is not None and branch < first:
            needed = f"branch {first} or newer"
            slug = "gpu-driver-too-old"
            yield found(slug, gpu_label([gpu]), measured, needed, branch=str(first))


def modules_fit_gpu(case: Case) -> Iterator[Finding]:
    """Expect open or proprietary kernel modules, as each GPU needs them."""
    have = case.driver.module
    if have is None:
        return
    for gpu in case.gpus:
        architecture = case.architecture(gpu)
        needed = architecture.modules if architecture else "either"
        if any(name in (gpu.name or "") for name in _NEEDS_OPEN):
            needed = "open"
        if needed not in ("either", have):
            yield found(
                "gpu-modules-wrong",
                gpu_label([gpu]),
                f"{have} kernel modules",
                f"{needed} kernel modules",
                modules=needed,
            )


def kernel_wants_no_other_modules(case: Case) -> Iterator[Finding]:
    """Expect no word from the kernel that a GPU needs the open modules."""
    log = case.facts.kernel_log
    for line in log.nvrm if log else ():
        if "use of the NVIDIA open kernel modules" in line:
            needed = "open kernel modules"
            slug = "gpu-modules-wrong"
            yield found(slug, "host", line.strip(), needed, modules="open")


def gpu_answers(case: Case) -> Iterator[Finding]:
    """Expect each GPU to answer and to need no reset."""
    for gpu in case.gpus:
        label, index = gpu_label([gpu]), str(gpu.index)
        if gpu.fault:
            lost = gpu.fault.slug == "gpu-lost"
            slug = "gpu-lost" if lost else "gpu-reset-needed"
            said = gpu.fault.text or gpu.fault.slug
            yield found(slug, label, said, "a GPU that answers", index=index)
        elif (gpu.recovery_action or "").lower() in _RESET_ACTIONS:
            measured = f"recovery action {gpu.recovery_action}"
            yield found("gpu-reset-needed", label, measured, "None", index=index)


def memory_is_sound(case: Case) -> Iterator[Finding]:
    """Expect no uncorrected errors and no bad rows."""
    for gpu in case.gpus:
        label, index = gpu_label([gpu]), str(gpu.index)
        if gpu.ecc_uncorrected:
            measured = f"{gpu.ecc_uncorrected} uncorrected errors"
            yield found("gpu-ecc", label, measured, "0", index=index)
        if gpu.row_remap_failed:
            measured = "row remapping failed"
            yield found("gpu-row-remap-failed", label, measured, "sound memory")
        if gpu.row_remap_pending:
            measured = "row remapping pending"
            yield found("gpu-row-remap", label, measured, "none pending", index=index)


def kernel_log_is_clean(case: Case) -> Iterator[Finding]:
    """Expect no Xid in this boot, and none that means a lost GPU as the newest."""
    log = case.facts.kernel_log
    if log is None or log.xids is None:
        if case.gpus:
            needed = "a kernel log that can be read"
            yield found("gpu-xid", "host", "not known", needed, level="unknown")
        return
    if not log.xids:
        return
    newest = log.xids[-1]
    fatal = newest.number in _FATAL_XIDS
    numbers = sorted({xid.number for xid in log.xids})
    yield found(
        "gpu-xid-fatal" if fatal else "gpu-xid",
        f"GPU at {newest.bus_id}" if newest.bus_id else "host",
        f"Xid {', '.join(map(str, numbers))}; the newest is {newest.number}",
        "no Xid in this boot",
    )


def gpu_can_be_shared(case: Case) -> Iterator[Finding]:
    """Expect persistence, the default compute mode, and MIG instances to use."""
    for gpu in case.gpus:
        label, index = gpu_label([gpu]), str(gpu.index)
        yield from _modes(case, gpu, label)
        if gpu.mig and gpu.mig_instances == ():
            measured = "MIG mode without instances"
            yield found("mig-empty", label, measured, "MIG instances", index=index)


def _modes(case: Case, gpu: Gpu, label: str) -> Iterator[Finding]:
    if gpu.persistence is False and not case.driver.persistenced:
        yield found("gpu-persistence", label, "persistence off", "persistence on")
    mode = gpu.compute_mode
    if mode is not None and mode.lower() != "default":
        yield found(
            "gpu-compute-mode",
            label,
            f"compute mode {mode}",
            "compute mode Default",
            level="fail" if mode.lower() == "prohibited" else "warn",
            index=str(gpu.index),
        )


def gpus_on_the_bus_are_driven(case: Case) -> Iterator[Finding]:
    """Expect the NVIDIA driver to have all NVIDIA GPUs."""
    if not case.gpus:
        return
    for gpu in case.facts.pci_gpus or ():
        if gpu.driver is not None and gpu.driver != "nvidia":
            measured = f"driven by {gpu.driver or 'nothing'}"
            about = f"GPU at {gpu.bus_id}"
            yield found("gpu-unbound", about, measured, "nvidia", bus=gpu.bus_id)
