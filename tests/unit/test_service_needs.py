"""What Compose services ask of a host, as people write them."""

from __future__ import annotations

from typing import Any

import pytest
from sealift_manifests.preflight.needs import (
    ALL,
    GpuRequest,
    PublishedPort,
)
from sealift_manifests.serving.gpus import gpu_wish
from sealift_manifests.serving.words import resolved
from service_making import needs


def reserved(**device: Any) -> dict[str, Any]:
    return {"resources": {"reservations": {"devices": [device]}}}


# GPUs

ALL_OF_NVIDIA = GpuRequest("reservations", ALL, driver="nvidia")


@pytest.mark.parametrize(
    ("service", "expected"),
    [
        (
            {"deploy": reserved(driver="nvidia", count="all", capabilities=["gpu"])},
            ALL_OF_NVIDIA,
        ),
        ({"deploy": reserved(driver="nvidia", capabilities=["gpu"])}, ALL_OF_NVIDIA),
        (
            {"deploy": reserved(count="2", capabilities=["gpu"])},
            GpuRequest("reservations", 2),
        ),
        (
            {"deploy": reserved(count="${GPUS:-4}", capabilities=["gpu"])},
            GpuRequest("reservations", 4),
        ),
        (
            {"deploy": reserved(count="${GPUS:?}", capabilities=["gpu"])},
            GpuRequest("reservations", None),
        ),
        (
            {"deploy": reserved(device_ids=["0", "3"], capabilities=["gpu"])},
            GpuRequest("reservations", ids=("0", "3")),
        ),
        (
            {
                "deploy": reserved(
                    driver="cdi",
                    device_ids=["nvidia.com/gpu=0"],
                    capabilities=["gpu"],
                )
            },
            GpuRequest("reservations", ids=("nvidia.com/gpu=0",), driver="cdi"),
        ),
        ({"runtime": "nvidia"}, GpuRequest("runtime")),
        ({"gpus": "all"}, GpuRequest("gpus", ALL)),
        (
            {"gpus": [{"driver": "nvidia", "count": "1"}]},
            GpuRequest("gpus", 1, driver="nvidia"),
        ),
        (
            {"devices": ["/dev/fuse", "nvidia.com/gpu=all"]},
            GpuRequest("devices", ids=("nvidia.com/gpu=all",), driver="cdi"),
        ),
        (
            {
                "runtime": "nvidia",
                "deploy": reserved(count="1", driver="nvidia", capabilities=["gpu"]),
            },
            GpuRequest("reservations", 1, driver="nvidia"),
        ),
    ],
)
def test_each_way_to_ask_for_gpus_is_read(service, expected):
    assert gpu_wish(service) == (True, expected)


@pytest.mark.parametrize(
    ("service", "expected"),
    [
        ({}, False),
        ({"runtime": "runc"}, False),
        ({"deploy": reserved(driver="tpu", capabilities=["tpu"])}, False),
        ({"devices": ["/dev/fuse:/dev/fuse"]}, False),
        ({"devices": ["/dev/nvidia0:/dev/nvidia0"]}, True),
    ],
)
def test_no_form_is_made_up(service, expected):
    assert gpu_wish(service) == (expected, None)


def test_variables_of_the_toolkit_are_those_of_the_service(tmp_path):
    files = {"a.env": "NVIDIA_DISABLE_REQUIRE=0\nNVIDIA_VISIBLE_DEVICES=0\n"}

    found = needs(
        tmp_path,
        files=files,
        env_file=["a.env"],
        environment={
            "NVIDIA_DISABLE_REQUIRE": "1",
            "VLLM_ENABLE_CUDA_COMPATIBILITY": "1",
        },
    )

    assert (found.disable_require, found.visible_devices) == ("1", "0")
    assert found.compat_on is True
    assert needs(tmp_path).visible_devices is None


# Ports


@pytest.mark.parametrize(
    ("ports", "expected"),
    [
        ([], ()),
        (["8000:80"], (PublishedPort(8000),)),
        (["127.0.0.1:8000:80/udp"], (PublishedPort(8000, "udp", "127.0.0.1"),)),
        (["[::1]:8000:80"], (PublishedPort(8000, "tcp", "::1"),)),
        (["80"], ()),
        (["80/udp"], ()),
        (["127.0.0.1::80"], ()),
        (["8000-8001:80-81"], (PublishedPort(8000), PublishedPort(8001))),
        (["8000-8001:80"], ()),
        (["${PORT:-8080}:80"], (PublishedPort(8080),)),
        (["${PORT:?}:80"], None),
        (["70000:80"], None),
        ([{"target": 80, "published": "8443"}], (PublishedPort(8443),)),
        (
            [{"target": 80, "published": 53, "host_ip": "::1", "protocol": "udp"}],
            (PublishedPort(53, "udp", "::1"),),
        ),
        ([{"target": 80}], ()),
    ],
)
def test_published_ports_are_read_from_every_form(tmp_path, ports, expected):
    assert needs(tmp_path, ports=ports).ports == expected


def test_the_ports_of_a_service_in_the_hosts_network_are_not_known(tmp_path):
    assert needs(tmp_path, network_mode="host").ports is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("$$HOME", "$HOME"),
        ("${A:-x}${B-y}", "xy"),
        ("${A:+x}", ""),
        ("${A}", None),
        ("$A", None),
        ("${A:?said}", None),
        ("${A:-${B:-x}}", None),
        (None, None),
    ],
)
def test_variables_get_the_defaults_of_the_file(text, expected):
    assert resolved(text) == expected
