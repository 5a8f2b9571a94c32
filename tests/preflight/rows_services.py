"""Rows of the host table: which GPUs services ask for, and whether models fit."""

from __future__ import annotations

from host_rows import GOOD, Row, form, serving_llama
from preflight_making import (
    GIB,
    LLAMA_8B,
    a_bundle,
    a_gpu,
    a_host,
    a_service,
    an_image,
    compat,
)
from sealift_manifests.preflight.needs import (
    Build,
    GpuRequest,
)

LLAMA_CPP = (
    Build(
        "llama.cpp",
        "b8990",
        "12.4",
        ("8.6", "8.9"),
        ("5.0", "6.1", "7.0", "7.5", "8.0"),
    ),
)

SERVICES = (
    # services ask for GPUs
    Row(
        "which GPUs",
        "a count takes the first ones",
        a_host(gpus=(a_gpu("L40S", 0), a_gpu("K80", 1))),
        a_bundle(None, a_service(gpu=GpuRequest("reservations", 1))),
        "gpu-driver-too-new gpu-modules-wrong",
    ),
    Row(
        "which GPUs",
        "all of them count",
        a_host(gpus=(a_gpu("L40S", 0), a_gpu("K80", 1))),
        a_bundle(),
        "gpu-driver-too-new gpu-modules-wrong image-gpu-dropped",
    ),
    Row(
        "which GPUs",
        "two of one",
        a_host(),
        a_bundle(None, a_service(gpu=GpuRequest("reservations", 2))),
        "gpu-too-few",
    ),
    Row(
        "which GPUs",
        "index 3 of two",
        a_host(count=2),
        form("reservations", "3"),
        "gpu-not-there",
    ),
    Row(
        "which GPUs",
        "by UUID",
        a_host(count=2),
        form("reservations", "GPU-00000001-0000-0000-0000-000000000000"),
        "",
    ),
    Row(
        "which GPUs",
        "a UUID of another host",
        a_host(),
        form("reservations", "GPU-ffffffff-0000-0000-0000-000000000000"),
        "gpu-not-there",
    ),
    Row(
        "which GPUs",
        "tensor parallel 2 of one",
        a_host(),
        a_bundle(None, a_service(tensor_parallel=2)),
        "gpu-too-few",
    ),
    Row(
        "which GPUs",
        "two containers with half of one each",
        a_host(),
        a_bundle(None, a_service(replicas=2, memory_thousandths=450)),
        "gpu-shared:warn",
    ),
    Row(
        "which GPUs",
        "two containers that take nearly all of one",
        a_host(),
        a_bundle(None, a_service(replicas=2)),
        "gpu-shared",
    ),
    Row(
        "servers",
        "Ollama on Kepler",
        a_host("470.82.01", "K80"),
        a_bundle(an_image("11.4"), a_service(server="ollama")),
        "server-gpu-too-old driver-end-of-life",
    ),
    Row(
        "servers",
        "Ollama on Pascal with 535",
        a_host("535.104.05", "P40"),
        a_bundle(an_image("12.2"), a_service(server="ollama")),
        "server-driver-too-old driver-end-of-life",
    ),
    Row(
        "servers",
        "Ollama on Ada with 535",
        a_host("535.104.05"),
        a_bundle(an_image("12.2"), a_service(server="ollama")),
        "driver-end-of-life",
    ),
    Row(
        "servers",
        "vLLM's own switch for compat",
        a_host("595.71.05"),
        a_bundle(
            an_image("13.0", compat=(compat("580.95.05"),)), a_service(compat_on=True)
        ),
        "compat-harmful",
    ),
    # memory; more in test_memory_fit
    Row(
        "memory fit",
        "8B on 48 GB",
        a_host(),
        serving_llama(32768),
        "memory-fits",
    ),
    Row(
        "memory fit",
        "8B on an L4, 32k",
        a_host(gpu="L4"),
        serving_llama(32768),
        "memory-too-small",
    ),
    Row(
        "memory fit",
        "8B on a 4090 with more to use, 32k",
        a_host(gpu="4090"),
        serving_llama(32768),
        "memory-tight",
    ),
    Row(
        "memory fit",
        "8B on 24 GB, 4k",
        a_host(gpu="4090"),
        serving_llama(4096),
        "memory-fits",
    ),
    Row(
        "memory fit",
        "something uses the GPU",
        a_host(gpus=(a_gpu("L40S", memory_free=40 * GIB),)),
        GOOD,
        "memory-busy",
    ),
    Row(
        "memory fit",
        "two servers on one GPU",
        a_host(),
        a_bundle(None, a_service(), a_service(name="other")),
        "memory-oversubscribed",
    ),
    Row(
        "memory fit",
        "two servers share one GPU",
        a_host(),
        a_bundle(
            None,
            a_service(memory_thousandths=500),
            a_service(name="other", memory_thousandths=450),
        ),
        "",
    ),
    Row(
        "memory fit",
        "heads and tensor parallel",
        a_host(count=3),
        a_bundle(
            None,
            a_service(models=("llama",), tensor_parallel=3, max_model_len=4096),
            model=LLAMA_8B,
        ),
        "heads-not-divisible memory-fits",
    ),
    Row(
        "memory fit",
        "llama.cpp spills",
        a_host(gpu="2080Ti"),
        a_bundle(
            None,
            a_service(models=("llama",), server="llama.cpp", max_model_len=4096),
            model=LLAMA_8B,
        ),
        "memory-spills",
    ),
    Row(
        "memory fit",
        "llama.cpp with half of its layers on the GPU",
        a_host(gpu="2080Ti"),
        a_bundle(
            None,
            a_service(
                models=("llama",),
                server="llama.cpp",
                max_model_len=4096,
                gpu_layers=16,
            ),
            model=LLAMA_8B,
        ),
        "memory-fits",
    ),
    Row(
        "memory fit",
        "llama.cpp told to use no GPU",
        a_host(),
        a_bundle(
            None,
            a_service(models=("llama",), server="llama.cpp", gpu_layers=0),
            model=LLAMA_8B,
        ),
        "memory-spills",
    ),
    Row(
        "memory fit",
        "llama.cpp keeps experts on the CPU",
        a_host(),
        a_bundle(
            None,
            a_service(models=("llama",), server="llama.cpp", tensors_on_cpu=True),
            model=LLAMA_8B,
        ),
        "memory-unknown",
    ),
    Row(
        "llama.cpp's CMakeLists.txt",
        "a T4 gets its PTX compiled by a driver of the image's CUDA",
        a_host("550.54.14", gpu="T4"),
        a_bundle(an_image("12.4", builds=LLAMA_CPP)),
        "code-jit driver-end-of-life",
    ),
    Row(
        "llama.cpp's CMakeLists.txt",
        "an older driver runs CUDA 12.4, but compiles no PTX for a T4",
        a_host("535.104.05", gpu="T4"),
        a_bundle(an_image("12.4", builds=LLAMA_CPP)),
        "cuda-minor-version code-ptx-too-new driver-end-of-life",
    ),
    Row(
        "llama.cpp's CMakeLists.txt",
        "an older driver runs what has machine code for an L40S",
        a_host("535.104.05"),
        a_bundle(an_image("12.4", builds=LLAMA_CPP)),
        "cuda-minor-version driver-end-of-life",
    ),
    Row(
        "memory fit",
        "another server",
        a_host(),
        a_bundle(None, a_service(models=("llama",), server="other"), model=LLAMA_8B),
        "memory-unknown",
    ),
    Row(
        "memory fit",
        "unified memory",
        a_host(gpu="GB10"),
        serving_llama(32768),
        "memory-fits",
    ),
)
