"""Trees: where each file of a model lies for the container that mounts it."""

from __future__ import annotations

from sealift_manifests.digests import digest_of
from sealift_manifests.model_entries import ModelFile, ModelSource
from sealift_manifests.trees import TreeEntry, format_listing, layout_tree

A, B = digest_of(b"a"), digest_of(b"b")
COMMIT = "c" * 40
FILES = (ModelFile("b/deep.bin", 1, B, B.hex), ModelFile("a.json", 1, A, "a" * 40))
HUB = ModelSource("huggingface", "org/name", "v1", COMMIT)


def at(revision: str) -> ModelSource:
    return ModelSource("huggingface", "org/name", revision, COMMIT)


def test_a_flat_tree_is_the_files_under_their_own_names():
    assert layout_tree("flat", ModelSource("path"), FILES) == (
        TreeEntry("a.json", content=A, size=1),
        TreeEntry("b/deep.bin", content=B, size=1),
    )
    assert format_listing("flat", ModelSource("path"), FILES) == (
        f"{A.hex}  a.json\n{B.hex}  b/deep.bin\n".encode()
    )


def test_a_hub_cache_has_blobs_links_to_them_and_names_for_the_commit():
    repo = "models--org--name"
    snapshot = f"{repo}/snapshots/{COMMIT}"

    assert set(layout_tree("hf-cache", HUB, FILES)) == {
        TreeEntry(f"{repo}/blobs/{B.hex}", content=B, size=1),
        TreeEntry(f"{repo}/blobs/{'a' * 40}", content=A, size=1),
        TreeEntry(f"{repo}/refs/main", text=COMMIT.encode()),
        TreeEntry(f"{repo}/refs/v1", text=COMMIT.encode()),
        TreeEntry(f"{snapshot}/a.json", link=f"../../blobs/{'a' * 40}"),
        TreeEntry(f"{snapshot}/b/deep.bin", link=f"../../../blobs/{B.hex}"),
    }


def test_a_commit_and_the_default_branch_need_no_name_of_their_own():
    def refs(source: ModelSource) -> list[str]:
        tree = layout_tree("hf-cache", source, FILES)
        return [entry.path.partition("/refs/")[2] for entry in tree if entry.text]

    assert refs(at("main")) == ["main"]
    assert refs(at(COMMIT)) == ["main"]
    assert refs(at("pr/1")) == ["main", "pr/1"]


def test_two_files_with_the_same_bytes_share_a_blob():
    twins = (ModelFile("x", 1, A, A.hex), ModelFile("y", 1, A, A.hex))

    tree = layout_tree("hf-cache", HUB, twins)

    assert len([entry for entry in tree if entry.content]) == 1
    assert len([entry for entry in tree if entry.link]) == 2
