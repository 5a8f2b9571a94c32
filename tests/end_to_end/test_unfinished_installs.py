"""What an unfinished install has verified stays until somebody gives it up."""

from __future__ import annotations

import os
from pathlib import Path

import making
import pytest
from making import NO_ENGINE, PYZ, Host, Key


@pytest.fixture
def host(tmp_path: Path, key: Key) -> Host:
    """A host with acme 1."""
    spec = making.weights_spec(tmp_path / "1", "acme", making.model_files("1"))
    bundle = making.build(spec, key, tmp_path / "out")
    host = Host(tmp_path / "host", bundle / PYZ, NO_ENGINE)
    host.run("install", bundle, "--key", key.public).expect(0)
    return host


@pytest.fixture
def damaged(tmp_path: Path, key: Key) -> Path:
    """Version 2 of it on a medium with a bad place."""
    files = making.model_files("2")
    spec = making.weights_spec(tmp_path / "2", "acme", files, version="2")
    bundle = making.build(spec, key, tmp_path / "out")
    making.flip(bundle / "data-0001.pack")
    return bundle


def files(host: Host) -> set[str]:
    names = {name for name, what in host.listing().items() if what[0] != "d"}
    return names - {"state/ledger.jsonl"}


def test_a_prune_spares_what_an_install_goes_on_from_until_it_is_given_up(
    host, damaged
):
    whole = files(host)
    host.run("install", damaged).expect(12)
    (host.state / "journal" / ("ab" * 32)).write_bytes(b"half a file")
    begun = files(host)
    making.write_files(host.state, {"volumes/tiny/.half.partial/x": b"x"})

    told = host.run("prune", "--yes").expect(0, "1 leftovers")

    assert "stays   the install of acme 2" in told.said
    assert files(host) == begun
    # A prune that has spared it does not forget that it did.
    again = host.run("prune", "--yes", "--json").expect(0).facts
    assert (again["removed"], again["forgotten"]) == (False, [])
    work = {str(Path(path).relative_to(host.root)) for path in again["work"]}
    assert work == begun - whole
    assert again["work_bytes"] > len(b"half a file")
    host.run("prune", "--yes", "--unfinished").expect(
        0, "forget  the install of acme 2"
    )
    assert files(host) == whole


def test_an_uninstall_spares_what_an_install_of_another_bundle_goes_on_from(
    host, damaged, key, tmp_path
):
    spec = making.weights_spec(tmp_path / "o", "other", making.model_files("o"))
    host.run("install", making.build(spec, key, tmp_path / "out")).expect(0)
    host.run("install", damaged).expect(12)
    work = host.run("prune", "--dry-run", "--json").expect(0).facts["work"]
    assert work

    host.run("uninstall", "other", "--yes").expect(0, "stays", "the install of acme 2")

    assert all(map(os.path.exists, work))
    host.run("status").expect(0, "not finished: the install of acme 2")
