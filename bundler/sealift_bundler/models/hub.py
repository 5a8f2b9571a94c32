"""Hugging Face Hub models: a revision is resolved to a commit, its files selected.

The front door: downloading is in `hub_download`, comparing bytes in `content_check`.
Only public metadata is kept; the token goes to the Hub client and nowhere else.
"""

from __future__ import annotations

from huggingface_hub import HfApi
from huggingface_hub.hf_api import RepoSibling

from .content_check import ContentCheck, expected_check, forget
from .hub_download import snapshot
from .hub_endpoint import endpoint_or_default
from .hub_errors import Asked, read_as_a_hubs, told_as_ours
from .hub_values import HubFile, HubRevision
from .selection import select

__all__ = [
    "ContentCheck",
    "HubFile",
    "HubRevision",
    "endpoint_or_default",
    "expected_check",
    "forget",
    "resolve_revision",
    "select",
    "snapshot",
]

_TIMEOUT = 30.0


def resolve_revision(
    repo: str,
    revision: str,
    *,
    token: str | None = None,
    endpoint: str | None = None,
) -> HubRevision:
    """Ask the Hub which commit `revision` means now, and what files it has.

    Without `token`, HF_TOKEN or the login of the Hub client is used.
    """
    asked = Asked(endpoint_or_default(endpoint), repo, revision)
    api = HfApi(endpoint=asked.endpoint, token=token)
    with told_as_ours(asked), read_as_a_hubs(asked):
        info = api.model_info(
            repo, revision=revision, files_metadata=True, timeout=_TIMEOUT
        )
        files = tuple(_hub_file(item) for item in info.siblings or ())
        return HubRevision(
            repo, revision, info.sha or "", tuple(sorted(files, key=_path))
        )


def _path(file: HubFile) -> str:
    return file.path


def _hub_file(item: RepoSibling) -> HubFile:
    size = item.lfs.size if item.lfs else item.size
    if size is None:
        raise ValueError(f"{item.rfilename}: listed without a size")
    if item.lfs:
        return HubFile(item.rfilename, size, sha256=item.lfs.sha256)
    return HubFile(item.rfilename, size, git_sha1=item.blob_id)
