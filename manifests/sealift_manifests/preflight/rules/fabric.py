"""Rules about NVSwitch and Fabric Manager."""

from __future__ import annotations

from typing import Iterator

from sealift_manifests.preflight.case import Case, gpu_label
from sealift_manifests.preflight.catalog import found
from sealift_manifests.preflight.findings import Finding


def fabric_manager_runs(case: Case) -> Iterator[Finding]:
    """Expect Fabric Manager of the driver's very version where there is NVSwitch."""
    if not case.facts.nvswitch:
        return
    manager, version = case.facts.fabric_manager, case.driver_version
    needed = f"nvidia-fabricmanager {version or 'of the version of the driver'}"
    words = {"version": version or "of the driver"}
    if manager is None:
        yield found("fabric-unknown", "host", "not known", needed)
        return
    if manager.installed is False:
        slug = "fabric-manager-missing"
        yield found(slug, "host", "not installed", needed, **words)
        return
    if manager.active is False:
        yield found("fabric-manager-off", "host", "not running", needed)
    elif manager.active is None:
        yield found("fabric-unknown", "host", "not known whether it runs", needed)
    if manager.version and version and manager.version != version:
        measured = f"Fabric Manager {manager.version}, driver {version}"
        yield found("fabric-manager-version", "host", measured, needed, **words)


def fabric_is_ready(case: Case) -> Iterator[Finding]:
    """Expect each GPU to have joined the fabric, where there is NVSwitch."""
    if not case.facts.nvswitch:
        return
    for gpu in case.gpus:
        state, status = gpu.fabric_state, gpu.fabric_status
        wrong = state is not None and state.lower() != "completed"
        if wrong or (status is not None and status.lower() != "success"):
            measured = (
                f"fabric state {state or 'unknown'}, status {status or 'unknown'}"
            )
            needed = "Completed, Success"
            yield found("fabric-not-ready", gpu_label([gpu]), measured, needed)


def nvswitch_is_known(case: Case) -> Iterator[Finding]:
    """Say so where these GPUs often have NVSwitch and nobody looked for it."""
    if case.facts.nvswitch is not None:
        return
    for gpu in case.gpus:
        row = case.tables.gpu_model(gpu.name)
        if row and row.nvswitch:
            measured = f"{gpu.name}: not known whether there is NVSwitch"
            yield found("fabric-unknown", "host", measured, "to know it")
            return
