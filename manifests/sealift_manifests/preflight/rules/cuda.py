"""Rules about the CUDA of images on the driver and GPUs of the host."""

from __future__ import annotations

from typing import Dict, Iterator, Optional

from sealift_manifests.preflight.case import Case, GpuGroup, GpuImage, image_cuda
from sealift_manifests.preflight.catalog import found
from sealift_manifests.preflight.compat import (
    Verdict,
    hook_is_active,
    hook_takes,
    native_driver,
    needed_driver,
    takes_gpu,
    verdict,
)
from sealift_manifests.preflight.findings import Finding
from sealift_manifests.preflight.rules.driver import recommended
from sealift_manifests.preflight.versions import capability


def driver_runs_cuda(case: Case) -> Iterator[Finding]:
    """Expect a driver for each image's CUDA, by one of the three ways."""
    for image in case.gpu_images:
        for group in image.groups:
            result = verdict(case, image, group.gpu)
            yield _say(case, image, group, result)


def _say(case: Case, image: GpuImage, group: GpuGroup, result: Verdict) -> Finding:
    cuda = image_cuda(image.image)
    driver = needed_driver(case, cuda)
    have = f"driver {case.driver_version or 'unknown'} (CUDA {case.host_cuda or '?'})"
    why = f"; {result.why}" if result.why else ""
    return found(
        result.slug,
        f"{image.label} on {group.label}",
        f"CUDA {cuda or '?'}, {have}{why}",
        f"driver {driver} or newer",
        **_words(case, result, cuda),
    )


def _words(case: Case, result: Verdict, cuda: Optional[str]) -> Dict[str, str]:
    runs_already = result.slug == "cuda-minor-version"
    driver = native_driver if runs_already else needed_driver
    return {
        "driver": driver(case, cuda),
        "branch": str(recommended(case) or ""),
        "cuda": case.host_cuda or "of the driver",
    }


def cuda_supports_gpu(case: Case) -> Iterator[Finding]:
    """Expect the image's CUDA neither to have dropped the GPU nor to predate it."""
    for image in case.gpu_images:
        cuda = image_cuda(image.image)
        row = case.tables.targets_of(cuda) if cuda else None
        for group in image.groups:
            have = capability(case.capability(group.gpu))
            architecture = case.architecture(group.gpu)
            if row is None or have is None:
                continue
            about = f"{image.label} on {group.label}"
            measured = f"CUDA {cuda}, compute capability {case.capability(group.gpu)}"
            if have < (capability(row.min) or have):
                last = (architecture and architecture.last_cuda) or "that supports it"
                needed = f"compute capability {row.min} or newer"
                yield found("image-gpu-dropped", about, measured, needed, cuda=last)
            elif have[0] > (capability(row.max) or have)[0] and not _has_ptx(image):
                first = (architecture and architecture.first_cuda) or "that knows it"
                needed = f"CUDA {first} or newer"
                yield found("image-gpu-too-new", about, measured, needed, cuda=first)


def _has_ptx(image: GpuImage) -> bool:
    return any(build.ptx for build in image.image.builds or ())


def toolkit_puts_no_wrong_compat_in_front(case: Case) -> Iterator[Finding]:
    """Expect the toolkit's hook not to choose a compat library the GPU refuses."""
    if not hook_is_active(case):
        return
    for image in case.gpu_images:
        for library in image.image.compat or ():
            if library.forced_by or not hook_takes(case, library):
                continue
            for group in image.groups:
                if takes_gpu(case, group.gpu, library) is False:
                    about = f"{image.label} on {group.label}"
                    measured = f"{library.path} {library.version}"
                    needed = "the driver's own libcuda"
                    yield found("compat-hook", about, measured, needed)


def compat_is_known(case: Case) -> Iterator[Finding]:
    """Say so where nobody looked whether an image forces a compat library."""
    for image in case.gpu_images:
        libraries = image.image.compat
        unsure = libraries is not None and any(
            library.forced_by is None for library in libraries
        )
        if libraries is None or unsure:
            measured = "not looked for" if libraries is None else "not known if forced"
            needed = "no compat library that is forced"
            yield found("compat-unknown", image.label, measured, needed)
