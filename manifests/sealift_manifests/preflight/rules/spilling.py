"""Does a model fit where the server can use the CPU too: llama.cpp and Ollama?

What does not fit runs slowly, or not at all where the number of layers is fixed; so
it is a warning.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Optional, Tuple

from sealift_manifests.preflight import memory
from sealift_manifests.preflight.catalog import found
from sealift_manifests.preflight.findings import Figures, Finding
from sealift_manifests.preflight.memory import Layers, Range, Split
from sealift_manifests.preflight.needs import ALL, ModelNeeds, ServiceNeeds
from sealift_manifests.preflight.rules.devices import Device
from sealift_manifests.preflight.rules.disk import gib


@dataclass(frozen=True)
class Load:
    """What the GPUs are to hold of a model, in bytes.

    `on_gpu` of `layers` keep their cache there; `lengths`: the context in tokens,
    all slots together, shortest and longest; the longest is None where not known.
    """

    total: int
    weights: int
    overhead: int
    cache: Optional[Layers]
    on_gpu: int
    layers: int
    lengths: Tuple[int, Optional[int]]

    @property
    def room(self) -> int:
        """What is left for the KV cache."""
        return self.total - self.weights - self.overhead

    def cache_size(self, tokens: int) -> Optional[Range]:
        """Return the KV cache on the GPUs of a context, least and most."""
        if self.cache is None:
            return None
        low, high = self.cache.cache_size(tokens)
        return low * self.on_gpu // self.layers, -(-high * self.on_gpu // self.layers)

    @property
    def longest(self) -> Optional[int]:
        """The longest context that surely fits; None where not known."""
        if self.cache is None or not self.on_gpu:
            return None
        fits = self.cache.longest(max(0, self.room) * self.layers // self.on_gpu)
        return fits if self.lengths[1] is None else min(fits, self.lengths[1])

    @property
    def slug(self) -> str:
        """What kind of finding it is."""
        shortest, longest = self.lengths
        least = self.cache_size(shortest) or (0, 0)
        if least[0] > self.room:
            return "memory-spills"
        most = None if longest is None else self.cache_size(longest)
        return "memory-fits" if most and most[1] <= self.room else "memory-unknown"


def spills(
    service: ServiceNeeds, model: ModelNeeds, devices: Tuple[Device, ...]
) -> Finding:
    """Return whether a model fits the GPUs of a service, and how much of it would."""
    about, total = f"service {service.name}", sum(each.total or 0 for each in devices)
    if service.tensors_on_cpu:
        measured = "an option keeps some tensors or the KV cache off the GPUs"
        return found("memory-unknown", about, measured, "what the GPUs are to hold")
    if model.weights_size is None:
        return found("memory-unknown", about, "weights' size not known", gib(total))
    if service.gpu_layers == 0:
        return found(
            "memory-spills",
            about,
            "--n-gpu-layers 0: nothing is on the GPUs",
            "the layers on the GPUs",
            remedy="--n-gpu-layers all puts all layers there (older: 999).",
        )
    if service.gpu_layers not in (None, ALL) and not model.layers:
        measured = f"--n-gpu-layers {service.gpu_layers} of a number not known"
        return found("memory-unknown", about, measured, "the number of layers")
    load = load_of(service, model, total, len(devices))
    wanted = load.weights + load.overhead
    if load.cache:
        wanted += (load.cache_size(load.lengths[0]) or (0, 0))[0]
    remedy = _remedy(service, model, load)
    finding = found(load.slug, about, _measured(load), gib(wanted), remedy=remedy)
    return replace(finding, figures=_figures(service, load))


def load_of(service: ServiceNeeds, model: ModelNeeds, total: int, devices: int) -> Load:
    """Return what GPUs of `total` bytes are to hold of a model of known size."""
    layers, told = model.layers or 1, service.gpu_layers
    on_gpu, weights = layers, model.weights_size or 0
    if told is not None and told != ALL and model.layers:
        # The output counts as one layer more.
        weights = -(-weights * min(told, layers + 1) // (layers + 1))
        on_gpu = min(told, layers)
    slots = service.slots or 1
    shortest, longest = service.max_model_len, service.max_model_len
    if longest is None:
        # The server's default, which differs between releases.
        shortest, longest = memory.BLOCK, model.max_positions
        slots = 1 if service.server == "llama.cpp" else slots
    return Load(
        total=total,
        weights=weights,
        overhead=memory.LLAMA_OVERHEAD * devices,
        cache=memory.layers_of(model, service, Split()),
        on_gpu=on_gpu,
        layers=layers,
        lengths=((shortest or 0) * slots, longest and longest * slots),
    )


def _measured(load: Load) -> str:
    longest = load.lengths[1]
    cache = None if longest is None else load.cache_size(longest)
    text = "KV cache not known"
    if cache:
        text = f"{gib(cache[1])} KV cache for {longest} tokens"
    fitting = load.longest
    room = "" if fitting is None else f", which holds {fitting} tokens"
    return (
        f"{gib(load.weights)} weights, {text}, {gib(load.overhead)} besides; "
        f"{gib(load.total)} GPU memory{room}"
    )


def _figures(service: ServiceNeeds, load: Load) -> Figures:
    longest = load.longest
    if longest is None:
        return ()
    return (("fits_tokens", longest // (service.slots or 1)),)


def _remedy(service: ServiceNeeds, model: ModelNeeds, load: Load) -> str:
    """Return what to do where it does not fit, or may not."""
    parts, longest = [], load.longest or 0
    slots, is_llama = service.slots or 1, service.server == "llama.cpp"
    if longest // slots >= memory.BLOCK:
        tokens = longest // slots
        option = f"OLLAMA_CONTEXT_LENGTH={tokens}"
        if is_llama:
            option = f"--ctx-size {tokens * slots}"
        parts.append(f"It fits up to {tokens} tokens: {option}.")
    fitting = fitting_layers(model, load)
    if is_llama and fitting is not None and load.slug == "memory-spills":
        parts.append(f"About {fitting} layers fit: --n-gpu-layers {fitting}.")
    if is_llama and service.gpu_layers is not None and load.slug == "memory-spills":
        parts.append("With the number of layers fixed it may not start at all.")
    return " ".join(parts or ["Use a smaller quantization, if it is too slow."])


def fitting_layers(model: ModelNeeds, load: Load) -> Optional[int]:
    """Return how many layers fit with their part of the cache; None where not known."""
    cache = load.cache_size(load.lengths[0])
    if not model.layers or not model.weights_size or cache is None or not load.on_gpu:
        return None
    each = model.weights_size // (model.layers + 1) + cache[1] // load.on_gpu
    return min(model.layers, max(0, load.total - load.overhead) // max(1, each))
