"""What format 1 refuses because two readers could take it in two ways."""

from __future__ import annotations

from typing import Any

import pytest
from sealift_manifests import strictjson, sums
from sealift_manifests.consistency import check_consistent
from sealift_manifests.digests import digest_of
from sealift_manifests.errors import ManifestError, UnsafePathError
from sealift_manifests.index import parse_index
from sealift_manifests.model import parse_manifest
from sealift_manifests.paths import check_inner_path, is_outer_name

ONE, TWO = digest_of(b"one"), digest_of(b"two")
NOTHING = digest_of(b"")
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def an_index() -> dict[str, Any]:
    """Return the value of an index with two chunks in two packs."""
    return {
        "format": 1,
        "packs": [{"name": "a.pack", "size": 3}, {"name": "b.pack", "size": 2}],
        "chunks": [
            {"codec": "raw", "digest": ONE, "offset": 0, "pack": 0, "size": 3},
            {
                "codec": "shuffle-zstd",
                "digest": TWO,
                "offset": 0,
                "pack": 1,
                "size": 3,
                "stored_digest": digest_of(b"2"),
                "stored_size": 2,
                "width": 2,
            },
        ],
        "contents": [
            {"digest": ONE, "size": 3, "chunks": [0]},
            {"digest": TWO, "size": 3, "chunks": [1]},
            {"digest": digest_of(b"onetwo"), "size": 6, "chunks": [0, 1]},
            {"digest": NOTHING, "size": 0, "chunks": []},
        ],
    }


def a_manifest() -> dict[str, Any]:
    """Return the value of a manifest with a Hub model, an image and a stack."""
    return {
        "format": 1,
        "type": "sealift-bundle",
        "name": "acme",
        "version": "1.0",
        "serial": 1,
        "platform": "linux/amd64",
        "created": "2026-11-01T00:00:00Z",
        "builder": "by hand",
        "models": [a_model()],
        "images": [an_image()],
        "stack": {
            "compose": "compose.yaml",
            "files": [{"path": "compose.yaml", "size": 3, "digest": TWO}],
            "services": [{"name": "web", "image": "web", "models": ["tiny"]}],
        },
    }


def a_model() -> dict[str, Any]:
    """Return the value of a model from a Hub."""
    return {
        "name": "tiny",
        "layout": "hf-cache",
        "source": {
            "kind": "huggingface",
            "repo": "acme/tiny",
            "revision": "v1",
            "commit": COMMIT,
        },
        "files": [
            {"path": "a", "size": 3, "digest": ONE, "blob": COMMIT},
            {"path": "b", "size": 3, "digest": TWO, "blob": TWO.hex},
        ],
        "tree": ONE,
    }


def an_image() -> dict[str, Any]:
    """Return the value of an image that was pulled."""
    layer = {"digest": ONE, "size": 3, "diff_id": ONE, "diff_size": 3}
    layer["media_type"] = "application/vnd.oci.image.layer.v1.tar"
    config = {"digest": TWO, "size": 3}
    config["media_type"] = "application/vnd.oci.image.config.v1+json"
    manifest = {"digest": NOTHING, "size": 0}
    manifest["media_type"] = "application/vnd.oci.image.manifest.v1+json"
    return {
        "name": "web",
        "reference": f"docker.io/library/web:1-{NOTHING.short}",
        "source": {"kind": "pull", "reference": "web:1"},
        "platform": "linux/amd64",
        "manifest": manifest,
        "config": config,
        "layers": [layer],
    }


def changed(value: Any, place: str, new: Any) -> bytes:
    """Return the JSON of `value` with one place, such as `a.0.b`, set anew."""
    *way, last = (int(p) if p.isdigit() else p for p in place.split("."))
    inner = value
    for step in way:
        inner = inner[step]
    inner[last] = new
    return strictjson.dump(value)


def test_the_index_and_manifest_that_the_others_differ_from_are_accepted():
    index = parse_index(strictjson.dump(an_index()))
    manifest = parse_manifest(strictjson.dump(a_manifest()))

    assert len(index.contents) == 4
    assert manifest.images[0].tag == f"1-{NOTHING.short}"


RAW_AGAIN = {"codec": "raw", "digest": ONE, "offset": 0, "pack": 1, "size": 2}


@pytest.mark.parametrize(
    ("place", "new"),
    [
        ("packs", {}),
        ("chunks", ""),
        ("contents", {}),
        ("contents.3.chunks", ""),
        ("contents.3.chunks", {}),
        ("packs.0.size", 0),
        ("packs.0.size", -3),
        ("packs.0.size", True),
        ("packs.0.name", 1),
        ("packs.1.size", 3),
        ("chunks.0.offset", 1),
        ("chunks.0.pack", 1),
        ("chunks.1.pack", 2),
        ("chunks.0.size", 0),
        ("chunks.0.width", 1),
        ("chunks.1.width", 1),
        ("chunks.1.width", 8),
        ("chunks.1.stored_size", 4),
        ("chunks.1.size", (8 << 20) + 1),
        ("chunks.1.codec", "zstd"),
        ("chunks.1.codec", "xz"),
        ("chunks.1.codec", ["raw"]),
        ("chunks.1.more", 1),
        ("chunks.0.size", "3"),
        ("chunks.0.offset", -1),
        ("chunks.1", RAW_AGAIN),
        ("contents.0.digest", TWO),
        ("contents.0.chunks", [1]),
        ("contents.0.chunks", [2]),
        ("contents.0.size", 4),
        ("contents.3.digest", digest_of(b"something")),
        ("features", ["deltas"]),
        ("features", "deltas"),
        ("format", 2),
        ("format", True),
        ("extra", 1),
    ],
)
def test_an_index_that_is_not_consistent_is_refused(place, new):
    with pytest.raises(Exception) as caught:
        parse_index(changed(an_index(), place, new))

    assert type(caught.value).__name__ in ("ManifestError", "FormatVersionError")


def test_an_empty_pack_after_the_last_chunk_is_refused():
    value = an_index()
    value["packs"].append({"name": "c.pack", "size": 0})

    with pytest.raises(ManifestError, match=r"c\.pack is empty"):
        parse_index(strictjson.dump(value))


@pytest.mark.parametrize(
    ("place", "new"),
    [
        ("created", "2026-02-30T00:00:00Z"),
        ("created", "٢٠٢٦-01-01T00:00:00Z"),
        ("builder", "evil \x1b[2J"),
        ("builder", ""),
        ("serial", 0),
        ("platform", "linux/arm64"),
        ("images.0.reference", "docker.io/library/web:1"),
        ("images.0.reference", f"web:1-{NOTHING.short}"),
        ("images.0.reference", f"docker.io/a/../web:1-{NOTHING.short}"),
        ("images.0.source.reference", "a\nb"),
        ("images.0.manifest.media_type", "application/json"),
        ("images.0.config.media_type", "application/json"),
        ("images.0.layers.0.diff_id", TWO),
        ("images.0.layers.0.diff_size", 4),
        ("images.0.layers.0.diff_size", -1),
        ("images.0.config.size", -1),
        ("models.0.files.1.blob", ONE.hex),
        ("models.0.files.1.blob", COMMIT),
        ("models.0.files.1.blob", "beef"),
        ("models.0.files.1.path", "A"),
        ("models.0.source.revision", "main/of/all"),
        ("models.0.source.repo", "a/" + "b" * 97),
        ("models.0.source", {"kind": "path"}),
        ("models.0.source.kind", "path"),
        ("stack.services.0.name", "web\n"),
        ("stack.services.0.models", ["other"]),
        ("stack.services.0.image", "other"),
        ("stack.services", [{"name": "w", "image": "web"}] * 2),
        ("stack.compose", "other.yaml"),
    ],
)
def test_a_manifest_that_is_not_consistent_is_refused(place, new):
    with pytest.raises((ManifestError, UnsafePathError)):
        parse_manifest(changed(a_manifest(), place, new))


def test_a_path_says_no_repo():
    value = a_manifest()
    value["models"][0].update(layout="flat", source={"kind": "path", "repo": "a/b"})

    with pytest.raises(ManifestError, match="a path has no repo"):
        parse_manifest(strictjson.dump(value))


def test_the_tree_of_a_model_is_the_one_its_files_make():
    value = a_manifest()
    value.update(images=[], stack=None)
    value["models"][0].update(layout="flat", source={"kind": "path"})
    listing = f"{ONE.hex}  a\n{TWO.hex}  b\n".encode()
    index = an_index()
    index["contents"] = index["contents"][:2]
    packs = {"a.pack": ONE, "b.pack": ONE}
    held = parse_index(strictjson.dump(index))

    def check(tree: bytes) -> None:
        value["models"][0]["tree"] = digest_of(tree)
        manifest = parse_manifest(strictjson.dump(value))
        check_consistent(
            manifest, held, {"weights-tiny.sha256": digest_of(tree), **packs}
        )

    check(listing)
    with pytest.raises(ManifestError, match="not the list of model tiny"):
        check(listing.replace(b"  b", b"  c"))


@pytest.mark.parametrize(
    "text",
    [
        b'{"a": "\\ud800"}',
        b'["\\udc00x"]',
        b"[-0]",
        b"[1.0]",
        b"[1e3]",
        b"[NaN]",
        b"[9007199254740992]",
        b'{"a": 1, "a": 1}',
        b'{"a": 1, "A": 1}',
        b'["\xc3\xa9"]',
        b"\xef\xbb\xbf[]",
        b"[1] [2]",
    ],
)
def test_json_that_two_readers_could_take_in_two_ways_is_refused(text):
    with pytest.raises(ManifestError, match="strict JSON"):
        strictjson.load(text, "it")


def test_a_whole_surrogate_pair_is_one_character():
    assert strictjson.load(b'["\\ud83d\\ude00"]', "it") == ["\U0001f600"]


@pytest.mark.parametrize(
    "names",
    [
        ["a.pack", "A.pack"],
        ["SHA256SUMS"],
        ["SHA256SUMS.x.sig"],
        ["sha256sums.x.sig"],
        ["sub/a"],
        [".hidden"],
        ["dot."],
    ],
)
def test_a_list_that_could_not_hold_on_every_medium_is_refused(names):
    data = sums.format_sums(dict.fromkeys(names, ONE))

    with pytest.raises(ManifestError):
        sums.parse_sums(data)


def test_names_that_every_medium_keeps_are_outer_names():
    assert is_outer_name("data-0001.pack")
    assert not is_outer_name("data.")


@pytest.mark.parametrize("sign", ["\x85", "\u2028", "\u202e", "\u2066", "\n", "\\"])
def test_a_path_that_would_be_shown_as_another_is_refused(sign):
    check_inner_path("weights é 重み.bin")
    with pytest.raises(UnsafePathError):
        check_inner_path(f"weights{sign}.bin")
