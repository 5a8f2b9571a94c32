"""No name that a build can make is one that a stick's file system refuses or folds."""

from __future__ import annotations

import re

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from sealift_bundler.record import pack_name
from sealift_bundler.signing import named_signers
from sealift_manifests.bundle import (
    GUIDE_NAME,
    INDEX_NAME,
    INSTALLER_NAME,
    MANIFEST_NAME,
)
from sealift_manifests.digests import digest_of
from sealift_manifests.litter import litter_kind
from sealift_manifests.model_entries import ModelEntry, ModelFile, ModelSource
from sealift_manifests.paths import is_label, is_outer_name, is_version
from sealift_manifests.preflight.diff import survey_file
from sealift_manifests.sshsig import PublicKey
from sealift_manifests.sshwire import put_string
from sealift_manifests.sums import SUMS_NAME
from sealift_manifests.trust import companion_file, signature_file

DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?\Z", re.IGNORECASE)
"""Names that Windows keeps for devices, with any ending."""

FIXED = (SUMS_NAME, GUIDE_NAME, INDEX_NAME, INSTALLER_NAME, MANIFEST_NAME)

odd = st.sampled_from(["con", "nul", "aux", "com1", "LPT1", "a.", "a ", "A", "a"])
comments = st.one_of(st.text(max_size=90), odd)
labels = st.one_of(st.from_regex(r"[a-z0-9_-]{1,63}", fullmatch=True), odd)
versions = st.one_of(st.from_regex(r"[A-Za-z0-9._-]{1,63}", fullmatch=True), odd)


class Signer:
    """A key with a comment; it never signs."""

    def __init__(self, number: int, comment: str) -> None:
        key = Ed25519PrivateKey.from_private_bytes(b"%032d" % number).public_key()
        blob = put_string(b"ssh-ed25519") + put_string(key.public_bytes_raw())
        self.public_key = PublicKey("ssh-ed25519", blob, comment)


def a_model(name: str) -> ModelEntry:
    nothing = digest_of(b"")
    file = ModelFile("config.json", 0, nothing)
    return ModelEntry(name, "flat", ModelSource("path"), (file,), nothing)


def is_fit(name: str) -> bool:
    """Say whether FAT and exFAT keep this name as it is."""
    plain = re.fullmatch(r"[!#$%&'()+,\-.0-9;=@A-Z\[\]^_`a-z{}~]{1,255}", name)
    return bool(plain) and name[-1] not in ". " and not DEVICES.match(name)


@given(
    st.lists(comments, min_size=1, max_size=6),
    st.sets(labels.filter(is_label), max_size=4),
    st.integers(0, 20_000),
)
def test_the_files_of_a_bundle_fit_on_every_stick(comments, models, pack):
    signers = [Signer(number, comment) for number, comment in enumerate(comments)]
    names = [*FIXED, pack_name(pack), survey_file(digest_of(b"a host"))]
    names += [a_model(name).listing_name for name in models]
    for name, _ in named_signers(signers):
        names += [signature_file(name), companion_file(name)]

    assert [name for name in names if not (is_fit(name) and is_outer_name(name))] == []
    assert len({name.lower() for name in names}) == len(names)
    assert [name for name in names if litter_kind(name)] == []


@given(labels.filter(is_label), versions.filter(is_version))
def test_the_folder_of_a_bundle_fits_on_every_stick(name, version):
    folder = f"{name}-{version}"

    assert is_fit(folder)
    assert is_fit(f"{folder}.tar")
    # While it is written; the longest is within what file systems take.
    assert is_fit(f".{folder}.partial")


def test_a_name_that_a_stick_refuses_is_seen():
    bad = ["a:b", "a.", "a ", "con", "NUL.txt", "a\\b", "a?", "x" * 256, "a\tb", "é"]

    assert [name for name in bad if is_fit(name)] == []
