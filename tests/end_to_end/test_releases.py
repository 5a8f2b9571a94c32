"""Going back, removing and pruning, with bundles of weights where no engine is."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import making
import pytest
from making import NO_ENGINE, PYZ, Host, Key


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory, key: Key) -> dict[str, Path]:
    """Versions 1, 2 and 3, and another 2 with the serial 4."""
    root = tmp_path_factory.mktemp("acme")
    made = {}
    for name, serial in (("1", 1), ("2", 2), ("3", 3), ("2-again", 4)):
        files = making.model_files(name) | {"same.dat": making.noise("same", 5_000)}
        version = name.partition("-")[0]
        spec = making.weights_spec(
            root / name, "acme", files, version=version, serial=serial
        )
        made[name] = making.build(spec, key, root / name / "out")
    return made


@pytest.fixture(scope="module")
def untouched(
    tmp_path_factory: pytest.TempPathFactory, bundles: dict[str, Path], key: Key
) -> Host:
    """A host that had 1, 2 and 3, one after the other; no test may change it."""
    root = tmp_path_factory.mktemp("untouched")
    host = Host(root, bundles["1"] / PYZ, NO_ENGINE)
    for name in ("1", "2", "3"):
        host.run("install", bundles[name], "--key", key.public).expect(0)
    return host


@pytest.fixture
def host(tmp_path: Path, untouched: Host) -> Host:
    """A copy of that host."""
    root = tmp_path / "host"
    subprocess.run(["cp", "-a", untouched.root, root], check=True)
    return untouched.but(root=root)


def listed(host: Host) -> list[dict]:
    (bundle,) = host.run("releases", "--json").expect(0).facts["bundles"]
    return bundle["releases"]


def marked(host: Host) -> dict[str, str]:
    """Return the versions that are in use, and were before."""
    return {
        part: one["version"]
        for one in listed(host)
        for part in ("current", "previous")
        if one[part]
    }


def tree_of(host: Host, bundle: Path) -> Path:
    (model,) = json.loads((bundle / "manifest.json").read_bytes())["models"]
    return host.state / "volumes/tiny" / model["tree"].removeprefix("sha256:")


# Looking


def test_the_releases_are_listed_in_the_order_of_their_use(host):
    host.run("rollback", "--to", "1").expect(0)

    outcome = host.run("releases").expect(0, "1  root", "[in use]", "[in use before]")

    assert [one["version"] for one in listed(host)] == ["1", "3", "2"]
    assert "holds alone 19." in outcome.out
    status = host.run("status").expect(0, "acme 1 ", "previous    3-")
    assert "not finished" not in status.out


def test_what_a_release_holds_alone_is_what_becomes_free(host):
    def stored() -> int:
        files = [p for p in (host.state / "store").rglob("*") if p.is_file()]
        return sum(path.stat().st_size for path in files)

    alone = {one["version"]: one["weight_bytes"] for one in listed(host)}
    before = stored()

    removed = host.run("uninstall", "--release", "1", "--yes", "--json").expect(0)

    assert removed.facts["freed"] == alone["1"] == before - stored()
    # Somebody's own name for a file of release 2 keeps its bytes on the disk.
    large = max((host.state / "store").rglob("*"), key=lambda p: p.stat().st_size)
    os.link(large, host.root / "mine")
    held = {one["version"]: one["weight_bytes"] for one in listed(host)}
    assert (
        sum(held.values()) == sum(alone.values()) - alone["1"] - os.stat(large).st_size
    )


def test_a_release_that_cannot_be_read_is_named_and_can_be_left(host):
    here = (host.state / "current/acme").resolve()
    (here / "release.json").unlink()

    host.run("releases").expect(0, f"{here.name}: cannot be read")
    host.run("rollback").expect(0, "acme 2")
    host.run("prune", "--yes").expect(45, "is not a whole release")


# Going back


def test_a_rollback_toggles_between_two_releases_and_says_how_to_start(host):
    host.run("rollback").expect(0, "acme 2 ", "is in use", "3-")
    assert marked(host) == {"current": "2", "previous": "3"}
    host.run("rollback", "acme").expect(0, "acme 3 ")
    assert marked(host) == {"current": "3", "previous": "2"}

    host.run("rollback", "--to", "3").expect(0, "is in use already")

    assert marked(host) == {"current": "3", "previous": "2"}
    assert [e["event"] for e in host.ledger()[-2:]] == ["rollback", "rollback"]
    assert host.ledger()[-1]["left"].startswith("2-")


def test_after_a_rollback_no_older_bundle_is_taken_and_the_newer_one_again(
    host, bundles
):
    host.run("rollback", "--to", "1").expect(0)

    host.run("install", bundles["2"]).expect(17, "(2)", "(3)")
    host.run("install", bundles["3"]).expect(0, "0 B of weights staged")

    assert marked(host) == {"current": "3", "previous": "1"}
    host.run("audit").expect(0, "clean: acme 3")


def test_a_release_that_is_not_whole_is_not_gone_back_to(host, bundles):
    tree = tree_of(host, bundles["2"])
    (tree / "config.json").unlink()
    before = host.listing()

    host.run("rollback").expect(50, "not whole", f"missing: model tiny: {tree}")

    after = host.listing()
    assert after == before
    host.run("install", bundles["2"], "--repair", "--allow-downgrade", "a test")
    assert marked(host) == {"current": "2", "previous": "3"}
    host.run("audit").expect(0)


def test_a_key_that_was_struck_off_brings_nothing_back(host, tmp_path):
    other = making.a_key(tmp_path / "other")
    text = f"other {other.public.read_text()}"
    making.write_files(host.config, {"allowed_signers": text})

    host.run("rollback").expect(50, "do not verify")

    assert marked(host)["current"] == "3"


def test_two_releases_of_one_version_are_told_apart_by_their_roots(host, bundles):
    host.run("install", bundles["2-again"]).expect(0)
    roots = {one["serial"]: one["root"] for one in listed(host)}

    host.run("rollback", "--to", "2").expect(2, "2 releases", roots[2][7:19])
    host.run("rollback", "--to", roots[2][7:19]).expect(0)
    host.run("uninstall", "--release", roots[4], "--yes").expect(0)

    assert [one["serial"] for one in listed(host)] == [2, 3, 1]
    host.run("rollback", "--to", "2").expect(0, "is in use already")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["rollback", "--to", "9"], 45, "acme 9 is not installed"),
        (["rollback", "other"], 45, "other is not installed"),
        (["rollback", "--to", ""], 45, "is not installed"),
        (["uninstall", "--release", "3", "--yes"], 46, "is the release in use"),
        (["uninstall", "--release", "9", "--yes"], 45, "acme 9 is not installed"),
        (["uninstall", "--release", "", "--yes"], 45, "is not installed"),
        (["uninstall", "--release", "../1", "--yes"], 45, "is not installed"),
        (["uninstall", "--release", "1"], 2, "acme 1 was not removed"),
        (["prune", "other"], 45, "other is not installed"),
        (["prune", "--keep", "-1"], 2, "from 0 on"),
        (["prune"], 2, "nothing was removed"),
        (["releases", "other"], 45, "other is not installed"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_what_is_not_there_or_not_allowed_is_said_and_changes_nothing(
    untouched, words, code, said
):
    before = untouched.listing()

    untouched.run(*words).expect(code, said)

    assert untouched.listing() == before


def test_the_only_release_has_none_before_it(tmp_path, bundles, key):
    host = Host(tmp_path / "host", bundles["1"] / PYZ, NO_ENGINE)
    host.run("install", bundles["1"], "--key", key.public).expect(0)

    host.run("rollback").expect(45, "no release of acme", "--to VERSION")
    host.run("prune", "--yes", "--keep", "0").expect(0, "nothing to remove")


# Removing


def test_a_removed_release_is_not_the_one_before_any_more(host):
    host.run("uninstall", "--release", "2", "--yes").expect(0, "acme 2 is removed")

    assert marked(host) == {"current": "3", "previous": "1"}
    host.run("audit").expect(0)


def test_a_prune_says_first_what_it_would_free_and_keeps_two(host):
    before = host.listing()

    dry = host.run("prune", "--dry-run").expect(0, "remove  acme 1", "keep    acme 2")
    assert host.listing() == before
    told = host.run("prune", "--dry-run", "--json").facts
    done = host.run("prune", "--yes", "--json").facts

    assert "frees   19." in dry.out
    assert done["freed"] == told["weight_bytes"] > 19_000
    assert marked(host) == {"current": "3", "previous": "2"}
    assert len(listed(host)) == 2
    host.run("audit").expect(0)
    host.run("rollback").expect(0)
    host.run("audit").expect(0)
    host.run("prune", "--yes", "--keep", "0").expect(0, "removed: 1 release")
    assert len(listed(host)) == 1
    host.run("audit").expect(0)


def foreign_files(host: Host, tree: Path) -> list[Path]:
    """Put files beside ours: in the store, the volumes, a tree that would go."""
    places = [
        host.state / "store/sha256/notes.txt",
        host.state / "store/sha256/aa/notes.txt",
        host.state / "store/sha256/zz/aaaa",
        host.state / "volumes/mine/model.bin",
        host.state / "volumes/tiny/readme",
        host.state / "releases/acme/notes.txt",
        tree / "notes.txt",
    ]
    for place in places:
        making.write_files(place.parent, {place.name: b"mine"})
    return places


def test_a_prune_touches_nothing_that_is_not_ours_and_names_it(host, bundles):
    tree = tree_of(host, bundles["1"])
    places = foreign_files(host, tree)

    outcome = host.run("prune", "--yes")

    assert all(place.read_bytes() == b"mine" for place in places)
    for place in places[:1] + places[1:2] + places[4:]:
        assert str(place) in outcome.said
    assert str(host.state / "store/sha256/zz") in outcome.said
    assert str(host.state / "volumes/mine/model.bin") in outcome.said
    # The release whose tree it lies in stays whole until it is moved away.
    assert [one["version"] for one in listed(host)] == ["3", "2", "1"]
    host.run("uninstall", "--release", "1", "--yes").expect(46, str(places[-1]))
    places[-1].unlink()
    host.run("prune", "--yes").expect(0, "removed: 1 release")
    assert all(place.read_bytes() == b"mine" for place in places[:-1])


def test_what_cut_off_runs_left_is_swept_and_nothing_else(host, bundles, tmp_path):
    hexes = ["ab" + "0" * 62, "cd" + "1" * 62]
    making.write_files(
        host.state,
        {
            f"store/sha256/ab/{hexes[0]}": b"stranded",
            f"volumes/tiny/.{hexes[1]}.partial/config.json": b"half",
            f"volumes/tiny/.{hexes[0]}.gone/x": b"x",
            f"releases/acme/.9-{hexes[0][:12]}.old/manifest.json": b"x",
            f"journal/{hexes[1]}": b"half a file",
            "current/acme.new": b"",
        },
    )
    tree = tree_of(host, bundles["3"])
    shutil.copytree(tree, host.state / "volumes/tiny" / hexes[1])
    before = {p for p, _ in _files(host)}
    stranded = {
        p for p in before if any(h in p or h[:12] in p for h in hexes) or ".new" in p
    }

    told = host.run("prune", "--keep", "9", "--yes").expect(0, "7 leftovers")

    assert {p for p, _ in _files(host)} == before - stranded
    assert "removed: 0 releases" in told.said
    assert host.ledger()[-1]["event"] == "sweep"
    host.run("audit").expect(0)
    host.run("prune", "--keep", "9").expect(0, "nothing to remove")


def _files(host: Host) -> list[tuple[str, str]]:
    return [(p, what) for p, what in host.listing().items() if what[0] != "d"]


def test_an_install_that_was_not_finished_is_shown_until_it_is_or_is_pruned(
    host, bundles, tmp_path
):
    medium = making.copied(bundles["2-again"], tmp_path / "medium")
    making.flip(medium / "data-0001.pack")
    host.run("install", medium).expect(12)
    told = ["not finished: the install of acme 2, begun"]

    host.run("status").expect(0, *told)
    host.run("install", bundles["2-again"]).expect(0)
    assert told[0] not in host.run("status").expect(0).out

    host.run("uninstall", "--yes").expect(0)
    host.run("install", medium, "--allow-downgrade", "a test").expect(12)
    host.run("status").expect(0, *told)
    host.run("prune", "--yes", "--unfinished").expect(
        0, "forget  the install of acme 2"
    )
    assert told[0] not in host.run("status").expect(0).out


def test_without_a_release_in_use_nothing_of_a_bundle_is_pruned(host):
    (host.state / "current/acme").unlink()
    before = {p for p, _ in _files(host)}

    host.run("prune", "--yes", "--keep", "0").expect(0, "none is in use")

    assert {p for p, _ in _files(host)} == before


def test_a_history_that_cannot_be_read_stops_a_prune_but_no_install(host, bundles):
    path = host.state / "history/acme"
    path.write_text("{}{")

    host.run("prune", "--yes").expect(10, f"Remove {path}")
    host.run("install", bundles["2-again"]).expect(0)

    assert marked(host) == {"current": "2", "previous": "3"}


# Two at a time


@contextmanager
def _locked(host: Host) -> Iterator[None]:
    with (host.state / "lock").open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.mark.parametrize(
    "words",
    [
        ["rollback"],
        ["rollback", "--to", "1", "--start"],
        ["uninstall", "--release", "1", "--yes"],
        ["uninstall", "--yes"],
        ["prune", "--yes"],
        ["prune", "--dry-run"],
    ],
    ids="-".join,
)
def test_the_second_of_two_says_so_and_leaves(untouched, words):
    before = untouched.listing()

    with _locked(untouched):
        untouched.run(*words).expect(44, "another command is changing")

    assert untouched.listing() == before
