"""Whether hosts will do is known where the bundle is made, before the download.

A real registry and a Hub on loopback; hosts are the recorded ones of the preflight's
tests, as their `survey` would have been written.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import making
import pytest
from hubserver import HubServer
from image_insides import LIB_575, compat_library, torch_files
from making import Key, Outcome, sealift
from registries import Registry, make_image, make_layer, running_registry
from registry_fronts import Front, passing_on, running_front
from sealift_manifests.digests import digest_of
from sealift_manifests.model import parse_manifest
from sealift_manifests.preflight.diff import survey_file, surveys_of
from sealift_manifests.preflight.notes import needs_of

RECORDINGS = Path(__file__).resolve().parent.parent / "preflight" / "recordings"
REPO = "acme/chat"
CONFIG = {
    "model_type": "llama",
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "hidden_size": 4096,
    "max_position_embeddings": 32768,
    "dtype": "bfloat16",
}
ENVIRONMENT = ["CUDA_VERSION=12.8.1", "NVIDIA_REQUIRE_CUDA=cuda>=12.8"]
GPU = {"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}


@pytest.fixture(scope="module")
def hub() -> Iterator[HubServer]:
    files = {
        "config.json": json.dumps(CONFIG).encode(),
        "model.safetensors": making.safetensors({"embed": making.noise("w", 200_000)}),
    }
    with HubServer({REPO: files}) as server:
        yield server


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with running_registry(tmp_path_factory.mktemp("registry")) as server:
        push(server, "server:1", torch_files("2.9.0+cu128", "12.8"))
        conf = {"etc/ld.so.conf.d/00.conf": b"/usr/local/cuda-12.9/compat\n"}
        push(server, "forced:1", {LIB_575: compat_library(), **conf})
        push(server, "newer:1", torch_files("2.9.0+cu130", "13.0"))
        yield server


def push(server: Registry, name: str, files: Mapping[str, bytes]) -> None:
    layers = [make_layer({"bin/x": making.noise(name, 9000)}), make_layer(files)]
    config = {"Env": ENVIRONMENT, "Entrypoint": ["vllm", "serve"]}
    server.push_image(name, make_image(layers, config=config))


@pytest.fixture(scope="module")
def front(registry: Registry) -> Iterator[Front]:
    """The registry, seen through something that keeps a log."""
    handle = passing_on(registry.host, lambda _request, answer: answer)
    with running_front(handle) as front:
        yield front


@dataclass
class World:
    """A spec of a model on the Hub and an image in the registry, and its place."""

    folder: Path
    hub: HubServer
    front: Front
    key: Key

    def spec(
        self, image: str = "server:1", *, command: str = "/m", **service: Any
    ) -> Path:
        """Write the spec and its stack."""
        llm = {
            "image": "server",
            "command": command,
            "volumes": ["chat:/m"],
            "deploy": {"resources": {"reservations": {"devices": [GPU]}}},
            **service,
        }
        making.write_files(
            self.folder, {"compose.yaml": json.dumps({"services": {"llm": llm}})}
        )
        return making.a_spec(
            self.folder,
            "acme-chat",
            models={"chat": {"huggingface": REPO, "revision": "main"}},
            images={"server": {"pull": f"{self.front.host}/{image}"}},
            stack="compose.yaml",
        )

    def run(self, command: str, spec: Path, *options: str | Path) -> Outcome:
        """Run a command on a spec with a fresh log of what is asked for."""
        self.hub.requests.clear()
        self.front.seen.clear()
        words = [command, spec, "--cache", self.folder / "cache"]
        words += ["--insecure-registry", self.front.host]
        home = {"HF_ENDPOINT": self.hub.endpoint, "HF_HOME": f"{self.folder}/hf"}
        return sealift(*words, *options, env={**home, "HF_TOKEN": ""})

    def build(self, spec: Path, *options: str | Path) -> Outcome:
        """Build quietly into `out`."""
        place = ["-o", self.folder / "out", "--sign-key", self.key.private]
        return self.run("build", spec, "-q", *place, *options)

    @property
    def fetched(self) -> list[str]:
        """The weights and layers that were asked for; configs may be."""
        weights = self.hub.requests_for(".safetensors")
        blobs = {request.path for request in self.front.blob_requests()}
        return [request.path for request in weights] + sorted(blobs)[1:]

    @property
    def bundles(self) -> list[Path]:
        """The bundles in the output place; what is kept to go on with is hidden."""
        return sorted((self.folder / "out").glob("[!.]*"))


@pytest.fixture
def world(tmp_path: Path, hub: HubServer, front: Front, key: Key) -> World:
    return World(tmp_path, hub, front, key)


def host(name: str) -> Path:
    """Return the survey of a recorded host."""
    return RECORDINGS / name / "facts.json"


def changed_host(world: World, name: str, **machine: Any) -> Path:
    """Return a recorded host's survey with facts of its machine changed."""
    value = json.loads(host(name).read_bytes())
    value["host"].setdefault("machine", {}).update(machine)
    path = world.folder / f"{name}.json"
    path.write_text(json.dumps(value))
    return path


def slugs(outcome: Outcome, level: str) -> set[str]:
    """Return the slugs of one level that a command told as JSON."""
    hosts = outcome.facts["hosts"]
    findings = [finding for each in hosts for finding in each["findings"]]
    return {finding["slug"] for finding in findings if finding["level"] == level}


# plan


def test_a_plan_says_sizes_sticks_and_needs_and_fetches_no_weights(world):
    outcome = world.run("plan", world.spec(ports=["8000:8000"]))

    outcome.expect(
        0,
        "model chat",
        "image server",
        "sticks     1 x 16 GB",
        "CUDA 12.8.1: driver 525.60.13 or newer, best 570.26 or newer",
        "service llm: 1 GPU, vllm, port 8000/tcp",
        "what is inside of 1 image shows when the build reads the layers",
    )
    assert world.fetched == []
    assert not list(world.folder.glob("*.lock.json"))


def test_a_plan_says_what_goes_where_before_anything_is_fetched(world):
    spec = world.spec()

    fits = world.run("plan", spec, "--media", "20MB,10MB")
    likely = world.run("plan", spec, "--media", "20MB", "--json")
    short = world.run("plan", spec, "--media", "1MB", "--json")
    wrong = world.run("plan", spec, "--media", "many")

    fits.expect(0, "discs      1 x 4.7 GB DVD", "before compression")
    fits.expect(0, "1  20 MB  pack 1, ", "model chat, image server", "they fit")
    assert "probably" in fits.said
    assert likely.expect(0).facts["likely"] < likely.facts["size"]
    assert likely.facts["media"]["media"][0]["holds"] == ["model chat", "image server"]
    assert short.expect(27).facts["media"]["left"] == ["data-0001.pack"]
    wrong.expect(2, "'many' is not a size")
    assert world.fetched == []


def test_a_plan_tells_a_surveyed_host_that_fits(world):
    outcome = world.run("plan", world.spec(), "--survey", host("l40s"))

    outcome.expect(0, "host l40s (facts.json)", "cuda-native", "memory-fits")
    assert "FAIL" not in outcome.said


@pytest.mark.parametrize(
    ("recorded", "command", "slug"),
    [
        ("no-driver", "/m", "driver-not-installed"),
        ("driver-not-loaded", "/m", "driver-not-loaded"),
        ("rtx-4090-r550", "/m", "require-refused"),
        ("t4", "/m --max-model-len 200000", "memory-too-small"),
        ("l40s", "/m -tp 3", "heads-not-divisible"),
        ("l40s", "/m -tp 2", "gpu-too-few"),
    ],
)
def test_a_host_that_will_not_do_stops_plan_and_build_before_the_download(
    world, recorded, command, slug
):
    spec = world.spec(command=command)

    planned = world.run("plan", spec, "--survey", host(recorded), "--json")
    built = world.build(spec, "--survey", host("l40s"), "--survey", host(recorded))

    planned.expect(30)
    assert slug in slugs(planned, "fail")
    built.expect(30, f"FAIL     {slug}", "No bundle was made", "remedy")
    assert world.fetched == []
    assert world.bundles == []


def test_a_survey_is_older_than_the_bundle_and_not_blamed_for_it(world):
    before = changed_host(world, "l40s", clock="2020-01-01T00:00:00Z")

    outcome = world.run("plan", world.spec(), "--survey", before)

    assert "clock-behind" not in outcome.expect(0).said


def test_a_taken_port_is_told_from_the_survey(world):
    spec = world.spec(ports=["8000:8000"])
    taken = changed_host(world, "l40s", ports=[{"port": 8000, "owner": "nginx"}])

    outcome = world.run("plan", spec, "--survey", taken)

    outcome.expect(30, "port-taken", "nginx", "--accept port-taken")


# build


def test_a_build_for_a_host_that_fits_binds_its_survey(world):
    outcome = world.build(world.spec(), "--survey", host("l40s"))

    outcome.expect(0, "will run   on l40s (facts.json)")
    (bundle,) = world.bundles
    manifest = parse_manifest((bundle / "manifest.json").read_bytes())
    assert surveys_of(manifest) == (digest_of(host("l40s").read_bytes()),)
    assert world.fetched
    needs = needs_of(manifest)
    assert needs.unread == ()
    (image,) = needs.images
    assert [build.what for build in image.builds or ()] == ["torch"]
    assert image.compat == ()
    (model,) = needs.models
    assert (model.layers, model.weights_size) == (32, 200_000 + weights_head(bundle))
    (service,) = needs.services
    assert (service.server, service.gpu and service.gpu.count) == ("vllm", 1)


def test_a_host_is_told_what_has_changed_since_its_survey(world, tmp_path):
    survey = host("l40s").read_bytes()
    world.build(world.spec(), "--survey", host("l40s")).expect(0)
    (bundle,) = world.bundles
    place = making.Host(tmp_path / "host", bundle / making.PYZ, engine=making.NO_ENGINE)

    told = place.run("preflight", bundle, "--key", world.key.public)

    carried = bundle / survey_file(digest_of(survey))
    assert carried.read_bytes() == survey
    assert f"  {carried.name}\n" in (bundle / "SHA256SUMS").read_text()
    told.expect(30, "changed since the survey of l40s", "driver.loaded: ")


def weights_head(bundle: Path) -> int:
    """Return how much longer the file of the weights is than its tensors."""
    manifest = json.loads((bundle / "manifest.json").read_bytes())
    (size,) = [
        file["size"]
        for file in manifest["models"][0]["files"]
        if file["path"].endswith(".safetensors")
    ]
    return int(size) - 200_000


@pytest.mark.parametrize(
    ("image", "recorded", "slug"),
    [
        ("forced:1", "l40s", "compat-harmful"),
        ("newer:1", "v100", "code-missing"),
        ("server:1", "rtx-4090-r550", "require-refused"),
    ],
)
def test_what_only_the_layers_tell_stops_the_build_before_it_is_signed(
    world, image, recorded, slug
):
    spec = world.spec(image)
    accept = ["--accept", "require-refused"] if slug != "require-refused" else []

    planned = world.run("plan", spec, "--survey", host(recorded), *accept, "--json")
    built = world.build(spec, "--survey", host(recorded), *accept)

    if slug != "require-refused":
        planned.expect(0)
        assert world.fetched
    built.expect(30, slug)
    assert world.bundles == []


def test_a_fail_that_is_accepted_is_recorded(world):
    spec = world.spec("forced:1")
    words = ["--survey", host("l40s"), "--accept", "compat-harmful"]

    world.build(spec, *words).expect(0)

    (bundle,) = world.bundles
    manifest = parse_manifest((bundle / "manifest.json").read_bytes())
    assert manifest.facts["accepted"] == ["compat-harmful"]
    shown = sealift("inspect", bundle)
    shown.expect(
        0, "a host must have:", "compat library 575.57.08, forced by ld.so.conf"
    )
    shown.expect(0, f"surveys {digest_of(host('l40s').read_bytes()).short}")


def test_what_no_image_could_run_with_cannot_be_accepted(world):
    words = ["--survey", host("no-driver"), "--accept", "driver-not-installed"]

    world.build(world.spec(), *words).expect(2, "never taken")


def test_a_file_that_is_no_survey_is_refused_before_anything_is_asked(world):
    spec = world.spec()

    world.build(spec, "--survey", spec).expect(10, "is not a survey")
    world.build(spec, "--survey", "/nowhere.json").expect(2, "cannot be read")
    assert world.front.seen == []


def test_packs_with_no_room_for_a_chunk_are_refused_before_anything_is_asked(world):
    spec, small = world.spec(), ["--part-size", "8MB"]

    world.build(spec, *small).expect(2, "at least 8388608 (8 MiB) are needed")
    world.run("plan", spec, *small).expect(2, "at least 8388608 (8 MiB) are needed")
    assert world.front.seen == []


def test_without_a_survey_nothing_is_noted(world):
    world.build(world.spec()).expect(0)

    (bundle,) = world.bundles
    manifest = parse_manifest((bundle / "manifest.json").read_bytes())
    assert manifest.facts == {}
    assert surveys_of(manifest) == ()
