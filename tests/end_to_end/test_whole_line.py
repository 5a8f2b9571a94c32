"""The whole line: built on the connected side, run and audited without network.

One bundle with a model in a Hub cache, one in a directory, and images of all three
sources is built once, with a second version of it. Registry, Hub and the images in the
engine are gone before the offline host sees it. The tests of this file use that one
host in turn; each leaves it as it found it, with the release whole.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import hosts
import making
import pytest
from engines import busybox_layer, unique
from hubserver import HubServer
from making import PYZ, Host, Key, flip
from registries import make_image, make_layer, running_registry
from sealift_manifests.bundle import open_bundle
from sealift_manifests.digests import Digest
from sealift_manifests.media import Media
from sealift_manifests.names import volume_name
from sealift_manifests.trust import Trust

pytestmark = pytest.mark.docker

BUSYBOX = Path("/bin/busybox")
SECRET = "hf_" + "S3cretOfTheBuild" * 2
WAIT = ["/bin/busybox", "sleep", "3600"]
DOCKERFILE = """\
FROM scratch
COPY busybox /bin/busybox
RUN --mount=type=secret,id=token ["/bin/busybox", "sh", "-c", \
"/bin/busybox sha256sum /run/secrets/token > /proof"]
COPY about /about
CMD ["/bin/busybox", "sleep", "3600"]
"""
HUB_FILES = making.model_files("hub", size=300_000)
LOCAL_FILES = making.model_files("local") | {"sub/notes.txt": b"of the first release"}


@dataclass(frozen=True)
class Line:
    """Two versions of one bundle, the key, and the folder of its spec."""

    name: str
    first: Path
    second: Path
    key: Key
    spec: Path
    commit: str

    def manifest(self, bundle: Path) -> Any:
        """Return the manifest of a bundle."""
        return json.loads((bundle / "manifest.json").read_bytes())

    def images(self, bundle: Path) -> dict[str, str]:
        """Return the references under which a bundle loads its images, by name."""
        images = self.manifest(bundle)["images"]
        return {image["name"]: image["reference"] for image in images}

    def trees(self, bundle: Path, host: Host) -> dict[str, Path]:
        """Return where a bundle's models lie on a host."""
        return {
            model["name"]: host.state
            / "volumes"
            / model["name"]
            / model["tree"].removeprefix("sha256:")
            for model in self.manifest(bundle)["models"]
        }

    def volume(self, bundle: Path, model: str) -> str:
        """Return the name of a model's volume."""
        trees = {m["name"]: m["tree"] for m in self.manifest(bundle)["models"]}
        return volume_name(self.name, model, Digest(trees[model]))


def compose() -> str:
    """Return a stack of three services; each does nothing, and has the weights."""
    # Process 1 hears no request to stop unless it asks for it.
    base: dict[str, Any] = {"stop_grace_period": "1s"}
    check = {"test": ["CMD", *WAIT[:1], "true"], "interval": "1s"}
    pulled = {"image": "pulled", "volumes": ["hub:/hub:ro"], "healthcheck": check}
    built = {"image": "built", "volumes": ["local:/models:ro"]}
    services = {"pulled": pulled, "built": built, "found": {"image": "found"}}
    stack = {service: {**base, **what} for service, what in services.items()}
    return json.dumps({"services": stack})


@pytest.fixture(scope="module")
def line(
    tmp_path_factory: pytest.TempPathFactory, engine: hosts.Engine
) -> Iterator[Line]:
    folder = tmp_path_factory.mktemp("line")
    name = unique("line")
    key = making.a_key(folder / "release")
    try:
        with (
            running_registry(making.write_files(folder / "registry", {})) as registry,
            HubServer({"org/hub": HUB_FILES}) as hub,
        ):
            busybox = make_layer({"bin/busybox": BUSYBOX.read_bytes()})
            layers = [busybox, make_layer({"about": f"{name} pulled".encode()})]
            registry.push_image(f"{name}:1", make_image(layers, config={"Cmd": WAIT}))
            _import(engine, f"{name}/found:1", folder)
            spec = _spec(folder, name, registry.host, hub.commit_of("org/hub"))
            env = {"HF_ENDPOINT": hub.endpoint}
            insecure = ("--insecure-registry", registry.host)
            first = making.build(spec, key, folder / "out", *insecure, env=env)
            _change_to_second(spec)
            second = making.build(spec, key, folder / "out", *insecure, env=env)
            commit = hub.commit_of("org/hub")
        # From here on nothing can be pulled, fetched or found in the engine.
        making.clear_engine(engine, name)
        yield Line(name, first, second, key, spec, commit)
    finally:
        making.clear_engine(engine, name)


def _import(engine: hosts.Engine, reference: str, folder: Path) -> None:
    layer = folder / "layer.tar"
    layer.write_bytes(busybox_layer())
    engine.run("import", "-c", f"CMD {json.dumps(WAIT)}", str(layer), reference)


def _spec(folder: Path, name: str, registry: str, commit: str) -> Path:
    making.write_files(folder / "model", LOCAL_FILES)
    making.write_files(
        folder,
        {
            "compose.yaml": compose(),
            "token": SECRET,
            "context/Dockerfile": DOCKERFILE,
            "context/about": f"{name} built",
            "context/busybox": BUSYBOX.read_bytes(),
        },
    )
    (folder / "context" / "busybox").chmod(0o755)
    built = {"context": "context", "secrets": {"token": "token"}}
    return making.a_spec(
        folder,
        name,
        version="1.0",
        serial=1,
        models={
            "hub": {
                "huggingface": "org/hub",
                "revision": "main",
                "layout": "hf-cache",
            },
            "local": {"path": "model"},
        },
        images={
            "pulled": {"pull": f"{registry}/{name}:1"},
            "built": {"build": built, "tag": f"{name}/built:1"},
            "found": {"engine": f"{name}/found:1"},
        },
        stack="compose.yaml",
    )


def _change_to_second(spec: Path) -> None:
    making.changed_json(spec, lambda s: s.update(version="2.0", serial=2))
    notes = {"sub/notes.txt": b"of the second release"}
    making.write_files(spec.parent / "model", notes)


@pytest.fixture(scope="module")
def host(
    line: Line, no_network: hosts.NoNetwork, tmp_path_factory: pytest.TempPathFactory
) -> Host:
    """The offline host, without a network, with the first version installed."""
    root = tmp_path_factory.mktemp("host")
    host = Host(root, line.first / PYZ, network=no_network)
    host.run("install", line.first, "--key", line.key.public).expect(0)
    return host


@pytest.fixture(scope="module")
def running(host: Host) -> Host:
    """The host with its stack started."""
    host.run("start", "--wait", "120").expect(0, "is up", "pulled: healthy")
    return host


@pytest.fixture
def whole(host: Host, line: Line) -> Iterator[Host]:
    """The host, which a test may damage; repaired even where the test failed."""
    yield host
    if host.run("audit").code:
        with suppress(subprocess.CalledProcessError):
            host.run("install", line.first, "--repair")


def in_container(
    engine: hosts.Engine, host: Host, line: Line, service: str, *command: str
) -> subprocess.CompletedProcess[bytes]:
    """Run busybox in the container of a service, from where there is no network."""
    label = "label=com.docker.compose"
    project = f"{label}.project=sealift-{line.name}"
    found = ["ps", "-q", "--filter", project, "--filter", f"{label}.service={service}"]
    container = engine.text(*found)
    assert host.network is not None
    words = [engine.client, "exec", container, "/bin/busybox", *command]
    return host.network.run(words)


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


# Drift


Change = Callable[[Host, Line, hosts.Engine], str]
"""Damages a host, and returns what the audit must name."""


def _changed_weights(host: Host, line: Line, engine: hosts.Engine) -> str:
    path = line.trees(line.first, host)["local"] / "model.safetensors"
    flip(path)
    return f"changed: model local: {path}"


def _changed_hub_weights(host: Host, line: Line, engine: hosts.Engine) -> str:
    folder = line.trees(line.first, host)["hub"] / "models--org--hub"
    blob = (folder / f"snapshots/{line.commit}/model.safetensors").resolve()
    flip(blob)
    return f"changed: model hub: {blob}"


def _missing_file(host: Host, line: Line, engine: hosts.Engine) -> str:
    path = line.trees(line.first, host)["local"] / "sub" / "notes.txt"
    path.unlink()
    return f"missing: model local: {path}"


def _extra_file(host: Host, line: Line, engine: hosts.Engine) -> str:
    path = line.trees(line.first, host)["local"] / "sub" / "modeling.py"
    path.write_text("import os")
    return f"extra: model local: {path}"


def _link_instead(host: Host, line: Line, engine: hosts.Engine) -> str:
    path = line.trees(line.first, host)["local"] / "config.json"
    kept = path.with_name("kept.json")
    path.rename(kept)
    path.symlink_to(kept.name)
    return f"changed: model local: {path}"


def _moved_reference(host: Host, line: Line, engine: hosts.Engine) -> str:
    folder = line.trees(line.first, host)["hub"] / "models--org--hub"
    (folder / "refs" / "main").chmod(0o644)
    (folder / "refs" / "main").write_text("0" * 40)
    return f"changed: model hub: {folder / 'refs' / 'main'}"


def _changed_stack(host: Host, line: Line, engine: hosts.Engine) -> str:
    (path,) = (host.state / "releases").rglob("stack/compose.yaml")
    path.chmod(0o644)
    path.write_text(path.read_text().replace("read_only: true", "read_only: false"))
    return f"changed: stack: {path}"


def _missing_image(host: Host, line: Line, engine: hosts.Engine) -> str:
    reference = line.images(line.first)["found"]
    engine.run("rmi", reference)
    return f"missing: image found: the engine has no image {reference}"


def _missing_volume(host: Host, line: Line, engine: hosts.Engine) -> str:
    name = line.volume(line.first, "local")
    engine.run("volume", "rm", name)
    return f"missing: volume of model local: the engine has no volume {name}"


@pytest.fixture(scope="module")
def at_rest(host: Host, line: Line, engine: hosts.Engine) -> Host:
    """The host without containers, which would hold images and volumes."""
    ids = engine.text("ps", "-aq", "--filter", f"name={line.name}").split()
    if ids:
        engine.run("rm", "-f", *ids)
    return host


@pytest.mark.parametrize(
    "change",
    [
        _changed_weights,
        _changed_hub_weights,
        _missing_file,
        _extra_file,
        _link_instead,
        _moved_reference,
        _changed_stack,
        _missing_image,
        _missing_volume,
    ],
    ids=lambda change: change.__name__.strip("_"),
)
def test_a_change_is_named_by_the_audit_and_taken_back_by_a_repair(
    change: Change, whole, at_rest, line, engine
):
    before = whole.listing()
    named = change(whole, line, engine)

    whole.run("audit").expect(50, named, "install --repair")
    whole.run("start").expect(50, named)
    last = whole.ledger()[-1]
    assert (last["event"], last["clean"]) == ("audit", False)
    whole.run("install", line.first, "--repair").expect(0, "is installed at")

    whole.run("audit").expect(0, "clean")
    after = whole.listing()
    varying = {"state/ledger.jsonl"} | {p for p in before if "release.json" in p}
    assert after.keys() == before.keys()
    assert {p for p in before if after[p] != before[p]} <= varying


def test_a_change_of_the_signed_files_themselves_is_found(whole, at_rest, line):
    (path,) = (whole.state / "releases").rglob("manifest.json")
    flip(path)

    whole.run("audit").expect(50, "manifest.json", "install the bundle again")

    flip(path)
    whole.run("audit").expect(0, "clean")


def test_an_image_name_that_was_given_to_another_image_is_found(
    whole, at_rest, line, engine
):
    images = line.images(line.first)
    engine.run("rmi", images["found"])
    engine.run("tag", images["built"], images["found"])

    audit = whole.run("audit")
    audit.expect(50, f"changed: image found: {images['found']} is another image")
    # A name is never taken from an image: the operator is told how to free it.
    repair = whole.run("install", line.first, "--repair")
    repair.expect(41, images["found"], f"docker rmi {images['found']}")

    engine.run("rmi", images["found"])
    whole.run("install", line.first, "--repair").expect(0, "1 images loaded")
    whole.run("audit").expect(0, "clean")


def test_a_volume_that_was_pointed_elsewhere_is_found(
    whole, at_rest, line, engine, tmp_path
):
    name = line.volume(line.first, "local")
    engine.run("volume", "rm", name)
    options = ("type=none", "o=bind,ro", f"device={tmp_path}")
    engine.run("volume", "create", *(x for o in options for x in ("-o", o)), name)

    whole.run("audit").expect(50, "changed: volume of model local", str(tmp_path))
    repair = whole.run("install", line.first, "--repair")
    repair.expect(42, name, f"docker volume rm {name}")

    engine.run("volume", "rm", name)
    whole.run("install", line.first, "--repair").expect(0, "is installed at")
    whole.run("audit").expect(0, "clean")


def test_a_volume_that_became_writable_is_found(whole, at_rest, line, engine):
    name = line.volume(line.first, "local")
    tree = line.trees(line.first, whole)["local"]
    engine.run("volume", "rm", name)
    options = ("type=none", "o=bind", f"device={tree}")
    engine.run("volume", "create", *(x for o in options for x in ("-o", o)), name)

    whole.run("audit").expect(50, "changed: volume of model local", "not read-only")

    engine.run("volume", "rm", name)
    whole.run("install", line.first).expect(0)


@pytest.fixture
def layer_file(host: Host, line: Line, engine: hosts.Engine) -> Iterator[Path]:
    """A file of the top layer of an image, where the engine keeps it."""
    reference = line.images(line.first)["pulled"]
    driver = engine.text("image", "inspect", "-f", "{{.GraphDriver.Name}}", reference)
    if driver != "overlay2":
        pytest.skip(f"the engine keeps its layers by {driver}")
    place = "{{.GraphDriver.Data.UpperDir}}"
    path = Path(engine.text("image", "inspect", "-f", place, reference), "about")
    before = path.read_bytes()
    yield path
    if path.exists():
        path.write_bytes(before)


def test_a_layer_that_was_changed_in_the_engine_is_found(whole, at_rest, layer_file):
    flip(layer_file)

    found = whole.run("audit")
    shallow = whole.run("audit", "--no-layers")
    flip(layer_file)

    found.expect(50, "changed: image pulled", "pulled")
    shallow.expect(0, "identity checked")
    whole.run("audit").expect(0, "clean")


def test_a_layer_that_was_changed_is_loaded_anew_by_a_repair(
    whole, at_rest, line, layer_file
):
    flip(layer_file)

    whole.run("install", line.first, "--repair").expect(0, "1 images loaded")

    whole.run("audit").expect(0, "clean")


def test_a_repair_says_so_when_the_engine_keeps_a_changed_layer(
    whole, at_rest, line, layer_file, engine
):
    other = f"{line.name}/other:1"
    engine.run("tag", line.images(line.first)["pulled"], other)
    flip(layer_file)

    outcome = whole.run("install", line.first, "--repair")

    outcome.expect(41, "kept damaged layers of image pulled", "docker images")
    engine.run("rmi", other)
    whole.run("install", line.first, "--repair").expect(0, "1 images loaded")
    whole.run("audit").expect(0, "clean")


def test_a_run_that_was_cut_off_right_before_its_end_is_finished(whole, line):
    serial = whole.state / "serials" / line.name
    signers = whole.config / "allowed_signers"
    before = serial.read_bytes(), signers.read_bytes()
    serial.unlink()
    signers.unlink()

    whole.run("install", line.first, "--key", line.key.public).expect(0)

    assert (serial.read_bytes(), signers.read_bytes()) == before


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
