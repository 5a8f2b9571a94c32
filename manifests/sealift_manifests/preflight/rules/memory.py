"""Rules about GPU memory: does each service's model fit, and at what length?"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Dict, Iterator, List, Optional, Tuple

from sealift_manifests.preflight import memory
from sealift_manifests.preflight.case import Case
from sealift_manifests.preflight.catalog import found
from sealift_manifests.preflight.findings import Finding
from sealift_manifests.preflight.memory import Layers, Split
from sealift_manifests.preflight.needs import ModelNeeds, ServiceNeeds
from sealift_manifests.preflight.rules.devices import Device, devices_of
from sealift_manifests.preflight.rules.disk import gib
from sealift_manifests.preflight.rules.spilling import spills
from sealift_manifests.sizes import counted

_SPILLING = ("llama.cpp", "ollama")
_SHARDING = ("vllm", "tgi")


@dataclass(frozen=True)
class Fit:
    """What decides whether a model fits on one GPU, in bytes.

    `budget`: what the server may take of `total`. `cache`: the KV cache at the
    length asked for, least and most.
    """

    total: int
    budget: int
    weights: int
    overhead: memory.Range
    layers: Layers
    length: int
    fixed: Optional[int] = None

    @property
    def room(self) -> int:
        """What is left for the KV cache with the usual overhead."""
        if self.fixed is not None:
            return self.fixed
        return self.budget - self.weights - self.overhead[0]

    def longest(self, most: Optional[int]) -> int:
        """Return the longest request that fits, in tokens; `most` the model takes."""
        found = self.layers.longest(self.room)
        return found if most is None else min(found, most)

    @property
    def slug(self) -> str:
        """What kind of finding it is."""
        least, most = self.layers.cache_size(self.length)
        taken = self.weights + self.overhead[0] + (self.fixed or 0)
        if least > self.room or (self.fixed is not None and taken > self.total):
            return "memory-too-small"
        if most > self.room:
            return "memory-unknown"
        spare = self.room - most
        enough = self.fixed is not None or spare >= self.overhead[1] - self.overhead[0]
        return "memory-fits" if enough else "memory-tight"


def heads_divide(case: Case) -> Iterator[Finding]:
    """Expect the tensor parallel size to divide the attention heads."""
    for service in case.services:
        tensor = service.tensor_parallel
        if service.server not in _SHARDING or not tensor:
            continue
        for model in _models(case, service):
            if memory.divides_heads(model, tensor) is False:
                sizes = [
                    n for n in range(1, 65) if model.heads and model.heads % n == 0
                ]
                yield found(
                    "heads-not-divisible",
                    f"service {service.name}",
                    f"{model.heads} heads, tensor parallel {tensor}",
                    "a size that divides the heads",
                    sizes=", ".join(map(str, sizes)),
                )


def model_fits(case: Case) -> Iterator[Finding]:
    """Expect weights, KV cache and overhead to fit the GPUs each service gets."""
    for service in case.services:
        if not service.wants_gpu or service.models == ():
            continue
        about = f"service {service.name}"
        models, devices = _models(case, service), devices_of(case, service)
        if service.server not in (*_SHARDING, *_SPILLING) or len(models) != 1:
            server = service.server or "unknown"
            measured = f"{server} server, {counted(len(models), 'model')}"
            yield found("memory-unknown", about, measured, "a known server, one model")
        elif devices is None or any(each.total is None for each in devices):
            measured = "GPU memory not known"
            yield found("memory-unknown", about, measured, "GPU memory")
        elif devices and service.server in _SPILLING:
            yield spills(service, models[0], devices)
        elif devices:
            yield from _sharded(case, service, models[0], devices)


def _sharded(
    case: Case, service: ServiceNeeds, model: ModelNeeds, devices: Tuple[Device, ...]
) -> Iterator[Finding]:
    about, split = f"service {service.name}", split_of(service)
    if split is None:
        yield found("memory-unknown", about, "number of shards not known", "it")
        return
    if split.gpus > len(devices):
        # Too few GPUs is a finding of its own.
        return
    total = min(each.total or 0 for each in devices[: split.gpus])
    fit = fit_of(service, model, split, total)
    if fit is None:
        measured = _weights_text(model, total, split)
        weights = memory.weights_per_gpu(model, split)
        slug = "memory-unknown"
        if weights is not None and weights > total:
            slug = "memory-too-small"
        remedy = "Use GPUs with more memory, or a smaller model."
        yield found(slug, about, measured, "what sizes the KV cache", remedy=remedy)
        return
    slug = fit.slug
    if service.server == "tgi" and slug == "memory-too-small":
        # How TGI divides memory is known less well; only weights decide.
        slug = slug if fit.weights > fit.total else "memory-tight"
    least, most = fit.layers.cache_size(fit.length)
    longest = fit.longest(model.max_positions)
    sizes = fitting_sizes(service, model, fit.total, len(case.gpus))
    finding = found(
        slug,
        about,
        f"{gib(fit.weights)} weights, {gib(most)} KV cache for {fit.length} tokens, "
        f"{gib(fit.overhead[0])} besides; {gib(fit.budget)} of {gib(total)} to use, "
        f"which holds {longest} tokens",
        f"{gib(fit.weights + least + fit.overhead[0])} per GPU",
        remedy=_remedy(service, fit, longest, sizes),
    )
    figures = ("fits_tokens", longest), ("tensor_parallel_sizes", tuple(sizes))
    yield replace(finding, figures=figures)


def split_of(service: ServiceNeeds) -> Optional[Split]:
    """Return how a service spreads its model; one GPU is vLLM's default."""
    default = 1 if service.server == "vllm" else None
    tensor = service.tensor_parallel or default
    return Split(tensor, service.pipeline_parallel or 1) if tensor else None


def fit_of(
    service: ServiceNeeds, model: ModelNeeds, split: Split, total: int
) -> Optional[Fit]:
    """Return what decides whether a model fits; None where a part is not known."""
    weights = memory.weights_per_gpu(model, split)
    layers = memory.layers_of(model, service, split)
    length = service.max_model_len or model.max_positions
    if weights is None or layers is None or not length:
        return None
    return Fit(
        total=total,
        budget=total * thousandths(service) // 1000,
        weights=weights,
        overhead=memory.overhead(service),
        layers=layers,
        length=length,
        fixed=service.kv_cache_size,
    )


def thousandths(service: ServiceNeeds) -> int:
    """Return the share of a GPU's memory that a server takes."""
    default = 1000 if service.server == "tgi" else memory.DEFAULT_THOUSANDTHS
    given = service.memory_thousandths
    return default if given is None else given


def _remedy(service: ServiceNeeds, fit: Fit, longest: int, sizes: List[int]) -> str:
    parts = []
    longest = min(longest, fit.length)
    if longest >= memory.BLOCK:
        parts.append(f"It fits up to {longest} tokens: --max-model-len {longest}.")
    sizes = [size for size in sizes if size > (service.tensor_parallel or 1)]
    if sizes:
        text = " or ".join(map(str, sizes))
        parts.append(f"On GPUs like these, --tensor-parallel-size {text} fits.")
    if not parts:
        parts.append("Use GPUs with more memory, or a smaller or quantized model.")
    return " ".join(parts)


def fitting_sizes(
    service: ServiceNeeds, model: ModelNeeds, total: int, gpus: int
) -> List[int]:
    """Return the tensor parallel sizes with which a model fits on this many GPUs."""
    pipeline, sizes = service.pipeline_parallel or 1, []
    for tensor in range(1, gpus // pipeline + 1):
        if memory.divides_heads(model, tensor):
            fit = fit_of(service, model, Split(tensor, pipeline), total)
            if fit and fit.slug in ("memory-fits", "memory-tight"):
                sizes.append(tensor)
    return sizes


def memory_is_free(case: Case) -> Iterator[Finding]:
    """Expect each server's share of memory to be free and not given out twice."""
    taken: Dict[str, List[ServiceNeeds]] = {}
    for service in case.services:
        if service.server != "vllm" or not service.wants_gpu:
            continue
        split = split_of(service)
        for device in (devices_of(case, service) or ())[: split.gpus if split else 0]:
            taken.setdefault(device.label, []).append(service)
            if device.total is None or device.free is None:
                continue
            wanted = device.total * thousandths(service) // 1000
            if device.free < wanted:
                about = f"service {service.name} on {device.label}"
                measured = f"{gib(device.free)} of {gib(device.total)} free"
                yield found("memory-busy", about, measured, f"{gib(wanted)} free")
    for label, services in taken.items():
        whole = sum(thousandths(service) for service in services)
        if whole > 1000:
            names = ", ".join(service.name for service in services)
            measured = f"{names} take {whole / 10:g} % together"
            yield found("memory-oversubscribed", label, measured, "at most 100 %")


def _models(case: Case, service: ServiceNeeds) -> List[ModelNeeds]:
    models = case.needs.models if case.needs else ()
    return [model for model in models if model.name in (service.models or ())]


def _weights_text(model: ModelNeeds, total: int, split: Split) -> str:
    weights = memory.weights_per_gpu(model, split)
    known = "not known" if weights is None else gib(weights)
    return f"weights per GPU {known}, GPU memory {gib(total)}"
