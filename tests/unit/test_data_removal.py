"""Data goes when its bundle's name is said, all of it, or nothing is forgotten."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import pytest
from sealift_installer.commands import uninstall
from sealift_installer.data_record import (
    WHOLE,
    DataRecord,
    Keeping,
    recorded_labels,
    write_record,
)
from sealift_installer.host import Host
from sealift_manifests.digests import digest_of
from sealift_manifests.errors import EngineError, NotInstalledError, SealiftError
from volume_engine import VolumeEngine, a_host

NAME = "sealift-data.acme.store"
BEFORE = f"{NAME}.kept-20260101T000000Z"
BEGUN = f"{NAME}.kept-20260102T000000Z"


@pytest.fixture
def engine() -> VolumeEngine:
    return VolumeEngine()


@pytest.fixture
def host(tmp_path: Path, engine: VolumeEngine) -> Host:
    """A host whose bundle is gone: its data and its settings were left."""
    made = a_host(tmp_path, engine)
    for number, name in enumerate((NAME, BEFORE, BEGUN)):
        engine.add(name, "acme", str(number))
    some = digest_of(b"some")
    keeping = Keeping(BEGUN, "2")
    record = DataRecord(NAME, "0", WHOLE, some, "1", some, "then", (BEFORE,), keeping)
    write_record(made.layout, "acme", "store", record)
    settings = Path(made.layout.site("acme"))
    settings.parent.mkdir()
    settings.write_text("PORT: 1\n")
    return made


def run(host: Host, *, settings: bool = False, data: bool = True) -> str:
    words = {"settings": settings, "volumes": "acme" if data else None}
    text, _ = uninstall.run(
        Namespace(name="acme", release=None, yes=True, **words), host
    )
    return text


def test_settings_and_data_that_were_left_go_together(host, engine):
    said = run(host, settings=True)

    assert f"data removed: {NAME}" in said
    assert host.layout.site("acme") in said
    assert engine.volumes == {}
    assert recorded_labels(host.layout, "acme") == ()
    with pytest.raises(NotInstalledError):
        run(host, settings=True)


def test_settings_alone_go_without_the_data(host, engine):
    said = run(host, settings=True, data=False)

    assert f"data kept: {NAME}" in said
    assert NAME in engine.volumes


def test_data_alone_goes_without_the_settings(host, engine):
    run(host)

    assert engine.volumes == {}
    assert Path(host.layout.site("acme")).exists()


def test_a_copy_that_was_begun_goes_with_the_data(host, engine):
    said = run(host)

    assert f"data removed: {BEGUN}" in said
    assert BEGUN not in engine.volumes


@pytest.mark.parametrize("settings", [False, True])
@pytest.mark.parametrize("fault", ["broken", "used"])
def test_nothing_is_forgotten_of_data_that_could_not_be_removed(
    host, engine, fault, settings
):
    getattr(engine, fault).add(BEFORE)

    with pytest.raises(EngineError):
        run(host, settings=settings)

    assert recorded_labels(host.layout, "acme") == ("store",)
    assert Path(host.layout.site("acme")).exists()
    getattr(engine, fault).clear()
    run(host)
    assert engine.volumes == {}


def test_nobody_agrees_to_the_end_of_data_that_no_engine_names(
    host, engine, monkeypatch
):
    engine.broken.add(NAME)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)

    with pytest.raises(SealiftError, match="no such device"):
        uninstall.run(
            Namespace(name="acme", release=None, yes=True, settings=False, volumes=""),
            host,
        )
