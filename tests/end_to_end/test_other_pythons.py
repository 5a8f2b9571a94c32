"""The installer on every CPython from 3.8 that there is here, and on an old Debian."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import hosts
import pytest
from making import (
    NO_ENGINE,
    PYZ,
    Host,
    Key,
    Outcome,
    a_key,
    build,
    copied,
    listing,
    run,
    weights_spec,
)
from mixed import mixed_model

every_python = pytest.mark.parametrize("python", hosts.all_pythons(), ids=str)

_IMPORTS = """
import os, runpy, sys, sysconfig
sys.argv = sys.argv[1:]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
except SystemExit as end:
    print("ended with", end.code)
home = os.path.realpath(sysconfig.get_path("stdlib"))
for name, module in sorted(sys.modules.items()):
    place = getattr(module, "__file__", None)
    ours = name.partition(".")[0] in ("sealift_manifests", "sealift_installer")
    if place and not ours and "__main__" not in name:
        place = os.path.realpath(place)
        if not place.startswith(home + os.sep) or "-packages" in place:
            print("foreign:", name, place)
print("paths:", [path for path in sys.path if "-packages" in path])
"""


@dataclass(frozen=True)
class Carried:
    """A bundle without images, and the key that signed it."""

    bundle: Path
    key: Key
    files: dict[str, bytes]


@pytest.fixture(scope="module")
def carried(tmp_path_factory: pytest.TempPathFactory) -> Carried:
    root = tmp_path_factory.mktemp("other-pythons")
    files, key = mixed_model(), a_key(root / "release")
    spec = weights_spec(root / "spec", "old-hosts", files)
    return Carried(build(spec, key, root / "out"), key, files)


def installed_files(state: Path) -> dict[str, bytes]:
    """Return the files in the one tree below a state directory."""
    (tree,) = (state / "volumes/tiny").iterdir()
    return {
        path.relative_to(tree).as_posix(): path.read_bytes()
        for path in tree.rglob("*")
        if path.is_file()
    }


def test_the_bundle_has_every_codec(carried):
    chunks = json.loads((carried.bundle / "index.json").read_bytes())["chunks"]

    assert {(chunk["codec"], chunk.get("width", 1)) for chunk in chunks} == {
        ("raw", 1),
        ("zstd", 1),
        ("shuffle-zstd", 2),
        ("shuffle-zstd", 4),
    }


@every_python
def test_verify_install_and_audit_work(python, carried, tmp_path):
    host = Host(tmp_path, carried.bundle / PYZ, engine=NO_ENGINE, python=python.path)
    before = listing(carried.bundle)

    host.run("verify", carried.bundle, "--key", carried.key.public).expect(0, "good")
    host.run("install", carried.bundle, "--key", carried.key.public).expect(0)
    host.run("audit").expect(0, "clean")
    host.run("install", carried.bundle).expect(0, "nothing to do")

    assert installed_files(host.state) == carried.files
    assert listing(carried.bundle) == before


@every_python
def test_it_needs_nothing_but_the_standard_library(python, carried, tmp_path):
    places = ["--state-dir", tmp_path / "state", "--config-dir", tmp_path / "config"]
    install = ["install", carried.bundle, "--key", carried.key.public]
    options = ["-S", "-I", "-B", "-c", _IMPORTS, carried.bundle / PYZ]

    done = run(
        [python.path, *options, *install, *places, "--engine", NO_ENGINE], cwd=tmp_path
    )

    assert done.expect(0).out.splitlines()[-2:] == ["ended with 0", "paths: []"]


def test_what_is_not_of_the_standard_library_is_noticed(tmp_path):
    packages = tmp_path / "site-packages"
    packages.mkdir()
    (packages / "stranger.py").write_text("")
    program = tmp_path / "program.py"
    program.write_text(
        f"import sys\nsys.path.insert(0, {str(packages)!r})\nimport stranger\n"
    )
    (python, *_) = hosts.all_pythons()

    done = run([python.path, "-S", "-I", "-B", "-c", _IMPORTS, program])

    assert "foreign: stranger" in done.out
    assert "paths: []" not in done.out


@pytest.mark.slow
def test_a_minimal_debian_11_needs_nothing_more(debian11, carried):
    with debian11.folder() as (outside, inside):
        bundle = copied(carried.bundle, outside)
        (outside / "key.pub").write_bytes(carried.key.public.read_bytes())

        def installer(command: str, *words: str) -> Outcome:
            pyz = f"{inside}/{bundle.name}/{PYZ}"
            places = ["--state-dir", f"{inside}/s", "--config-dir", f"{inside}/c"]
            argv = ["python3", "-I", "-B", pyz, command, *words, *places]
            done = debian11.run(argv)
            return Outcome(done.returncode, done.stdout.decode(), done.stderr.decode())

        medium, key = f"{inside}/{bundle.name}", ("--key", f"{inside}/key.pub")
        installer("verify", medium, *key).expect(0, "good: old-hosts 1.0.0")
        installer("install", medium, *key).expect(0, "is installed at")
        installer("audit").expect(0, "clean: old-hosts 1.0.0, 5 weight files")
        assert installed_files(outside / "s") == carried.files
