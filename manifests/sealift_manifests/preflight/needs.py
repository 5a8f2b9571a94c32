"""What a bundle asks of a host. Values only; `needs_of` in `notes` reads them.

None means: not known, because nothing was looked at or it could not be told. Empty
tuples, empty text, False and 0 are answers. Sizes are in bytes. Compute
capabilities are text, "9.0"; a build for one chip alone is "9.0a".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Tuple

SERVERS = ("vllm", "tgi", "ollama", "llama.cpp", "other")
GPU_FORMS = ("reservations", "runtime", "gpus", "devices")
"""How a Compose service asks for GPUs: `deploy.resources.reservations.devices`,
`runtime: nvidia`, `gpus:`, or `devices:` with CDI names."""

ALL = -1
"""As a count of GPUs: all there are."""


@dataclass(frozen=True)
class Variable:
    """A variable of an image's environment."""

    name: str
    value: str


@dataclass(frozen=True)
class CompatLibrary:
    """A forward-compatibility libcuda in an image.

    `version` is that of its file name, "575.57.08". `drivers` (branches), `brands`
    (NVML numbers) and `cuda` are from its ELF note; None without one. `forced_by`:
    what puts it in front of the host's driver for every program: "ld.so.conf",
    "LD_LIBRARY_PATH"; () where nothing does.
    """

    path: str
    version: Optional[str] = None
    drivers: Optional[Tuple[int, ...]] = None
    brands: Optional[Tuple[int, ...]] = None
    cuda: Optional[str] = None
    forced_by: Optional[Tuple[str, ...]] = None


@dataclass(frozen=True)
class Build:
    """GPU code in an image: which program, for which CUDA and which GPUs.

    `what`: "torch", "vllm", "llama.cpp", "ollama", .... `native`: the compute
    capabilities it has machine code for ("8.0", "9.0a"). `ptx`: those it has PTX
    of, () for none.
    """

    what: str
    version: Optional[str] = None
    cuda: Optional[str] = None
    native: Optional[Tuple[str, ...]] = None
    ptx: Optional[Tuple[str, ...]] = None


@dataclass(frozen=True)
class ImageNeeds:
    """What an image asks for.

    `cuda`: CUDA_VERSION of its environment; "" where it has none. `requires`: its
    NVIDIA_REQUIRE_* variables. `disable_require`, `visible_devices`:
    NVIDIA_DISABLE_REQUIRE and NVIDIA_VISIBLE_DEVICES as written, "" where not set.
    `archive_size`: bytes handed to the engine; `unpacked_size`: its layers unpacked,
    and `unpacked_inodes` the inodes they take at least.
    """

    name: str
    platform: Optional[str] = None
    cuda: Optional[str] = None
    requires: Optional[Tuple[Variable, ...]] = None
    disable_require: Optional[str] = None
    visible_devices: Optional[str] = None
    compat: Optional[Tuple[CompatLibrary, ...]] = None
    builds: Optional[Tuple[Build, ...]] = None
    archive_size: Optional[int] = None
    unpacked_size: Optional[int] = None
    unpacked_inodes: Optional[int] = None


@dataclass(frozen=True)
class DtypeSize:
    """How many bytes of a model's weights are of one dtype ("BF16")."""

    dtype: str
    size: int


@dataclass(frozen=True)
class ModelNeeds:
    """What sizes a model in GPU memory.

    `weights_size`: bytes of the weight files a server loads. `head_dim` None:
    hidden_size // heads. `kv_lora_rank`, `qk_rope_head_dim`: MLA only, 0 for models
    without. `sliding_window`: tokens, 0 for none; `sliding_layers`: how many layers
    use it; `stateful_layers`: those without a KV cache that grows (Mamba, linear
    attention). `value_head_dim` None: values are as wide as keys. `format`:
    "safetensors" or "gguf". `quantization`: "fp8", "awq", "Q4_K_M", ....
    """

    name: str
    weights_size: Optional[int] = None
    sizes: Optional[Tuple[DtypeSize, ...]] = None
    layers: Optional[int] = None
    heads: Optional[int] = None
    kv_heads: Optional[int] = None
    head_dim: Optional[int] = None
    value_head_dim: Optional[int] = None
    hidden_size: Optional[int] = None
    kv_lora_rank: Optional[int] = None
    qk_rope_head_dim: Optional[int] = None
    sliding_window: Optional[int] = None
    sliding_layers: Optional[int] = None
    stateful_layers: Optional[int] = None
    max_positions: Optional[int] = None
    dtype: Optional[str] = None
    quantization: Optional[str] = None
    format: Optional[str] = None


@dataclass(frozen=True)
class GpuRequest:
    """How a service asks for GPUs.

    `count`: a number, or ALL; None with `ids`. `ids`: as written ("0", a UUID,
    "nvidia.com/gpu=0"). `form`: one of GPU_FORMS. `driver`: of a reservation:
    "nvidia" or "cdi".
    """

    form: str
    count: Optional[int] = None
    ids: Tuple[str, ...] = ()
    driver: Optional[str] = None


@dataclass(frozen=True)
class PublishedPort:
    """A port of the host that a service takes. `address` "" is every address."""

    port: int
    protocol: str = "tcp"
    address: str = ""


@dataclass(frozen=True)
class ServiceNeeds:
    """What a service asks for.

    `wants_gpu` False: it asks for none; `gpu` then is None. `server`: one of SERVERS.
    Options that are not given are None where the server has a default.
    `memory_thousandths`: gpu_memory_utilization, 920 for 0.92. `kv_dtype`: as
    written ("auto", "fp8"). `kv_cache_size`: bytes, where fixed by an option.
    `max_batched_tokens`: max_num_batched_tokens. `slots`: requests at a time, for
    llama.cpp and Ollama. Of llama.cpp alone: `value_dtype`, where the values of the KV
    cache are of another dtype than `kv_dtype`; `gpu_layers`, how many layers it is
    told to put on GPUs (ALL); `tensors_on_cpu`, whether an option keeps some tensors
    or the KV cache off them. `disable_require`, `visible_devices`: as the service sets
    them, None where the image's count. `compat_on`: VLLM_ENABLE_CUDA_COMPATIBILITY.
    `replicas`: of more containers than one.
    """

    name: str
    image: Optional[str] = None
    models: Optional[Tuple[str, ...]] = None
    wants_gpu: Optional[bool] = None
    gpu: Optional[GpuRequest] = None
    server: Optional[str] = None
    tensor_parallel: Optional[int] = None
    pipeline_parallel: Optional[int] = None
    max_model_len: Optional[int] = None
    memory_thousandths: Optional[int] = None
    kv_dtype: Optional[str] = None
    value_dtype: Optional[str] = None
    kv_cache_size: Optional[int] = None
    max_batched_tokens: Optional[int] = None
    enforce_eager: Optional[bool] = None
    slots: Optional[int] = None
    gpu_layers: Optional[int] = None
    tensors_on_cpu: Optional[bool] = None
    disable_require: Optional[str] = None
    visible_devices: Optional[str] = None
    compat_on: Optional[bool] = None
    ports: Optional[Tuple[PublishedPort, ...]] = None
    replicas: Optional[int] = None


@dataclass(frozen=True)
class DiskNeeds:
    """What an install writes below Sealift's state directory: bytes and inodes.

    `data_size` and `data_inodes` are those of volumes of data, with the engine.
    """

    state_size: Optional[int] = None
    state_inodes: Optional[int] = None
    data_size: int = 0
    data_inodes: int = 0


@dataclass(frozen=True)
class Needs:
    """What one bundle asks of a host.

    `created` is the bundle's own time (UTC): a clock before it is wrong. `unread`
    names the notes of the manifest that had the wrong type, and so are unknown.
    """

    name: str
    platform: Optional[str] = None
    created: Optional[str] = None
    images: Tuple[ImageNeeds, ...] = ()
    models: Tuple[ModelNeeds, ...] = ()
    services: Tuple[ServiceNeeds, ...] = ()
    disk: DiskNeeds = DiskNeeds()
    unread: Tuple[str, ...] = ()
