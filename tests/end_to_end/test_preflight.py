"""The preflight and the survey as an operator meets them, with the real programs.

No GPU is here. Where one is wanted, a stand-in nvidia-smi on PATH says there is; the
engine and its lack of a toolkit are real.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import hosts
import making
import pytest
from engines import busybox_layer, unique
from making import PYZ, Host, Outcome
from sealift_manifests.preflight.findings import LEVELS
from sealift_manifests.preflight.survey import parse_survey

RECORDED_SMI = (
    Path(__file__).parents[1] / "preflight" / "recordings" / "l40s" / "bin/nvidia-smi"
)
WAIT = ["/bin/busybox", "sleep", "600"]


@dataclass(frozen=True)
class Gpus:
    """A bundle that wants a GPU, and a PATH on which nvidia-smi finds two."""

    name: str
    bundle: Path
    key: Path
    path: str

    def run(self, host: Host, command: str, *args: str | Path) -> Outcome:
        """Run the installer on a host whose nvidia-smi finds GPUs."""
        places = ["--state-dir", host.state, "--config-dir", host.config]
        argv = [host.python, "-I", "-B", host.pyz, command, *args, *places]
        return making.run(argv, env={"PATH": self.path})

    def install(self, host: Host, *options: str) -> Outcome:
        """Install the bundle."""
        return self.run(host, "install", self.bundle, "--key", self.key, *options)


@pytest.fixture(scope="module")
def gpus(tmp_path_factory, engine: hosts.Engine) -> Iterator[Gpus]:
    folder = tmp_path_factory.mktemp("gpus")
    name = unique("gpus")
    layer = folder / "layer.tar"
    layer.write_bytes(busybox_layer())
    changes = ["-c", f"CMD {json.dumps(WAIT)}", "-c", "ENV CUDA_VERSION=12.9.1"]
    engine.run("import", *changes, str(layer), f"{name}/llm:1")
    asked = {"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}
    reserved = {"resources": {"reservations": {"devices": [asked]}}}
    service = {"image": "llm", "stop_grace_period": "1s", "deploy": reserved}
    stack = json.dumps({"services": {"llm": service}})
    making.write_files(folder, {"compose.yaml": stack})
    spec = making.weights_spec(
        folder,
        name,
        images={"llm": {"engine": f"{name}/llm:1"}},
        stack="compose.yaml",
    )
    key = making.a_key(folder / "release")
    programs = folder / "bin"
    programs.mkdir()
    shutil.copy(RECORDED_SMI, programs)
    try:
        bundle = making.build(spec, key, folder / "out")
        making.clear_engine(engine, name)
        path = os.pathsep.join([str(programs), os.environ["PATH"]])
        yield Gpus(name, bundle, key.public, path)
    finally:
        making.clear_engine(engine, name)


@pytest.fixture
def host(tmp_path, gpus) -> Host:
    return Host(tmp_path / "host", gpus.bundle / PYZ)


@pytest.fixture(scope="module")
def installer(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("alone") / "look.pyz"
    making.sealift("installer", "-o", path).expect(0, "sha256:", "survey -o host.json")
    return path


def test_a_host_is_surveyed_with_the_installer_alone(installer, tmp_path):
    output = tmp_path / "host.json"
    host = Host(tmp_path / "nothing", installer)

    host.run("survey", "-o", output).expect(0, str(output))

    facts = parse_survey(output.read_bytes())
    assert facts.name == os.uname().nodename
    assert facts.machine.kernel == os.uname().release
    assert facts.engine.kind == "docker"
    assert not host.root.exists()


def test_a_survey_works_without_an_engine_and_on_every_python(
    installer, tmp_path, pythons
):
    for python in pythons:
        host = Host(tmp_path, installer, making.NO_ENGINE, Path(python.path))

        done = host.run("survey").expect(0)

        facts = parse_survey(done.out.encode())
        assert facts.engine.fault is not None
        assert facts.faults == ()


def test_a_redacted_survey_does_not_name_the_host(installer, tmp_path):
    host = Host(tmp_path, installer)

    done = host.run("survey", "--redact").expect(0)

    assert parse_survey(done.out.encode()).name is None
    assert json.dumps(os.uname().nodename) not in done.out


def test_a_survey_that_cannot_be_written_says_where(installer, tmp_path):
    host = Host(tmp_path, installer)

    host.run("survey", "-o", tmp_path / "no" / "host.json").expect(42, "no/host.json")


def test_a_host_alone_is_told_what_it_is(installer, tmp_path):
    host = Host(tmp_path, installer)

    host.run("preflight").expect(0, "no GPU found", "docker")


def test_a_bundle_that_wants_a_gpu_is_refused_before_anything_is_written(gpus, host):
    done = host.run("install", gpus.bundle, "--key", gpus.key)

    done.expect(30, "FAIL", "driver-not-installed", "remedy")
    done.expect(30, "Cannot be accepted: driver-not-installed")
    assert not host.root.exists()


def test_a_refusal_has_every_finding_worst_first_as_json(gpus, host):
    done = host.run("preflight", gpus.bundle, "--key", gpus.key, "--json").expect(30)

    levels = [finding["level"] for finding in done.facts["findings"]]
    assert levels[0] == "fail"
    assert levels == sorted(levels, key=LEVELS.index)
    assert {"measured", "needed", "remedy", "about", "slug"} <= set(
        done.facts["findings"][0]
    )


@pytest.mark.parametrize("slug", ["driver-not-installed", "no-such-thing"])
def test_what_cannot_be_accepted_is_refused_as_an_option(gpus, host, slug):
    host.run("install", gpus.bundle, "--key", gpus.key, "--accept", slug).expect(
        2, slug
    )

    assert not host.root.exists()


def test_a_fail_that_somebody_takes_on_is_recorded(gpus, host, engine):
    gpus.install(host).expect(30, "toolkit-missing", "--accept toolkit-missing")
    assert not host.root.exists()

    done = gpus.install(host, "--accept", "toolkit-missing", "--json").expect(0)

    assert done.facts["accepted"] == ["toolkit-missing"]
    assert [said["slug"] for said in done.facts["gpu_check"]] == ["toolkit-missing"]
    (release,) = host.state.glob("releases/*/*/release.json")
    assert json.loads(release.read_bytes())["accepted"] == ["toolkit-missing"]
    last = host.ledger()[-1]
    assert (last["event"], last["accepted"]) == ("install", ["toolkit-missing"])

    # An acceptance is for one command: the release's own record is not signed.
    gpus.run(host, "start", gpus.name).expect(30, "toolkit-missing")
    assert not making.in_engine(engine, gpus.name)["containers"]
    gpus.run(host, "preflight", gpus.name).expect(30, "toolkit-missing")
    accepted = gpus.run(host, "preflight", gpus.name, "--accept", "toolkit-missing")
    accepted.expect(0, "FAIL (accepted)")
    gpus.run(host, "gpu-check", gpus.name).expect(30, "could not select device driver")


def test_a_bundle_without_gpus_is_installed_without_a_word_about_them(tmp_path):
    key = making.a_key(tmp_path / "release")
    spec = making.weights_spec(tmp_path / "spec", unique("plain"))
    bundle = making.build(spec, key, tmp_path / "out")
    host = Host(tmp_path / "host", bundle / PYZ, making.NO_ENGINE)

    done = host.run("install", bundle, "--key", key.public).expect(0)
    again = host.run("install", bundle, "--json").expect(0)

    assert not any(word in done.said for word in ("looking at", "GPU", "preflight"))
    assert again.facts["findings"] == []
