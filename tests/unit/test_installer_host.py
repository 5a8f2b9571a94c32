"""One host, several commands: whose turn it is, and which engine each is to use."""

from __future__ import annotations

import fcntl
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread

import pytest
from sealift_installer import cli
from sealift_installer.commands import host_options, start_command
from sealift_installer.data_volumes import UNKNOWN, data_facts, data_lines
from sealift_installer.engine import DEFAULT_SOCKETS, Engine
from sealift_installer.host import Host
from sealift_installer.layout import DEFAULT_CONFIG, DEFAULT_STATE, Layout
from sealift_installer.report import Report
from sealift_manifests.errors import BusyError, EngineError
from test_volume_entries import FILE, ROOT, a_manifest, parse


@pytest.fixture
def host(tmp_path: Path) -> Host:
    layout = Layout(str(tmp_path / "state"), str(tmp_path / "config"))
    return Host(
        layout, Engine("/nowhere.sock"), Report(as_json=False, err=io.StringIO())
    )


@contextmanager
def at_work(host: Host) -> Iterator[None]:
    """Another command has the lock."""
    with host.locked():
        yield


def test_the_second_command_leaves_or_goes_on_beside_or_waits_for_its_turn(host):
    waiting, had = replace(host, waits=True), Event()

    def wait() -> None:
        with waiting.locked():
            had.set()

    with at_work(host):
        with pytest.raises(BusyError), host.locked():
            pass
        with host.locked_if_free():
            pass
        waiter = Thread(target=wait, daemon=True)
        waiter.start()
        assert not had.wait(0.2)
    assert had.wait(30)
    waiter.join(30)

    # Where nobody is at work, the lock is taken.
    with (
        host.locked_if_free(),
        Path(host.layout.lock).open("w") as lock,
        pytest.raises(BlockingIOError),
    ):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_the_next_command_uses_the_engine_of_this_one_however_it_was_named(host):
    environ = {"DOCKER_HOST": "unix:///run/user/1000/docker.sock"}
    named = replace(host, engine=Engine.connect(environ=environ))
    usual = Host(
        Layout(DEFAULT_STATE, DEFAULT_CONFIG),
        Engine.connect(DEFAULT_SOCKETS[0]),
        host.report,
    )

    assert host_options(named)[-2:] == ["--engine", "/run/user/1000/docker.sock"]
    assert start_command(named, "acme").endswith("/run/user/1000/docker.sock")
    assert host_options(usual) == []


def test_a_setting_is_not_taken_for_one_of_the_unit(capsys):
    with pytest.raises(SystemExit) as left:
        cli.main(["unit", "acme", "--set", "PORT=8001"])

    assert left.value.code == 2
    assert "--set" in capsys.readouterr().err


def test_an_engine_that_hangs_is_not_asked_for_each_volume(host):
    class Hanging:
        asked = 0

        def find(self, path: str) -> object:
            self.asked += 1
            raise EngineError("silent", hint="")

    one, hanging = parse(a_manifest(ROOT, FILE)), Hanging()
    more = (replace(one.volumes[0], name="another"), *one.volumes)
    manifest = replace(one, volumes=more)
    seen = replace(host, engine=hanging)

    known_silent = data_facts(seen, manifest, silent=True)
    asked_before = hanging.asked  # By who knows already that it is silent.
    found_silent = data_facts(seen, manifest)

    assert (asked_before, hanging.asked) == (0, 1)
    assert [each["state"] for each in known_silent] == [UNKNOWN, UNKNOWN]
    assert known_silent == found_silent
    assert all("unknown" in line for line in data_lines(known_silent))
