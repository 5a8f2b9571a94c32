"""Rows of the host table: GPUs that are sick, divided or not joined yet."""

from __future__ import annotations

from dataclasses import replace

from host_rows import GOOD, GOOD_FM, Row, fabric, gpu_host, xids
from preflight_making import (
    a_gpu,
    a_host,
)
from sealift_manifests.preflight.facts import (
    FabricManager,
    Fault,
    MigInstance,
    PciGpu,
)

GPU = (
    # GPU health
    Row(
        "GPU cells",
        "one GPU is lost",
        gpu_host(fault=Fault("gpu-lost", "GPU is lost")),
        GOOD,
        "gpu-lost",
    ),
    Row(
        "GPU cells",
        "one GPU requires a reset",
        gpu_host(fault=Fault("requires-reset")),
        GOOD,
        "gpu-reset-needed",
    ),
    Row(
        "recovery action",
        "Reboot",
        gpu_host(recovery_action="Reboot"),
        GOOD,
        "gpu-reset-needed",
    ),
    Row("recovery action", "None", gpu_host(recovery_action="None"), GOOD, ""),
    Row("ECC", "uncorrected errors", gpu_host(ecc_uncorrected=2), GOOD, "gpu-ecc"),
    Row("ECC", "no errors", gpu_host(ecc_uncorrected=0), GOOD, ""),
    Row(
        "row remap", "pending", gpu_host(row_remap_pending=True), GOOD, "gpu-row-remap"
    ),
    Row(
        "row remap",
        "failed",
        gpu_host(row_remap_failed=True),
        GOOD,
        "gpu-row-remap-failed",
    ),
    Row("Xid", "79 is the newest", xids(31, 79), GOOD, "gpu-xid-fatal"),
    Row("Xid", "95 is the newest", xids(95), GOOD, "gpu-xid-fatal"),
    Row("Xid", "79 before another", xids(79, 31), GOOD, "gpu-xid"),
    Row("Xid", "13 alone", xids(13), None, "gpu-xid"),
    Row(
        "Xid",
        "the log cannot be read",
        a_host(kernel_log=None),
        GOOD,
        "gpu-xid:unknown",
    ),
    Row("persistence", "off", gpu_host(persistence=False), GOOD, "gpu-persistence"),
    Row(
        "persistence",
        "off, but the daemon runs",
        a_host(gpus=(a_gpu("L40S", persistence=False),), driver={"persistenced": True}),
        GOOD,
        "",
    ),
    Row(
        "compute mode",
        "prohibited",
        gpu_host(compute_mode="Prohibited"),
        GOOD,
        "gpu-compute-mode",
    ),
    Row(
        "compute mode",
        "exclusive",
        gpu_host(compute_mode="Exclusive_Process"),
        GOOD,
        "gpu-compute-mode:warn",
    ),
    Row(
        "MIG",
        "on, without instances",
        gpu_host("H100", mig=True, mig_instances=()),
        GOOD,
        "mig-empty",
    ),
    Row(
        "MIG",
        "on, with instances",
        gpu_host("H100", mig=True, mig_instances=(MigInstance("MIG-1"),)),
        GOOD,
        "",
    ),
    Row(
        "GPUs on the bus",
        "one with vfio",
        a_host(
            pci_gpus=(
                PciGpu("0000:01:00.0", driver="nvidia"),
                PciGpu("0000:02:00.0", driver="vfio-pci"),
            )
        ),
        GOOD,
        "gpu-unbound",
    ),
    Row(
        "GPUs on the bus",
        "one with nouveau",
        a_host(pci_gpus=(PciGpu("0000:02:00.0", driver="nouveau"),)),
        None,
        "gpu-unbound",
    ),
    Row(
        "compute capability",
        "by the name, if not told",
        gpu_host("H100", compute_capability=None),
        GOOD,
        "",
    ),
    Row(
        "compute capability",
        "of a name nobody knows",
        gpu_host(name="NVIDIA X1", compute_capability=None),
        GOOD,
        "gpu-unknown code-unknown",
    ),
    # NVSwitch
    Row("Fabric Manager", "in order", fabric(GOOD_FM), GOOD, ""),
    Row(
        "Fabric Manager",
        "missing",
        fabric(FabricManager(False)),
        GOOD,
        "fabric-manager-missing",
    ),
    Row(
        "Fabric Manager",
        "off",
        fabric(replace(GOOD_FM, active=False)),
        GOOD,
        "fabric-manager-off",
    ),
    Row(
        "Fabric Manager",
        "of another version",
        fabric(replace(GOOD_FM, version="580.82.07")),
        GOOD,
        "fabric-manager-version",
    ),
    Row("Fabric Manager", "not asked", fabric(None), GOOD, "fabric-unknown"),
    Row(
        "Fabric Manager",
        "fabric in progress",
        fabric(GOOD_FM, gpus=(a_gpu("H100", fabric_state="In Progress"),)),
        GOOD,
        "fabric-not-ready",
    ),
    Row(
        "Fabric Manager",
        "fabric failed",
        fabric(
            GOOD_FM,
            gpus=(a_gpu("H100", fabric_state="Completed", fabric_status="Failure"),),
        ),
        None,
        "fabric-not-ready",
    ),
    Row(
        "Fabric Manager",
        "fabric ready",
        fabric(
            GOOD_FM,
            gpus=(a_gpu("H100", fabric_state="Completed", fabric_status="Success"),),
        ),
        GOOD,
        "",
    ),
    Row(
        "Fabric Manager",
        "no NVSwitch, none needed",
        a_host(gpu="H100", fabric_manager=FabricManager(False)),
        GOOD,
        "",
    ),
    Row(
        "Fabric Manager",
        "NVSwitch not looked for",
        a_host(gpu="H200", nvswitch=None),
        GOOD,
        "fabric-unknown",
    ),
    Row(
        "Fabric Manager",
        "PCIe boards have none",
        a_host(nvswitch=None, gpus=(a_gpu("H100", name="NVIDIA H100 PCIe"),)),
        GOOD,
        "",
    ),
)
