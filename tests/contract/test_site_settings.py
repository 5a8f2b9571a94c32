"""What a site decides, on a real engine: settings in force, secrets in place."""

from __future__ import annotations

import json
import os
import socket
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hosts
import making
import pytest
import strangers_reader
from engines import SHELL, busybox_layer, unique
from making import PYZ, Host, Key, Outcome
from sealift_installer.compose import Compose
from sealift_installer.engine import Engine
from terminals import Terminal

SETTINGS: dict[str, Any] = {
    "PORT": {"type": "port", "help": "the port of the page"},
    "CONTEXT": {"type": "integer", "default": 4096, "min": 512},
}
SECRETS: dict[str, Any] = {"api-key": {"generate": 24}, "token": None}
SERVE = (
    f"{SHELL} cat /run/secrets/api-key /run/secrets/token > /www/seen.txt; "
    f"{SHELL} env > /www/index.html; exec {SHELL} httpd -f -p 8000 -h /www"
)

FELL_BACK = 47


@dataclass(frozen=True)
class Bundles:
    """Versions of a bundle: the second has one more setting, the third ends at once.

    Only those two take a CONTEXT above 32768.
    """

    name: str
    first: Path
    second: Path
    third: Path
    key: Key


@pytest.fixture(scope="module")
def bundles(
    engine: hosts.Engine, key: Key, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bundles]:
    name, folder = unique("site"), tmp_path_factory.mktemp("site")
    try:
        (folder / "layer.tar").write_bytes(busybox_layer())
        engine.run("import", str(folder / "layer.tar"), f"{name}/web:1")
        more = {**SETTINGS, "MOTTO": {"type": "text", "default": "to be it's own"}}
        narrow = {**SETTINGS, "CONTEXT": {**SETTINGS["CONTEXT"], "max": 32768}}
        first = a_bundle(folder / "1", name, key, narrow)
        second = a_bundle(folder / "2", name, key, more, {"MOTTO": "${MOTTO}"})
        third = a_bundle(folder / "3", name, key, SETTINGS, serve="exit 3")
        making.clear_engine(engine, name)
        yield Bundles(name, first, second, third, key)
    finally:
        making.clear_engine(engine, name)


def a_bundle(
    folder: Path,
    name: str,
    key: Key,
    settings: Any,
    more: Any = None,
    *,
    serve: str = SERVE,
) -> Path:
    web = {
        "image": "web",
        "user": "1000:1000",
        "command": [SHELL, "sh", "-c", serve],
        "environment": {"CONTEXT": "${CONTEXT}", **(more or {})},
        "ports": ["127.0.0.1:${PORT}:8000"],
        "secrets": ["api-key", "token"],
        "tmpfs": ["/www:mode=1777"],
        "healthcheck": {"test": ["CMD", SHELL, "true"], "interval": "1s"},
        "stop_grace_period": "0s",
    }
    files = {"compose.yaml": json.dumps({"services": {"web": web}})}
    making.write_files(folder, files)
    spec = making.a_spec(
        folder,
        name,
        version=folder.name,
        serial=int(folder.name),
        images={"web": {"engine": f"{name}/web:1"}},
        stack="compose.yaml",
        settings=settings,
        secrets=SECRETS,
    )
    return making.build(spec, key, folder / "out")


@pytest.fixture
def host(tmp_path: Path, bundles: Bundles, engine: hosts.Engine) -> Iterator[Host]:
    yield Host(tmp_path / "host", bundles.first / PYZ)
    making.clear_engine(engine, bundles.name)


@pytest.fixture
def token(tmp_path: Path) -> Path:
    path = tmp_path / "token.txt"
    path.write_text("brought-by-a-person\n")
    return path


def install(host: Host, bundles: Bundles, bundle: Path, *words: str) -> Outcome:
    return host.run("install", bundle, "--key", bundles.key.public, *words).expect(0)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def page(port: int, name: str = "") -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/{name}", timeout=10) as said:
        return str(said.read().decode())


def container(engine: hosts.Engine, bundles: Bundles) -> str:
    return engine.text("ps", "-q", "--filter", f"name=sealift-{bundles.name}")


def test_a_site_decides_keeps_it_over_an_upgrade_and_is_told_what_is_new(
    host, bundles, engine, token
):
    port, other = free_port(), free_port()
    told = install(host, bundles, bundles.first)
    told.expect(0, "before the start: PORT: must be set", "token: this secret is not")
    # Nothing is started, and all that is open is said.
    host.run("start").expect(32, "PORT: must be set", "token", "--set NAME=VALUE")
    assert container(engine, bundles) == ""
    host.run("settings", "--secret", f"token={token}").expect(0, "token: is there")

    started = host.run("start", "--wait", "60", "--set", f"PORT={port}").expect(0)

    assert "CONTEXT=4096" in page(port)
    folder = host.config / "secrets" / bundles.name
    key = (folder / "api-key").read_text()
    assert len(key) == 24
    assert page(port, "seen.txt") == f"{key}brought-by-a-person"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "api-key").stat().st_mode & 0o777 == 0o444

    upgraded = install(host, bundles, bundles.second)
    upgraded.expect(0, "new setting MOTTO (to be it's own)")
    assert "MOTTO" not in page(port)
    host.run("start", "--wait", "60", "--set", f"PORT={other}").expect(0)

    assert "MOTTO=to be it's own" in page(other)
    assert page(other, "seen.txt") == f"{key}brought-by-a-person"
    status = host.run("status", "--json").expect(0).facts["bundles"][0]
    assert status["served_with"]["MOTTO"] == "to be it's own"

    ledger = (host.state / "ledger.jsonl").read_text()
    for said in (ledger, started.said, json.dumps(status), told.said):
        assert key not in said
        assert "brought-by-a-person" not in said


def test_the_values_served_with_are_told_and_a_rollback_has_the_same_file(
    host, bundles, token
):
    port = free_port()
    install(host, bundles, bundles.first)
    install(host, bundles, bundles.second, "--set", f"PORT={port}")
    host.run("settings", "--secret", f"token={token}").expect(0)
    host.run("start", "--wait", "60").expect(0)
    status = host.run("status", "--json").expect(0).facts["bundles"][0]
    assert status["served_with"] == {
        "CONTEXT": "4096",
        "MOTTO": "to be it's own",
        "PORT": str(port),
    }
    host.run("settings", "--set", "CONTEXT=512").expect(0, "CONTEXT = 512", "NEW")
    host.run("status").expect(0, "changed     CONTEXT = 512, once `start` applies it")

    # Back, with the same file: the new setting means nothing to the old release.
    host.run("settings", "--set", "MOTTO=x").expect(0)
    file = host.config / "sites" / f"{bundles.name}.yaml"
    file.chmod(0o640)
    back = host.run("rollback", "--start", "--wait", "60").expect(0, "is up")
    back.expect(0, "in the site file, MOTTO: is no setting")
    assert "CONTEXT=512" in page(port)
    host.run("settings", "--unset", "PORT").expect(0, "unknown   MOTTO: is no setting")
    assert file.stat().st_mode & 0o777 == 0o640


def test_a_setting_made_for_a_new_release_does_not_keep_the_one_before_from_serving(
    host, bundles, engine, token
):
    port = free_port()
    install(host, bundles, bundles.first, "--set", f"PORT={port}")
    host.run("settings", "--secret", f"token={token}").expect(0)
    host.run("start", "--wait", "60", "--set", "CONTEXT=512").expect(0)
    install(host, bundles, bundles.third)

    failed = host.run("start", "--wait", "60", "--set", "CONTEXT=131072")

    told = f"{bundles.name} 1, which served before, is in use again and serves, with"
    failed.expect(FELL_BACK, told, "its own last settings", "CONTEXT: line 2: must be")
    failed.expect(FELL_BACK, "The next `start` takes the site file again")
    assert "CONTEXT=512" in page(port)
    noted = host.ledger()[-1]
    assert (noted["event"], noted["version"]) == ("fallback", "1")
    assert noted["settings"] == {"CONTEXT": "512", "PORT": str(port)}
    assert noted["site_unsuited"][0].startswith("CONTEXT: line 2: must be")
    host.run("status").expect(0, "CONTEXT = 512", "to be set   CONTEXT: line 2")

    # Where nothing is known that suits it, the release in use stays in use.
    install(host, bundles, bundles.third)
    ledger = host.state / "ledger.jsonl"
    ledger.write_text(ledger.read_text().replace('"settings"', '"forgotten"'))
    failed = host.run("start", "--wait", "60")
    failed.expect(43, "could not be brought back", "CONTEXT: line 2")
    status = host.run("status", "--json").expect(0).facts["bundles"][0]
    assert status["version"] == "3"


def test_a_site_file_that_is_changed_during_a_start_changes_nothing_of_it(
    host, bundles, engine, token, tmp_path
):
    port = free_port()
    install(host, bundles, bundles.first, "--set", f"PORT={port}")
    host.run("settings", "--secret", f"token={token}").expect(0)
    file = host.config / "sites" / f"{bundles.name}.yaml"
    real = Compose.find(Engine(str(engine.socket))).command
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "docker").write_text(
        "#!/bin/sh\nshift\n"
        f'case " $* " in *" up --detach "*) echo "- PORT" > "{file}";; esac\n'
        f'exec {" ".join(real)} "$@"\n'
    )
    (folder / "docker").chmod(0o755)
    words = [host.python, "-I", "-B", host.pyz, "start", "--wait", "60"]
    places = ["--state-dir", host.state, "--config-dir", host.config]

    started = making.run(
        [*words, *places], env={"PATH": f"{folder}:{os.environ['PATH']}"}
    )

    started.expect(0, "is up")
    assert file.read_text() == "- PORT\n"
    assert host.ledger()[-1]["settings"] == {"CONTEXT": "4096", "PORT": str(port)}
    assert "CONTEXT=4096" in page(port)


def test_a_new_secret_makes_the_containers_anew_and_a_stop_needs_no_settings(
    host, bundles, engine, token
):
    words = ("--set", f"PORT={free_port()}")
    install(host, bundles, bundles.first, *words)
    host.run("settings", "--secret", f"token={token}").expect(0)
    host.run("start", "--wait", "60").expect(0)
    before = container(engine, bundles)
    host.run("start", "--wait", "60").expect(0)
    assert container(engine, bundles) == before

    host.run("settings", "--generate", "api-key").expect(0, "`start` applies changes")
    host.run("start", "--wait", "60").expect(0)

    assert container(engine, bundles) not in ("", before)
    (host.config / "sites" / f"{bundles.name}.yaml").write_text("PORT: [1]\n")
    host.run("stop").expect(0)
    assert container(engine, bundles) == ""
    host.run("start").expect(32, ".yaml cannot be read", "line 1: the value")
    host.run("uninstall", "--yes").expect(0, "kept: ", "--settings removes it")
    assert (host.config / "secrets" / bundles.name / "token").is_file()
    host.run("uninstall", bundles.name, "--yes", "--settings").expect(0, "removed: ")
    assert not (host.config / "secrets" / bundles.name).exists()
    assert not (host.config / "sites" / f"{bundles.name}.yaml").exists()


def test_settings_are_shown_set_and_judged_before_anything_runs(host, bundles):
    install(host, bundles, bundles.first)
    file = host.config / "sites" / f"{bundles.name}.yaml"
    wrong = ("--set", "PORT=http", "--set", "CONTEX=1", "--set", "CONTEXT=1")

    refused = host.run("settings", *wrong)

    refused.expect(32, "PORT: must be a port", "did you mean CONTEXT?", "from 512")
    assert not file.exists()

    template = host.run("settings", "--template").expect(0).out
    file.parent.mkdir()
    file.write_text(template.replace("#PORT: ", "PORT: 1  # for now"))
    host.run("settings", "--set", "CONTEXT=600").expect(0)
    host.run("settings", "--set", "PORT=2", "--unset", "CONTEXT").expect(0, "PORT = 2")
    assert "PORT: 2  # for now\n" in file.read_text()
    assert "\nCONTEXT:" not in file.read_text()

    file.write_text("PORT: 0\nCONTEX: 700\n")
    asked = host.run("start")
    asked.expect(32, "PORT: line 1: must be a port", "CONTEX: line 2: is no setting")
    facts = host.run("settings", "--json").expect(0).facts
    assert not facts["ready"]
    assert [one["fault"] is None for one in facts["settings"]] == [False, True]

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        file.write_text(f"PORT: {port}\n")
        judged = host.run("preflight", bundles.name)
        judged.expect(30, "port-taken", f"port {port} free", "token: this secret")
    # A free one: what is left is the secret.
    host.run("preflight", bundles.name).expect(32, "token: this secret is not there")


def test_a_secret_comes_from_standard_input_or_a_file_and_never_from_nowhere(
    host, bundles, tmp_path
):
    install(host, bundles, bundles.first)
    kept = host.config / "secrets" / bundles.name / "token"
    words = [host.python, "-I", "-B", host.pyz, "settings", "--secret", "token=-"]
    places = ["--state-dir", host.state, "--config-dir", host.config]

    making.run([*words, *places], stdin=b"typed\r\n").expect(0)
    assert kept.read_bytes() == b"typed"
    (tmp_path / "pem").write_bytes(b"-----BEGIN\nx\n")
    host.run("settings", "--secret", f"token={tmp_path / 'pem'}").expect(0)
    assert kept.read_bytes() == b"-----BEGIN\nx\n"

    making.run([*words, *places], stdin=b"\n").expect(32, "is nothing")
    host.run("settings", "--secret", "tokn=-").expect(32, "no secret", "api-key, token")
    host.run("settings", "--secret", "token").expect(2, "nobody is there")
    host.run("settings", "--generate", "token").expect(2, "a person brings it")
    assert kept.read_bytes() == b"-----BEGIN\nx\n"


def test_a_person_on_a_terminal_is_asked_and_a_secret_is_typed_unseen(host, bundles):
    install(host, bundles, bundles.second)
    words = [host.python, "-I", "-B", host.pyz, "settings", "--ask"]
    places = ["--state-dir", host.state, "--config-dir", host.config]

    with Terminal([*words, *places]) as terminal:
        terminal.wait_for("the port of the page\nPORT, a port from 1 up to 65535:")
        terminal.type("http")
        terminal.wait_for("PORT must be a port")
        terminal.wait_for("PORT, a port")
        terminal.type("18080")
        terminal.wait_for("CONTEXT, a whole number from 512 [4096]:")
        terminal.type("")
        terminal.wait_for("MOTTO, one line of text [to be it's own]:")
        terminal.type("it's: # mine")
        terminal.wait_for("token:")
        terminal.type("never-to-be-seen")
        assert terminal.end() == 0

    assert "PORT = 18080" in terminal.said
    assert "never-to-be-seen" not in terminal.said
    kept = host.config / "secrets" / bundles.name / "token"
    assert kept.read_bytes() == b"never-to-be-seen"
    file = host.config / "sites" / f"{bundles.name}.yaml"
    assert file.read_text() == "PORT: 18080\nMOTTO: 'it''s: # mine'\n"


def test_a_stranger_and_an_operator_read_what_is_left_to_the_host(bundles, tmp_path):
    trusted = {strangers_reader.key_blob(bundles.key.public.read_text())}
    guide = (bundles.first / "INSTALL.md").read_text()

    strangers_reader.Bundle(bundles.first, trusted).extract(tmp_path)

    assert (tmp_path / "stack" / "compose.yaml").is_file()
    shown = making.sealift("inspect", bundles.first, "--key", bundles.key.public)
    line = "PORT = must be set (a port from 1 up to 65535): the port of the page"
    shown.expect(0, line, "secret api-key (made on the host, 24 characters)")
    assert f"- {line}" in guide
    assert f"settings {bundles.name} --set PORT=... --secret token" in guide
