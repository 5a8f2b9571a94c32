"""CUDA is asked inside real containers; libcuda is a stand-in, as no GPU is here."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from engines import a_layer, an_image, busybox_layer, engine_guard, loader
from sealift_installer.gpu_check import ask_image, container_settings
from sealift_manifests.preflight.needs import GpuRequest, ServiceNeeds

pytestmark = pytest.mark.docker

NO_GPU = {"HostConfig": {}}
LLM = ServiceNeeds("llm")
LLAMA = ServiceNeeds("llm", server="llama.cpp")
LIBCUDA = r"""
#include <string.h>
int cuInit(unsigned flags) { return INIT; }
int cuGetErrorString(int code, const char **out) {
  *out = "system has unsupported display driver / cuda driver combination";
  return 0;
}
int cuDriverGetVersion(int *out) { *out = 12090; return 0; }
int cuDeviceGetCount(int *out) { *out = COUNT; return 0; }
int cuDeviceGet(int *out, int index) { *out = index + 7; return 0; }
int cuDeviceGetName(char *out, int size, int gpu) {
  strcpy(out, gpu == 7 ? "NVIDIA L40S" : "Tesla T4");
  return 0;
}
int cuDeviceGetAttribute(int *out, int which, int gpu) {
  *out = which == 75 ? (gpu == 7 ? 8 : 7) : (gpu == 7 ? 9 : 5);
  return 0;
}
"""


@cache
def python_files() -> dict[str, bytes]:
    """Return this Python, cut down to what the question needs, by path."""
    base = Path(sys.base_prefix) / "bin" / "python3"
    program = (
        "import ctypes, json, sys\n"
        "for module in list(sys.modules.values()):\n"
        "    print(getattr(module, '__file__', None) or '')\n"
    )
    listed = subprocess.run(
        [base, "-I", "-B", "-c", program], capture_output=True, text=True, check=True
    )
    found = {path for path in listed.stdout.split() if path.startswith("/")}
    linked = subprocess.run(
        ["ldd", base, *(path for path in found if path.endswith(".so"))],
        capture_output=True,
        text=True,
        check=True,
    )
    found.update(word for word in linked.stdout.split() if word.startswith("/"))
    found = {path for path in found if not path.endswith(":")} | {str(base)}
    return {path.lstrip("/"): Path(path).read_bytes() for path in sorted(found)}


@pytest.fixture
def host():
    with engine_guard() as guard:
        yield guard


@pytest.fixture
def with_python(host, tmp_path):
    """Load an image with python, and a libcuda that answers like this."""

    def load(*, init: int = 0, count: int = 2, cuda: bool = True):
        layers = [a_layer(python_files())]
        if cuda:
            library = tmp_path / "libcuda.so.1"
            (tmp_path / "cuda.c").write_text(LIBCUDA)
            answers = (f"-DINIT={init}", f"-DCOUNT={count}")
            source = tmp_path / "cuda.c"
            subprocess.run(
                ["cc", "-shared", "-fPIC", *answers, "-o", library, source], check=True
            )
            layers.append(a_layer({"usr/lib/libcuda.so.1": library.read_bytes()}))
        path = f"{sys.base_prefix}/bin"
        config = {"Env": [f"PATH={path}"], "Entrypoint": ["/nothing"], "Cmd": ["x"]}
        return loader(*host)(an_image(*layers, config=config)).entry

    return load


def test_the_gpus_that_cuda_sees_in_an_image_are_told(host, with_python):
    image = with_python()

    answer = ask_image(host[0], LLM, image, NO_GPU)

    assert answer.gpus == (("NVIDIA L40S", "8.9"), ("Tesla T4", "7.5"))
    assert str(answer) == (
        "service llm, image test: CUDA 12.9 sees NVIDIA L40S (8.9), Tesla T4 (7.5)"
    )


def test_an_error_of_cuda_is_told_with_what_it_means(host, with_python):
    image = with_python(init=803)

    answer = ask_image(host[0], LLM, image, NO_GPU)

    assert "cuInit: CUDA error 803" in answer.error
    assert answer.slug == "compat-harmful"
    assert answer.remedy in str(answer)


def test_cuda_that_sees_no_gpu_does_not_work(host, with_python):
    image = with_python(count=0)

    assert ask_image(host[0], LLM, image, NO_GPU).slug == "gpu-none"


def test_a_container_without_a_driver_is_told_apart(host, with_python):
    image = with_python(cuda=False)

    answer = ask_image(host[0], LLM, image, NO_GPU)

    assert "libcuda.so.1" in answer.error
    assert "put no driver into the container" in str(answer)


def test_an_image_without_python_is_unknown_not_wrong(host):
    image = loader(*host)(an_image(busybox_layer())).entry

    answer = ask_image(host[0], LLM, image, NO_GPU)

    assert (answer.gpus, answer.error) == (None, None)
    assert "unknown" in str(answer)


LISTED = """\
ggml_cuda_init: found 2 CUDA devices:
  Device 0: NVIDIA GeForce RTX 4090, compute capability 8.9, VMM: yes
  Device 1: Tesla P40, compute capability 6.1, VMM: yes
Available devices:
  CUDA0: NVIDIA GeForce RTX 4090 (24217 MiB, 23700 MiB free)
"""


def llama_layer(said: str) -> bytes:
    """Return a layer with a llama-server that says this when asked for devices."""
    script = f'#!/bin/busybox sh\n[ "$*" = --list-devices ] && echo "{said}"\n'
    return a_layer({"app/llama-server": script.encode()})


def test_llama_cpp_without_python_is_asked_by_its_own_program(host):
    image = loader(*host)(an_image(busybox_layer(), llama_layer(LISTED))).entry

    answer = ask_image(host[0], LLAMA, image, NO_GPU)

    assert answer.gpus == (("NVIDIA GeForce RTX 4090", "8.9"), ("Tesla P40", "6.1"))
    assert "CUDA sees NVIDIA GeForce RTX 4090 (8.9), Tesla P40 (6.1)" in str(answer)
    assert ask_image(host[0], LLM, image, NO_GPU).gpus is None


@pytest.mark.parametrize(
    ("said", "slug"),
    [
        (
            "ggml_cuda_init: failed to initialize CUDA: system has unsupported display "
            "driver / cuda driver combination",
            "compat-harmful",
        ),
        (
            "ggml_cuda_init: failed to initialize CUDA: no CUDA-capable device is "
            "detected",
            "gpu-not-visible",
        ),
        ("Available devices:", None),
    ],
)
def test_llama_cpp_that_sees_no_gpu_does_not_work(host, said, slug):
    image = loader(*host)(an_image(busybox_layer(), llama_layer(said))).entry

    answer = ask_image(host[0], LLAMA, image, NO_GPU)

    assert (answer.gpus, answer.slug) == (None, slug)
    assert answer.error


def test_what_the_engine_says_without_a_toolkit_is_understood(host, with_python):
    image = with_python()
    wants = ServiceNeeds("llm", wants_gpu=True)
    settings = container_settings(wants, GpuRequest("reservations", count=1))

    answer = ask_image(host[0], LLM, image, settings)

    assert answer.slug == "toolkit-missing"
    assert "nvidia-container-toolkit 1." in answer.remedy


def test_no_container_stays_behind(host, with_python):
    engine, _ = host
    image = with_python(init=803)

    ask_image(engine, LLM, image, NO_GPU)
    ask_image(engine, LLM, image, {"HostConfig": {"Runtime": "nvidia"}})

    filters = json.dumps({"ancestor": [image.reference]})
    assert engine.get("/containers/json", all="1", filters=filters) == []


@pytest.mark.parametrize(
    ("wanted", "settings"),
    [
        (
            GpuRequest("reservations", count=-1, driver="nvidia"),
            {
                "DeviceRequests": [
                    {"Driver": "nvidia", "Capabilities": [["gpu"]], "Count": -1}
                ]
            },
        ),
        (
            GpuRequest("gpus", ids=("0",)),
            {
                "DeviceRequests": [
                    {"Driver": "", "Capabilities": [["gpu"]], "DeviceIDs": ["0"]}
                ]
            },
        ),
        (
            GpuRequest("devices", ids=("nvidia.com/gpu=all",)),
            {
                "DeviceRequests": [
                    {
                        "Driver": "cdi",
                        "Capabilities": [],
                        "DeviceIDs": ["nvidia.com/gpu=all"],
                    }
                ]
            },
        ),
        (GpuRequest("runtime"), {"Runtime": "nvidia"}),
    ],
)
def test_a_container_gets_gpus_the_way_its_service_asks(wanted, settings):
    service = ServiceNeeds("llm", disable_require="1")

    made = container_settings(service, wanted)

    assert made == {"Env": ["NVIDIA_DISABLE_REQUIRE=1"], "HostConfig": settings}
