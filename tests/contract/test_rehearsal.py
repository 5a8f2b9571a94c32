"""A bundle is rehearsed on a real engine: nothing gets out, and who tries is told."""

from __future__ import annotations

import hashlib
import json
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hosts
import making
import pytest
from engines import busybox_layer, unique
from making import Key
from sealift_bundler.rehearsal.wall import walled_in
from sealift_manifests.errors import BusyError

OUTSIDE = "203.0.113.9"
"""An address for documentation: nobody is there, should the wall have a hole."""

pytestmark = pytest.mark.skipif(not hosts.is_root(), reason="walls are built by root")


@pytest.fixture
def spec(engine: hosts.Engine, tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Return what writes the spec of one service that runs this shell script."""
    name = unique("reh")

    def written(script: str, more: Any = None, **service: object) -> Path:
        """Return a spec; its image is in the engine until it is built."""
        layer = tmp_path / "layer.tar"
        layer.write_bytes(busybox_layer())
        engine.run("import", str(layer), f"{name}/s:1")
        command = ["/bin/busybox", "sh", "-c", script]
        held = {"image": "s", "command": command, "stop_grace_period": "0s", **service}
        stack = {"services": {"server": held}}
        making.write_files(tmp_path, {"compose.yaml": json.dumps(stack)})
        images = {"s": {"engine": f"{name}/s:1"}}
        return making.a_spec(
            tmp_path, name, images=images, stack="compose.yaml", **(more or {})
        )

    try:
        yield written
    finally:
        making.clear_engine(engine, name)


@pytest.fixture
def bundle(spec, engine: hosts.Engine, key: Key, tmp_path: Path) -> Callable[..., Path]:
    """Return what builds a bundle of one service that runs this shell script."""

    def built(script: str, more: Any = None, **service: object) -> Path:
        path = making.build(spec(script, more, **service), key, tmp_path / "out")
        engine.run("rmi", f"{path.name.rpartition('-')[0]}/s:1")
        return path

    return built


def rehearse(bundle: Path, key: Key, *options: str) -> making.Outcome:
    return making.sealift(
        *("rehearse", bundle, "--key", key.public, "--watch", "4", "--wait", "60"),
        *options,
    )


def rules() -> str:
    done = subprocess.run(
        ["iptables", "-S", "DOCKER-USER"], capture_output=True, text=True, check=True
    )
    return done.stdout


QUIET = "exec /bin/busybox sleep 600"
SERVING = (
    "/bin/busybox mkdir /www; echo Rome >/www/health; "
    "exec /bin/busybox httpd -f -p 8080 -h /www"
)
ASKED = {"name": "up", "service": "server", "port": 8080, "path": "/health"}
CURIOUS = f"""\
/bin/busybox nc -w 20 {OUTSIDE} 8443 &
/bin/busybox nslookup models.example &
{QUIET}
"""


def test_a_stack_that_keeps_to_itself_passes_and_leaves_nothing(bundle, key, engine):
    path, before = bundle(SERVING, {"smoke": [ASKED]}), rules()

    done = rehearse(path, key, "--strict")

    done.expect(0, "nobody tried to reach outside", "server: running")
    done.expect(0, "smoke up: good, first byte after")
    name = path.name.rpartition("-")[0]
    assert not any(making.in_engine(engine, name).values())
    assert rules() == before


def test_data_is_rehearsed_with_a_copy_that_goes_again(bundle, key, engine, tmp_path):
    making.write_files(tmp_path / "data", {"seed": "x"})
    script = f"/bin/busybox test -f /data/seed && /bin/busybox touch /data/new; {QUIET}"
    data = {"volumes": {"store": {"path": str(tmp_path / "data")}}}
    path = bundle(script, data, volumes=["store:/data"])

    rehearse(path, key, "--strict").expect(0, "server: running")

    name = path.name.rpartition("-")[0]
    assert not any(making.in_engine(engine, name).values())
    # Where the bundle is installed its data is real: it is not rehearsed on.
    engine.run("volume", "create", f"sealift-data.{name}.store")
    rehearse(path, key).expect(44, f"volume sealift-data.{name}.store")


def test_a_rehearsal_plays_a_site_with_its_settings_and_made_up_secrets(bundle, key):
    site = {
        "settings": {"WORD": {"type": "text"}, "N": {"type": "integer", "default": 1}},
        "secrets": {"made": {"generate": 16}, "brought": None},
    }
    look = "/bin/busybox cat /run/secrets/made /run/secrets/brought"
    path = bundle(
        f'[ "$$WORD$$N" = yes1 ] && {look} && {QUIET}',
        site,
        environment={"WORD": "${WORD}", "N": "${N}"},
        secrets=["made", "brought"],
    )

    rehearse(path, key).expect(48, "WORD: must be set")
    rehearse(path, key, "--set", "WORD=yes").expect(0, "server: running")


def test_who_tries_to_get_out_is_told_with_what_and_when(bundle, key):
    path = bundle(CURIOUS)

    told = rehearse(path, key, "--json").expect(0)
    strict = rehearse(path, key, "--strict")

    attempts = {(each["service"], each["target"]) for each in told.facts["attempts"]}
    assert ("server", OUTSIDE) in attempts
    assert ("server", "models.example") in attempts
    strict.expect(49, f"server tried {OUTSIDE} tcp/8443", "asked for models.example")


@pytest.fixture
def outside() -> Iterator[Path]:
    """Put somebody at OUTSIDE who notes in a file whenever he is called.

    He lives in a network namespace that this machine has a route to.
    """
    name = unique("out")[-12:]
    inner = ["ip", "netns", "exec", name]
    try:
        for command in (
            f"ip netns add {name}",
            f"ip link add {name} type veth peer name eth0 netns {name}",
            f"ip addr add 203.0.113.10/30 dev {name}",
            f"ip link set {name} up",
            f"ip netns exec {name} ip addr add {OUTSIDE}/30 dev eth0",
            f"ip netns exec {name} ip link set eth0 up",
            f"ip netns exec {name} ip route add default via 203.0.113.10",
        ):
            subprocess.run(command.split(), check=True)
        with tempfile.TemporaryDirectory() as folder:
            notes = Path(folder) / "calls"
            script = f"echo called >> {notes}"
            words = ["nc", "-ll", "-p", "80", "-e", "/bin/busybox", "sh", "-c", script]
            listener = subprocess.Popen([*inner, "/bin/busybox", *words])
            yield notes
            listener.kill()
            listener.wait()
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=False)


def test_nothing_gets_out_while_it_is_rehearsed(bundle, key, engine, outside):
    call = f"/bin/busybox nc -w 3 {OUTSIDE} 80"
    path = bundle(f"{call}; {call}; {QUIET}")

    told = rehearse(path, key, "--json").expect(0)
    was_called = outside.exists()
    engine.run("import", str(path.parent.parent / "layer.tar"), f"{path.name}/x:1")
    engine.run("network", "create", path.name)
    free = ["run", "--rm", "--network", path.name, f"{path.name}/x:1"]
    engine.run(*free, *call.split(), check=False)

    assert [each["target"] for each in told.facts["attempts"]] == [OUTSIDE]
    assert not was_called
    assert outside.exists(), "without a wall he is called, so the test can fail"


def test_a_wrong_answer_fails_a_rehearsal_as_it_would_a_start(bundle, key, engine):
    path = bundle(SERVING, {"smoke": [{**ASKED, "expect": {"contains": "Paris"}}]})

    failed = rehearse(path, key)

    failed.expect(48, "`start` fails as it would on the host", "expected 'Paris'")
    name = path.name.rpartition("-")[0]
    assert not any(making.in_engine(engine, name).values())


def test_a_stack_that_does_not_start_is_told_and_taken_down(bundle, key, engine):
    check = {"test": ["CMD", "/bin/busybox", "false"], "interval": "1s", "retries": 1}
    path, before = bundle(QUIET, healthcheck=check), rules()

    failed = rehearse(path, key)

    failed.expect(48, "`start` fails as it would on the host")
    name = path.name.rpartition("-")[0]
    assert not any(making.in_engine(engine, name).values())
    assert rules() == before


def test_a_service_that_ends_once_it_was_up_is_not_counted_as_up(bundle, key, engine):
    script = """
    /bin/busybox mkdir -p /www/cgi-bin
    /bin/busybox printf '#!/bin/busybox sh\\necho; echo Rome; >/asked' >/www/cgi-bin/ask
    /bin/busybox chmod 755 /www/cgi-bin/ask
    /bin/busybox httpd -p 8080 -h /www
    until [ -e /asked ]; do /bin/busybox sleep 0.2; done
    /bin/busybox sleep 1; exit 3
    """
    path = bundle(script, {"smoke": [{**ASKED, "path": "/cgi-bin/ask"}]})

    rehearse(path, key).expect(48, "all was up, and then was not", "server: it has end")

    name = path.name.rpartition("-")[0]
    assert not any(making.in_engine(engine, name).values())


def test_a_second_rehearsal_does_not_open_the_wall_of_the_first():
    with walled_in():
        before = rules()
        with pytest.raises(BusyError), walled_in():
            pass
        during = rules()
    after = rules()

    assert during == before != after
    # The lock goes with the wall.
    with walled_in():
        assert rules() == before
    assert rules() == after


def test_what_this_engine_has_already_is_not_put_at_risk(bundle, key, engine, tmp_path):
    path = bundle(QUIET)
    host = making.Host(tmp_path / "host", path / making.PYZ)
    host.run("install", path, "--key", key.public).expect(0)
    before = making.in_engine(engine, path.name.rpartition("-")[0])

    rehearse(path, key).expect(44, "this engine has", "image ")

    assert making.in_engine(engine, path.name.rpartition("-")[0]) == before


def test_a_service_of_the_hosts_network_is_refused(bundle, key):
    path = bundle(QUIET, network_mode="host")

    rehearse(path, key).expect(24, "server uses the host's network")


def test_a_bundle_without_a_stack_has_nothing_to_rehearse(key, tmp_path):
    spec = making.weights_spec(tmp_path, "plain")
    path = making.build(spec, key, tmp_path / "out")

    rehearse(path, key).expect(24, "has no stack")


def build(spec: Path, key: Key, out: Path, *options: str) -> making.Outcome:
    return making.sealift(
        *("build", spec, "--sign-key", key.private, "-o", out, "--rehearse"),
        *("--watch", "3", "--wait", "60", *options),
    )


@pytest.mark.parametrize("form", [[], ["--tar"]], ids=["directory", "tar"])
def test_a_build_signs_what_its_rehearsal_has_shown(spec, key, engine, tmp_path, form):
    path, out = spec(CURIOUS), tmp_path / "out"

    build(path, key, out, *form).expect(0, "rehearsed", "server tried to reach outside")

    (bundle,) = [each for each in out.iterdir() if not each.name.startswith(".")]
    shown = making.sealift("inspect", bundle, "--key", key.public, "--json").expect(0)
    evidence = shown.facts["rehearsal"]
    assert evidence["services"] == [{"name": "server", "state": "running"}]
    assert OUTSIDE in [each["target"] for each in evidence["attempts"]]
    making.sealift("verify", bundle, "--key", key.public).expect(0)
    told = making.sealift("inspect", bundle, "--key", key.public).expect(0)
    assert f"server tried {OUTSIDE} tcp/8443" in told.said
    assert list(tmp_path.glob("out/.*")) == []


def test_a_build_that_must_keep_to_itself_is_not_signed(spec, key, engine, tmp_path):
    path, out = spec(CURIOUS), tmp_path / "out"

    build(path, key, out, "--strict").expect(49, "to reach outside")

    assert [each.name for each in out.iterdir() if not each.name.startswith(".")] == []
    making.sealift("build", path, "--sign-key", key.private, "-o", out).expect(
        0, "continuing"
    )


def test_the_evidence_speaks_of_the_manifest_it_lies_beside(spec, key, tmp_path):
    path, out = spec(SERVING, {"smoke": [ASKED]}), tmp_path / "out"

    told = build(path, key, out, "--strict")

    told.expect(0, "1 smoke test good; nobody tried to reach outside")

    (bundle,) = [each for each in out.iterdir() if not each.name.startswith(".")]
    evidence = json.loads((bundle / "rehearsal.json").read_text())
    manifest = hashlib.sha256((bundle / "manifest.json").read_bytes()).hexdigest()
    assert evidence["manifest"] == f"sha256:{manifest}"
    assert [each["name"] for each in evidence["answers"]] == ["up"]
    assert "rehearsal.json" in (bundle / "SHA256SUMS").read_text()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--strict"], "there is none"),
        (["--rehearse", "--base", "receipt.json"], "a delta cannot be rehearsed"),
    ],
)
def test_options_of_a_rehearsal_that_make_no_sense_are_told(
    key, tmp_path, options, told
):
    spec = making.weights_spec(tmp_path, "plain")
    words = ["build", spec, "--sign-key", key.private, "-o", tmp_path / "out"]

    making.sealift(*words, *options).expect(2, told)


def test_a_spec_without_a_stack_is_told_before_anything_is_built(key, tmp_path):
    spec = making.weights_spec(tmp_path, "plain")

    build(spec, key, tmp_path / "out").expect(24, "has no stack")

    assert not (tmp_path / "out").exists()
