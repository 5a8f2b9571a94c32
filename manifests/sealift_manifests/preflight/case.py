"""One bundle on one host: what rules ask about the two, answered once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Dict, List, Optional, Sequence, Tuple

from sealift_manifests.preflight.facts import Driver, Gpu, HostFacts
from sealift_manifests.preflight.needs import (
    ALL,
    Build,
    ImageNeeds,
    Needs,
    ServiceNeeds,
)
from sealift_manifests.preflight.paths import CDI_KIND
from sealift_manifests.preflight.tables import Architecture, Tables
from sealift_manifests.preflight.versions import branch, major_minor

_NO_DRIVER = Driver()


@dataclass(frozen=True)
class GpuGroup:
    """GPUs that are alike to rules about images, as one of them and a label."""

    gpu: Gpu
    label: str


@dataclass(frozen=True)
class GpuImage:
    """An image that uses GPUs: its services, and the GPUs that they get."""

    image: ImageNeeds
    services: Tuple[ServiceNeeds, ...]
    groups: Tuple[GpuGroup, ...]

    @property
    def label(self) -> str:
        """What findings call it."""
        return f"image {self.image.name}"


@dataclass(frozen=True)
class Case:
    """A bundle (or None, for the host alone), a host, and the tables."""

    needs: Optional[Needs]
    facts: HostFacts
    tables: Tables

    @property
    def driver(self) -> Driver:
        """The driver; all unknown where nothing was read."""
        return self.facts.driver or _NO_DRIVER

    @property
    def driver_version(self) -> Optional[str]:
        """The version of the driver that runs."""
        return self.driver.loaded or self.driver.user_space

    @property
    def branch(self) -> Optional[int]:
        """The branch of the driver that runs."""
        return branch(self.driver_version)

    @property
    def host_cuda(self) -> Optional[str]:
        """The CUDA version of the driver: as it says itself, else by its branch."""
        row = self.tables.branch_of(self.branch)
        return self.driver.cuda or (row.cuda if row else None)

    @property
    def gpus(self) -> Tuple[Gpu, ...]:
        """The GPUs that the driver lists, none where that is not known."""
        return self.facts.gpus or ()

    @property
    def services(self) -> Tuple[ServiceNeeds, ...]:
        """The services of the bundle."""
        return self.needs.services if self.needs else ()

    @property
    def wants_gpu(self) -> bool:
        """Whether GPUs matter: to the bundle or, without one, to this host."""
        if self.needs is not None:
            return bool(self.gpu_images) or any(s.wants_gpu for s in self.services)
        facts = self.facts
        seen = facts.gpus or facts.pci_gpus or self.driver_version
        return bool(seen or (facts.toolkit and facts.toolkit.installed))

    @cached_property
    def gpu_images(self) -> Tuple[GpuImage, ...]:
        """The images of the bundle that use GPUs."""
        images = self.needs.images if self.needs else ()
        found = (self._gpu_image(image) for image in images)
        return tuple(each for each in found if each)

    def capability(self, gpu: Gpu) -> Optional[str]:
        """Return a GPU's compute capability, by its name where it is not told."""
        row = self.tables.gpu_model(gpu.name)
        return gpu.compute_capability or (row.capability if row else None)

    def architecture(self, gpu: Gpu) -> Optional[Architecture]:
        """Return a GPU's generation."""
        return self.tables.architecture_of(self.capability(gpu))

    def kind(self, gpu: Gpu) -> Optional[str]:
        """Return "data-center", "workstation", "geforce" or "jetson"."""
        row = self.tables.gpu_model(gpu.name)
        if row:
            return row.kind
        brand = self.tables.brand_of(gpu.brand)
        if brand is None:
            return None
        if brand.require.startswith(("geforce", "titan")):
            return "geforce"
        if brand.require in ("quadro", "quadrortx", "nvidiartx"):
            return "workstation"
        return "data-center" if brand.id in self.tables.forward_brands else None

    def selected(self, service: ServiceNeeds) -> Optional[Tuple[Gpu, ...]]:
        """Return the GPUs a service gets; None where that cannot be told.

        Of a count the engine takes the first ones. What is not there is left out.
        """
        if self.facts.gpus is None or service.wants_gpu is None:
            return None
        if not service.wants_gpu:
            return ()
        request = service.gpu
        if request is None:
            return None
        if request.form == "runtime":
            return self._visible(service)
        if request.ids:
            return self._named(request.ids)
        if request.count is None or request.count == ALL:
            return self.gpus
        return self.gpus[: request.count]

    def named(self, name: str) -> Optional[Tuple[Gpu, ...]]:
        """Return the GPUs of one name in a request; None for one that is unknown."""
        short = name[len(CDI_KIND) + 1 :] if name.startswith(f"{CDI_KIND}=") else name
        if short == "all":
            return self.gpus
        found = tuple(gpu for gpu in self.gpus if _has_name(gpu, short))
        if found or short.isdigit():
            return found
        # A UUID can only be missed where those of the host are known.
        known = all(gpu.uuid for gpu in self.gpus) and not short.startswith("MIG-")
        return () if known and short.startswith("GPU-") else None

    def _named(self, names: Sequence[str]) -> Optional[Tuple[Gpu, ...]]:
        found: List[Gpu] = []
        for name in names:
            gpus = self.named(name)
            if gpus is None:
                return None
            found.extend(gpu for gpu in gpus if gpu not in found)
        return tuple(found)

    def visible(self, service: ServiceNeeds) -> Optional[str]:
        """Return NVIDIA_VISIBLE_DEVICES as it is for a service."""
        if service.visible_devices is not None:
            return service.visible_devices
        image = self.image_of(service)
        if image is None or image.visible_devices is None:
            return None
        is_old = image.cuda and not any(
            each.name == "NVIDIA_REQUIRE_CUDA" for each in image.requires or ()
        )
        return image.visible_devices or ("all" if is_old else "")

    def _visible(self, service: ServiceNeeds) -> Optional[Tuple[Gpu, ...]]:
        value = self.visible(service)
        if value is None:
            return None
        if value in ("", "void", "none"):
            return ()
        return self._named([name.strip() for name in value.split(",")])

    def image_of(self, service: ServiceNeeds) -> Optional[ImageNeeds]:
        """Return the image of a service."""
        images = self.needs.images if self.needs else ()
        return next((image for image in images if image.name == service.image), None)

    def _gpu_image(self, image: ImageNeeds) -> Optional[GpuImage]:
        services = [s for s in self.services if s.image == image.name]
        users = [s for s in services if s.wants_gpu is not False]
        if services and not users:
            return None
        asked = any(service.wants_gpu for service in users)
        if not asked and not (image.cuda or image.requires or image.builds):
            return None
        chosen = [self.selected(service) for service in users]
        some = {gpu.index for gpus in chosen if gpus is not None for gpu in gpus}
        whole = not users or None in chosen
        gpus = [gpu for gpu in self.gpus if whole or gpu.index in some]
        return GpuImage(image, tuple(users), self.groups(gpus))

    def groups(self, gpus: Sequence[Gpu]) -> Tuple[GpuGroup, ...]:
        """Return GPUs grouped by what matters to images."""
        alike: Dict[Tuple[Optional[str], ...], List[Gpu]] = {}
        for gpu in gpus:
            key = (gpu.name, self.capability(gpu), gpu.brand)
            alike.setdefault(key, []).append(gpu)
        return tuple(GpuGroup(same[0], gpu_label(same)) for same in alike.values())


def gpu_label(gpus: Sequence[Gpu]) -> str:
    """Return what findings call these GPUs: "GPU 0, 1 (NVIDIA L4)"."""
    numbers = ", ".join(str(gpu.index) for gpu in gpus)
    name = gpus[0].name if gpus else None
    return f"GPU {numbers} ({name})" if name else f"GPU {numbers}"


def image_cuda(image: ImageNeeds) -> Optional[str]:
    """Return the CUDA version an image needs: the newest of its own and its builds'.

    "" for an image that is known to need none.
    """
    known = [image.cuda or "", *(build.cuda or "" for build in _builds(image))]
    versions = [(major_minor(text), text) for text in known if major_minor(text)]
    if versions:
        return max(versions)[1]
    if image.cuda is None or image.builds is None:
        return None
    return None if any(build.cuda is None for build in image.builds) else ""


def _builds(image: ImageNeeds) -> Tuple[Build, ...]:
    return image.builds or ()


def _has_name(gpu: Gpu, name: str) -> bool:
    if name.isdigit():
        return gpu.index == int(name)
    instances = [each.uuid for each in gpu.mig_instances or () if each.uuid]
    return bool(gpu.uuid and gpu.uuid.startswith(name)) or name in instances
