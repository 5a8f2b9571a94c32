"""Several releases and their containers: what serves, what comes back, what stays.

One family of bundles is built; every test has a host of its own on the real engine.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import hosts
import making
import pytest
from engines import SHELL
from making import PYZ, Host, Outcome
from release_making import Family, a_family

pytestmark = [pytest.mark.docker, pytest.mark.slow]


@pytest.fixture(scope="module")
def family(
    tmp_path_factory: pytest.TempPathFactory, engine: hosts.Engine
) -> Iterator[Family]:
    with a_family(tmp_path_factory.mktemp("family"), engine) as family:
        yield family


@pytest.fixture
def host(tmp_path: Path, family: Family, engine: hosts.Engine) -> Iterator[Host]:
    yield Host(tmp_path / "host", family.bundles["1"] / PYZ)
    making.clear_engine(engine, family.name)


def install(host: Host, family: Family, version: str) -> None:
    host.run("install", family.bundles[version], "--key", family.key.public).expect(0)


def start(host: Host) -> Outcome:
    return host.run("start", "--wait", "60")


def served(family: Family, engine: hosts.Engine) -> str:
    """Return the configuration that the running service has mounted."""
    names = engine.text("ps", "--format", "{{.Names}}").splitlines()
    (web,) = [name for name in names if family.name in name and "web" in name]
    return engine.text("exec", web, SHELL, "cat", "/models/config.json")


def release(host: Host, version: str) -> dict:
    (bundle,) = host.run("releases", "--json").expect(0).facts["bundles"]
    return next(one for one in bundle["releases"] if one["version"] == version)


def in_use(host: Host) -> str:
    (bundle,) = host.run("status", "--json").expect(0).facts["bundles"]
    return bundle["version"]


def a_reader(engine: hosts.Engine, family: Family, mount: str, *options: str) -> str:
    """Start a container that is none of ours, with this mount; return its name."""
    name = f"{family.name}-reader"
    image = family.references("1")["web"]
    script = f"exec {SHELL} sleep 3600"
    words = ["--name", name, "--network", "none", "-v", mount, *options]
    engine.run("run", "-d", *words, image, SHELL, "sh", "-c", script)
    return name


def test_the_old_release_serves_until_the_new_one_is_started_with_its_own_weights(
    host, family, engine
):
    install(host, family, "1")
    start(host).expect(0)
    install(host, family, "2")
    assert '"seed": "1"' in served(family, engine)
    host.run("status").expect(0, "previous    1-", "runs        1-")

    start(host).expect(0, "is up")

    assert '"seed": "2"' in served(family, engine)
    assert release(host, "2")["running"] and not release(host, "1")["running"]
    # Again: nothing is made anew.
    before = engine.text("ps", "-q", "--filter", f"name={family.name}")
    start(host).expect(0)
    assert engine.text("ps", "-q", "--filter", f"name={family.name}") == before

    host.run("rollback", "--start", "--wait", "60").expect(0, "1-", "is up")
    assert '"seed": "1"' in served(family, engine)


def test_a_new_release_that_does_not_come_up_gives_way_to_the_one_that_served(
    host, family, engine
):
    for version in ("1", "2"):
        install(host, family, version)
        start(host).expect(0)
    install(host, family, "3")
    # As an installer leaves it that did not write down what came up: 2 runs.
    history = host.state / "history" / family.name
    making.changed_json(history, lambda known: known.pop("started"))

    failed = start(host)

    failed.expect(43, f"{family.name} 3 did not come up", "| no GPU was found")
    failed.expect(43, f"{family.name} 2, which served before, is in use again")
    assert '"seed": "2"' in served(family, engine)
    assert (in_use(host), release(host, "1")["previous"]) == ("2", True)
    assert [e["event"] for e in host.ledger()[-2:]] == ["start-failed", "fallback"]

    # To look at it, it is left as it is.
    host.run("rollback", "--to", "3").expect(0)
    host.run("start", "--no-fallback").expect(43, "status 3")
    assert in_use(host) == "3"
    kept = engine.text("ps", "-a", "--filter", f"name={family.name}_web")
    assert "Exited (3)" in kept


def test_after_a_reboot_the_last_release_that_came_up_is_returned_to(
    host, family, engine
):
    install(host, family, "1")
    start(host).expect(0)
    install(host, family, "3")
    # What a reboot leaves of containers that are not restarted, or less.
    ids = engine.text("ps", "-aq", "--filter", f"name={family.name}").split()
    engine.run("rm", "-f", *ids)

    outcome = host.run("start", "--wait", "60", "--json")

    assert outcome.code == 43
    assert outcome.facts["serving"].startswith("1-")
    assert '"seed": "1"' in served(family, engine)


def test_a_release_that_came_up_once_is_not_left_for_an_older_one(host, family, engine):
    install(host, family, "1")
    start(host).expect(0)
    install(host, family, "2")
    start(host).expect(0)
    ids = engine.text("ps", "-aq", "--filter", f"name={family.name}").split()
    engine.run("rm", "-f", *ids)

    failed = host.run("start", "--wait", "0")

    failed.expect(43, "not up after 0 seconds")
    assert "served before" not in failed.said
    assert in_use(host) == "2"


def test_the_first_release_of_a_bundle_has_none_to_give_way_to(host, family):
    install(host, family, "3")

    failed = start(host)

    failed.expect(43, "| no GPU was found")
    assert "served before" not in failed.said
    assert in_use(host) == "3"


def test_what_a_container_of_others_has_mounted_is_not_pruned(host, family, engine):
    for version in ("1", "2", "4"):
        install(host, family, version)
    reader = a_reader(engine, family, f"{family.volume('1')}:/m:ro")

    pruned = host.run("prune", "--yes", "--keep", "0")

    pruned.expect(0, "removed: 1 release", f"{reader} (running) has volume")
    text = engine.text("exec", reader, SHELL, "cat", "/m/config.json")
    assert '"seed": "1"' in text
    assert [release(host, v)["current"] for v in ("1", "4")] == [False, True]
    wanted = ["uninstall", "--release", "1", "--yes"]
    host.run(*wanted).expect(46, reader)
    host.run("uninstall", "--yes").expect(46, reader)
    assert '"seed": "1"' in engine.text("exec", reader, SHELL, "cat", "/m/config.json")

    engine.run("rm", "-f", reader)
    host.run("prune", "--yes", "--keep", "0").expect(0, "removed: 1 release")
    assert not family.tree("1", host).exists()
    found = making.in_engine(engine, family.name)
    assert found["volumes"] == [family.volume("4")]
    assert not any("job1" in image for image in found["images"])


def test_a_tree_that_a_container_binds_by_its_path_is_not_removed(host, family, engine):
    for version in ("1", "2", "4"):
        install(host, family, version)
    tree = family.tree("1", host)
    reader = a_reader(engine, family, f"{tree.parent}:/m:ro")
    wanted = ["uninstall", "--release", "1", "--yes"]

    host.run(*wanted).expect(46, reader, str(tree))

    assert (tree / "config.json").exists()
    engine.run("rm", "-f", reader)
    # A monitor that has everything mounted has nothing of ours in mind.
    a_reader(engine, family, "/:/host:ro")
    host.run(*wanted).expect(0, "1 image, 1 volume")


def test_a_release_whose_stack_runs_is_not_removed_and_one_that_stopped_is(
    host, family, engine
):
    install(host, family, "1")
    start(host).expect(0)
    install(host, family, "2")
    wanted = ["uninstall", "--release", "1", "--yes"]

    host.run(*wanted).expect(46, "runs its stack")
    host.run("prune", "--yes", "--keep", "0").expect(0, "the last one that came up")
    assert '"seed": "1"' in served(family, engine)

    ids = engine.text("ps", "-q", "--filter", f"name={family.name}").split()
    engine.run("stop", "-t", "0", *ids)
    host.run(*wanted).expect(0, "1 image, 1 volume")
    assert making.in_engine(engine, family.name)["containers"] == []
    start(host).expect(0)


def test_a_repair_does_not_replace_what_a_running_container_has_mounted(
    host, family, engine
):
    install(host, family, "1")
    here = (host.state / "current" / family.name).resolve()
    (here / "INSTALL.md").unlink()
    reader = a_reader(engine, family, f"{here}/stack:/m:ro")
    repair = ["install", family.bundles["1"], "--repair"]

    host.run(*repair).expect(46, reader, str(here))
    assert engine.text("exec", reader, SHELL, "ls", "/m") == "compose.yaml"

    engine.run("rm", "-f", reader)
    host.run(*repair).expect(0)
    host.run("audit").expect(0, "clean")
