"""Hosts and bundles for the preflight's tests: in order unless a row says otherwise."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sealift_manifests.preflight.facts import (
    Compose,
    Driver,
    Engine,
    FileSystem,
    Gpu,
    HostFacts,
    KernelLog,
    Machine,
    Toolkit,
)
from sealift_manifests.preflight.needs import (
    ALL,
    Build,
    CompatLibrary,
    DiskNeeds,
    GpuRequest,
    ImageNeeds,
    ModelNeeds,
    Needs,
    ServiceNeeds,
    Variable,
)

GIB = 1 << 30
MIB = 1 << 20

_GPUS = {
    "H100": ("NVIDIA H100 80GB HBM3", "9.0", "NVIDIA", 81559),
    "H200": ("NVIDIA H200", "9.0", "NVIDIA", 143771),
    "A100": ("NVIDIA A100-SXM4-80GB", "8.0", "NVIDIA", 81920),
    "A10": ("NVIDIA A10", "8.6", "NVIDIA", 23028),
    "L4": ("NVIDIA L4", "8.9", "NVIDIA", 23034),
    "L40S": ("NVIDIA L40S", "8.9", "NVIDIA", 46068),
    "T4": ("Tesla T4", "7.5", "NVIDIA", 15360),
    "V100": ("Tesla V100-SXM2-32GB", "7.0", "Tesla", 32768),
    "P40": ("Tesla P40", "6.1", "Tesla", 24576),
    "K80": ("Tesla K80", "3.7", "Tesla", 11441),
    "B200": ("NVIDIA B200", "10.0", "NVIDIA", 183359),
    "B300": ("NVIDIA B300", "10.3", "NVIDIA", 275040),
    "GB10": ("NVIDIA GB10", "12.1", "NVIDIA", None),
    "PRO6000": ("NVIDIA RTX PRO 6000 Blackwell", "12.0", "NVIDIA RTX", 97887),
    "6000Ada": ("NVIDIA RTX 6000 Ada Generation", "8.9", "NVIDIA RTX", 49140),
    "A2000": ("NVIDIA RTX A2000", "8.6", "NVIDIA RTX", 6138),
    "2080Ti": ("NVIDIA GeForce RTX 2080 Ti", "7.5", "GeForce", 11264),
    "3090": ("NVIDIA GeForce RTX 3090", "8.6", "GeForce", 24576),
    "4090": ("NVIDIA GeForce RTX 4090", "8.9", "GeForce", 24564),
    "5090": ("NVIDIA GeForce RTX 5090", "12.0", "GeForce", 32607),
    "TITANV": ("NVIDIA TITAN V", "7.0", "Titan", 12288),
}

EVERY_CHIP = ("3.7", "5.0", "6.0", "7.0", "7.5", "8.0", "9.0", "10.0", "12.0")

_OLD = (
    "tesla unknown nvidia nvidiartx geforce geforcertx quadro quadrortx titan titanrtx"
)
_NEW = (
    "unknown grid tesla nvidia quadro quadrortx nvidiartx vapps vpc vcs vws cloudgaming"
)
_PUBLISHED = {
    "11.8": (_OLD, (470,)),
    "12.1": (_OLD, (470, 510, 515, 525)),
    "12.2": (_OLD, (470, 525)),
    "12.4": (_OLD, (470, 525, 535)),
    "12.6": (_NEW, (470, 535, 550)),
    "12.8": (_NEW, (470, 535, 550, 560, 565)),
    "12.9": (_NEW, (535, 550, 560, 565, 570)),
    "13.0": (_NEW, (535, 550, 565, 570, 575)),
    "13.2": (_NEW, (535, 570, 580, 590)),
}


def published(cuda: str) -> str:
    """Return NVIDIA_REQUIRE_CUDA of NVIDIA's image for a CUDA version."""
    brands, branches = _PUBLISHED[cuda]
    extra = ["brand=tesla,driver>=450,driver<451"] if cuda == "12.1" else []
    terms = [
        f"brand={brand},driver>={branch},driver<{branch + 1}"
        for branch in branches
        for brand in brands.split()
    ]
    return " ".join([f"cuda>={cuda}", *extra, *terms])


def a_gpu(kind: str = "H100", index: int = 0, **changes: Any) -> Gpu:
    """Return a healthy GPU."""
    name, capability, brand, mib = _GPUS[kind]
    size = mib * MIB if mib else None
    gpu = Gpu(
        index=index,
        name=name,
        uuid=f"GPU-{index:08d}-0000-0000-0000-000000000000",
        bus_id=f"0000:{index + 1:02x}:00.0",
        compute_capability=capability,
        brand=brand,
        memory_total=size,
        memory_free=size,
        mig=False,
        persistence=True,
        compute_mode="Default",
        unified_memory=size is None,
    )
    return replace(gpu, **changes)


ENGINE = Engine(
    kind="docker",
    version="28.5.2",
    image_store="graphdriver",
    cgroup_driver="systemd",
    cgroup_version=2,
    runtimes=("runc", "nvidia"),
    cdi=True,
    rootless=False,
)
TOOLKIT = Toolkit(
    installed=True,
    version="1.19.1",
    container_cli="1.19.1",
    runtime_configured=True,
    runtime_hook=True,
    cdi_hook=True,
    changed_after_engine=False,
    mode="auto",
    no_cgroups=False,
    cuda_compat_mode="ldconfig",
    char_links=True,
)
MACHINE = Machine(
    arch="x86_64",
    python="3.11.2",
    memory_total=128 * GIB,
    memory_available=119 * GIB,
    file_systems=(
        FileSystem("/var/lib/docker", "engine", 1, free=500 * GIB),
        FileSystem("/srv", "state", 2, free=500 * GIB, free_inodes=10**6),
    ),
    ports=(),
    clock="2026-11-23T12:00:00Z",
    clock_synced=True,
)


def a_host(
    version: str = "580.95.05", gpu: str = "L40S", count: int = 1, **changes: Any
) -> HostFacts:
    """Return a host in good order; `changes` replace parts of it.

    A part given as a dict changes fields of that part: engine={"version": "26"}.
    """
    old = gpu in ("V100", "P40", "K80", "TITANV")
    host = HostFacts(
        taken="2026-11-23T12:00:00Z",
        driver=Driver(
            loaded=version,
            on_disk=version,
            user_space=version,
            module="proprietary" if old else "open",
        ),
        gpus=tuple(a_gpu(gpu, index) for index in range(count)),
        pci_gpus=(),
        nvswitch=False,
        kernel_log=KernelLog(xids=()),
        engine=ENGINE,
        toolkit=TOOLKIT,
        cdi_specs=(),
        compose=Compose(installed=True, version="2.40.3"),
        machine=MACHINE,
    )
    return with_changes(host, **changes)


def with_changes(record: Any, **changes: Any) -> Any:
    """Return a record with fields replaced, and fields of its parts where a dict."""
    return replace(
        record,
        **{
            name: with_changes(getattr(record, name), **value)
            if isinstance(value, dict)
            else value
            for name, value in changes.items()
        },
    )


def an_image(cuda: str = "12.8", **changes: Any) -> ImageNeeds:
    """Return an image whose code runs everywhere and that demands nothing."""
    image = ImageNeeds(
        name="server",
        platform="linux/amd64",
        cuda=cuda,
        requires=(),
        disable_require="1",
        visible_devices="all",
        compat=(),
        builds=(Build("torch", cuda=cuda, native=EVERY_CHIP, ptx=()),),
        archive_size=5 * GIB,
        unpacked_size=9 * GIB,
    )
    return replace(image, **changes)


def requiring(*values: str) -> dict[str, Any]:
    """Return changes of an image that make it demand these values."""
    names = ["NVIDIA_REQUIRE_CUDA", "NVIDIA_REQUIRE_DRIVER", "NVIDIA_REQUIRE_OTHER"]
    variables = tuple(Variable(*each) for each in zip(names, values, strict=False))
    return {"requires": variables, "disable_require": ""}


def compat(version: str, **changes: Any) -> CompatLibrary:
    """Return a compat library that nothing forces and that has no ELF note."""
    path = f"/usr/local/cuda/compat/libcuda.so.{version}"
    return replace(CompatLibrary(path, version, forced_by=()), **changes)


def a_service(**changes: Any) -> ServiceNeeds:
    """Return a service that takes all GPUs in the portable form, and no model."""
    service = ServiceNeeds(
        name="llm",
        image="server",
        models=(),
        wants_gpu=True,
        gpu=GpuRequest("reservations", count=ALL, driver="nvidia"),
        server="vllm",
        ports=(),
    )
    return replace(service, **changes)


LLAMA_8B = ModelNeeds(
    name="llama",
    weights_size=15 * GIB,
    layers=32,
    heads=32,
    kv_heads=8,
    head_dim=128,
    hidden_size=4096,
    kv_lora_rank=0,
    sliding_window=0,
    stateful_layers=0,
    max_positions=131072,
    dtype="bfloat16",
    format="safetensors",
)


def a_bundle(
    image: ImageNeeds | None = None,
    *services: ServiceNeeds,
    model: ModelNeeds | None = None,
    **changes: Any,
) -> Needs:
    """Return what a bundle asks for: one image, and one service if none is given."""
    needs = Needs(
        name="bundle 1",
        platform="linux/amd64",
        created="2026-11-20T08:00:00Z",
        images=(image or an_image(),),
        models=(model,) if model else (),
        services=services or (a_service(),),
        disk=DiskNeeds(state_size=20 * GIB, state_inodes=100),
    )
    return replace(needs, **changes)
