"""A real LLM crosses the gap, and answers from behind it.

llama.cpp's server is built into an image here and its model bundled; a host without a
network installs, starts and asks. What it took is left in .cache/real-llm.json.
"""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hosts
import llms
import making
import pytest
import yaml
from engines import unique
from making import PYZ, Host, Key
from sealift_bundler.init_template import template_files

pytestmark = [
    pytest.mark.large,
    pytest.mark.skipif(not hosts.is_root(), reason="the image's base is made by root"),
]
FIGURES = llms.ROOT / ".cache/real-llm.json"
QUESTION, WORD = next(iter(llms.QUESTIONS.items()))


@dataclass
class Trip:
    """What is built and where it goes; `took` has seconds by step."""

    name: str
    folder: Path
    key: Key
    port: int
    took: dict[str, float] = field(default_factory=dict)

    @property
    def base(self) -> str:
        """Where the server is."""
        return f"http://127.0.0.1:{self.port}"

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Note how long something took."""
        start = time.monotonic()
        yield
        self.took[step] = round(time.monotonic() - start, 1)

    def build(self, version: str, stack: dict[str, Any]) -> Path:
        """Build a version of the bundle with this stack."""
        making.write_files(self.folder, {"compose.yaml": json.dumps(stack)})
        spec = making.a_spec(
            self.folder,
            self.name,
            version=version,
            serial=int(version[0]),
            models={"chat": {"path": "model"}},
            images={"server": {"build": {"context": "image"}}},
            stack="compose.yaml",
        )
        return making.build(spec, self.key, self.folder / "out")

    def get(self, path: str) -> Any:
        """Return what the server answers to a GET."""
        with urllib.request.urlopen(f"{self.base}{path}", timeout=10) as answer:
            return json.load(answer)


@pytest.fixture(scope="module")
def trip(
    tmp_path_factory: pytest.TempPathFactory, engine: hosts.Engine, key: Key
) -> Iterator[Trip]:
    """The sources of the bundle; at the end its name is gone from the engine."""
    folder = tmp_path_factory.mktemp("llm")
    llms.weights(folder / "model")
    llms.context(folder / "image")
    trip = Trip(unique("llm"), folder, key, hosts.free_port())
    try:
        yield trip
    finally:
        making.clear_engine(engine, trip.name)


@pytest.fixture(scope="module")
def bundle(trip: Trip, engine: hosts.Engine) -> Path:
    """The bundle; the image is gone from the engine, as from that of a host."""
    with trip.timed("build"):
        path = trip.build("1.0", {"services": {"llm": llms.service(trip.port)}})
    making.clear_engine(engine, trip.name)
    return path


@pytest.fixture(scope="module")
def host(
    trip: Trip,
    bundle: Path,
    no_network: hosts.NoNetwork,
    tmp_path_factory: pytest.TempPathFactory,
) -> Host:
    """A host without a network that has the bundle installed."""
    host = Host(tmp_path_factory.mktemp("host"), bundle / PYZ, network=no_network)
    with trip.timed("install"):
        host.run("install", bundle, "--key", trip.key.public).expect(0)
    return host


@pytest.fixture(scope="module")
def serving(trip: Trip, host: Host, bundle: Path) -> Trip:
    """The stack, started, and asked at once for its first token."""
    start = time.monotonic()
    with trip.timed("start"):
        host.run("start", "--wait", "120").expect(0, "is up", "llm: healthy")
    next(piece for piece in llms.ask_streamed(trip.base, QUESTION) if piece)
    trip.took["first token after start was called"] = round(time.monotonic() - start, 1)
    manifest = json.loads((bundle / "manifest.json").read_bytes())
    layers = manifest["images"][0]["layers"]
    figures = {
        "bytes of the bundle": sum(p.stat().st_size for p in bundle.iterdir()),
        "bytes of the image, unpacked": sum(each["diff_size"] for each in layers),
        "bytes of the weights": (trip.folder / "model" / llms.WEIGHTS).stat().st_size,
        "seconds": trip.took,
    }
    FIGURES.write_text(json.dumps(figures, indent=1) + "\n")
    print(FIGURES.read_text())
    return trip


def test_the_server_is_healthy_and_names_its_model(serving):
    assert serving.get("/health") == {"status": "ok"}
    assert [model["id"] for model in serving.get("/v1/models")["data"]] == ["chat"]


@pytest.mark.parametrize(("question", "word"), llms.QUESTIONS.items())
def test_a_question_with_a_known_answer_is_answered(serving, question, word):
    assert word in llms.ask(serving.base, question)


def test_an_answer_comes_in_pieces_that_join_to_the_same(serving):
    pieces = list(llms.ask_streamed(serving.base, QUESTION))

    assert len([piece for piece in pieces if piece]) > 3
    assert "".join(pieces) == llms.ask(serving.base, QUESTION)
    assert WORD in "".join(pieces)


def test_what_serves_is_what_was_signed(serving, host):
    host.run("audit").expect(0)


def test_the_next_version_serves_locked_up_without_any_network(
    serving, host, engine, trip
):
    """The server as a user of its own, with nothing to write on and nobody to reach."""
    locked = {
        **{k: v for k, v in llms.service(trip.port).items() if k != "ports"},
        "network_mode": "none",
        "read_only": True,
        "tmpfs": ["/tmp"],
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
    }
    second = trip.build("2.0", {"services": {"llm": locked}})
    host.run("install", second).expect(0)
    host.run("start", "--wait", "120").expect(0, "llm: healthy")
    container = engine.text("ps", "-q", "--filter", f"name={trip.name}")
    inside = ["exec", container]

    body = json.dumps(llms.a_chat(QUESTION))
    url = "http://127.0.0.1:8080/v1/chat/completions"
    header = ["-H", "Content-Type: application/json"]
    answer = engine.text(*inside, "curl", "-fsS", url, *header, "-d", body)
    touched = engine.run(*inside, "touch", "/models/x", "/srv/x", check=False)
    found = engine.text(*inside, "sh", "-c", "id -u; ls /sys/class/net")

    assert WORD in json.loads(answer)["choices"][0]["message"]["content"]
    assert touched.stderr.decode().count("Read-only file system") == 2
    assert found.split() == ["1000", "lo"]


def test_a_rehearsal_sees_the_server_keep_to_itself(trip, bundle, host, engine):
    host.run("stop").expect(0)
    host.run("uninstall", trip.name, "--yes").expect(0)
    making.clear_engine(engine, trip.name)

    done = making.sealift(
        *("rehearse", bundle, "--key", trip.key.public, "--strict", "--watch", "3")
    )

    done.expect(0, "nobody tried to reach outside")


@pytest.fixture
def from_template(trip: Trip, tmp_path: Path) -> Callable[[], Path]:
    """Return what fits the template `llama-cpp` to this image, model and machine."""

    def written() -> Path:
        files = template_files("llama-cpp", trip.name)
        folder = making.write_files(tmp_path / "spec", files)
        compose = yaml.safe_load((folder / "compose.yaml").read_bytes())
        (llama,) = compose["services"].values()
        command = llama["command"]
        command[command.index("--model") + 1] = f"/models/{llms.WEIGHTS}"
        del llama["deploy"]["resources"]["reservations"]
        llama["healthcheck"]["interval"] = "2s"
        (folder / "compose.yaml").write_text(yaml.safe_dump(compose, sort_keys=False))
        spec = yaml.safe_load((folder / "sealift.yaml").read_bytes())
        # There is no GPU here; all else is for this site to say.
        del spec["settings"]["GPUS"]
        spec["models"]["chat"] = {"path": str(trip.folder / "model")}
        image = {"build": {"context": str(trip.folder / "image")}}
        spec["images"]["server"] = {**image, "tag": f"{trip.name}/server:1"}
        (folder / "sealift.yaml").write_text(yaml.safe_dump(spec))
        return folder / "sealift.yaml"

    return written


def test_the_template_for_llama_cpp_serves_a_real_model(trip, from_template, tmp_path):
    bundle = making.build(from_template(), trip.key, tmp_path / "out")
    host = Host(tmp_path / "host", bundle / PYZ)
    site = ("--set", f"PORT={trip.port}", "--set", "CONTEXT_LENGTH=2048")
    host.run("install", bundle, "--key", trip.key.public, *site).expect(0)

    started = host.run("start", "--wait", "120").expect(0, "llama: healthy")

    started.expect(0, "smoke knows-a-capital: good", "smoke streams: good")
    assert WORD in llms.ask(trip.base, QUESTION)
