"""The slugs about the NVIDIA driver, the GPUs and what joins them."""

from __future__ import annotations

_DRIVER = (
    (
        "driver-unknown",
        "unknown",
        "nothing is known of the NVIDIA driver",
        "Take the survey on the host, as root: nvidia-smi must be on the PATH.",
    ),
    (
        "driver-not-installed",
        "fail",
        "there is no NVIDIA driver",
        "Install a driver from your distribution's or NVIDIA's offline repository "
        "(branch <branch>), and reboot.",
    ),
    (
        "driver-not-loaded",
        "fail",
        "the driver is installed, its kernel module is not loaded",
        "modprobe nvidia, then dmesg | tail. After a kernel update: dkms autoinstall. "
        "With Secure Boot (mokutil --sb-state) the module must be signed with an "
        "enrolled key. nouveau must not be loaded (lsmod | grep nouveau).",
    ),
    (
        "driver-library-missing",
        "fail",
        "libnvidia-ml.so.1 is not found",
        "Install the driver's user-space libraries of the same version, then ldconfig.",
    ),
    (
        "driver-mismatch",
        "fail",
        "the loaded module and the libraries are of different versions",
        "Reboot, so that the installed module is loaded; if it stays, install module "
        "and libraries of one version.",
    ),
    (
        "driver-permission",
        "fail",
        "the driver may not be asked",
        "Run as root; then look at ls -l /dev/nvidia* and at SELinux denials "
        "(ausearch -m avc).",
    ),
    (
        "driver-timeout",
        "fail",
        "nvidia-smi did not answer in time: a GPU or its driver hangs",
        "Look for NVRM lines in dmesg, and power-cycle the machine.",
    ),
    (
        "driver-error",
        "fail",
        "the driver answers with an error nobody listed",
        "Look for NVRM lines in dmesg; nvidia-bug-report.sh collects what support asks "
        "for.",
    ),
    (
        "driver-reboot-pending",
        "warn",
        "the next boot loads another driver than runs now",
        "Reboot now and check again: what runs after a reboot is not what was checked.",
    ),
    (
        "driver-end-of-life",
        "warn",
        "the driver's branch gets no more fixes",
        "Move to branch <branch>.",
    ),
    (
        "driver-branch-unknown",
        "note",
        "the tables do not know the driver's branch",
        "Compare with NVIDIA's list of driver branches. A newer Sealift, or a newer "
        "bundle, brings newer tables.",
    ),
)

_GPU = (
    (
        "gpu-none",
        "fail",
        "the driver finds no GPU",
        "See lspci -d 10de: and dmesg | grep NVRM. Blackwell needs the open kernel "
        "modules; GPUs older than Turing the proprietary ones.",
    ),
    (
        "gpu-unknown",
        "unknown",
        "the GPUs, or the compute capability of one, are not known",
        "nvidia-smi --query-gpu=name,compute_cap --format=csv",
    ),
    (
        "gpu-lost",
        "fail",
        "a GPU does not answer any more (it fell off the bus)",
        "Power-cycle the machine. If it comes back, check seating, power cables and "
        "cooling.",
    ),
    (
        "gpu-reset-needed",
        "fail",
        "the driver says a GPU needs a reset or a reboot",
        "Stop what uses it and run nvidia-smi --gpu-reset -i <index>, or reboot.",
    ),
    (
        "gpu-modules-wrong",
        "fail",
        "the GPU needs the other kind of kernel modules (open or proprietary)",
        "Install the driver's <modules> kernel modules, and reboot.",
    ),
    (
        "gpu-driver-too-new",
        "fail",
        "the driver's branch no longer drives this GPU",
        "Install branch <branch>, the last for this GPU.",
    ),
    (
        "gpu-driver-too-old",
        "fail",
        "the driver is older than this GPU",
        "Install branch <branch> or newer.",
    ),
    (
        "gpu-unbound",
        "warn",
        "an NVIDIA GPU on the bus is not driven by the NVIDIA driver",
        "If it shall be used: free it from its driver (lspci -k -s <bus>) and reboot.",
    ),
    (
        "gpu-not-there",
        "fail",
        "a service asks for a GPU that the host does not have",
        "Name one of nvidia-smi -L in the Compose file.",
    ),
    (
        "gpu-too-few",
        "fail",
        "a service needs more GPUs than it gets",
        "Use a host with more GPUs, or lower the count and --tensor-parallel-size.",
    ),
    (
        "gpu-shared",
        "fail warn",
        "several containers of a service get the same GPUs; a fail where together they "
        "take more than the memory there is",
        "Have one container of the service, or lower --gpu-memory-utilization.",
    ),
    (
        "gpu-not-visible",
        "warn",
        "a service with runtime: nvidia names no GPU, so it gets none",
        "Set NVIDIA_VISIBLE_DEVICES=all in its environment.",
    ),
    (
        "mig-empty",
        "fail",
        "MIG mode is on and the GPU has no instances, so nothing can use it",
        "Make instances (nvidia-smi mig -cgi PROFILE -C -i <index>), or switch MIG "
        "off: nvidia-smi -i <index> -mig 0",
    ),
    (
        "gpu-ecc",
        "warn",
        "a GPU has had uncorrected memory errors since the driver was loaded",
        "nvidia-smi -q -d ECC -i <index>; reset it; if they return, replace it.",
    ),
    (
        "gpu-row-remap",
        "warn",
        "a GPU waits for a reset to replace bad memory rows",
        "Stop what uses it and run nvidia-smi --gpu-reset -i <index>, or reboot.",
    ),
    (
        "gpu-row-remap-failed",
        "fail",
        "a GPU could not replace bad memory rows",
        "Have the GPU replaced.",
    ),
    (
        "gpu-xid",
        "warn unknown",
        "the kernel log of this boot has Xid errors; unknown where it cannot be read",
        "dmesg | grep -i xid, and look the number up in NVIDIA's list of Xids.",
    ),
    (
        "gpu-xid-fatal",
        "fail",
        "the newest Xid says that a GPU is lost (79) or has bad memory (95)",
        "Reboot, or power-cycle; if it comes back, have the GPU replaced.",
    ),
    (
        "gpu-persistence",
        "warn",
        "nothing keeps the driver loaded: slow first starts, settings get lost",
        "systemctl enable --now nvidia-persistenced",
    ),
    (
        "gpu-compute-mode",
        "fail warn",
        "the compute mode forbids any use (fail), or use by more than one process",
        "nvidia-smi -i <index> -c DEFAULT",
    ),
    (
        "fabric-manager-missing",
        "fail",
        "a machine with NVSwitch has no Fabric Manager",
        "Install nvidia-fabricmanager of exactly version <version>, then systemctl "
        "enable --now nvidia-fabricmanager",
    ),
    (
        "fabric-manager-off",
        "fail",
        "Fabric Manager does not run: CUDA stops with error 802",
        "systemctl enable --now nvidia-fabricmanager",
    ),
    (
        "fabric-manager-version",
        "fail",
        "Fabric Manager is not of exactly the driver's version",
        "Install nvidia-fabricmanager of exactly version <version>, then systemctl "
        "restart nvidia-fabricmanager",
    ),
    (
        "fabric-not-ready",
        "fail",
        "a GPU has not joined the NVLink fabric",
        "nvidia-smi -q | grep -A3 Fabric, and journalctl -u nvidia-fabricmanager. From "
        "B200 on nvlsm must run too.",
    ),
    (
        "fabric-unknown",
        "unknown",
        "whether Fabric Manager is needed and runs is not known",
        "ls /dev/nvidia-nvswitch*; systemctl is-active nvidia-fabricmanager",
    ),
)

GPU_KINDS = (
    *(("Driver", *row) for row in _DRIVER),
    *(("GPUs", *row) for row in _GPU),
)
"""Rows of the catalog: theme, slug, levels, meaning, remedy."""
