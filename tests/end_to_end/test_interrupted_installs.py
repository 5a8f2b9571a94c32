"""An install that is stopped, watched, or tried twice at once."""

from __future__ import annotations

import fcntl
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import making
import pytest
from making import NO_ENGINE, PYZ, Host, Key

MIB = 1 << 20
SIZE = 200 * MIB
BEGUN = 24 * MIB


@pytest.fixture(scope="module")
def bundle(key: Key, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that takes a second or two, in a folder that a shell has to quote."""
    folder = tmp_path_factory.mktemp("spec")
    files = {"large.gguf": making.noise("large", MIB) * (SIZE // MIB)}
    spec = making.weights_spec(folder, "stopped", files, serial=1)
    made = making.build(spec, key, folder / "out")
    medium = folder / "a stick's folder"
    medium.mkdir()
    return Path(shutil.move(made, medium))


@pytest.fixture
def host(tmp_path: Path, bundle: Path) -> Host:
    (tmp_path / "host").mkdir()
    return Host(tmp_path / "host", bundle / PYZ, engine=NO_ENGINE)


def written(host: Host) -> int:
    """Return how much of the large file is on the host."""
    return sum(path.stat().st_blocks * 512 for path in host.state.glob("journal/*"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_is_clean_and_says_the_line_to_continue(host, bundle, key, number):
    places = ["--state-dir", host.state, "--config-dir", host.config]
    words = ["install", bundle, "--key", key.public, *places, "--engine", NO_ENGINE]
    command = [sys.executable, "-I", "-B", host.pyz, *words]
    process = subprocess.Popen(
        list(map(str, command)), stderr=subprocess.PIPE, text=True
    )
    while written(host) < BEGUN and process.poll() is None:
        time.sleep(0.002)
    process.send_signal(number)
    _, said = process.communicate(timeout=making.PATIENCE)

    assert process.returncode == 130, said
    assert "what is verified is kept" in said
    (listed,) = host.state.glob("journal/*.ranges")
    kept = [tuple(map(int, line.split())) for line in listed.open()]
    assert sum(end - start for start, end in kept) >= 8 * MIB
    line = said.strip().splitlines()[-1]
    again = subprocess.run(["sh", "-c", line], capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    host.run("audit").expect(0, "clean")
    assert list((host.state / "journal").iterdir()) == []


def test_progress_for_programs_is_one_json_value_a_line(host, bundle, key):
    args = [bundle, "--key", key.public, "--progress", "json", "--json"]

    outcome = host.run("install", *args).expect(0)

    events = [json.loads(line) for line in outcome.err.splitlines()]
    assert {event["event"] for event in events} >= {"step", "begin", "end"}
    (end,) = [event for event in events if event["event"] == "end"]
    numbers = {"done": SIZE, "total": SIZE, "left": 0}
    assert end["task"] == "staging weights"
    assert "large.gguf" in end["item"]
    assert {name: end[name] for name in numbers} == numbers
    assert end["rate"] > 0
    assert outcome.facts["ok"] is True


def test_an_error_is_one_of_the_lines_for_programs(host, bundle):
    outcome = host.run("install", bundle, "--progress", "json").expect(11)

    (error,) = [json.loads(line) for line in outcome.err.splitlines()]
    assert (error["event"], error["slug"]) == ("error", "untrusted-key")
    assert error["exit_code"] == 11
    assert error["hint"]


def test_plain_progress_is_whole_lines(host, bundle, key):
    outcome = host.run("install", bundle, "--key", key.public, "--progress", "plain")

    outcome.expect(0, "\nstaging weights: 200.0 MiB in ")
    assert "\r" not in outcome.err


def test_a_second_installer_says_so_and_leaves(host, bundle, key):
    host.state.mkdir()
    before = host.listing()

    with (host.state / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        outcome = host.run("install", bundle, "--key", key.public)

    outcome.expect(44, f"another command is changing {host.state}", "Wait")
    assert host.listing() == {**before, "state/lock": host.listing()["state/lock"]}
