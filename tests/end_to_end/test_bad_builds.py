"""What is wrong with a spec, a source, a key or the output place stops a build.

Each test runs the real `sealift build`, and looks at what it left behind: nothing, but
for what is packed already.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import making
import pytest
from making import Key, Outcome, sealift
from sealift_manifests.bundle import MANIFEST_NAME

LOCK = "sealift.lock.json"
MIB = 1 << 20


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def attempt(spec: Path, key: Key, out: Path, *more: str | Path) -> Outcome:
    """Run a build that may fail, quietly."""
    cache = spec.parent / "cache"
    words = ["build", spec, "-q", "--sign-key", key.private, "-o", out]
    return sealift(*words, "--cache", cache, *more)


def left(spec: Path, out: Path) -> list[str]:
    """Return what a failed build has left: bundles, unfinished ones, locks."""
    lock = spec.with_name(LOCK)
    found = sorted(path.name for path in out.iterdir()) if out.exists() else []
    return found + ([lock.name] if lock.exists() else [])


# The spec


def test_all_faults_of_a_spec_are_told_at_once(tmp_path, key, out):
    spec = making.a_spec(
        tmp_path,
        "Not A Name",
        version="1/2",
        surprise=True,
        models={"tiny": {"path": "nowhere", "layout": "round"}},
        images={"web": {"pull": "redis:latest"}, "db": {"pull": "x:1", "engine": "y"}},
        stack="compose.yaml",
    )

    outcome = attempt(spec, key, out)

    outcome.expect(
        24,
        *("sealift.yaml", "Not A Name", "1/2", "surprise", "nowhere", "round"),
        *("redis:latest", "one of pull, build and engine", "compose.yaml"),
        "Correct these lines",
    )
    assert left(spec, out) == []


@pytest.mark.parametrize("reference", ["redis", "redis:latest", "ghcr.io/a/b"])
def test_an_image_that_can_mean_another_tomorrow_is_refused(
    tmp_path, key, out, reference
):
    spec = making.a_spec(tmp_path, "a", images={"web": {"pull": reference}})

    outcome = attempt(spec, key, out)

    outcome.expect(23, "sealift.yaml", reference, "another image tomorrow")
    assert left(spec, out) == []


def test_a_spec_that_is_not_there_is_said_so(tmp_path, key, out):
    outcome = attempt(tmp_path / "sealift.yaml", key, out)

    outcome.expect(24, str(tmp_path / "sealift.yaml"))


# Keys


def test_a_build_without_a_key_does_not_begin(tmp_path, out):
    spec = making.weights_spec(tmp_path, "a")

    outcome = sealift("build", spec, "-q", "-o", out)

    outcome.expect(28, "no key", "sealift keygen", "--sign-key")
    assert left(spec, out) == []


def test_a_wrong_passphrase_does_not_sign(tmp_path, out):
    locked = making.a_key(tmp_path / "locked", passphrase=b"right")
    spec = making.weights_spec(tmp_path, "a")
    words = ["build", spec, "-q", "--sign-key", locked.private, "-o", out]

    wrong = sealift(*words, stdin=b"wrong\n")
    nothing_left = left(spec, out)
    right = sealift(*words, stdin=b"right\n")

    wrong.expect(28, str(locked.private), "passphrase is wrong", "ssh-keygen -y")
    assert nothing_left == []
    right.expect(0, "read back and verified")


def test_a_key_that_others_can_read_is_refused(tmp_path, out):
    open_key = making.a_key(tmp_path / "open")
    open_key.private.chmod(0o644)
    spec = making.weights_spec(tmp_path, "a")

    outcome = attempt(spec, open_key, out)

    outcome.expect(28, str(open_key.private), "chmod 600")
    assert left(spec, out) == []


def test_a_public_key_does_not_sign(tmp_path, key, out):
    spec = making.weights_spec(tmp_path, "a")
    public = Key(key.public, key.public, key.fingerprint)

    attempt(spec, public, out).expect(28, str(key.public))


# The output place


def test_a_bundle_that_is_there_is_not_written_over(tmp_path, key, out):
    spec = making.weights_spec(tmp_path, "a")
    making.build(spec, key, out)
    before = making.listing(out)

    outcome = attempt(spec, key, out)

    outcome.expect(27, str(out / "a-1.0.0"), "exists already", "version")
    assert making.listing(out) == before


@pytest.mark.parametrize("form", [[], ["--tar"]], ids=["directory", "tar"])
def test_a_full_disk_stops_a_build_and_leaves_nothing(tmp_path, key, form):
    files = {"big.gguf": making.noise("big", 12 * MIB)}
    spec = making.weights_spec(tmp_path, "a", files)
    with making.small_disk(tmp_path / "disk", "8m") as disk:
        outcome = attempt(spec, key, disk, *form)

        outcome.expect(27, f"the disk of {disk} is full", "Make room")
        assert left(spec, disk) == []


def test_an_output_place_that_is_a_file_is_refused(tmp_path, key):
    spec = making.weights_spec(tmp_path, "a")
    place = making.write_files(tmp_path, {"out": b""}) / "out"

    attempt(spec, key, place).expect(27, str(place))


def test_a_part_size_that_holds_no_chunk_is_refused(tmp_path, key, out):
    spec = making.weights_spec(tmp_path, "a")

    outcome = attempt(spec, key, out, "--part-size", "1MiB")

    outcome.expect(2, "--part-size", "8 MiB")
    assert left(spec, out) == []


# Sources


def test_safetensors_with_missing_bytes_are_refused(tmp_path, key, out):
    files = making.model_files()
    files["model.safetensors"] = files["model.safetensors"][:-2]
    spec = making.weights_spec(tmp_path, "a", files)

    outcome = attempt(spec, key, out)

    outcome.expect(25, "model.safetensors", "tensors end at byte", "Fetch the file")
    assert left(spec, out) == []


def test_pickles_and_code_are_refused_by_name_and_kind(tmp_path, key, out):
    files = {"w.pt": b"\x80\x02.", "modeling.py": b"", **making.model_files()}
    spec = making.weights_spec(tmp_path, "a", files)

    outcome = attempt(spec, key, out)

    outcome.expect(25, "w.pt", "modeling.py", "allow: [pickle, code]")
    assert left(spec, out) == []


def test_pickles_that_the_spec_allows_are_carried_and_told(tmp_path, key, out):
    folder = making.write_files(tmp_path / "model", {"w.pt": b"\x80\x02."}).name
    models = {"old": {"path": folder, "allow": ["pickle"]}}
    spec = making.a_spec(tmp_path, "a", models=models)

    bundle = making.build(spec, key, out)

    manifest = json.loads((bundle / MANIFEST_NAME).read_bytes())
    assert manifest["models"][0]["accepted"] == ["w.pt"]
    told = sealift("inspect", bundle, "--key", key.public)
    told.expect(0, "accepted: w.pt")


def test_a_dangling_link_in_a_model_is_named(tmp_path, key, out):
    spec = making.weights_spec(tmp_path, "a")
    (tmp_path / "model" / "gone.safetensors").symlink_to("nowhere")

    outcome = attempt(spec, key, out)

    outcome.expect(25, "gone.safetensors", "dangling link")
    assert left(spec, out) == []


def test_names_that_collide_on_other_disks_are_refused(tmp_path, key, out):
    files = {"Config.json": b"{}", "config.json": b"{}"}
    spec = making.weights_spec(tmp_path, "a", files)

    outcome = attempt(spec, key, out)

    outcome.expect(16, "Config.json", "config.json", "one name")
    assert left(spec, out) == []


@pytest.mark.docker
def test_an_image_that_the_engine_lacks_is_named(tmp_path, key, out):
    images = {"web": {"engine": "sealift-test-no-such-image:1"}}
    spec = making.a_spec(tmp_path, "a", images=images)

    outcome = attempt(spec, key, out)

    outcome.expect(21, "sealift-test-no-such-image:1")
    assert left(spec, out) == []


def test_a_locked_build_refuses_a_model_that_changed(tmp_path, key, out):
    spec = making.weights_spec(tmp_path, "a")
    making.build(spec, key, out)
    shutil.rmtree(out)
    making.write_files(tmp_path / "model", {"config.json": b"{}"})

    outcome = attempt(spec, key, out, "--locked")

    outcome.expect(26, "tiny")
    assert left(spec, out) == [".a-1.0.0.partial", ".a-1.0.0.record", LOCK]


def test_a_build_needs_no_engine_for_weights(tmp_path, key, out):
    spec = making.weights_spec(tmp_path, "a")
    nowhere = {"DOCKER_HOST": "unix:///nonexistent/engine.sock"}

    bundle = making.build(spec, key, out, env=nowhere)

    check = ["sha256sum", "-c", "--strict", "--quiet", "SHA256SUMS"]
    assert subprocess.run(check, cwd=bundle).returncode == 0
