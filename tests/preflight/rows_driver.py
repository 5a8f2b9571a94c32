"""Rows of the host table: the driver, from missing to the wrong modules."""

from __future__ import annotations

from host_rows import GOOD, NO_GPU, OPEN_MODULES, Row, fault
from preflight_making import (
    a_bundle,
    a_gpu,
    a_host,
    an_image,
)
from sealift_manifests.preflight.facts import (
    Fault,
    KernelLog,
)

DRIVER = (
    Row("all in order", "a host in good order", a_host(), GOOD, ""),
    Row("all in order", "no bundle", a_host(), None, ""),
    Row("all in order", "a bundle without GPUs", a_host(gpus=()), NO_GPU, ""),
    Row(
        "all in order",
        "no bundle and no GPU",
        a_host("", gpus=(), toolkit={"installed": False, "version": None}),
        None,
        "",
    ),
    # nvidia-smi failures
    Row(
        "nvidia-smi failures",
        "not installed",
        fault("not-installed"),
        GOOD,
        "driver-not-installed",
    ),
    Row(
        "nvidia-smi failures",
        "not loaded",
        fault("not-loaded"),
        GOOD,
        "driver-not-loaded",
    ),
    Row(
        "nvidia-smi failures",
        "not loaded, no bundle",
        fault("not-loaded"),
        None,
        "driver-not-loaded",
    ),
    Row(
        "nvidia-smi failures",
        "version mismatch",
        fault("version-mismatch"),
        GOOD,
        "driver-mismatch",
    ),
    Row("nvidia-smi failures", "no devices", fault("no-devices"), GOOD, "gpu-none"),
    Row(
        "nvidia-smi failures",
        "no permission",
        fault("no-permission"),
        GOOD,
        "driver-permission",
    ),
    Row("nvidia-smi failures", "lost", fault("gpu-lost"), GOOD, "gpu-lost"),
    Row("nvidia-smi failures", "hangs", fault("probe-timeout"), GOOD, "driver-timeout"),
    Row(
        "nvidia-smi failures",
        "no library",
        fault("library-missing"),
        GOOD,
        "driver-library-missing",
    ),
    Row(
        "nvidia-smi failures",
        "another error",
        fault("unknown-error"),
        GOOD,
        "driver-error",
    ),
    Row(
        "nvidia-smi failures",
        "matters to no bundle without GPUs",
        fault("not-loaded"),
        NO_GPU,
        "",
    ),
    Row(
        "nothing was asked",
        "no driver facts",
        a_host(driver=None, gpus=None),
        GOOD,
        "driver-unknown",
    ),
    Row("nothing was asked", "no GPU facts", a_host(gpus=None), GOOD, "gpu-unknown"),
    Row(
        "nothing was asked", "the driver lists none", a_host(gpus=()), GOOD, "gpu-none"
    ),
    Row(
        "without nvidia-smi",
        "module and libraries differ",
        a_host(driver={"user_space": "580.82.07"}),
        GOOD,
        "driver-mismatch",
    ),
    Row(
        "without nvidia-smi",
        "reboot pending",
        a_host(driver={"on_disk": "595.71.05"}),
        GOOD,
        "driver-reboot-pending",
    ),
    # driver branches
    Row(
        "driver branches", "570 ended", a_host("570.124.06"), GOOD, "driver-end-of-life"
    ),
    Row(
        "driver branches",
        "535 ended",
        a_host("535.104.05"),
        a_bundle(an_image("12.2")),
        "driver-end-of-life",
    ),
    Row("driver branches", "595 is maintained", a_host("595.71.05"), GOOD, ""),
    Row(
        "driver branches",
        "610 ended in August",
        a_host("610.43.02"),
        GOOD,
        "driver-end-of-life",
    ),
    Row(
        "driver branches",
        "595 in April 2027",
        a_host("595.71.05", taken="2027-04-01T00:00:00Z"),
        GOOD,
        "driver-end-of-life",
    ),
    Row(
        "driver branches",
        "595 in March 2027",
        a_host("595.71.05", taken="2027-03-31T00:00:00Z"),
        GOOD,
        "",
    ),
    Row(
        "driver branches",
        "a clock of 1970 ends nothing",
        a_host("595.71.05", taken="1970-01-01T00:00:00Z"),
        GOOD,
        "",
    ),
    Row(
        "driver branches",
        "not in the table",
        a_host("700.1", driver={"cuda": "15.0"}),
        GOOD,
        "driver-branch-unknown",
    ),
    # open modules
    Row(
        "open modules",
        "Blackwell with proprietary",
        a_host(gpu="B200", driver={"module": "proprietary"}),
        GOOD,
        "gpu-modules-wrong",
    ),
    Row(
        "open modules",
        "Volta with open",
        a_host(gpu="V100", driver={"module": "open"}),
        a_bundle(an_image("12.6")),
        "gpu-modules-wrong",
    ),
    Row(
        "open modules",
        "Ampere with either",
        a_host(gpu="A100", driver={"module": "proprietary"}),
        GOOD,
        "",
    ),
    Row(
        "open modules",
        "Grace Hopper with proprietary",
        a_host(
            gpus=(a_gpu("H100", name="NVIDIA GH200 480GB"),),
            driver={"module": "proprietary"},
        ),
        GOOD,
        "gpu-modules-wrong",
    ),
    Row(
        "open modules",
        "the kernel says so",
        a_host(
            driver={"fault": Fault("no-devices")},
            gpus=None,
            kernel_log=KernelLog((), (OPEN_MODULES,)),
        ),
        GOOD,
        "gpu-none gpu-modules-wrong",
    ),
)
