"""A bundle of weights in three packs, and the machine it is copied on."""

from __future__ import annotations

from pathlib import Path

import making
import pytest
from desk import FILES, PACKS, Desk, packs_in
from making import Key


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("spec")
    return making.weights_spec(folder, "spread", FILES, serial=1)


@pytest.fixture(scope="module")
def bundle(spec: Path, key: Key, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out")
    made = making.build(spec, key, out, "--part-size", "8MiB")
    assert packs_in(made) == PACKS
    return made


@pytest.fixture
def desk(tmp_path: Path, bundle: Path, key: Key) -> Desk:
    return Desk(tmp_path, bundle, key)
