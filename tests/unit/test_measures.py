"""What runs, in numbers: memory as people mean it, ports, GPUs, times."""

import pytest
from sealift_installer.measures import duration, gpu_facts, gpu_line, measure_project
from sealift_manifests.errors import EngineError
from sealift_manifests.preflight.facts import Gpu

MIB, GIB = 1 << 20, 1 << 30


class AnEngine:
    """An engine with one container, and what it says of its memory."""

    def __init__(self, stats: object) -> None:
        self.stats = stats

    def get(self, path: str, **query: str) -> object:
        if path == "/containers/json":
            return [{"Id": "1"}]
        assert path == "/containers/acme-llm-1/stats"
        # One look, at once: else the engine takes seconds for each container.
        assert query == {"stream": "0", "one-shot": "1"}
        if isinstance(self.stats, EngineError):
            raise self.stats
        return self.stats

    def find(self, path: str) -> object:
        labels = {"com.docker.compose.service": "llm"}
        port = {"HostIp": "127.0.0.1", "HostPort": "8000"}
        return {
            "Id": "1",
            "Name": "/acme-llm-1",
            "Config": {"Labels": labels},
            "State": {"Status": "running", "StartedAt": "2026-11-01T12:00:00Z"},
            "HostConfig": {"Memory": 2 * GIB},
            "NetworkSettings": {"Ports": {"8000/tcp": [port], "9000/tcp": None}},
        }


@pytest.mark.parametrize(
    ("stats", "memory"),
    [
        # Control groups 2 and 1: what is only cached and idle could be given back.
        (
            {"memory_stats": {"usage": 700 * MIB, "stats": {"inactive_file": MIB}}},
            699 * MIB,
        ),
        (
            {"memory_stats": {"usage": 9, "stats": {"total_inactive_file": 4}}},
            5,
        ),
        ({"memory_stats": {"usage": 9}}, 9),
        ({"memory_stats": {}}, None),
        (None, None),
        (EngineError("no", hint=""), None),
    ],
)
def test_memory_is_what_could_not_be_given_back_at_once(stats, memory):
    (found,) = measure_project(AnEngine(stats), "acme")

    assert found.memory == memory
    assert found.ports == ("127.0.0.1:8000->8000/tcp",)


def test_a_gpu_is_told_with_the_memory_in_use():
    gpu = Gpu(index=0, name="H100", memory_total=80 * GIB, memory_free=20 * GIB)

    assert gpu_line(gpu) == "0 H100: 60.0 GiB of 80.0 GiB in use"
    assert gpu_facts(gpu)["memory_used"] == 60 * GIB
    assert gpu_line(Gpu(index=1)) == "1 GPU"
    assert gpu_facts(Gpu(index=1))["memory_used"] is None


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (59.9, "59 s"),
        (61, "1 min 1 s"),
        (7200, "2 h"),
        (90061, "1 d 1 h"),
    ],
)
def test_times_are_told_in_two_units(seconds, words):
    assert duration(seconds) == words
