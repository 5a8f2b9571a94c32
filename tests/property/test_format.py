"""Laws of the format: what is written is read back, what is changed is found."""

from __future__ import annotations

import copy
import json
import posixpath
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hypothesis import given, reject, settings
from hypothesis import strategies as st
from sealift_manifests.digests import Digest, digest_of
from sealift_manifests.errors import SealiftError, UnsafePathError
from sealift_manifests.image_entries import (
    CONFIG_TYPES,
    LAYER_TYPES,
    MANIFEST_TYPES,
    PLATFORMS,
    Descriptor,
    ImageEntry,
    ImageSource,
    LayerEntry,
)
from sealift_manifests.index import Chunk, Content, Index, Pack, dump_index, parse_index
from sealift_manifests.model import BUNDLE_TYPE, Manifest, dump_manifest, parse_manifest
from sealift_manifests.model_entries import (
    LAYOUTS,
    FileEntry,
    ModelEntry,
    ModelFile,
    ModelSource,
)
from sealift_manifests.paths import check_inner_path, check_inner_paths
from sealift_manifests.settings import Secret, Setting
from sealift_manifests.smoke import Header, SmokeTest
from sealift_manifests.stack_entries import Service, StackEntry
from sealift_manifests.trees import layout_tree

GOLDEN = Path(__file__).resolve().parents[1] / "golden/bundle-v1"
NOW = datetime(2026, 2, 1, tzinfo=UTC)

digests = st.binary(max_size=8).map(digest_of)
sizes = st.integers(0, 2**53 - 1)
labels = st.from_regex(r"[a-z0-9]([a-z0-9_-]{0,9}[a-z0-9])?", fullmatch=True)
parts = st.text(
    st.characters(exclude_categories=("C",), exclude_characters="/\\"),
    min_size=1,
    max_size=12,
)
names = st.lists(parts, min_size=1, max_size=4).map("/".join)
facts = st.dictionaries(labels, st.integers(0, 9) | st.text(max_size=5), max_size=3)
hexes = st.integers(0, 16**40 - 1).map("{:040x}".format)


def distinct(together: list[str]) -> bool:
    """Say whether these paths may lie in one tree."""
    try:
        check_inner_paths(together)
    except UnsafePathError:
        return False
    return True


paths = names.filter(lambda path: distinct([path]))
path_sets = st.lists(paths, min_size=1, max_size=4).filter(distinct)


def blob_name(digest: Digest, lfs: bool) -> str:
    """Return a name such as a Hub cache gives a file."""
    return digest.hex if lfs else digest.hex[:40]


@st.composite
def models(draw: Any, name: str) -> ModelEntry:
    layout = draw(st.sampled_from(LAYOUTS))
    hub = layout == "hf-cache" or draw(st.booleans())
    source = ModelSource("path")
    if hub:
        source = ModelSource("huggingface", "org/name", draw(paths), draw(hexes))
    files = []
    for path in draw(path_sets):
        digest = draw(digests)
        blob = blob_name(digest, draw(st.booleans())) if hub else None
        files.append(ModelFile(path, draw(sizes), digest, blob))
    rest = {"tree": draw(digests), "facts": draw(facts)}
    try:
        return ModelEntry(name, layout, source, tuple(files), **rest)
    except UnsafePathError:
        reject()  # a revision that stands in the way of refs/main


@st.composite
def layers(draw: Any) -> LayerEntry:
    kind, digest, size = draw(st.sampled_from(LAYER_TYPES)), draw(digests), draw(sizes)
    plain = (draw(digests), draw(sizes)) if kind.endswith("gzip") else (digest, size)
    return LayerEntry(kind, digest, size, *plain)


@st.composite
def images(draw: Any, name: str, platform: str) -> ImageEntry:
    index_digest = draw(st.none() | digests)
    kind = draw(st.sampled_from(["pull", "build", "engine"]))
    manifest, config = st.sampled_from(MANIFEST_TYPES), st.sampled_from(CONFIG_TYPES)
    digest = draw(digests)
    return ImageEntry(
        name=name,
        reference=f"registry.example/some/image:{name}-{digest.short}",
        source=ImageSource(kind, "registry.example/some/image:1", index_digest),
        platform=platform,
        manifest=Descriptor(draw(manifest), digest, draw(sizes)),
        config=Descriptor(draw(config), draw(digests), draw(sizes)),
        layers=tuple(draw(st.lists(layers(), max_size=3))),
        facts=draw(facts),
    )


sites = st.sampled_from(
    [
        ((), ()),
        ((Setting("PORT", "port", "8000", help="of \u00dc"),), ()),
        ((Setting("MODE", "choice", choices=("a", "b")),), (Secret("key", 32),)),
        ((), (Secret("token"),)),
    ]
)


@st.composite
def smoke_tests(draw: Any, secrets: list[str]) -> tuple[SmokeTest, ...]:
    header = Header("A", "".join(f"${{secret:{label}}}" for label in secrets))
    asked = st.builds(
        SmokeTest,
        *(labels, st.just("web"), st.integers(1, 65535), st.just("/x")),
        headers=st.sampled_from([(), (header,)]),
    )
    return tuple(draw(st.lists(asked, max_size=2, unique_by=lambda test: test.name)))


@st.composite
def manifests(draw: Any) -> Manifest:
    platform = draw(st.sampled_from(PLATFORMS))
    model_names = draw(st.lists(labels, max_size=2, unique=True))
    image_names = draw(st.lists(labels, max_size=2, unique=True))
    stack = None
    if image_names and draw(st.booleans()):
        held = draw(path_sets)
        files = tuple(FileEntry(path, draw(sizes), draw(digests)) for path in held)
        service = Service("web", image_names[0], tuple(model_names))
        settings, secrets = draw(sites)
        smoke = draw(smoke_tests([each.label for each in secrets]))
        stack = StackEntry(
            *(held[0], files, (service,)),
            settings=settings,
            secrets=secrets,
            smoke=smoke,
        )
    return Manifest(
        format=1,
        type=BUNDLE_TYPE,
        name=draw(labels),
        version=draw(labels),
        serial=draw(st.integers(1, 2**53 - 1)),
        platform=platform,
        created="2026-01-01T00:00:00Z",
        builder="sealift 0",
        models=tuple(draw(models(name)) for name in model_names),
        images=tuple(draw(images(name, platform)) for name in image_names),
        stack=stack,
        features=(
            *(("settings",) if stack and stack.leaves_open else ()),
            *(("smoke",) if stack and stack.smoke else ()),
            *(("smoke-secrets",) if stack and stack.sent_secrets else ()),
        ),
        facts=draw(facts),
    )


@st.composite
def indexes(draw: Any) -> Index:
    packs: list[Pack] = []
    chunks: list[Chunk] = []
    for number in range(draw(st.integers(0, 3))):
        offset = 0
        for _ in range(draw(st.integers(1, 3))):
            codec = draw(st.sampled_from(["raw", "zstd", "shuffle-zstd"]))
            size = draw(st.integers(1, 8 << 20))
            plain = digest_of(b"chunk %d" % len(chunks))
            stored_size = size if codec == "raw" else draw(st.integers(1, size))
            stored = plain if codec == "raw" else draw(digests)
            width = draw(st.sampled_from([2, 4])) if codec == "shuffle-zstd" else 1
            place = (number, offset, stored_size, stored)
            chunks.append(Chunk(plain, size, codec, width, *place))
            offset += stored_size
        packs.append(Pack(f"data-{number + 1:04}.pack", offset))
    most = 5 if chunks else 0
    pick = st.lists(st.integers(0, max(len(chunks) - 1, 0)), max_size=most)
    contents: dict[Digest, Content] = {}
    for digest in draw(st.lists(digests, max_size=4, unique=True)):
        numbers = tuple(draw(pick))
        if len(numbers) < 2:
            (digest,) = [chunks[n].digest for n in numbers] or [digest_of(b"")]
        size = sum(chunks[n].size for n in numbers)
        contents[digest] = Content(digest, size, numbers)
    return Index(tuple(packs), tuple(chunks), contents)


@given(manifests())
def test_a_manifest_is_read_back_as_it_was_written(manifest):
    data = dump_manifest(manifest)

    assert parse_manifest(data) == manifest
    assert dump_manifest(parse_manifest(data)) == data


@given(indexes())
def test_an_index_is_read_back_as_it_was_written(index):
    data = dump_index(index)

    assert parse_index(data) == index
    assert dump_index(parse_index(data)) == data


# Names


@given(st.text(max_size=30) | st.lists(parts | st.just(".."), max_size=5).map("/".join))
def test_no_accepted_path_leaves_the_root(path):
    try:
        check_inner_path(path)
    except UnsafePathError:
        return

    assert posixpath.normpath(f"/root/{path}") == f"/root/{path}"
    assert "\0" not in path


@given(st.data())
def test_no_name_and_no_link_of_a_tree_leaves_the_root(data):
    model = data.draw(models("m"))

    tree = layout_tree(model.layout, model.source, model.files)

    there = {entry.path for entry in tree}
    for entry in tree:
        assert posixpath.normpath(f"/root/{entry.path}") == f"/root/{entry.path}"
        if entry.link is not None:
            aim = posixpath.normpath(f"{posixpath.dirname(entry.path)}/{entry.link}")
            assert aim in there


# Documents that nobody wrote


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the way to every value within a JSON value."""
    yield at
    items = value.items() if isinstance(value, dict) else ()
    items = enumerate(value) if isinstance(value, list) else items
    for key, inner in items:
        yield from places(inner, (*at, key))


def replaced(value: Any, at: tuple[Any, ...], new: Any) -> Any:
    """Return a copy of a JSON value with another value at one place."""
    if not at:
        return new
    result = copy.deepcopy(value)
    inner = result
    for key in at[:-1]:
        inner = inner[key]
    inner[at[-1]] = new
    return result


DOCUMENTS = {
    "manifest.json": (parse_manifest, dump_manifest),
    "index.json": (parse_index, dump_index),
}
VALUES = {name: json.loads((GOLDEN / name).read_bytes()) for name in DOCUMENTS}
PLACES = {name: list(places(value)) for name, value in VALUES.items()}
strange = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.sampled_from(["", "..", "/", "\0", "x" * 5000, "sha256:", [], {}, [[]], 0.5])
    | st.text(max_size=9)
)


@settings(max_examples=400)
@given(st.sampled_from(sorted(DOCUMENTS)), st.data())
def test_any_value_anywhere_is_read_or_refused_in_our_words(name, data):
    at, new = data.draw(st.sampled_from(PLACES[name])), data.draw(strange)
    parse, dump = DOCUMENTS[name]
    document = json.dumps(replaced(VALUES[name], at, new)).encode("ascii")

    try:
        value = parse(document)
    except SealiftError as error:
        assert error.hint
        return

    assert parse(dump(value)) == value
