"""What nvidia-smi and NVML answer on a host that is given as facts.

In the words that NVIDIA documents; nothing here shares code with the probe.
"""

from __future__ import annotations

from sealift_manifests.preflight.facts import Driver, Gpu, HostFacts

MIB = 1 << 20
NVML_CODES = {
    "not-loaded": 9,
    "version-mismatch": 18,
    "no-permission": 4,
    "gpu-lost": 15,
}
SMI_SAYS = {
    "not-loaded": "NVIDIA-SMI has failed because it couldn't communicate with the "
    "NVIDIA driver. Make sure that the latest NVIDIA driver is installed and running.",
    "version-mismatch": "Failed to initialize NVML: Driver/library version mismatch\n"
    "NVML library version: 535.129",
    "no-devices": "No devices were found",
    "gpu-lost": "Unable to determine the device handle for GPU0000:3B:00.0: GPU is "
    "lost.  Reboot the system to recover this GPU",
}
SMI_CODES = {"not-loaded": 9, "version-mismatch": 18, "no-devices": 6, "gpu-lost": 15}
BRAND_NUMBERS = {"Tesla": 2, "GeForce": 5, "NVIDIA RTX": 13, "NVIDIA": 14}


def smi_answers(facts: HostFacts) -> list[tuple[str, str, int]]:
    """Return calls of nvidia-smi, what it says and its exit code; -1: it hangs."""
    driver = facts.driver
    if driver.fault:
        if driver.fault.slug == "probe-timeout":
            return [("", "", -1)]
        return [("*", SMI_SAYS[driver.fault.slug], SMI_CODES[driver.fault.slug])]
    gpus = facts.gpus or ()
    if any(gpu.fault for gpu in gpus):
        return [("*", SMI_SAYS["gpu-lost"], SMI_CODES["gpu-lost"])]
    answers = []

    def answer(fields: str, rows: list[str]) -> None:
        call = f"--query-gpu={fields} --format=csv,noheader,nounits"
        answers.append((call, "\n".join(rows), 0))

    core = "index,uuid,name,driver_version,memory.total"
    cells = [
        f"{g.index}, {g.uuid}, {g.name}, {driver.loaded}, {_mib(g.memory_total)}"
        for g in gpus
    ]
    answer(core, cells)
    for field, reading in _SMI_FIELDS:
        if field == "compute_cap" and driver.loaded and driver.loaded < "510":
            continue
        rows = [f"{gpu.index}, {reading(gpu)}" for gpu in gpus]
        answer(f"index,{field}", rows)
    answers.append(("-q -x", _xml(driver, gpus), 0))
    answers.append(("-L", _listing(gpus), 0))
    return answers


def _mib(size: int | None) -> str:
    return "[N/A]" if size is None else str(size // MIB)


def _on(value: bool | None) -> str:
    return {True: "Enabled", False: "Disabled", None: "[N/A]"}[value]


def _yes(value: bool | None) -> str:
    return {True: "Yes", False: "No", None: "[N/A]"}[value]


def _or_na(value: object) -> str:
    return "[N/A]" if value is None else str(value)


_SMI_FIELDS = (
    ("pci.bus_id", lambda g: f"0000{g.bus_id.upper()}"),
    ("compute_cap", lambda g: _or_na(g.compute_capability)),
    ("memory.free", lambda g: _mib(g.memory_free)),
    ("mig.mode.current", lambda g: _on(g.mig)),
    ("ecc.mode.current", lambda g: _on(g.ecc)),
    ("ecc.errors.uncorrected.volatile.total", lambda g: _or_na(g.ecc_uncorrected)),
    ("remapped_rows.pending", lambda g: _yes(g.row_remap_pending)),
    ("remapped_rows.failure", lambda g: _yes(g.row_remap_failed)),
    ("persistence_mode", lambda g: _on(g.persistence)),
    ("compute_mode", lambda g: _or_na(g.compute_mode)),
    ("gpu_recovery_action", lambda g: _or_na(g.recovery_action)),
    ("fabric.state", lambda g: _or_na(g.fabric_state)),
    ("fabric.status", lambda g: _or_na(g.fabric_status)),
)


def _xml(driver: Driver, gpus: tuple[Gpu, ...]) -> str:
    parts = []
    for gpu in gpus:
        devices = "".join(
            f"<mig_device><index>{number}</index><fb_memory_usage>"
            f"<total>{part.memory_total // MIB} MiB</total></fb_memory_usage>"
            "</mig_device>"
            for number, part in enumerate(gpu.mig_instances or ())
        )
        parts.append(
            f'<gpu id="0000{gpu.bus_id.upper()}"><product_name>{gpu.name}'
            f"</product_name><product_brand>{gpu.brand}</product_brand>"
            f"<mig_devices>{devices}</mig_devices></gpu>"
        )
    return (
        '<?xml version="1.0" ?>\n<!DOCTYPE nvidia_smi_log SYSTEM '
        '"nvsmi_device_v12.dtd">\n<nvidia_smi_log>'
        f"<driver_version>{driver.loaded}</driver_version>"
        f"<cuda_version>{driver.cuda}</cuda_version>{''.join(parts)}</nvidia_smi_log>"
    )


def _listing(gpus: tuple[Gpu, ...]) -> str:
    lines = []
    for gpu in gpus:
        lines.append(f"GPU {gpu.index}: {gpu.name} (UUID: {gpu.uuid})")
        for number, part in enumerate(gpu.mig_instances or ()):
            lines.append(
                f"  MIG {part.profile}     Device  {number}: (UUID: {part.uuid})"
            )
    return "\n".join(lines)


def nvml_answers(facts: HostFacts) -> str:
    """Return the answers of NVML, a line each; "" where there is no library."""
    driver = facts.driver
    if not driver.user_space:
        return ""
    values: dict[str, object] = {"library": f"12.{driver.user_space}"}
    slug = driver.fault.slug if driver.fault else ""
    if slug == "probe-timeout":
        values["hang"] = 1
    values["init"] = NVML_CODES.get(slug, 0)
    values["driver"] = driver.loaded
    if driver.cuda:
        major, minor = driver.cuda.split(".")
        values["cuda"] = int(major) * 1000 + int(minor) * 10
    gpus = () if slug else facts.gpus or ()
    values["count"] = len(gpus)
    for gpu in gpus:
        for key, value in _nvml_gpu(gpu).items():
            if value is not None:
                values[f"{gpu.index}.{key}"] = value
    return "".join(f"{key} {value}\n" for key, value in values.items())


def _nvml_gpu(gpu: Gpu) -> dict[str, object]:
    if gpu.fault:
        return {"handle": NVML_CODES[gpu.fault.slug]}
    fabric = (None, "Not Started", "In Progress", "Completed").index(gpu.fabric_state)
    modes = ("Default", "Exclusive_Thread", "Prohibited", "Exclusive_Process")
    actions = ("None", "Reset", "Reboot", "Drain P2P", "Drain and Reset")
    major, minor = (gpu.compute_capability or "0.0").split(".")
    values: dict[str, object] = {
        "name": gpu.name,
        "uuid": gpu.uuid,
        "bus": f"0000{gpu.bus_id.upper()}",
        "brand": BRAND_NUMBERS[gpu.brand],
        "major": major,
        "minor": minor,
        "mig": None if gpu.mig is None else int(gpu.mig),
        "ecc": None if gpu.ecc is None else int(gpu.ecc),
        "uncorrected": gpu.ecc_uncorrected,
        "persistence": int(bool(gpu.persistence)),
        "mode": None if gpu.compute_mode is None else modes.index(gpu.compute_mode),
        "fabric": fabric or None,
    }
    if gpu.memory_total is not None:
        # The exact number of bytes, which is no whole number of MiB.
        values.update(total=gpu.memory_total + 65536, free=gpu.memory_free + 4096)
    if gpu.row_remap_pending is not None:
        values.update(pending=int(gpu.row_remap_pending))
        values.update(failed=int(gpu.row_remap_failed))
    if gpu.recovery_action is not None:
        values["recovery"] = actions.index(gpu.recovery_action)
    if gpu.mig:
        values["parts"] = 7
        for number, part in enumerate(gpu.mig_instances or ()):
            values[f"part{number}.uuid"] = part.uuid
            values[f"part{number}.name"] = f"{gpu.name} MIG {part.profile}"
            values[f"part{number}.total"] = part.memory_total
    return values
