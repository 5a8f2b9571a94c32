"""What a host must have for a bundle, in lines for people. Decides nothing."""

from __future__ import annotations

from collections.abc import Iterator

from sealift_manifests.preflight.case import image_cuda
from sealift_manifests.preflight.needs import (
    ALL,
    GpuRequest,
    ImageNeeds,
    ModelNeeds,
    Needs,
    ServiceNeeds,
)
from sealift_manifests.preflight.tables import Tables
from sealift_manifests.preflight.versions import major_minor
from sealift_manifests.sizes import counted, human


def needs_lines(needs: Needs, tables: Tables) -> list[str]:
    """Return what a host must have, as far as it is known."""
    lines = []
    for image in needs.images:
        lines += [f"image {image.name}: {text}" for text in _image(image, tables)]
    for model in needs.models:
        lines.append(f"model {model.name}: {', '.join(_model(model))}")
    for service in needs.services:
        lines.append(f"service {service.name}: {', '.join(_service(service))}")
    return [*lines, *_disk(needs)]


def _image(image: ImageNeeds, tables: Tables) -> Iterator[str]:
    cuda = image_cuda(image)
    if cuda:
        yield f"CUDA {cuda}: {_driver(cuda, tables)}"
    elif cuda is None:
        yield "its CUDA version is not known before the layers are read"
    for build in image.builds or ():
        name = " ".join(filter(None, (build.what, build.version)))
        chips = "for GPUs that are not known"
        if build.native is not None:
            chips = f"for compute capability {' '.join(build.native)}"
        yield f"{name} {chips}" + (f", PTX {' '.join(build.ptx)}" if build.ptx else "")
    for library in image.compat or ():
        forced = ", ".join(library.forced_by or ())
        name = f"compat library {library.version}"
        yield f"{name}, forced by {forced}" if forced else name
    if image.requires and image.disable_require not in ("1", "true"):
        first = image.requires[0].value.split()[:1]
        yield f"demands {image.requires[0].name}={''.join(first)} ..."


def _driver(cuda: str, tables: Tables) -> str:
    found = major_minor(cuda)
    native = tables.toolkit_driver(cuda)
    oldest = tables.minor_driver(found[0]) if found else None
    parts = []
    if oldest:
        parts.append(f"driver {oldest} or newer")
    if native and native != oldest:
        parts.append(f"best {native} or newer" if oldest else f"driver {native}")
    targets = tables.targets_of(cuda)
    if targets:
        parts.append(f"GPUs of compute capability {targets.min} to {targets.max}")
    return ", ".join(parts) or "which driver it needs is not known"


def _model(model: ModelNeeds) -> Iterator[str]:
    known = model.weights_size is not None
    yield f"{human(model.weights_size or 0)} of weights" if known else "weights unknown"
    if model.quantization or model.dtype:
        yield str(model.quantization or model.dtype)
    if model.max_positions:
        yield f"up to {model.max_positions} tokens"
    if model.heads:
        yield f"{model.heads} attention heads"


def _service(service: ServiceNeeds) -> Iterator[str]:
    if service.gpu:
        yield _request(service.gpu)
    else:
        yield "GPUs in a way of its own" if service.wants_gpu else "no GPU"
    if service.server and service.server != "other":
        yield service.server
    if service.tensor_parallel:
        yield f"spread over {counted(service.tensor_parallel, 'GPU')}"
    if service.max_model_len:
        yield f"{service.max_model_len} tokens"
    if service.ports:
        names = " ".join(f"{port.port}/{port.protocol}" for port in service.ports)
        yield f"port {names}"


def _request(request: GpuRequest) -> str:
    if request.ids:
        return f"GPU {' '.join(request.ids)}"
    if request.form == "runtime":
        return "the runtime nvidia"
    if request.count is None:
        return "GPUs"
    return "all GPUs" if request.count == ALL else counted(request.count, "GPU")


def _disk(needs: Needs) -> Iterator[str]:
    if needs.disk.state_size is not None:
        yield f"disk: {human(needs.disk.state_size)} below Sealift's state directory"
    if needs.disk.data_size:
        yield f"disk: {human(needs.disk.data_size)} of data in volumes of the engine"
    if not needs.images:
        return
    unpacked = [image.unpacked_size for image in needs.images]
    packed = [image.archive_size for image in needs.images]
    if None in packed:
        yield "disk: what the images take in the engine is not known yet"
    elif None in unpacked:
        size = human(sum(each or 0 for each in packed))
        yield f"disk: {size} of packed images, which the engine unpacks to more"
    else:
        most = sum(each or 0 for each in [*packed, *unpacked])
        yield f"disk: up to {human(most)} in the engine's data while images load"
