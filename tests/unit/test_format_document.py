"""FORMAT.md says enough: a reader made from it alone gives what ours gives."""

from __future__ import annotations

import ast
import hashlib
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import strangers_reader as stranger
import strangers_settings as settings_part
import strangers_smoke as smoke_part
import strangers_volumes as volumes_part
from cryptography.exceptions import InvalidSignature
from making import Key, a_key, build, flip, model_files, noise, resign, weights_spec
from sealift_bundler.target import open_target
from sealift_manifests.bundle import open_bundle
from sealift_manifests.errors import SignatureError
from sealift_manifests.media import Media
from sealift_manifests.roots import MAX_SIGNATURES
from sealift_manifests.trust import Trust

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "manifests" / "FORMAT.md").read_text("utf-8")
GOLDEN = ROOT / "tests" / "golden" / "bundle-v1"
GOLDEN_KEYS = [GOLDEN.parent / f"golden-{kind}.pub" for kind in ("ed25519", "p384")]
NOW = datetime(2026, 11, 1, tzinfo=UTC)


def blobs_of(*public: Path) -> set[bytes]:
    return {stranger.key_blob(path.read_text()) for path in public}


def ours(bundle: Path, public: Path) -> dict[str, str]:
    """Return the digest of everything in the bundle as our own reader decodes it."""
    found = {}
    with Media([str(bundle)]) as media:
        opened = open_bundle(media, Trust.from_key_file(public.read_text(), "key"), NOW)
        for digest, _, what in opened.manifest.contents():
            state = hashlib.sha256()
            for data in opened.read_content(digest):
                state.update(data)
            found[what] = state.hexdigest()
    return found


def theirs(bundle: Path, public: Path, folder: Path) -> dict[str, str]:
    """Return the same as the stranger extracts it."""
    stranger.Bundle(bundle, blobs_of(public)).extract(folder)
    found = {}
    for path in (p for p in folder.rglob("*") if p.is_file()):
        kind, *rest = path.relative_to(folder).parts
        name, inner = rest[0], "/".join(rest[1:])
        what = {
            "models": f"model {name}: {inner}",
            "images": f"image {name}: {inner[:12]}",
            "stack": f"stack: {'/'.join(rest)}",
        }[kind]
        found[what] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


@pytest.fixture(scope="module")
def key(tmp_path_factory) -> Key:
    return a_key(tmp_path_factory.mktemp("key") / "release")


@pytest.fixture(scope="module")
def fresh(key, tmp_path_factory) -> Path:
    """A bundle of two packs; one file is larger than a chunk and repeats."""
    folder = tmp_path_factory.mktemp("fresh")
    files = model_files() | {
        "big.bin": noise("big", 9 << 20),
        "zeros.bin": bytes(20 << 20),
        "deep/er/empty": b"",
    }
    spec = weights_spec(folder, "acme", files)
    return build(spec, key, folder / "out", "--part-size", "8388608")


@pytest.fixture(scope="module")
def protected(key, fresh, tmp_path_factory) -> Path:
    """The same bundle with parity files: two packs in one group, and three of them."""
    spec, out = fresh.parents[1] / "sealift.yaml", tmp_path_factory.mktemp("protected")
    return build(spec, key, out, "--part-size", "8388608", "--parity", "3/4")


def as_tar(bundle: Path, folder: Path) -> Path:
    """Write a bundle's files as our tar does."""
    files = sorted(bundle.iterdir(), key=lambda p: (p.suffix != ".pack", p.name))
    with open_target(folder, bundle.name, tar=True, mtime=0) as target:
        for path in files:
            sink = target.create(path.name)
            sink.write(path.read_bytes())
            sink.close()
        target.finish()
        return target.commit()


def test_a_stranger_reads_the_golden_bundle_as_we_do(tmp_path):
    expected = ours(GOLDEN, GOLDEN_KEYS[0])

    for number, public in enumerate(GOLDEN_KEYS):
        assert theirs(GOLDEN, public, tmp_path / str(number)) == expected
    assert len(expected) == 13


@pytest.mark.parametrize("form", ["directory", "tar"])
def test_a_stranger_reads_a_fresh_bundle_as_we_do(form, fresh, key, tmp_path):
    bundle = fresh if form == "directory" else as_tar(fresh, tmp_path)
    source = fresh.parents[1] / "model"
    made = {
        f"model tiny: {p.relative_to(source)}": hashlib.sha256(
            p.read_bytes()
        ).hexdigest()
        for p in source.rglob("*")
        if p.is_file()
    }

    assert ours(bundle, key.public) == made
    assert theirs(bundle, key.public, tmp_path / "out") == made
    assert len(list(fresh.glob("*.pack"))) > 1


def test_a_stranger_makes_the_same_parity_of_the_packs(protected, key, tmp_path):
    bundle = stranger.Bundle(protected, blobs_of(key.public))

    assert bundle.check_parity() == 3
    assert theirs(protected, key.public, tmp_path) == ours(protected, key.public)

    longest = max(protected.glob("*.pack"), key=lambda path: path.stat().st_size)
    flip(longest, at=longest.stat().st_size - 1)
    with pytest.raises(ValueError, match="parity is not that of the packs"):
        bundle.check_parity()


def test_a_stranger_puts_a_delta_together_with_what_its_base_has(fresh, key, tmp_path):
    files = model_files() | {"big.bin": noise("big", 9 << 20) + b"more"}
    spec = weights_spec(tmp_path, "acme", files, version="2", serial=2)
    delta = build(spec, key, tmp_path / "out", "--base", fresh)
    full = build(spec, key, tmp_path / "full")
    old = stranger.Bundle(fresh, blobs_of(key.public))
    had = (data for each in old.contents for data in old.plain(each))

    with_base = stranger.Bundle(
        delta, blobs_of(key.public), {stranger.digest(data): data for data in had}
    )
    with_base.extract(tmp_path / "with")

    assert theirs(full, key.public, tmp_path / "whole") == {
        f"model tiny: {path.relative_to(tmp_path / 'with/models/tiny')}": (
            hashlib.sha256(path.read_bytes()).hexdigest()
        )
        for path in (tmp_path / "with").rglob("*")
        if path.is_file()
    }
    with pytest.raises(ValueError, match="the base lacks a chunk"):
        stranger.Bundle(delta, blobs_of(key.public)).extract(tmp_path / "without")


def test_a_stranger_unpacks_our_tar_with_the_hosts_tar(fresh, tmp_path):
    archive = as_tar(fresh, tmp_path)

    subprocess.run(["tar", "-xf", archive, "-C", tmp_path], check=True)

    for path in fresh.iterdir():
        assert (tmp_path / fresh.name / path.name).read_bytes() == path.read_bytes()


@pytest.mark.parametrize("name", sorted(path.name for path in GOLDEN.iterdir()))
def test_a_stranger_finds_a_flipped_bit_in_every_file(name, tmp_path):
    bundle = tmp_path / "bundle"
    shutil.copytree(GOLDEN, bundle)
    flip(bundle / name)

    with pytest.raises((ValueError, InvalidSignature)) as caught:
        stranger.Bundle(bundle, blobs_of(*GOLDEN_KEYS)).extract(tmp_path / "out")

    if name.endswith(".pack"):  # found before anything is decoded
        assert str(caught.value) == f"{name} is damaged"


def test_a_stranger_trusts_no_key_that_is_merely_there(fresh, key, tmp_path):
    bundle = tmp_path / fresh.name
    shutil.copytree(fresh, bundle)
    resign(bundle, a_key(tmp_path / "other"))

    with pytest.raises(ValueError, match="no accepted signature"):
        stranger.Bundle(bundle, blobs_of(key.public))


def test_neither_reader_looks_at_more_signatures_than_the_limit(tmp_path):
    bundle = Path(shutil.copytree(GOLDEN, tmp_path / "bundle"))
    good = (bundle / "SHA256SUMS.golden-ed25519.sig").read_bytes()
    for number in range(MAX_SIGNATURES - 3):
        (bundle / f"SHA256SUMS.{number}.sig").write_bytes(good)

    assert ours(bundle, GOLDEN_KEYS[0])
    stranger.Bundle(bundle, blobs_of(*GOLDEN_KEYS))

    (bundle / "SHA256SUMS.more.sig").write_bytes(good)
    with pytest.raises(SignatureError, match="65 signature files"):
        ours(bundle, GOLDEN_KEYS[0])
    with pytest.raises(ValueError, match="too many"):
        stranger.Bundle(bundle, blobs_of(*GOLDEN_KEYS))


def test_the_stranger_knows_none_of_our_code():
    parts = (stranger, settings_part, smoke_part, volumes_part)
    trees = [ast.parse(Path(part.__file__).read_text()) for part in parts]
    imported = {
        name
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for name in (
            [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else [alias.name for alias in node.names]
        )
    }

    foreign = {name.split(".")[0] for name in imported} - set(sys.stdlib_module_names)
    assert foreign - {part.__name__ for part in parts} == {"zstandard", "cryptography"}


def steps() -> Iterator[tuple[str, str]]:
    """Yield each command of the walk-through and what the document says it prints."""
    chapter = TEXT.partition("## 20. ")[2]
    blocks = re.findall(r"(?:^    .*\n|^\n(?=    ))+", chapter, re.M)
    for block in blocks:
        plain = re.sub(r"^    ", "", block, flags=re.M)
        for step in re.split(r"^\$ ", plain, flags=re.M)[1:]:
            lines = step.rstrip().split("\n")
            end = 1
            if "<<'END'" in lines[0]:
                end = lines.index("END") + 1
            else:
                while _goes_on("\n".join(lines[:end])):
                    end += 1
            yield "\n".join(lines[:end]), "\n".join(lines[end:])


def _goes_on(command: str) -> bool:
    try:
        shlex.split(command, comments=True)
    except ValueError:
        return True
    return command.endswith("\\")


def test_the_walk_through_prints_what_the_document_says(tmp_path):
    script, expected = [], []
    for command, printed in steps():
        script += [command.replace("/tmp/", f"{tmp_path}/"), "echo =="]
        expected.append(printed)

    done = subprocess.run(
        ["bash", "-c", "\n".join(script)], cwd=GOLDEN, capture_output=True, text=True
    )
    printed = [part.strip("\n") for part in done.stdout.split("==\n")[:-1]]

    assert done.stderr == ""
    assert printed == expected
    assert len(expected) == 11
