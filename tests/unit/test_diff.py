"""What differs between two releases, and how much of it must be carried."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import pytest
from sealift_bundler.commands.diff import describe
from sealift_bundler.diff import Side, compare, side_of
from sealift_manifests.digests import Digest, digest_of
from sealift_manifests.errors import UsageError
from sealift_manifests.image_entries import LayerEntry
from sealift_manifests.index import BaseRelease
from sealift_manifests.model_entries import FileEntry
from sealift_manifests.receipt import (
    BLOB,
    PLAIN,
    Held,
    HeldImage,
    HeldLayer,
    HeldModel,
    HeldRelease,
    Receipt,
)
from sealift_manifests.volume_entries import VolumeEntry, VolumeItem, VolumeSource

CHUNK = 100
GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"


def d(text: str) -> Digest:
    return digest_of(text.encode())


def a_file(path: str, chunks: str) -> FileEntry:
    """Return a file whose chunks, of 100 bytes each, are named by letters."""
    return FileEntry(path, CHUNK * len(chunks), d(chunks))


def layer(name: str, size: int = 40) -> LayerEntry:
    return LayerEntry(GZIP, d(f"{name} packed"), size, d(name), 2 * size)


def a_side(
    files: dict[str, str],
    layers: Iterable[str] = (),
    *,
    needs: Sequence[str] = (),
    stack: str = "s",
    serial: int = 1,
) -> Side:
    """Return a side with one model whose files have these chunks, and one image."""
    entries = {path: a_file(path, chunks) for path, chunks in files.items()}
    images = [layer(name) for name in layers]
    chunks = {d(text): [(d(c), CHUNK) for c in text] for text in files.values()}
    return Side(
        release=BaseRelease("acme", str(serial), serial, d(f"root {serial}")),
        models={"m": entries},
        images={"server": images},
        held=[
            Held(
                frozenset(digest for parts in chunks.values() for digest, _ in parts),
                frozenset(each.digest for each in images),
                frozenset(),
            )
        ],
        chunks=chunks,
        stack={"compose.yaml": a_file("compose.yaml", stack)},
        needs=needs,
    )


def test_what_is_the_same_is_not_spoken_of():
    side = a_side({"x": "abc"}, "12", needs=["CUDA 12"])

    found = compare(side, side)

    assert found.is_empty
    assert found.new == 0
    assert list(describe(found))[-1] == "  nothing changed"


def test_only_chunks_that_the_old_side_lacks_are_counted_and_each_once():
    old = a_side({"x": "abc", "y": "d"})
    new = a_side({"x": "aeb", "z": "ee", "w": "cd"})

    (model,) = compare(old, new).models

    found = {(f.path, f.kind): (f.size, f.new) for f in model.files}
    assert found == {
        ("w", "added"): (200, 0),
        ("x", "changed"): (300, 100),
        ("y", "removed"): (100, 0),
        ("z", "added"): (200, 0),
    }
    assert (model.kind, model.kept, model.size, model.new) == ("changed", 0, 700, 100)


def a_volume(uid: int, **files: str) -> VolumeEntry:
    items = [VolumeItem(".", "directory", uid=uid)]
    for path, chunks in sorted(files.items()):
        items.append(
            VolumeItem(path, "file", size=CHUNK * len(chunks), digest=d(chunks))
        )
    return VolumeEntry("store", VolumeSource("path"), tuple(items))


@pytest.mark.parametrize(
    ("volume", "kind", "files"),
    [
        (a_volume(0, x="ab", y="c"), None, {}),
        (a_volume(1, x="ab", y="c"), "changed", {}),
        (a_volume(0, x="ad"), "changed", {"x": "changed", "y": "removed"}),
    ],
    ids=["same", "owner", "files"],
)
def test_data_is_carried_whole_whatever_of_it_changed(volume, kind, files):
    old = replace(a_side({}), volumes={"store": a_volume(0, x="ab", y="c")})
    new = replace(a_side({}), volumes={"store": volume})

    found = compare(old, new)

    assert found.new == volume.size
    assert [change.kind for change in found.volumes] == ([kind] if kind else [])
    told = {f.path: f.kind for change in found.volumes for f in change.files}
    assert told == files
    if kind:
        assert "  volume     store changed" in "\n".join(describe(found))


def test_of_an_image_only_new_layers_are_counted():
    (image,) = compare(a_side({}, "123"), a_side({}, "143")).images

    assert [(x.diff_id, x.kind) for x in image.layers] == [
        (d("4"), "added"),
        (d("2"), "removed"),
    ]
    assert (image.kept, image.new, image.size) == (2, 40, 120)


def test_another_order_of_layers_is_another_image_that_brings_nothing():
    (image,) = compare(a_side({}, "12"), a_side({}, "21")).images

    assert (image.kind, image.new) == ("changed", 0)


def test_models_and_images_come_and_go():
    with_both, empty = a_side({"x": "ab"}, "1"), a_side({})
    empty = Side(empty.release, {}, {}, empty.held, {}, {}, ())

    came, went = compare(empty, with_both), compare(with_both, empty)

    assert [came.models[0].kind, came.images[0].kind] == ["added", "added"]
    assert [went.models[0].kind, went.images[0].kind] == ["removed", "removed"]
    assert (came.new, came.size, went.new) == (340, 340, 0)
    assert [file.kind for file in went.stack] == ["removed"]


def test_the_stack_and_what_a_host_must_have_are_compared():
    old = a_side({}, needs=["CUDA 12.4", "port 8000"])
    new = a_side({}, needs=["CUDA 12.8", "port 8000"], stack="t")

    found = compare(old, new)
    said = "\n".join(describe(found))

    assert (found.needs_removed, found.needs_added) == (("CUDA 12.4",), ("CUDA 12.8",))
    assert "stack      changed compose.yaml" in said
    assert "needs      CUDA 12.8" in said


def held(name: str, serial: int, *, current: bool, chunks: str, form: str = PLAIN):
    return HeldRelease(
        name=name,
        version=str(serial),
        serial=serial,
        root=d(f"root {name} {serial}"),
        current=current,
        models=(HeldModel("m", (a_file("x", chunks),)),),
        images=(
            HeldImage("server", "r/x:1", (HeldLayer(d("other"), 40, d("1"), form),)),
        ),
        chunks=tuple(map(d, chunks)),
    )


def a_receipt(*releases: HeldRelease) -> Receipt:
    return Receipt(1, "sealift-receipt", "2026-11-01T00:00:00Z", releases)


def test_all_that_a_host_has_counts_and_the_release_in_use_is_compared():
    receipt = a_receipt(
        held("acme", 1, current=True, chunks="ab"),
        held("acme", 2, current=False, chunks="ac"),
    )
    new = a_side({"x": "abcd"}, "1", serial=3)

    found = compare(side_of(receipt, "acme"), new)

    assert found.old.serial == 1
    assert found.new == CHUNK  # of d alone; the layer is known by its diff ID
    assert found.stack == found.needs_added == ()


def test_a_host_that_gives_only_blobs_lacks_a_layer_that_was_packed_again():
    receipt = a_receipt(held("acme", 1, current=True, chunks="a", form=BLOB))

    (image,) = compare(side_of(receipt, None), a_side({"x": "a"}, "1")).images

    assert image.new == 40


@pytest.mark.parametrize(("name", "words"), [("other", "not other"), (None, "acme, b")])
def test_a_receipt_without_the_bundle_is_refused_in_words(name, words):
    receipt = a_receipt(
        held("acme", 1, current=True, chunks="a"),
        held("b", 1, current=True, chunks="b"),
    )

    with pytest.raises(UsageError, match=words):
        side_of(receipt, name)
