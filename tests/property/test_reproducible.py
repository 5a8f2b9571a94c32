"""Same inputs, same bytes: where and how a bundle is built does not show in it."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from making import SEALIFT, Key, a_key, a_spec, run, write_files
from mixed import mixed_model
from registries import Registry, make_image, make_layer, running_registry

EPOCH = "1767225600"
COMPOSE = """\
services:
  web:
    image: web
    volumes: ["tiny:/models:ro", "./conf:/etc/conf:ro"]
"""


@dataclass(frozen=True)
class Sources:
    """A spec with all it names, the registry of its image, and a key."""

    folder: Path
    registry: Registry
    key: Key


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory):
    root = tmp_path_factory.mktemp("reproducible")
    (root / "registry").mkdir()
    with running_registry(root / "registry") as registry:
        image = make_image([make_layer({"bin/x": b"x" * 999}), make_layer({"y": b"y"})])
        registry.push_image("acme/web:1.0", image)
        folder = root / "spec"
        # More pieces than are encoded at once, so that their order is put to the test.
        model = mixed_model(300_000) | {f"{n}.txt": b"%d\n" % n for n in range(40)}
        write_files(folder / "model", model)
        write_files(folder, {"compose.yaml": COMPOSE, "conf": "port 8080\n"})
        a_spec(
            folder,
            "same",
            models={"tiny": {"path": "model"}},
            images={"web": {"pull": f"{registry.host}/acme/web:1.0"}},
            stack="compose.yaml",
        )
        yield Sources(folder, registry, a_key(root / "release"))


def built(sources: Sources, place: Path, script: str, *options: str) -> Path:
    """Build a copy of the sources in a shell, after `script`; return the bundle."""
    shutil.copytree(sources.folder, place / "in")
    words = ["-q", "--sign-key", str(sources.key.private), "--cache", str(place / "c")]
    words += ["--insecure-registry", sources.registry.host, "-o", str(place / "out")]
    script += '\nexec "$@"'
    env = {"SOURCE_DATE_EPOCH": EPOCH}
    command = [SEALIFT, "build", "sealift.yaml", *words, *options]
    run(["sh", "-euc", script, "sh", *command], cwd=place / "in", env=env).expect(0)
    (bundle,) = [p for p in (place / "out").iterdir() if not p.name.startswith(".")]
    return bundle


def contents(bundle: Path) -> dict[str, bytes]:
    """Return the files of a bundle."""
    return {path.name: path.read_bytes() for path in bundle.iterdir()}


ELSEWHERE = """
umask 077
export TZ=Asia/Tokyo LC_ALL=C PYTHONHASHSEED=4711 COLUMNS=40 HOME="$PWD"
touch -d 2001-01-01 model/*
exec </dev/null
set -- taskset -c "$ONE_CORE" "$@"
"""


@pytest.mark.parametrize("options", [(), ("--tar",)], ids=["directory", "tar"])
def test_the_same_sources_make_the_same_bundle_in_other_places_and_ways(
    sources, tmp_path, options
):
    one_core = min(os.sched_getaffinity(0))
    here = built(sources, tmp_path / "here", "umask 022", *options)
    there = built(
        sources,
        tmp_path / "some where/else",
        f"ONE_CORE={one_core}\n{ELSEWHERE}",
        *options,
    )

    if options:
        assert here.read_bytes() == there.read_bytes()
    else:
        assert sorted(contents(here)) == sorted(contents(there))
        for name, data in contents(here).items():
            assert contents(there)[name] == data, name


def test_the_place_it_was_built_in_is_not_in_the_bundle(sources, tmp_path):
    bundle = built(sources, tmp_path / "a secret project", "true")

    for name, data in contents(bundle).items():
        assert b"a secret project" not in data, name


def test_another_time_of_creation_changes_only_what_states_it(sources, tmp_path):
    first = contents(built(sources, tmp_path / "1", "true"))
    second = contents(built(sources, tmp_path / "2", "export SOURCE_DATE_EPOCH=1"))

    changed = {name for name in first if first[name] != second[name]}

    assert changed == {
        *("manifest.json", "INSTALL.md", "SHA256SUMS", "SHA256SUMS.release.sig")
    }
