"""A signed bundle brings newer NVIDIA tables to an installer that has older ones.

The driver is a stand-in nvidia-smi; the newer tables let its branch end.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import making
import pytest
from engines import unique
from making import PYZ, Host, Key, Outcome, copied, flip
from sealift_manifests.preflight.newest import TABLES_NAME, built_in

RECORDED_SMI = (
    Path(__file__).parents[1] / "preflight" / "recordings" / "l40s" / "bin/nvidia-smi"
)
OWN = json.loads(built_in().data)
NEW_DAY = "2031-02-03"
"""After the end of every branch that we know today."""


def tables(**changes: Any) -> bytes:
    """Return our own tables with something changed."""
    return json.dumps({**OWN, **changes}).encode()


@dataclass(frozen=True)
class Site:
    """Bundles, built with our own tables and with newer ones, and the key."""

    name: str
    key: Key
    today: Path
    newer: Path
    path: str

    def preflight(self, host: Host, *args: str | Path) -> Outcome:
        """Judge a host on which nvidia-smi finds a GPU; the verdict is not asked."""
        places = ["--state-dir", host.state, "--config-dir", host.config]
        argv = [host.python, "-I", "-B", host.pyz, "preflight", *args, *places]
        argv += ["--engine", making.NO_ENGINE]
        return making.run(argv, env={"PATH": self.path})

    def judged(self, host: Host, *args: str | Path) -> tuple[dict[str, str], set[str]]:
        """Return which tables judged the host, and the slugs that were found."""
        facts = self.preflight(host, *args, "--json").facts
        return facts["tables"], {finding["slug"] for finding in facts["findings"]}

    def resigned(self, folder: Path, data: bytes) -> Path:
        """Return a signed bundle that carries these bytes as its tables."""
        bundle = copied(self.today, folder)
        (bundle / TABLES_NAME).write_bytes(data)
        making.resign(bundle, self.key)
        return bundle


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Site:
    folder = tmp_path_factory.mktemp("tables")
    key = making.a_key(folder / "release")
    name = unique("tables")
    spec = making.weights_spec(folder / "spec", name)
    making.write_files(folder, {"new.json": tables(as_of=NEW_DAY)})
    newer = making.build(spec, key, folder / "new", "--tables", folder / "new.json")
    today = making.build(spec, key, folder / "today")
    programs = making.write_files(folder / "bin", {})
    shutil.copy(RECORDED_SMI, programs)
    path = os.pathsep.join([str(programs), os.environ["PATH"]])
    return Site(name, key, today, newer, path)


@pytest.fixture
def host(site: Site, tmp_path: Path) -> Host:
    return Host(tmp_path / "host", site.today / PYZ, making.NO_ENGINE)


def trusting(site: Site) -> list[str | Path]:
    return ["--key", site.key.public]


def test_a_bundle_carries_the_tables_it_was_built_with(site):
    assert (site.today / TABLES_NAME).read_bytes() == built_in().data
    assert json.loads((site.newer / TABLES_NAME).read_bytes())["as_of"] == NEW_DAY


def test_an_older_installer_judges_by_the_newer_tables_of_a_bundle(site, host):
    old, _ = site.judged(host, site.today, *trusting(site))
    new, _ = site.judged(host, site.newer, *trusting(site))

    assert old == {"as_of": OWN["as_of"], "origin": "built in"}
    assert new == {"as_of": NEW_DAY, "origin": f"bundle {site.name} 1.0.0"}
    said = site.preflight(host, site.newer, *trusting(site)).said
    assert f"judged by NVIDIA tables of {NEW_DAY}" in said


def test_installed_tables_judge_the_host_without_a_bundle(site, host):
    _, before = site.judged(host)
    host.run("install", site.newer, *trusting(site)).expect(0)

    used, after = site.judged(host)

    # By tables of that day the clock of today is behind.
    assert after - before == {"clock-behind", "driver-end-of-life"}
    assert used == {"as_of": NEW_DAY, "origin": f"installed {site.name}"}
    # Those of the installed one are newer than those of the bundle at hand.
    assert site.judged(host, site.today)[0]["origin"] == f"installed {site.name}"
    assert site.judged(host, site.name)[0]["origin"] == f"installed {site.name}"


@pytest.mark.parametrize("part", [TABLES_NAME, "SHA256SUMS"])
def test_installed_tables_that_are_not_as_signed_do_not_judge(site, host, part):
    host.run("install", site.newer, *trusting(site)).expect(0)
    (release,) = host.state.glob("releases/*/*")
    flip(release / part)

    used, slugs = site.judged(host)

    assert used["origin"] == "built in"
    assert "tables-unread" in slugs


@pytest.mark.parametrize(
    "data", [b"no tables", tables(as_of=NEW_DAY, format=2), tables(gpus={})]
)
def test_signed_tables_that_cannot_be_read_stop_nothing(site, host, tmp_path, data):
    bundle = site.resigned(tmp_path, data)

    used, slugs = site.judged(host, bundle, *trusting(site))

    assert used["origin"] == "built in"
    assert "tables-unread" in slugs
    host.run("install", bundle, *trusting(site)).expect(0)
    making.sealift("inspect", bundle, *trusting(site)).expect(0, TABLES_NAME)


def test_tables_that_are_not_those_that_were_signed_are_refused(site, host, tmp_path):
    bundle = copied(site.newer, tmp_path)
    flip(bundle / TABLES_NAME)

    site.preflight(host, bundle, *trusting(site)).expect(12, TABLES_NAME)
    host.run("install", bundle, *trusting(site)).expect(12, TABLES_NAME)

    (bundle / TABLES_NAME).unlink()
    site.preflight(host, bundle, *trusting(site)).expect(15, TABLES_NAME)
    assert not host.state.exists()


def test_inspect_goes_by_the_newer_tables_and_says_so(site):
    done = making.sealift("inspect", site.newer, "--json", *trusting(site)).expect(0)

    assert done.facts["tables"] == {"as_of": NEW_DAY, "origin": "the bundle"}
    untrusted = making.sealift("inspect", site.newer, "--json").expect(0)
    assert untrusted.facts["tables"]["origin"] == "built in"


def test_a_plan_and_a_build_use_the_newest_of_their_own_and_the_file(site, tmp_path):
    spec = making.weights_spec(tmp_path / "spec", site.name)
    making.write_files(tmp_path, {"old.json": tables(as_of="2020-01-01")})
    making.write_files(tmp_path, {"new.json": tables(as_of=NEW_DAY)})

    def used(file: str) -> str:
        done = making.sealift("plan", spec, "--json", "--tables", tmp_path / file)
        return done.expect(0).facts["tables"]["origin"]

    assert (used("old.json"), used("new.json")) == ("built in", "new.json")
    words = ["--sign-key", site.key.private, "-o", tmp_path / "out"]
    done = making.sealift("build", spec, *words, "--tables", tmp_path / "new.json")
    done.expect(0, f"NVIDIA's as of {NEW_DAY} (new.json)")


@pytest.mark.parametrize(
    ("data", "code", "word"),
    [
        (b"no tables", 10, "not strict JSON"),
        (tables(format=2), 14, "format 1"),
        (None, 2, "cannot be read"),
    ],
)
def test_a_faulty_file_of_tables_is_an_error_where_bundles_are_made(
    tmp_path, data, code, word
):
    spec = making.weights_spec(tmp_path / "spec", "tables")
    if data is not None:
        making.write_files(tmp_path, {"t.json": data})

    done = making.sealift("plan", spec, "--tables", tmp_path / "t.json")

    done.expect(code, word, "t.json")
