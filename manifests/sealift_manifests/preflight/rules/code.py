"""Rules about GPU code in images: machine code, PTX, and what servers ask for."""

from __future__ import annotations

from typing import Iterator, Optional, Tuple

from sealift_manifests.preflight.case import Case, GpuImage
from sealift_manifests.preflight.catalog import found
from sealift_manifests.preflight.compat import verdict
from sealift_manifests.preflight.facts import Gpu
from sealift_manifests.preflight.findings import Finding
from sealift_manifests.preflight.needs import Build
from sealift_manifests.preflight.tables import ServerMinimum
from sealift_manifests.preflight.versions import at_least, capability, major_minor


def builds_have_code(case: Case) -> Iterator[Finding]:
    """Expect each build to have machine code, or PTX the driver can compile."""
    for image in case.gpu_images:
        if image.image.builds is None:
            measured = "not looked for"
            yield found("code-unknown", image.label, measured, "code for the GPUs")
        for build in image.image.builds or ():
            for group in image.groups:
                about = f"{build.what} in {image.label} on {group.label}"
                yield from _judge(case, image, build, (group.gpu, about))


def _judge(
    case: Case, image: GpuImage, build: Build, where: Tuple[Gpu, str]
) -> Iterator[Finding]:
    gpu, about = where
    have = case.capability(gpu)
    words = {"capability": have or "of the GPU", "cuda": build.cuda or "of the build"}
    if have is None or build.native is None:
        measured = "not known for which GPUs it was built"
        yield found("code-unknown", about, measured, f"code for {have or 'the GPU'}")
        return
    if any(runs_on(native, have) for native in build.native):
        return
    measured = f"built for {', '.join(build.native) or 'no GPU'}"
    if build.ptx:
        measured += f", PTX {', '.join(build.ptx)}"
    needed = f"code for {have}"
    if not any(_compiles_for(ptx, have) for ptx in build.ptx or ()):
        unsure = build.ptx is None
        slug = "code-unknown" if unsure else "code-missing"
        yield found(slug, about, measured, needed, **words)
        return
    new_enough = _driver_compiles(case, image, build, gpu)
    slugs = {True: "code-jit", False: "code-ptx-too-new", None: "code-unknown"}
    yield found(slugs[new_enough], about, measured, needed, **words)


def runs_on(native: str, gpu: str) -> bool:
    """Tell whether machine code runs on a GPU: same major, not newer.

    Code for one chip alone ("9.0a") runs there only; of a family ("10.0f") on the
    later chips of the same major too.
    """
    code, chip = capability(native), capability(gpu)
    if code is None or chip is None:
        return False
    if native.endswith("a"):
        return code == chip
    return code[0] == chip[0] and code <= chip


def _compiles_for(ptx: str, gpu: str) -> bool:
    code, chip = capability(ptx), capability(gpu)
    return (
        code is not None
        and chip is not None
        and not ptx.endswith(("a", "f"))
        and (code <= chip)
    )


def _driver_compiles(
    case: Case, image: GpuImage, build: Build, gpu: Gpu
) -> Optional[bool]:
    """Tell whether the driver compiles the PTX of a build's CUDA."""
    if verdict(case, image, gpu).slug in ("cuda-forward", "cuda-forward-unlisted"):
        return True
    have, wanted = major_minor(case.host_cuda), major_minor(build.cuda)
    return None if have is None or wanted is None else have >= wanted


def servers_support_gpu(case: Case) -> Iterator[Finding]:
    """Expect what a server itself asks of GPU and driver."""
    rows = {row.what: row for row in case.tables.servers}
    for service in case.services:
        row = rows.get(service.server or "")
        if row is None:
            continue
        for gpu in case.selected(service) or ():
            about = f"service {service.name} on GPU {gpu.index}"
            yield from _minimum(case, row, gpu, about)


def _minimum(case: Case, row: ServerMinimum, gpu: Gpu, about: str) -> Iterator[Finding]:
    text = case.capability(gpu)
    have, oldest = capability(text), capability(row.capability)
    old = capability(row.old_capability)
    if have is None or oldest is None or old is None:
        return
    if have < oldest:
        needed = f"compute capability {row.capability}"
        measured = f"compute capability {text}"
        slug = "server-gpu-too-old"
        yield found(slug, about, measured, needed, capability=row.capability)
        return
    driver = row.old_driver if have <= old else row.driver
    if at_least(case.driver_version, driver) is False:
        measured, needed = f"driver {case.driver_version}", f"driver {driver} or newer"
        yield found("server-driver-too-old", about, measured, needed, driver=driver)
