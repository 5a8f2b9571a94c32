"""The small files of a bundle: documents, SHA256SUMS and the signatures on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sealift_manifests.bundle import (
    GUIDE_NAME,
    INDEX_NAME,
    INSTALLER_NAME,
    MANIFEST_NAME,
)
from sealift_manifests.consistency import check_consistent
from sealift_manifests.digests import Digest, digest_of
from sealift_manifests.index import Index, dump_index
from sealift_manifests.model import Manifest, dump_manifest
from sealift_manifests.sums import SUMS_NAME, format_sums

from sealift_bundler.guide import install_guide
from sealift_bundler.installer_zip import installer_bytes
from sealift_bundler.output import output_faults
from sealift_bundler.signing import Signer, sign_sums
from sealift_bundler.target import Target

NamedSigners = Sequence[tuple[str, Signer]]
"""Signers, each with the name that its signature file has."""


@dataclass(frozen=True)
class Content:
    """What is signed. `documents` are small files, and digests of those written."""

    manifest: Manifest
    index: Index
    documents: Mapping[str, bytes | Digest]

    def adding(self, name: str, data: bytes) -> Content:
        """Return it with one more document."""
        return replace(self, documents={**self.documents, name: data})


def signed_files(content: Content, signers: NamedSigners) -> dict[str, bytes]:
    """Return every small file of a bundle by its name, SHA256SUMS and signatures too.

    Raises ManifestError when the documents do not speak of the same files.
    """
    files, digests = {}, {}
    for name, data in content.documents.items():
        if isinstance(data, Digest):
            digests[name] = data
        else:
            files[name] = data
    files[MANIFEST_NAME] = dump_manifest(content.manifest)
    files[INDEX_NAME] = dump_index(content.index)
    files[INSTALLER_NAME] = installer_bytes()
    files[GUIDE_NAME] = install_guide(content.manifest, content.index, signers)
    digests |= {name: digest_of(data) for name, data in files.items()}
    check_consistent(content.manifest, content.index, digests)
    files[SUMS_NAME] = sums = format_sums(digests)
    return files | sign_sums(sums, [signer for _, signer in signers])


def write_files(target: Target, files: Mapping[str, bytes]) -> None:
    """Write small files behind the packs, and make the whole bundle durable."""
    with output_faults(target.path.parent):
        for name, data in sorted(files.items()):
            sink = target.create(name)
            sink.write(data)
            sink.close()
        target.finish()
