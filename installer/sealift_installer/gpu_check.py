"""Ask CUDA from inside a bundle's own images, before anything serves with them.

A container is made from the image with the GPUs its service asks for, and python in
it asks libcuda.so.1 what it sees. No context is made, so no GPU memory is taken.
An image without python is asked through llama-server, if its service is one, which
lists what CUDA gives it; else it cannot be asked, and the answer is unknown.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple

from sealift_manifests.errors import EngineError
from sealift_manifests.image_entries import ImageEntry
from sealift_manifests.model import Manifest
from sealift_manifests.preflight.explain import kind_of, remedy_of
from sealift_manifests.preflight.needs import ALL, GpuRequest, Needs, ServiceNeeds
from sealift_manifests.preflight.notes import needs_of
from sealift_manifests.preflight.tables import default_tables

from sealift_installer.engine import Engine, EngineRefusedError, name_in_path, printable

PYTHONS = ("python3", "python")
LLAMA_SERVERS = ("/app/llama-server", "llama-server")
PATIENCE = 180.0
"""Seconds a container may take; the first use of a GPU after boot is slow."""

_NOT_INJECTED = (
    "The engine put no driver into the container. See what `preflight` says of the "
    "NVIDIA container toolkit and of CDI."
)
_LLAMA_DEVICE = re.compile(
    r"^\s*Device [0-9]+: (.{1,200}?), compute capability ([0-9]+\.[0-9]+)", re.MULTILINE
)
_MARK = "SEALIFT-GPUS "
_SNIPPET = """
import ctypes, json

def ask():
    cuda = ctypes.CDLL("libcuda.so.1")
    def call(name, *arguments):
        code = getattr(cuda, name)(*arguments)
        if code:
            words = ctypes.c_char_p()
            cuda.cuGetErrorString(code, ctypes.byref(words))
            said = (words.value or b"").decode()
            raise OSError("%s: CUDA error %d: %s" % (name, code, said))
    number = ctypes.c_int()
    def ask_number(name, *arguments):
        call(name, ctypes.byref(number), *arguments)
        return number.value
    call("cuInit", 0)
    version, gpus = ask_number("cuDriverGetVersion"), []
    for index in range(ask_number("cuDeviceGetCount")):
        gpu, name = ask_number("cuDeviceGet", index), ctypes.create_string_buffer(256)
        call("cuDeviceGetName", name, 256, gpu)
        numbers = [ask_number("cuDeviceGetAttribute", each, gpu) for each in (75, 76)]
        gpus.append([name.value.decode(), "%d.%d" % tuple(numbers)])
    return {"cuda": "%d.%d" % (version // 1000, version % 1000 // 10), "gpus": gpus}

try:
    answer = ask()
except (OSError, AttributeError) as error:
    answer = {"error": str(error)}
print("SEALIFT-GPUS " + json.dumps(answer))
"""


@dataclass(frozen=True)
class GpuAnswer:
    """What CUDA said in the image of a service.

    `gpus` are names and compute capabilities. `error`: why there are none, with the
    `slug` and `remedy` of what it means. All None: the image could not be asked.
    """

    service: str
    image: str
    cuda: Optional[str] = None
    gpus: Optional[Tuple[Tuple[str, str], ...]] = None
    error: Optional[str] = None
    slug: Optional[str] = None
    remedy: Optional[str] = None

    def __str__(self) -> str:
        what = f"service {self.service}, image {self.image}"
        if self.error is not None:
            remedy = f"\n  {self.remedy}" if self.remedy else ""
            return f"{what}: CUDA does not work: {printable(self.error)}{remedy}"
        if self.gpus is None:
            return f"{what}: unknown, there is no python in the image to ask with"
        seen = ", ".join(f"{name} ({number})" for name, number in self.gpus)
        cuda = f"CUDA {self.cuda}" if self.cuda else "CUDA"
        return f"{what}: {cuda} sees {printable(seen)}"


_Read = Callable[[str, ImageEntry, str], GpuAnswer]


def check_gpus(
    engine: Engine, manifest: Manifest, needs: Optional[Needs] = None
) -> Iterator[GpuAnswer]:
    """Yield an answer for each service of a bundle that asks for GPUs.

    `needs` are those on this host; without, those of a host that sets nothing.
    """
    images = {image.name: image for image in manifest.images}
    for service in (needs or needs_of(manifest)).services:
        image = images.get(service.image or "")
        if image and service.wants_gpu and service.gpu:
            settings = container_settings(service, service.gpu)
            yield ask_image(engine, service, image, settings)


def container_settings(service: ServiceNeeds, request: GpuRequest) -> Dict[str, Any]:
    """Return what gives a container the GPUs that a service asks for."""
    environment = {
        "NVIDIA_DISABLE_REQUIRE": service.disable_require,
        "NVIDIA_VISIBLE_DEVICES": service.visible_devices,
    }
    return {
        "Env": [f"{key}={value}" for key, value in environment.items() if value],
        "HostConfig": _host_config(request),
    }


def _host_config(request: GpuRequest) -> Dict[str, Any]:
    if request.form == "runtime":
        return {"Runtime": "nvidia"}
    is_cdi = request.form == "devices" or request.driver == "cdi"
    asked: Dict[str, Any] = {
        "Driver": "cdi" if is_cdi else request.driver or "",
        "Capabilities": [] if is_cdi else [["gpu"]],
    }
    if request.ids:
        asked["DeviceIDs"] = list(request.ids)
    else:
        asked["Count"] = ALL if request.count is None else request.count
    return {"DeviceRequests": [asked]}


def ask_image(
    engine: Engine, needs: ServiceNeeds, image: ImageEntry, settings: Dict[str, Any]
) -> GpuAnswer:
    """Run the question in a container of an image, and remove the container."""
    service = needs.name
    for argv, read in _questions(needs.server):
        try:
            said = _run(engine, image.reference, argv, settings)
        except EngineRefusedError as refusal:
            if _lacks(refusal.message, argv[0]):
                continue
            return _failed(service, image, refusal.message)
        except EngineError as error:
            return _failed(service, image, error.message)
        return read(service, image, said)
    return GpuAnswer(service, image.name)


def _questions(server: Optional[str]) -> Iterator[Tuple[List[str], _Read]]:
    for python in PYTHONS:
        yield [python, "-I", "-B", "-c", _SNIPPET], _answer
    for program in LLAMA_SERVERS if server == "llama.cpp" else ():
        yield [program, "--list-devices"], _llama_answer


def _lacks(message: str, program: str) -> bool:
    # Said by runc, crun and Podman in words of their own.
    missing = ("executable file not found", "no such file or directory")
    return program in message and any(words in message.lower() for words in missing)


def _run(
    engine: Engine, reference: str, argv: List[str], settings: Dict[str, Any]
) -> str:
    wanted = {
        **settings,
        "Image": reference,
        "Entrypoint": argv,
        "Cmd": [],
        "Healthcheck": {"Test": ["NONE"]},
        # A terminal's output comes as it is, not cut into frames.
        "Tty": True,
        "HostConfig": {**settings["HostConfig"], "NetworkMode": "none"},
    }
    made = engine.send("POST", "/containers/create", wanted)
    place = f"/containers/{name_in_path(str(made['Id']))}"
    try:
        with engine.request("POST", f"{place}/start"):
            pass
        with engine.request("POST", f"{place}/wait", timeout=PATIENCE) as ended:
            ended.json()
        query = f"{place}/logs?stdout=1&stderr=1"
        with engine.request("GET", query) as logs:
            return logs.read().decode("utf-8", "replace")
    finally:
        engine.send("DELETE", f"{place}?force=1&v=1")


def _answer(service: str, image: ImageEntry, said: str) -> GpuAnswer:
    marked = [line for line in said.splitlines() if line.startswith(_MARK)]
    if not marked:
        return _failed(service, image, said.strip()[-400:] or "it said nothing")
    found = json.loads(marked[-1][len(_MARK) :])
    if "error" in found:
        return _failed(service, image, str(found["error"]))
    gpus = tuple((str(name), str(number)) for name, number in found["gpus"])
    if not gpus:
        return _failed(service, image, "No devices were found")
    return GpuAnswer(service, image.name, str(found["cuda"]), gpus)


def _llama_answer(service: str, image: ImageEntry, said: str) -> GpuAnswer:
    """Read what llama-server lists: CUDA's devices, or why CUDA gives none."""
    gpus = tuple(_LLAMA_DEVICE.findall(said))
    if not gpus:
        return _failed(service, image, said.strip()[-400:] or "it said nothing")
    return GpuAnswer(service, image.name, gpus=gpus)


def _failed(service: str, image: ImageEntry, text: str) -> GpuAnswer:
    kind = kind_of(text)
    if kind is None and "libcuda.so.1" in text:
        return GpuAnswer(service, image.name, error=text, remedy=_NOT_INJECTED)
    slug = kind.slug if kind else None
    remedy = remedy_of(kind, default_tables()) if kind else None
    return GpuAnswer(service, image.name, error=text, slug=slug, remedy=remedy)
