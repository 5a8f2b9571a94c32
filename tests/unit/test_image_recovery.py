"""Layers taken back from an engine: passed on as they come, measured, or refused."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import pytest
from engines import RawImage, a_layer, an_image
from making import noise
from sealift_installer.image_recovery import (
    Recovery,
    plan_recovery,
    recovered_archive,
)
from sealift_manifests.digests import digest_of
from sealift_manifests.errors import BaseMissingError, ImageLoadError
from sealift_manifests.image_entries import ImageEntry, LayerEntry

PLAIN = [a_layer({f"{name}.bin": noise(name, 3000)}) for name in "abcd"]


def image(*letters: str, compress: bool = True) -> RawImage:
    return an_image(*(PLAIN["abcd".index(x)] for x in letters), compress=compress)


class Exports:
    """An engine's exports: files by name, as a graph driver or a store has them."""

    def __init__(self, files: dict[str, list[tuple[str, bytes]]]) -> None:
        self._files = files

    @contextmanager
    def open(self, entry: ImageEntry) -> Iterator[io.BytesIO]:
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as tar:
            for name, data in self._files[entry.reference]:
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
        yield io.BytesIO(out.getvalue())


def legacy(*plain: bytes) -> list[tuple[str, bytes]]:
    """Return an export as Docker 20.10 names things: nothing tells a layer's digest."""
    layers = [(f"{n:064x}/layer.tar", data) for n, data in enumerate(plain)]
    return [*layers, ("config.json", b"{}"), ("manifest.json", b"[]")]


def as_stored(raw: RawImage) -> list[tuple[str, bytes]]:
    """Return an export of a containerd store."""
    return [(f"blobs/sha256/{d.hex}", data) for d, data in raw.blobs.items()]


def archived(new: RawImage, plan: Recovery, exports: Exports) -> dict[str, bytes]:
    """Return the files of the archive that an engine would be given."""
    given = {layer.digest for layer in plan.layers}
    own = {d: data for d, data in new.blobs.items() if d not in given}
    read = RawImage(new.entry, own).read
    data = b"".join(
        bytes(p) for p in recovered_archive(new.entry, read, plan, exports.open)
    )
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {m.name: tar.extractfile(m).read() for m in tar}


def plan_for(
    new: RawImage, letters: Sequence[int], *sources: RawImage, exact: bool
) -> Recovery:
    wanted = [new.entry.layers[n] for n in letters]
    plan, missing = plan_recovery(wanted, [s.entry for s in sources], exact=exact)
    assert missing == ()
    return plan


def test_a_graph_driver_gives_plain_tars_in_the_place_of_gzip():
    old, new = image("a", "b"), image("a", "c", "b")
    plan = plan_for(new, [0, 2], old, exact=False)
    exports = Exports({old.entry.reference: legacy(PLAIN[3], *PLAIN[:2])})

    files = archived(new, plan, exports)

    (listing,) = json.loads(files["manifest.json"])
    assert [digest_of(files[listing["Config"]])] == [new.entry.config.digest]
    assert listing["RepoTags"] == [new.entry.reference]
    assert [files[path] for path in listing["Layers"]] == [
        PLAIN[0],
        new.blobs[new.entry.layers[1].digest],
        PLAIN[1],
    ]
    assert "index.json" not in files  # it would name blobs that are not there


def test_a_containerd_store_gives_the_very_blobs_and_the_archive_is_the_usual_one():
    old, new = image("a", "b", "d"), image("a", "b", "c")
    plan = plan_for(new, [0, 1], old, exact=True)

    files = archived(new, plan, Exports({old.entry.reference: as_stored(old)}))

    names = {f"blobs/sha256/{digest.hex}" for digest in new.blobs}
    assert {name for name in files if name.startswith("blobs")} == names
    assert all(files[f"blobs/sha256/{d.hex}"] == data for d, data in new.blobs.items())
    (top,) = json.loads(files["index.json"])["manifests"]
    assert top["digest"] == new.entry.manifest.digest
    assert {"oci-layout", "manifest.json"} <= set(files)


@pytest.mark.parametrize("exact", [True, False])
def test_a_layer_that_is_not_what_was_signed_leaves_the_archive_unfinished(exact):
    old, new = image("a", "b"), image("a", "c")
    plan = plan_for(new, [0], old, exact=exact)
    honest = as_stored(old) if exact else legacy(*PLAIN[:2])
    lying = [(name, bytes(len(data))) for name, data in honest]

    with pytest.raises(BaseMissingError, match="does not give back"):
        archived(new, plan, Exports({old.entry.reference: lying}))


def test_a_blob_that_lies_is_not_followed_by_one_of_the_same_name():
    old, again, new = image("a", "b"), image("a", "d"), image("a", "c")
    plan = plan_for(new, [0], old, exact=True)
    plan = replace(plan, sources=(old.entry, again.entry))
    lying = [(name, bytes(len(data))) for name, data in as_stored(old)]
    exports = {old.entry.reference: lying, again.entry.reference: as_stored(again)}

    with pytest.raises(BaseMissingError, match="does not give back"):
        archived(new, plan, Exports(exports))


@pytest.mark.parametrize("exact", [True, False])
def test_a_layer_that_the_export_lacks_leaves_the_archive_unfinished(exact):
    old, new = image("a", "b"), image("a", "c")
    plan = plan_for(new, [0], old, exact=exact)

    with pytest.raises(BaseMissingError, match="layer sha256"):
        archived(new, plan, Exports({old.entry.reference: legacy()}))


def test_an_export_that_breaks_off_is_no_end_of_an_archive():
    old, new = image("a", "b"), image("a", "c")
    plan = plan_for(new, [0], old, exact=False)

    class Broken(Exports):
        @contextmanager
        def open(self, entry: ImageEntry) -> Iterator[io.BytesIO]:
            with super().open(entry) as whole:
                yield io.BytesIO(whole.getvalue()[:2000])

    with pytest.raises(ImageLoadError, match="damaged"):
        archived(new, plan, Broken({old.entry.reference: legacy(*PLAIN[:2])}))


def test_as_few_images_are_exported_as_have_the_layers():
    new = image("a", "b", "c", "d")
    some, most, rest = image("a"), image("a", "b", "c"), image("d")
    wanted = new.entry.layers

    plan, missing = plan_recovery(
        wanted, [some.entry, most.entry, rest.entry], exact=True
    )

    assert (plan.sources, missing) == ((most.entry, rest.entry), ())
    assert plan.passing == sum(layer.size for layer in wanted)


@pytest.mark.parametrize("exact", [True, False])
def test_what_no_image_has_is_told(exact):
    new, old = image("a", "b"), image("a")

    _, missing = plan_recovery(new.entry.layers, [old.entry], exact=exact)

    assert missing == (new.entry.layers[1],)


def test_another_compression_will_do_for_a_graph_driver_only():
    new, old = image("a"), image("a", compress=False)

    def missing(*, exact: bool) -> tuple[LayerEntry, ...]:
        return plan_recovery(new.entry.layers, [old.entry], exact=exact)[1]

    assert missing(exact=False) == ()
    assert missing(exact=True) == new.entry.layers


def test_a_layer_that_is_there_twice_passes_once():
    old, new = image("a"), image("a", "c", "a")
    plan = plan_for(new, [0, 2], old, exact=False)
    twice = replace(plan, sources=(old.entry, old.entry))

    files = archived(new, twice, Exports({old.entry.reference: legacy(PLAIN[0])}))

    (listing,) = json.loads(files["manifest.json"])
    assert listing["Layers"][0] == listing["Layers"][2]
    assert sum(name.startswith("recovered/") for name in files) == 1
