"""What a plan says: sticks by whole packs, needs in words, findings on both sides."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sealift_bundler.media_sizes import (
    expected_packs,
    expected_small_files,
    usual_sticks,
)
from sealift_bundler.needs_text import needs_lines
from sealift_manifests.errors import UsageError
from sealift_manifests.preflight.findings import Acceptance, Finding
from sealift_manifests.preflight.needs import (
    Build,
    CompatLibrary,
    GpuRequest,
    ImageNeeds,
    ModelNeeds,
    Needs,
    PublishedPort,
    ServiceNeeds,
    Variable,
)
from sealift_manifests.preflight.tables import default_tables
from sealift_manifests.preflight.words import (
    acceptance_of,
    count,
    describe,
    printable,
    way_out,
)

GB = 10**9
PACK = 2**32 - 1


@pytest.mark.parametrize(
    ("size", "part", "expected"),
    [
        (10 * GB, PACK, {16: 1, 32: 1, 64: 1, 128: 1, 256: 1, 512: 1}),
        # 33 packs: three fit on 16 GB, seven on 32, fourteen on 64, 28 on 128.
        (140 * GB, PACK, {16: 11, 32: 5, 64: 3, 128: 2, 256: 1, 512: 1}),
        (40 * GB, 20 * GB, {32: 2, 64: 1, 128: 1, 256: 1, 512: 1}),
    ],
)
def test_a_stick_holds_whole_packs(size, part, expected):
    packs = expected_packs([("model chat", size)], part)

    assert usual_sticks(packs, expected_small_files(size)) == expected


FULL = Needs(
    name="chat 1",
    images=(
        ImageNeeds(
            "server",
            cuda="12.8.1",
            requires=(Variable("NVIDIA_REQUIRE_CUDA", "cuda>=12.8 brand=tesla"),),
            compat=(CompatLibrary("/c", "575.57.08", forced_by=("ld.so.conf",)),),
            builds=(
                Build("torch", "2.9.0", "12.8", ("8.0", "9.0"), ("12.0",)),
                Build("llama.cpp"),
            ),
            archive_size=1 << 30,
            unpacked_size=2 << 30,
        ),
        ImageNeeds("ui", cuda="", builds=(), archive_size=0, unpacked_size=0),
    ),
    models=(ModelNeeds("chat", 15 << 30, dtype="bfloat16", heads=32),),
    services=(
        ServiceNeeds(
            "llm",
            wants_gpu=True,
            gpu=GpuRequest("reservations", 2),
            server="vllm",
            tensor_parallel=2,
            ports=(PublishedPort(8000),),
        ),
        ServiceNeeds("web", wants_gpu=False, server="other", ports=()),
    ),
)


def test_needs_are_said_with_drivers_chips_and_ports():
    assert needs_lines(FULL, default_tables()) == [
        "image server: CUDA 12.8.1: driver 525.60.13 or newer, best 570.26 or newer, "
        "GPUs of compute capability 5.0 to 12.0",
        "image server: torch 2.9.0 for compute capability 8.0 9.0, PTX 12.0",
        "image server: llama.cpp for GPUs that are not known",
        "image server: compat library 575.57.08, forced by ld.so.conf",
        "image server: demands NVIDIA_REQUIRE_CUDA=cuda>=12.8 ...",
        "model chat: 15.0 GiB of weights, bfloat16, 32 attention heads",
        "service llm: 2 GPUs, vllm, spread over 2 GPUs, port 8000/tcp",
        "service web: no GPU",
        "disk: up to 3.0 GiB in the engine's data while images load",
    ]


def test_what_is_not_known_is_said_to_be_unknown():
    image = ImageNeeds("server")
    model = ModelNeeds("chat")

    assert needs_lines(
        replace(FULL, images=(image,), models=(model,), services=()), default_tables()
    ) == [
        "image server: its CUDA version is not known before the layers are read",
        "model chat: weights unknown",
        "disk: what the images take in the engine is not known yet",
    ]


FAIL = Finding("fail", "port-taken", "service llm", "nginx", "a free port", "Move it.")
NEVER = Finding("fail", "gpu-none", "host", "none", "one", "Put one in.")


def test_findings_are_told_with_what_was_accepted():
    lines = describe([FAIL, NEVER], Acceptance(frozenset({"port-taken"})))

    assert lines[1] == "FAIL (accepted) port-taken: service llm"
    assert lines[6:8] == ["FAIL     gpu-none: host", "  measured  none"]
    assert count([FAIL, NEVER]) == "2 fails"


def test_the_way_out_names_only_what_may_be_accepted():
    words = way_out([FAIL, NEVER])

    assert "Cannot be accepted: gpu-none." in words
    assert words.endswith("--accept port-taken")
    assert "--accept gpu-none" not in words


@pytest.mark.parametrize("slug", ["gpu-none", "no-such-thing"])
def test_nobody_accepts_what_is_hopeless_or_unknown(slug):
    with pytest.raises(UsageError, match=slug):
        acceptance_of([slug])


def test_text_from_a_host_cannot_steer_a_terminal():
    assert printable("a\x1b[2Jb\nc\u202e") == "a?[2Jb?c?"
