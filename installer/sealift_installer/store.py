"""The content-addressed store of weights: what is in it, what a bundle lacks."""

from __future__ import annotations

import os
import stat
from typing import Tuple

from sealift_manifests.bundle import Bundle
from sealift_manifests.index import Content

from sealift_installer.layout import Layout


def missing_contents(layout: Layout, bundle: Bundle) -> Tuple[Content, ...]:
    """Return the model files the store lacks, in the order they lie in the packs."""
    wanted = {file.digest for model in bundle.manifest.models for file in model.files}
    contents = [bundle.index.contents[digest] for digest in wanted]
    absent = [content for content in contents if not is_stored(layout, content)]
    return tuple(sorted(absent, key=lambda content: (content.chunks, content.digest)))


def is_stored(layout: Layout, content: Content) -> bool:
    """Say whether the store holds this file, by name, kind and size."""
    try:
        status = os.lstat(layout.content(content.digest))
    except FileNotFoundError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_size == content.size
