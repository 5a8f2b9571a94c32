"""Data crosses the gap once and is the site's from then on, on the real engine."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hosts
import making
import pytest
from engines import SOCKET, unique
from making import PYZ, Host, Key
from sealift_installer import data_filling, data_record
from sealift_installer.data_volumes import ABSENT, UNFINISHED, data_state
from sealift_installer.engine import Engine
from sealift_installer.host import Host as Installing
from sealift_installer.host_trust import KeyFile, NamedKeys
from sealift_installer.install import InstallOptions, install
from sealift_installer.layout import Layout
from sealift_installer.report import Report
from sealift_manifests.errors import StagingError
from sealift_manifests.names import data_volume_name
from volume_making import THEN, a_volume, described

pytestmark = [
    pytest.mark.docker,
    pytest.mark.skipif(os.geteuid() != 0, reason="owners are given by root"),
]

LABEL = "store"


class Bundle:
    """A bundle with one volume of data, and how it stands on the engine."""

    def __init__(self, folder: Path, key: Key, engine: hosts.Engine) -> None:
        self.name = unique("data")
        self.key = key
        self.folder = folder
        self.source = a_volume(folder / "data")
        self.path = self.build("1")
        self.volume = data_volume_name(self.name, LABEL)
        self._engine = engine

    def build(self, version: str) -> Path:
        volumes = {LABEL: {"path": "data"}}
        fields: dict[str, Any] = {"version": version, "serial": int(version)}
        spec = making.a_spec(self.folder, self.name, volumes=volumes, **fields)
        return making.build(spec, self.key, self.folder / "out")

    @property
    def place(self) -> Path:
        return self.place_of(self.volume)

    def place_of(self, volume: str) -> Path:
        words = ("volume", "inspect", "-f", "{{.Mountpoint}}", volume)
        return Path(self._engine.text(*words))

    def volumes(self) -> list[str]:
        listed = self._engine.text("volume", "ls", "-q").splitlines()
        return [name for name in listed if self.name in name]


@pytest.fixture(scope="module")
def built(
    tmp_path_factory: pytest.TempPathFactory, key: Key, engine: hosts.Engine
) -> Bundle:
    return Bundle(tmp_path_factory.mktemp("work"), key, engine)


@pytest.fixture
def bundle(built: Bundle, engine: hosts.Engine) -> Iterator[Bundle]:
    """The bundle; nothing of it is in the engine before and after a test."""
    yield built
    making.clear_engine(engine, built.name)


@pytest.fixture
def host(tmp_path: Path, bundle: Bundle) -> Host:
    return Host(tmp_path / "host", bundle.path / PYZ)


def installed(host: Host, bundle: Bundle, *options: str) -> making.Outcome:
    return host.run("install", bundle.path, "--key", bundle.key.public, *options)


def test_data_arrives_with_its_owners_modes_links_and_times(host, bundle, engine):
    installed(host, bundle).expect(0, "1 volume of data filled")

    assert described(bundle.place) == described(bundle.source)
    host.run("audit").expect(0, "1 volume of data there")
    host.run("status").expect(0, f"{LABEL}: {bundle.volume}, filled")
    host.run("releases").expect(0, bundle.volume)
    assert not engine.text("ps", "-aq", "--filter", "name=sealift-holder")
    assert "sealift-empty" not in engine.text("images")


def test_what_the_site_has_written_is_never_overwritten_unless_told(host, bundle):
    installed(host, bundle).expect(0)
    (bundle.place / "raft/log").write_text("the site's")
    (bundle.place / "readme").unlink()
    ours = described(bundle.place)

    again = installed(host, bundle)
    repaired = installed(host, bundle, "--repair")

    again.expect(0, "it is kept", f"--restore-volume {LABEL}", "nothing to do")
    repaired.expect(0, "it is kept")
    assert described(bundle.place) == ours
    host.run("audit").expect(0)

    restored = installed(host, bundle, "--restore-volume", LABEL)

    restored.expect(0, "is kept as", "1 volume of data filled")
    assert described(bundle.place) == described(bundle.source)
    (kept,) = set(bundle.volumes()) - {bundle.volume}
    assert described(bundle.place_of(kept)) == ours
    host.run("status").expect(0, f"before that: {kept}")


def test_a_volume_that_was_there_is_the_sites_and_is_kept(host, bundle, engine):
    engine.run("volume", "create", bundle.volume)
    (bundle.place / "theirs").write_text("mine")

    installed(host, bundle).expect(0, "there was a volume of this name already")

    assert [path.name for path in bundle.place.iterdir()] == ["theirs"]
    host.run("uninstall", "--yes", f"--volumes={bundle.name}").expect(0)
    assert bundle.volumes() == [bundle.volume]


def test_other_data_of_a_newer_bundle_does_not_replace_the_sites(host, bundle):
    installed(host, bundle).expect(0)
    (bundle.place / "readme").write_text("the site's")
    (bundle.source / "more").write_text("newer at the builder's")
    newer = bundle.build("2")
    (bundle.source / "more").unlink()
    os.utime(bundle.source, (THEN, THEN))

    host.run("install", newer).expect(0, "filled", "by 1", "is not used")

    assert (bundle.place / "readme").read_text() == "the site's"


def test_data_stays_when_the_bundle_goes_unless_its_name_is_said(host, bundle):
    installed(host, bundle).expect(0)
    wanted = described(bundle.place)

    host.run("uninstall", "--yes").expect(0, f"data kept: {bundle.volume}")
    assert described(bundle.place) == wanted
    installed(host, bundle).expect(0, "it is kept")
    host.run("uninstall", "--yes", "--volumes").expect(2, f"--volumes={bundle.name}")
    host.run("uninstall", "--yes", "--volumes=other").expect(2)
    assert described(bundle.place) == wanted
    host.run("uninstall", "--yes").expect(0)

    gone = host.run("uninstall", bundle.name, "--yes", f"--volumes={bundle.name}")

    gone.expect(0, f"data removed: {bundle.volume}")
    assert bundle.volumes() == []


def test_a_volume_that_was_lost_is_told_and_filled_again(host, bundle, engine):
    installed(host, bundle).expect(0)
    engine.run("volume", "rm", bundle.volume)

    host.run("audit").expect(50, f"the engine has no volume {bundle.volume}")
    host.run("status").expect(0, "MISSING")
    installed(host, bundle).expect(0, "1 volume of data filled")

    assert described(bundle.place) == described(bundle.source)


def test_damaged_data_is_never_put_into_a_volume(host, bundle):
    (pack,) = bundle.path.glob("*.pack")
    whole = pack.read_bytes()
    making.flip(pack)

    installed(host, bundle).expect(12, "volume store: collections/docs/segment")
    host.run("status").expect(0, "not finished")
    pack.write_bytes(whole)
    installed(host, bundle).expect(0)
    (bundle.place / "mine").write_text("x")
    making.flip(pack)
    installed(host, bundle, "--restore-volume", LABEL).expect(12)
    pack.write_bytes(whole)

    # What is there is not given up for what is not whole.
    assert (bundle.place / "mine").read_text() == "x"


def test_a_volume_in_use_is_not_replaced(host, bundle, engine):
    installed(host, bundle).expect(0)
    user = f"{bundle.name}-user"
    engine.run("import", "-", f"{bundle.name}:1", stdin=bytes(1024))
    words = ("--name", user, "-v", f"{bundle.volume}:/d", f"{bundle.name}:1", "/x")
    engine.run("create", *words)

    refused = installed(host, bundle, "--restore-volume", LABEL)

    refused.expect(46, user, "stopped")
    assert bundle.volumes() == [bundle.volume]
    refused = host.run("uninstall", "--yes", f"--volumes={bundle.name}")
    refused.expect(46, user)


def test_attributes_that_a_copy_loses_are_lost_only_if_somebody_agrees(host, bundle):
    installed(host, bundle).expect(0)
    os.setxattr(bundle.place / "readme", "user.note", b"kept by nobody")
    words = ("--restore-volume", LABEL)

    installed(host, bundle, *words).expect(2, "user.note of readme", "cp -a")
    assert bundle.volumes() == [bundle.volume]
    agreed = installed(host, bundle, *words, "--without-attributes")

    agreed.expect(0, "is kept as", "not extended attributes")
    assert not os.listxattr(bundle.place / "readme")


STEPS: list[tuple[Any, str, int]] = [
    (data_filling, "write_record", 1),
    (data_filling, "make_volume", 1),
    (data_filling, "write_archive", 1),
    (data_filling, "listing_of", 1),
    (data_filling, "sync_engine", 1),
    (data_record.durable, "replace_file", 2),
]


def die_at(module: Any, name: str, call: int, act: Callable[[], object]) -> None:
    """Do something in a process that ends at once after that call, in its midst."""
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 9
        return
    real, calls = getattr(module, name), 0

    def dying(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call:
            if name == "write_archive":
                *rest, pieces = args
                real(*rest, _cut(pieces))
            elif name != "replace_file":
                real(*args, **kwargs)
            os._exit(9)
        return real(*args, **kwargs)

    setattr(module, name, dying)
    try:
        act()
    finally:
        os._exit(1)


def _cut(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the first pieces and die in the midst of the upload."""
    for number, piece in enumerate(pieces):
        if number == 5:
            os._exit(9)
        yield piece


def install_here(host: Host, bundle: Bundle, restore: frozenset[str]) -> None:
    layout = Layout(str(host.state), str(host.config))
    report = Report(as_json=True, out=sys.stderr)
    named = NamedKeys((), (KeyFile.read(str(bundle.key.public)),), ())
    made = Installing(layout, Engine(SOCKET), report)
    install(made, [str(bundle.path)], InstallOptions(named, restore=restore))


@pytest.mark.parametrize(("module", "name", "call"), STEPS)
def test_a_kill_leaves_no_volume_or_one_that_the_next_run_makes_anew(
    host, bundle, engine, module, name, call
):
    die_at(module, name, call, lambda: install_here(host, bundle, frozenset()))

    layout = Layout(str(host.state), str(host.config))
    state = data_state(layout, Engine(SOCKET), bundle.name, LABEL)
    assert state.kind in (ABSENT, UNFINISHED)
    install_here(host, bundle, frozenset())
    assert described(bundle.place) == described(bundle.source)
    assert bundle.volumes() == [bundle.volume]
    assert not engine.text("ps", "-aq", "--filter", "name=sealift-holder")


def test_half_the_data_in_use_is_not_taken_for_the_sites(host, bundle, engine):
    at = (data_filling, "write_archive", 1)
    die_at(*at, lambda: install_here(host, bundle, frozenset()))
    engine.run("import", "-", f"{bundle.name}:1", stdin=bytes(1024))
    words = ("-v", f"{bundle.volume}:/d", f"{bundle.name}:1", "/x")
    user = engine.text("create", *words)

    installed(host, bundle).expect(40, "in use")

    host.run("status").expect(0, "not finished")
    engine.run("rm", user)
    installed(host, bundle).expect(0, "1 volume of data filled")
    assert described(bundle.place) == described(bundle.source)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "name", "call"),
    [
        (data_filling, "copy_volume", 1),
        (data_filling, "write_record", 2),
        (data_filling, "remove_volume", 1),
        (data_filling, "make_volume", 2),
        (data_filling, "write_archive", 2),
    ],
)
def test_a_kill_while_data_is_replaced_loses_nothing_of_it(
    host, bundle, engine, module, name, call
):
    installed(host, bundle).expect(0)
    (bundle.place / "mine").write_text("the site's")
    ours = described(bundle.place)
    restore = frozenset([LABEL])

    die_at(module, name, call, lambda: install_here(host, bundle, restore))

    there = [described(bundle.place_of(name)) for name in bundle.volumes()]
    assert ours in there
    install_here(host, bundle, restore)
    assert described(bundle.place) == described(bundle.source)
    kept = [name for name in bundle.volumes() if name != bundle.volume]
    assert ours in [described(bundle.place_of(name)) for name in kept]


def test_a_record_speaks_only_of_the_volume_that_it_was_written_for(
    host, bundle, engine
):
    installed(host, bundle).expect(0)
    record = host.state / "data" / bundle.name / f"{LABEL}.json"
    value = json.loads(record.read_bytes())
    assert value["state"] == "whole"
    # Whoever makes a new one of the name, half filled or not, made it for himself.
    engine.run("volume", "rm", bundle.volume)
    engine.run("volume", "create", bundle.volume)
    value["state"] = "filling"
    record.write_text(json.dumps(value))

    installed(host, bundle).expect(0, "there was a volume of this name already")

    assert list(bundle.place.iterdir()) == []
    host.run("uninstall", "--yes", f"--volumes={bundle.name}").expect(0)
    assert bundle.volumes() == [bundle.volume]


def test_an_engine_that_keeps_no_modes_is_not_believed(host, bundle, monkeypatch):
    write = data_filling.write_archive

    def forgetful(engine, container, pieces):
        write(engine, container, pieces)
        (bundle.place / "raft/log").chmod(0o644)

    with monkeypatch.context() as patched:
        patched.setattr(data_filling, "write_archive", forgetful)
        with pytest.raises(StagingError, match="raft/log is not as it should be"):
            install_here(host, bundle, frozenset())

    install_here(host, bundle, frozenset())
    assert described(bundle.place) == described(bundle.source)
