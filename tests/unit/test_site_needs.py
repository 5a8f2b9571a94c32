"""What a stack asks of a host hangs on the values of its site, read off one text."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sealift_bundler.compose import parse_stack
from sealift_bundler.insides.needs import ImageConfig
from sealift_bundler.serving.services import services_needs, services_written
from sealift_bundler.spec_settings import SiteSpec
from sealift_manifests import strictjson
from sealift_manifests.model import dump_manifest, parse_manifest
from sealift_manifests.preflight.needs import GpuRequest, PublishedPort
from sealift_manifests.preflight.notes import (
    SERVICES_NOTE,
    needs_of,
    service_needs_facts,
)
from sealift_manifests.preflight.site import needs_at
from sealift_manifests.serving.written import WRITTEN_NOTE
from sealift_manifests.settings import Setting
from sealift_manifests.stack_entries import Service

GOLDEN = Path(__file__).parents[1] / "golden" / "bundle-v1" / "manifest.json"
VLLM = ImageConfig({"A": "$b", "NVIDIA_VISIBLE_DEVICES": "all"}, ("vllm", "serve"))
SITE = SiteSpec(
    (
        Setting("PORT", "port", "8000"),
        Setting("LENGTH", "integer", "4096"),
        Setting("SHARE", "number", "0.9"),
        Setting("GPUS", "gpus", "0"),
        Setting("SPREAD", "integer"),
    )
)
SERVICE = {
    "image": "app:1",
    "command": (
        "--max-model-len ${LENGTH} --gpu-memory-utilization=${SHARE} "
        "--tensor-parallel-size ${SPREAD}"
    ),
    "ports": ["127.0.0.1:${PORT}:8000"],
    "environment": {"HOME": "/h", "http_proxy": "", "HTTP_PROXY": ""},
    "deploy": {
        "resources": {
            "reservations": {
                "devices": [
                    {
                        "driver": "nvidia",
                        "device_ids": ["${GPUS}"],
                        "capabilities": ["gpu"],
                    }
                ]
            }
        }
    },
}


@pytest.fixture
def manifest(tmp_path):
    """Return the manifest of a bundle with a service of these keys."""

    def made(site=SITE, **service):
        services = {"llm": {**SERVICE, **service}, "web": {"image": "app:1"}}
        path = tmp_path / "compose.yaml"
        path.write_text(json.dumps({"services": services}))
        stack = parse_stack(path, {"app": "app:1"}, [], site)
        configs = {"app": VLLM}
        facts = {SERVICES_NOTE: service_needs_facts(services_needs(stack, configs))}
        if notes := services_written(stack, configs):
            facts[WRITTEN_NOTE] = notes
        golden = parse_manifest(GOLDEN.read_bytes())
        image = golden.images[0].name
        listed = tuple(Service(name, image) for name in services)
        entry = replace(
            golden.stack, services=listed, facts=facts, settings=site.settings
        )
        changed = replace(golden, stack=entry, features=("settings",))
        # As a host has it: written, and read again.
        return parse_manifest(
            strictjson.dump(strictjson.load(dump_manifest(changed), "m"))
        )

    return made


def of_llm(needs):
    return next(one for one in needs.services if one.name == "llm")


def test_a_host_that_sets_nothing_is_asked_what_the_build_has_found(manifest):
    made = manifest()
    defaults = {s.name: s.default for s in SITE.settings if s.default is not None}

    assert needs_at(made, {}) == needs_at(made, defaults) == needs_of(made)
    assert of_llm(needs_of(made)).ports == (PublishedPort(8000, "tcp", "127.0.0.1"),)
    # A size that only the host has: no default is made up for it.
    assert of_llm(needs_of(made)).server == "other"


def test_the_values_of_a_site_change_what_is_asked_of_it(manifest):
    values = {
        "PORT": "9001",
        "LENGTH": "32768",
        "SHARE": "0.45",
        "GPUS": "2,GPU-1a",
        "SPREAD": "2",
    }

    asked = of_llm(needs_at(manifest(), values))

    assert asked.ports == (PublishedPort(9001, "tcp", "127.0.0.1"),)
    assert asked.server == "vllm"
    assert (asked.max_model_len, asked.memory_thousandths) == (32768, 450)
    assert asked.tensor_parallel == 2
    assert asked.gpu == GpuRequest("reservations", ids=("2", "GPU-1a"), driver="nvidia")
    assert of_llm(needs_at(manifest(), {**values, "GPUS": "all"})).gpu.count == -1


@pytest.mark.parametrize(
    "service",
    [{"scale": "${COPIES}"}, {"deploy": {"replicas": "${COPIES}"}, "ports": []}],
)
def test_the_number_of_containers_may_be_a_setting(manifest, service):
    copies = Setting("COPIES", "integer", "1", min="0")
    used = [
        each for each in SITE.settings if each.name in ("LENGTH", "SHARE", "SPREAD")
    ]
    others = [Setting("PORT", "port", "80")] if "ports" not in service else []
    reserved = [Setting("GPUS", "gpus", "0")] if "deploy" not in service else []

    made = manifest(SiteSpec((*used, *others, *reserved, copies)), **service)

    assert of_llm(needs_at(made, {})).replicas is None
    assert of_llm(needs_at(made, {"COPIES": "3"})).replicas == 3


def test_a_value_is_what_it_is_and_no_variable(manifest):
    site = SiteSpec((*SITE.settings, Setting("KIND", "text", "auto")))
    command = f"{SERVICE['command']} --kv-cache-dtype ${{KIND}}"

    made = manifest(site, command=command)

    asked = of_llm(needs_at(made, {"SPREAD": "1", "KIND": "$PORT"}))
    assert asked.kv_dtype == "$port"


def test_only_services_that_hang_on_a_setting_are_written_down(manifest):
    (note,) = manifest().stack.facts[WRITTEN_NOTE]

    assert note["name"] == "llm"
    assert "A=$$b" in note["image"]["environment"]


def test_options_in_a_mounted_file_count_beside_those_of_the_site(manifest, tmp_path):
    (tmp_path / "vllm.yaml").write_text("max-num-batched-tokens: 2048\n")
    mounted = {"volumes": ["./vllm.yaml:/etc/vllm.yaml"]}

    made = manifest(
        command="--config /etc/vllm.yaml --max-model-len ${LENGTH} -tp ${SPREAD} "
        "--gpu-memory-utilization ${SHARE}",
        **mounted,
    )

    asked = of_llm(needs_at(made, {"SPREAD": "1", "LENGTH": "1024"}))
    assert (asked.max_batched_tokens, asked.max_model_len) == (2048, 1024)


anything = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text("a${}-=:", max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "name",
                    "service",
                    "image",
                    "files",
                    "command",
                    "ports",
                    "environment",
                    "deploy",
                    "resources",
                    "reservations",
                    "devices",
                    "gpus",
                    "runtime",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(anything)
def test_no_note_of_whatever_shape_stops_a_host(note):
    golden = parse_manifest(GOLDEN.read_bytes())
    name = golden.stack.services[0].name
    notes = [{"service": note, "image": note, "files": note, "name": name}, note]
    stack = replace(golden.stack, facts={WRITTEN_NOTE: notes})

    assert needs_at(replace(golden, stack=stack), {"a": "1"}).services
