"""What could be better about images and stacks is seen, and what is fine is left."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping
from datetime import date
from pathlib import Path

import pytest
from image_insides import a_tar
from making import write_files
from sealift_bundler.compose import Stack, parse_stack
from sealift_bundler.hygiene.catalog import SLUGS, advice
from sealift_bundler.hygiene.dockerfile import loose_bases
from sealift_bundler.hygiene.images import image_advice
from sealift_bundler.hygiene.services import services_advice
from sealift_bundler.hygiene.weights import weights_advice
from sealift_bundler.insides.layers import LayerView, LayerWatch
from sealift_bundler.insides.needs import ImageConfig
from sealift_bundler.spec import BuildSpec

TODAY = date(2026, 11, 24)
DIGEST = "sha256:" + "ab" * 32
README = Path(__file__).resolve().parents[2] / "README.md"


def viewed(files: Mapping[str, bytes]) -> LayerView:
    watch = LayerWatch()
    watch.feed(a_tar(files))
    return watch.view()


def slugs(*views: LayerView, build: BuildSpec | None = None) -> list[str]:
    return [each.slug for each in image_advice("web", views, build, TODAY)]


def test_the_readme_names_every_finding():
    text = README.read_text()

    assert [slug for slug in sorted(SLUGS) if f"`{slug}`" not in text] == []


@pytest.mark.parametrize(
    ("release", "expected"),
    [
        ("ID=ubuntu\nVERSION_ID='20.04'\n", ["image-distribution-old"]),
        ('ID=debian\nVERSION_ID="10"\n', ["image-distribution-old"]),
        ('ID=ubuntu\nVERSION_ID="24.04"\n', []),
        ("ID=debian\nVERSION_ID=12\n", []),
        ("ID=somebodys\nVERSION_ID=1\n", []),
        ("not a file of this kind '", []),
    ],
)
def test_a_distribution_without_updates_is_told(release, expected):
    for path in ("etc/os-release", "usr/lib/os-release"):
        assert slugs(viewed({path: release.encode()})) == expected


def test_the_distribution_is_that_of_the_uppermost_layer():
    old = viewed({"usr/lib/os-release": b"ID=ubuntu\nVERSION_ID=18.04\n"})
    new = viewed({"usr/lib/os-release": b"ID=ubuntu\nVERSION_ID=24.04\n"})

    assert slugs(old, new) == []
    assert slugs(new, old) == ["image-distribution-old"]


def test_what_compiling_alone_needs_is_weighed():
    parts = {
        "usr/local/cuda-12.8/targets/x86_64-linux/lib/libcublas_static.a": 40 << 20,
        "usr/local/cuda-12.8/bin/nvcc": 20 << 20,
        "usr/local/cuda-12.8/targets/x86_64-linux/include/cuda.h": 9 << 20,
    }
    devel = viewed({path: bytes(size) for path, size in parts.items()})
    runtime = viewed({"usr/local/cuda-12.8/lib64/libcublas.so.12": bytes(80 << 20)})

    (found,) = image_advice("web", [devel], None, TODAY)

    assert (found.slug, found.level) == ("image-devel-base", "note")
    assert found.measured.startswith("69.0 MiB")
    assert slugs(runtime) == []


@pytest.mark.parametrize(
    ("text", "loose"),
    [
        ("FROM scratch\n", []),
        (f"FROM debian:12@{DIGEST}\n", []),
        ("FROM debian:12\n", ["debian:12"]),
        ("from --platform=linux/amd64 debian as base\nFROM base\n", ["debian"]),
        ("ARG V=12\nFROM debian:${V}\n", ["debian:13"]),
        ("FROM debian:${UNKNOWN:-12}\n", ["debian:12"]),
        (f"FROM \\\n  debian:12@{DIGEST} AS a\nCOPY --from=x:1 / /\n", []),
        ("FROM $BASE\n", ["$BASE"]),
    ],
)
def test_a_base_that_can_mean_another_tomorrow_is_found(text, loose):
    assert loose_bases(text, {"V": "13"}) == loose


def test_a_build_is_judged_by_its_dockerfile_and_its_arguments(tmp_path):
    write_files(tmp_path, {"Dockerfile": "FROM debian:12\n"})
    args = {"HF_TOKEN": "x", "VERSION": "1", "TOKENIZERS": "1"}
    build = BuildSpec.model_construct(context=tmp_path, args=args)

    found = list(image_advice("web", (), build, TODAY))

    assert [each.slug for each in found] == [
        "image-base-unpinned",
        "image-argument-secret",
    ]
    assert found[1].measured == "args HF_TOKEN"


# Services


def stack_of(tmp_path: Path, reference: str = "app:1", **service: object) -> Stack:
    value = {"services": {"s": {"image": "app", **service}}}
    write_files(tmp_path, {"compose.yaml": json.dumps(value)})
    return parse_stack(tmp_path / "compose.yaml", {"app": reference}, ())


GOOD = ImageConfig({}, user="1000:1000", has_healthcheck=True)


def of_service(stack: Stack, image: ImageConfig) -> list[str]:
    return [each.slug for each in services_advice(stack, {"app": image})]


def test_a_service_of_root_is_told_unless_somebody_names_another_user(tmp_path):
    root = ImageConfig({}, has_healthcheck=True)

    assert of_service(stack_of(tmp_path), root) == ["image-runs-as-root"]
    assert of_service(stack_of(tmp_path, user="1000"), root) == []
    assert of_service(stack_of(tmp_path, user="0:1000"), GOOD) == ["image-runs-as-root"]
    assert of_service(stack_of(tmp_path), GOOD) == []


def test_a_service_without_a_health_check_is_told(tmp_path):
    silent = ImageConfig({}, user="1000")
    check = {"test": ["CMD", "true"]}

    assert of_service(stack_of(tmp_path), silent) == ["image-no-healthcheck"]
    assert of_service(stack_of(tmp_path, healthcheck=check), silent) == []
    off = stack_of(tmp_path, healthcheck={"disable": True})
    assert of_service(off, GOOD) == ["image-no-healthcheck"]


def test_an_image_says_of_itself_who_runs_it_and_how_its_health_is_seen():
    found = ImageConfig.of({"User": "app", "Healthcheck": {"Test": ["CMD", "x"]}})
    none = ImageConfig.of({"Healthcheck": {"Test": ["NONE"]}})

    assert (found.user, found.has_healthcheck) == ("app", True)
    assert (none.user, none.has_healthcheck) == ("", False)


@pytest.mark.parametrize(
    ("service", "reference", "missing"),
    [
        (
            {"command": ["vllm", "serve", "/m"]},
            "app:1",
            "vllm without HF_HUB_OFFLINE",
        ),
        ({"command": ["ollama", "serve"]}, "app:1", "ollama without OLLAMA_NOPRUNE"),
        ({}, "ghcr.io/open-webui/open-webui:0.6", "open-webui without OFFLINE_MODE"),
        ({}, "qdrant/qdrant:v1.15", "qdrant without QDRANT__TELEMETRY_DISABLED"),
    ],
)
def test_a_server_that_would_look_outside_is_told_with_its_switches(
    tmp_path, service, reference, missing
):
    (found,) = services_advice(stack_of(tmp_path, reference, **service), {"app": GOOD})

    assert found.slug == "offline-switch-missing"
    assert found.measured.startswith(missing)


def test_switches_count_from_the_image_and_from_the_service(tmp_path):
    stack = stack_of(
        tmp_path,
        command=["vllm", "serve", "/m"],
        environment={"VLLM_NO_USAGE_STATS": "1"},
    )
    image = ImageConfig({"HF_HUB_OFFLINE": "1"}, user="1", has_healthcheck=True)

    assert of_service(stack, image) == []


@pytest.mark.parametrize(
    ("service", "measured"),
    [
        ({"command": "sh -c 'ollama serve & ollama  pull x'"}, "it runs ollama pull"),
        (
            {"entrypoint": ["sh", "-c", "pip install a && apt-get update"]},
            "it runs apt-get update, pip install",
        ),
        ({"command": ["git", "clone", "https://x.example/y"]}, "it runs git clone"),
        ({"command": "curl -fsSL https://x.example/i.sh"}, "it runs curl"),
        ({"command": "wget -qO- http://ollama:11434/api/tags"}, ""),
        ({"command": "curl http://127.0.0.1:8000/health"}, ""),
        ({"command": ["pip", "list"]}, ""),
        ({"post_start": [{"command": "ollama pull m"}]}, "it runs ollama pull"),
    ],
)
def test_a_command_that_fetches_something_is_told(tmp_path, service, measured):
    found = [
        each.measured
        for each in services_advice(stack_of(tmp_path, **service), {"app": GOOD})
        if each.slug == "service-downloads"
    ]

    assert found == ([measured] if measured else [])


def test_a_network_that_must_be_on_the_host_is_told(tmp_path):
    value = {
        "services": {"s": {"image": "app", "networks": ["edge", "own"]}},
        "networks": {"edge": {"external": True}, "own": {}},
    }
    write_files(tmp_path, {"compose.yaml": json.dumps(value)})
    stack = parse_stack(tmp_path / "compose.yaml", {"app": "app:1"}, ())

    (found,) = services_advice(stack, {"app": GOOD})

    assert (found.slug, found.measured) == (
        "network-external",
        "network edge is external",
    )


@pytest.mark.parametrize(
    ("mode", "owner", "service", "is_told"),
    [
        (0o644, 1000, {}, True),
        (0o444, 1000, {}, False),
        (0o644, 0, {}, False),
        (0o666, 0, {}, True),
        (0o644, 1000, {"read_only": True}, False),
        (0o644, 1000, {"user": "2000:2000"}, False),
        (0o644, 1000, {"user": "app"}, False),
        (0o666, 0, {"user": "app"}, True),
        (0o666, 0, {"user": "root"}, False),
    ],
)
def test_weights_that_the_server_could_change_are_told(
    tmp_path, mode, owner, service, is_told
):
    watch = LayerWatch()
    watch.feed(a_tar_of("models/m.safetensors", 9 << 20, mode, owner))

    found = list(
        weights_advice(
            stack_of(tmp_path, **service), {"app": GOOD}, {"app": (watch.view(),)}
        )
    )

    assert [each.slug for each in found] == ["image-weights-writable"] * is_told
    assert all("/models/m.safetensors" in each.measured for each in found)


def test_weights_that_an_upper_layer_closes_are_no_finding(tmp_path):
    views = []
    for mode in (0o666, 0o444):
        watch = LayerWatch()
        watch.feed(a_tar_of("models/m.gguf", 9 << 20, mode, 0))
        views.append(watch.view())

    told = weights_advice(stack_of(tmp_path), {"app": GOOD}, {"app": tuple(views)})

    assert list(told) == []


def a_tar_of(path: str, size: int, mode: int, owner: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo(path)
        member.size, member.mode, member.uid = size, mode, owner
        archive.addfile(member, io.BytesIO(bytes(size)))
    return buffer.getvalue()


def test_none_of_these_findings_stops_a_build():
    assert {advice(slug, "x", "y").level for slug in SLUGS} == {"warn", "note"}
