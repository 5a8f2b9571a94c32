"""A volume that is half filled is known as one, wherever a run is cut off."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from sealift_installer import data_filling
from sealift_installer.data_filling import DataFilling
from sealift_installer.data_record import FILLING, DataRecord, write_record
from sealift_installer.data_volumes import (
    ABSENT,
    FILLED,
    UNFINISHED,
    DataState,
    data_state,
)
from sealift_installer.host import Host
from sealift_manifests.digests import digest_of
from sealift_manifests.errors import EngineError
from sealift_manifests.volume_entries import (
    DIRECTORY,
    VolumeEntry,
    VolumeItem,
    VolumeSource,
)
from volume_engine import Killed, VolumeEngine, a_host

NAME = "sealift-data.acme.store"
ROOT = digest_of(b"root")
STORE = VolumeEntry("store", VolumeSource("path"), (VolumeItem(".", DIRECTORY, 0o755),))
STEPS = 8
"""Before and after each of: record, volume away, volume made, record."""


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> VolumeEngine:
    """An engine that takes any data; a record counts as a step too."""
    made = VolumeEngine()
    write = data_filling.write_record

    def stepping(*args: Any) -> None:
        made.step()
        write(*args)
        made.step()

    monkeypatch.setattr(data_filling, "write_record", stepping)
    monkeypatch.setattr(DataFilling, "_pour", lambda *args: None)
    return made


@pytest.fixture
def host(tmp_path: Path, engine: VolumeEngine) -> Host:
    """A host with a volume that a run which was cut off has half filled."""
    made = a_host(tmp_path, engine)
    engine.add(NAME, "acme", "first")
    record = DataRecord(NAME, "first", FILLING, STORE.digest, "1", ROOT, "then")
    write_record(made.layout, "acme", "store", record)
    return made


def fill(host: Host) -> None:
    manifest = SimpleNamespace(name="acme", version="1", serial=1)
    bundle = SimpleNamespace(manifest=manifest, root=ROOT)
    slot = SimpleNamespace(bundle=bundle, has=lambda digests: True)
    filling = DataFilling(host, cast(Any, slot), (STORE,), frozenset(), {})
    filling.fill_whole()


def state(host: Host) -> DataState:
    return data_state(host.layout, host.engine, "acme", "store")


@pytest.mark.parametrize("steps", range(STEPS))
def test_a_second_run_that_is_cut_off_does_not_give_half_the_data_to_the_site(
    host, engine, steps
):
    engine.left = steps

    with pytest.raises(Killed):
        fill(host)

    # After the last step all is there, and only the word of it is lost.
    whole = (ABSENT, UNFINISHED, FILLED) if steps == STEPS - 1 else (ABSENT, UNFINISHED)
    assert state(host).kind in whole
    engine.left = -1
    fill(host)
    assert state(host).kind == FILLED


def test_those_are_all_the_steps_there_are(host, engine):
    engine.left = STEPS

    fill(host)

    assert engine.left == 0


def test_half_the_data_is_still_known_as_half_when_a_container_keeps_it(host, engine):
    engine.used.add(NAME)

    with pytest.raises(EngineError, match="in use"):
        fill(host)

    assert state(host).kind == UNFINISHED
    engine.used.clear()
    fill(host)
    assert state(host).kind == FILLED


def test_two_copies_of_one_second_have_names_of_their_own(host, engine, monkeypatch):
    host = SimpleNamespace(now=host.now, engine=engine)
    moment = host.now()
    host.now = lambda: moment
    first = data_filling.name_to_keep(cast(Any, host), NAME)
    engine.add(first, "acme", "any")

    second = data_filling.name_to_keep(cast(Any, host), NAME)

    assert second == f"{first}-2"
