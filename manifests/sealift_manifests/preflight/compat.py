"""Does an image's CUDA run on this driver and GPU, and by which rule?

Three ways: the driver is new enough (native), CUDA's minor-version compatibility, or
a compat library in the image (forward compatibility), which can also do harm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Sequence

from sealift_manifests.preflight.case import Case, GpuImage, image_cuda
from sealift_manifests.preflight.facts import Gpu
from sealift_manifests.preflight.needs import CompatLibrary
from sealift_manifests.preflight.versions import at_least, branch, major_minor

HOOK_TOOLKIT = "1.17.5"
MOUNT_TOOLKIT = "1.17.4"
"""Before this the toolkit mounts compat libraries, from HOOK_TOOLKIT on a hook does."""


@dataclass(frozen=True)
class Verdict:
    """Whether it runs (None: not known), the slug that says why, and the reason."""

    runs: Optional[bool]
    slug: str
    why: str = ""


def verdict(case: Case, image: GpuImage, gpu: Gpu) -> Verdict:
    """Judge one image on one GPU."""
    forced = _forced(image)
    if forced is not None:
        return _judge_forced(case, image, gpu, forced)
    return _judge_free(case, image, gpu)


def _judge_free(case: Case, image: GpuImage, gpu: Gpu) -> Verdict:
    wanted, have = image_cuda(image.image), case.host_cuda
    if wanted == "":
        return Verdict(None, "cuda-unknown", "the image names no CUDA version")
    if wanted is None or have is None:
        what = "the image's" if wanted is None else "the driver's"
        return Verdict(None, "cuda-unknown", f"{what} CUDA version is not known")
    if (major_minor(have) or (0, 0)) >= (major_minor(wanted) or (0, 0)):
        return Verdict(True, "cuda-native")
    minor = _minor(case, wanted)
    if minor is not False:
        slug = "cuda-minor-version" if minor else "cuda-unknown"
        return Verdict(minor, slug, "" if minor else "the driver's version is unknown")
    return _forward(case, image, gpu)


def _minor(case: Case, wanted: str) -> Optional[bool]:
    """Tell whether minor-version compatibility holds."""
    major, _ = major_minor(wanted) or (0, 0)
    oldest = case.tables.minor_driver(major)
    if oldest is None:
        return False
    return at_least(case.driver_version, oldest)


def _forward(case: Case, image: GpuImage, gpu: Gpu) -> Verdict:
    """Judge whether an unforced compat library of the image bridges the gap."""
    too_old = Verdict(False, "cuda-driver-too-old")
    if case.kind(gpu) == "geforce":
        return Verdict(False, "cuda-driver-too-old", "compat libraries are not for it")
    libraries = image.image.compat
    if libraries is None:
        return Verdict(None, "cuda-unknown", "it may have a compat library or not")
    wanted = major_minor(image_cuda(image.image)) or (0, 0)
    verdicts = [
        _judge_library(case, gpu, library)
        for library in libraries
        if (major_minor(_library_cuda(case, library)) or wanted) >= wanted
    ]
    good = next((each for each in verdicts if each.runs), None)
    if good is None:
        return next((each for each in verdicts if each.runs is None), too_old)
    active = hook_is_active(case)
    if active is None:
        why = "whether the toolkit uses its compat library is not known"
        return Verdict(None, "cuda-unknown", why)
    return good if active else too_old


def _judge_library(case: Case, gpu: Gpu, library: CompatLibrary) -> Verdict:
    """Judge a compat library that is newer than the driver and would be used."""
    host, allowed = case.branch, takes_gpu(case, gpu, library)
    listed = case.tables.forward_hosts(_library_cuda(case, library))
    noted = library.drivers
    if host is None:
        return Verdict(None, "cuda-unknown", "the driver's version is not known")
    if noted is None and listed is None:
        return Verdict(None, "cuda-unknown", f"nothing is known of {library.path}")
    if host not in (noted if noted is not None else listed or ()):
        return Verdict(False, "compat-wrong-driver", f"it does not take branch {host}")
    if allowed is False:
        return Verdict(False, "compat-wrong-gpu", "it does not take this GPU")
    if allowed is None:
        return Verdict(True, "cuda-forward-unlisted", "it may take this GPU")
    if listed is None or host not in listed:
        why = f"branch {host} is not in NVIDIA's list"
        return Verdict(True, "cuda-forward-unlisted", why)
    return Verdict(True, "cuda-forward", f"by {library.path}")


def _judge_forced(
    case: Case, image: GpuImage, gpu: Gpu, library: CompatLibrary
) -> Verdict:
    theirs, host = branch(library.version), case.branch
    if theirs is None or host is None:
        return Verdict(None, "compat-unknown", f"{library.path} is forced")
    if host > theirs:
        why = f"it forces libcuda {library.version}"
        return Verdict(False, "compat-harmful", why)
    if host == theirs:
        return _judge_free(case, image, gpu)
    return _judge_library(case, gpu, library)


def takes_gpu(case: Case, gpu: Gpu, library: CompatLibrary) -> Optional[bool]:
    """Tell whether a compat library is made for a GPU: by its note, else its kind."""
    kind, brand = case.kind(gpu), case.tables.brand_of(gpu.brand)
    if kind == "geforce":
        return False
    if library.brands is not None and brand is not None:
        if brand.id not in library.brands:
            return False
        return True if kind in ("data-center", "jetson") else None
    return True if kind in ("data-center", "jetson") else None


def hook_is_active(case: Case) -> Optional[bool]:
    """Tell whether the container toolkit puts an image's compat library in front."""
    toolkit = case.facts.toolkit
    if toolkit is None or toolkit.version is None:
        return None
    if not at_least(toolkit.version, MOUNT_TOOLKIT):
        return True
    if not at_least(toolkit.version, HOOK_TOOLKIT):
        return False
    return not (toolkit.compat_hook_disabled or toolkit.cuda_compat_mode == "disabled")


def hook_takes(case: Case, library: CompatLibrary) -> bool:
    """Tell whether the hook would choose a library; it never looks at the GPU."""
    host, theirs = case.branch, branch(library.version)
    if host is None or theirs is None:
        return False
    if library.drivers is None:
        return host < theirs
    return host in library.drivers and not at_least(
        case.driver_version, library.version or ""
    )


def needed_driver(case: Case, wanted: Optional[str]) -> str:
    """Return the oldest driver that runs a CUDA version, as text for people."""
    major, _ = major_minor(wanted) or (0, 0)
    minor = case.tables.minor_driver(major)
    own = case.tables.toolkit_driver(wanted or "")
    return minor or own or f"for CUDA {wanted or 'of the image'}"


def native_driver(case: Case, wanted: Optional[str]) -> str:
    """Return the driver from which on a CUDA version is native, as text for people."""
    own, cuda = case.tables.toolkit_driver(wanted or ""), major_minor(wanted)
    if own or cuda is None:
        return own or "for the image's CUDA"
    rows = [
        row for row in case.tables.branches if (major_minor(row.cuda) or cuda) >= cuda
    ]
    return f"of branch {rows[0].branch}" if rows else f"for CUDA {wanted}"


def _library_cuda(case: Case, library: CompatLibrary) -> Optional[str]:
    row = case.tables.branch_of(branch(library.version))
    return library.cuda or (row.cuda if row else None)


def _forced(image: GpuImage) -> Optional[CompatLibrary]:
    """Return the compat library that every program of a container gets."""
    libraries: Sequence[CompatLibrary] = image.image.compat or ()
    on = any(service.compat_on for service in image.services)
    forced = [each for each in libraries if each.forced_by or on]
    # Several would be an odd image; the newest is what ldconfig would link last.
    return max(forced, key=lambda each: branch(each.version) or 0, default=None)
