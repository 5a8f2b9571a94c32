"""The whole line: built on the connected side, run and audited without network.

The tests of this file use one host in turn; the last one takes the bundle off it.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import making
import pytest
from line_making import HUB_FILES, LOCAL_FILES, SECRET, Line, in_container
from making import Host
from sealift_manifests.bundle import open_bundle
from sealift_manifests.media import Media
from sealift_manifests.trust import Trust

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def running(host: Host) -> Host:
    """The host with its stack started."""
    host.run("start", "--wait", "120").expect(0, "is up", "pulled: healthy")
    return host


# Building


def test_the_secret_of_a_build_is_in_no_byte_of_the_bundle(line):
    needles = [SECRET.encode(), base64.b64encode(SECRET.encode())[:-4]]
    trust = Trust.from_fingerprints([line.key.fingerprint])
    cache = line.spec.parent / "cache"
    kept = [line.spec, *line.spec.parent.glob("*.json"), *line.first.iterdir()]
    kept += [path for path in cache.rglob("*") if path.is_file()]
    data = {str(path): path.read_bytes() for path in kept}
    with Media([str(line.first)]) as media:
        bundle = open_bundle(media, trust, datetime.now(UTC))
        for digest in bundle.index.contents:
            plain = b"".join(bytes(part) for part in bundle.read_content(digest))
            data[digest] = gzip.decompress(plain) if plain[:2] == b"\x1f\x8b" else plain

    found = [where for where, text in data.items() for n in needles if n in text]

    proof = hashlib.sha256(SECRET.encode()).hexdigest().encode()
    assert found == []
    assert any(proof in text for text in data.values()), "the build did use it"


def test_the_manifest_says_where_everything_came_from(line):
    manifest = line.manifest(line.first)

    kinds = {image["name"]: image["source"]["kind"] for image in manifest["images"]}
    sources = {model["name"]: model["source"] for model in manifest["models"]}
    assert kinds == {"pulled": "pull", "built": "build", "found": "engine"}
    assert sources["hub"]["commit"] == line.commit
    assert sources["local"]["kind"] == "path"


def test_coreutils_and_ssh_keygen_settle_the_whole_bundle(line, tmp_path):
    check = ["sha256sum", "-c", "--strict", "--quiet", "SHA256SUMS"]
    signers = tmp_path / "allowed_signers"
    signers.write_text(f"release {line.key.public.read_text()}")
    verify = ["ssh-keygen", "-Y", "verify", "-f", str(signers), "-I", "release"]
    verify += ["-n", "sealift-bundle@v1", "-s", "SHA256SUMS.release.sig"]
    sums = (line.first / "SHA256SUMS").read_bytes()

    assert subprocess.run(check, cwd=line.first).returncode == 0
    assert subprocess.run(verify, cwd=line.first, input=sums).returncode == 0


# Running


def test_the_engine_got_exactly_what_was_signed(line, host, engine):
    found = making.in_engine(engine, line.name)

    references = {image.split()[0] for image in found["images"]}
    images = line.images(line.first).values()
    assert references == {name.removeprefix("docker.io/") for name in images}
    assert found["volumes"] == sorted(
        line.volume(line.first, model) for model in ("hub", "local")
    )


def test_containers_read_the_weights_and_cannot_write_them(line, running, engine):
    snapshot = f"/hub/models--org--hub/snapshots/{line.commit}/model.safetensors"
    hub = in_container(engine, running, line, "pulled", "sha256sum", snapshot)
    notes = "/models/sub/notes.txt"
    local = in_container(engine, running, line, "built", "cat", notes)
    written = in_container(engine, running, line, "built", "touch", "/models/new")
    removed = in_container(engine, running, line, "built", "rm", "-f", notes)

    weights = hashlib.sha256(HUB_FILES["model.safetensors"]).hexdigest()
    assert hub.stdout.decode().split()[0] == weights
    assert local.stdout == LOCAL_FILES["sub/notes.txt"]
    for refusal in (written, removed):
        assert refusal.returncode and b"Read-only file system" in refusal.stderr


def test_each_service_runs_the_image_that_was_signed_for_it(line, running, engine):
    about = in_container(engine, running, line, "pulled", "cat", "/about")
    proof = in_container(engine, running, line, "built", "cat", "/proof")

    assert about.stdout == f"{line.name} pulled".encode()
    assert hashlib.sha256(SECRET.encode()).hexdigest() in proof.stdout.decode()
    running.run("status").expect(0, "pulled: healthy", "built: ", "found: ", "clean")


def test_an_audit_of_what_runs_is_clean(line, running):
    outcome = running.run("audit")

    outcome.expect(0, f"clean: {line.name} 1.0, 5 weight files", "3 images")
    assert "layers read back and hashed" in outcome.out


def test_an_installed_bundle_is_not_installed_again(line, running):
    before = running.listing()

    running.run("install", line.first).expect(0, "installed already: nothing to do")

    assert running.listing() == before


def test_where_the_engine_is_down_that_is_said_at_once_and_status_tells_the_rest(
    running,
):
    down = running.but(engine=making.NO_ENGINE)

    status, start = down.run("status"), down.run("start")
    stop = down.run("stop").expect(40, "no engine")

    status.expect(0, " 1.0 ", "last audit", "services    unknown: no engine")
    start.expect(40, "no engine")
    assert "measuring" not in start.said
    assert "Traceback" not in stop.said


def test_stop_leaves_everything_installed(line, running, engine):
    running.run("stop").expect(0, "is stopped")

    running.run("status").expect(0, "exited")
    running.run("audit").expect(0, "clean")
    assert len(making.in_engine(engine, line.name)["images"]) == 3


# Versions


@pytest.mark.slow
def test_a_newer_bundle_takes_over_and_an_older_one_only_if_it_is_meant(
    line, host, at_rest, engine
):
    host.run("install", line.second).expect(0, "2.0 is installed at")
    host.run("start", "--wait", "120").expect(0, "is up")
    notes = in_container(engine, host, line, "built", "cat", "/models/sub/notes.txt")
    assert notes.stdout == b"of the second release"
    assert {p.name.split("-")[0] for p in releases(host, line)} == {"1.0", "2.0"}
    assert current(host, line).name.startswith("2.0-")

    before = host.listing()
    host.run("install", line.first).expect(17, "(1)", "(2)", "--allow-downgrade")
    assert host.listing() == before

    host.run("install", line.first, "--allow-downgrade", "2.0 is slow").expect(0)
    assert current(host, line).name.startswith("1.0-")
    assert host.ledger()[-1]["downgrade_reason"] == "2.0 is slow"
    host.run("audit").expect(0, f"clean: {line.name} 1.0,")
    host.run("install", line.second).expect(0)
    assert current(host, line).name.startswith("2.0-")


def test_a_downgrade_that_was_allowed_lowers_no_guard(line, host):
    """What the host has had stays the highest; what is in use may be repaired."""
    host.run("install", line.second).expect(0)
    host.run("install", line.first, "--allow-downgrade", "a test").expect(0)

    serial = json.loads((host.state / "serials" / line.name).read_bytes())["serial"]

    assert serial == 2
    host.run("install", line.first, "--repair").expect(0, "nothing to do")


def releases(host: Host, line: Line) -> list[Path]:
    """Return the releases that are installed."""
    return list((host.state / "releases" / line.name).iterdir())


def current(host: Host, line: Line) -> Path:
    """Return the release in use."""
    return (host.state / "current" / line.name).resolve()


# Leaving; the last test of this file


def test_an_uninstall_leaves_only_what_the_host_must_remember(line, host, engine):
    host.run("install", line.second).expect(0)
    # A start that failed leaves a network, and no container.
    project = f"sealift-{line.name}"
    label = f"com.docker.compose.project={project}"
    if project not in engine.text("network", "ls"):
        engine.run("network", "create", "--label", label, f"{project}_default")

    host.run("uninstall", "--yes").expect(0, f"{line.name} is removed")

    nothing: list[str] = []
    found = making.in_engine(engine, line.name)
    assert found == {"images": nothing, "volumes": nothing, "containers": nothing}
    assert f"sealift-{line.name}" not in engine.text("network", "ls")
    kept = {path for path, what in host.listing().items() if what[0] != "d"}
    assert kept == {
        "config/allowed_signers",
        "state/ledger.jsonl",
        "state/lock",
        f"state/serials/{line.name}",
    }
    host.run("install", line.first).expect(17, "(1)", "(2)")
    shutil.rmtree(host.root)
