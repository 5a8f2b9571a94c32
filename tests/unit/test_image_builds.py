"""Which programs with GPU code are in an image, and for which GPUs they were built."""

from __future__ import annotations

import pytest
from image_insides import SITE, a_tar, needs_of_layers, package, torch_files


def builds(*layers: bytes, platform: str = "linux/amd64") -> list[tuple[object, ...]]:
    found = needs_of_layers(*layers, platform=platform).builds
    assert found is not None
    return [
        (each.what, each.version, each.cuda, each.native and each.native[-1])
        for each in found
    ]


def test_published_builds_are_known_by_torchs_cuda():
    files = {**torch_files("2.9.0+cu128", "12.8"), **package("vllm", "0.11.0")}

    assert builds(a_tar(files)) == [
        ("torch", "2.9.0+cu128", "12.8", "12.0"),
        ("vllm", "0.11.0", "12.8", "10.0"),
    ]


@pytest.mark.parametrize(
    ("version", "cuda"),
    [
        ("2.8.0a0+34c6371d24.nv25.08", "13.0"),
        ("2.9.0+local", "12.8"),
        ("2.7.0+cu124", "12.4"),
        ("2.11.0+cu128", "12.8"),
    ],
)
def test_a_build_of_someones_own_is_for_gpus_that_nobody_knows(version, cuda):
    assert builds(a_tar(torch_files(version, cuda))) == [("torch", version, cuda, None)]


def test_torch_for_processors_is_no_gpu_code():
    assert builds(a_tar(torch_files("2.9.0+cpu", None))) == []


def test_wheels_for_arm_are_for_other_gpus():
    torch = a_tar(torch_files("2.9.0+cu130", "13.0"))
    older = a_tar(torch_files("2.9.0+cu128", "12.8"))

    (known,) = needs_of_layers(torch, platform="linux/arm64").builds or ()

    assert known.native is not None
    assert "11.0" in known.native
    assert builds(older, platform="linux/arm64")[0][3] is None


def test_an_upgraded_torch_counts_once():
    lower = a_tar(torch_files("2.7.0+cu126", "12.6"))
    gone = {f"{SITE}/.wh.torch-2.7.0.dist-info": b""}
    upper = a_tar({**gone, **torch_files("2.9.0+cu128", "12.8")})

    assert builds(lower, upper) == [("torch", "2.9.0+cu128", "12.8", "12.0")]


def test_llama_cpp_is_seen_and_ollama_is_left_to_its_own_rules():
    llama = a_tar({"app/libggml-cuda.so": b"x"})
    ollama = a_tar({"usr/lib/ollama/cuda_v12/libggml-cuda.so": b"x"})

    assert builds(llama) == [("llama.cpp", None, None, None)]
    named = {"app/libggml-cuda.so": b"x", "app/libllama.so.0.0.6710": b"x"}
    assert builds(a_tar(named)) == [("llama.cpp", "b6710", None, None)]
    assert builds(a_tar({"app/libllama.so.0.0.6710": b"x"})) == []
    assert builds(ollama) == []


LLAMA_CPP = "ghcr.io/ggml-org/llama.cpp"


@pytest.mark.parametrize(
    ("repository", "number", "cuda", "native"),
    [
        (LLAMA_CPP, 8990, "12.4.0", ("8.6", "8.9")),
        (LLAMA_CPP, 8990, "12.8.1", ("8.6", "8.9", "12.0a")),
        (LLAMA_CPP, 8990, "13.1.0", ("8.6", "8.9", "12.0a", "12.1a")),
        (LLAMA_CPP, 8990, "11.7.1", None),
        (LLAMA_CPP, 6710, "12.4.0", None),
        ("ghcr.io/someone/llama.cpp", 8990, "12.4.0", None),
        ("", 8990, "12.4.0", None),
    ],
)
def test_llama_cpp_is_known_where_its_makers_published_it(
    repository, number, cuda, native
):
    files = {"app/libggml-cuda.so": b"x", f"app/libllama.so.0.0.{number}": b"x"}

    needs = needs_of_layers(a_tar(files), repository=repository, CUDA_VERSION=cuda)

    (build,) = needs.builds or ()
    assert (build.version, build.native) == (f"b{number}", native)
    assert (build.ptx is None) == (native is None)
