"""Fetch the files of a commit into a cache of our own, with the Hub's own client.

Does not look into the files: `content_check` does, while they are packed.

What a cut-off run leaves: files that are complete are kept and not fetched again. A
connection that breaks is continued, at most 10 MiB back. A killed run starts the
files it was in again; their remains are removed here.

Xet, the Hub's chunk store, is used where the Hub offers it; HF_HUB_DISABLE_XET=1
makes the client use plain HTTP, which it refuses for files above 50 GB.
"""

from __future__ import annotations

import fcntl
import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from huggingface_hub import hf_hub_download
from huggingface_hub.file_download import repo_folder_name
from huggingface_hub.utils import logging as hub_logging
from sealift_manifests.errors import SourceUnreachableError
from tqdm import tqdm

from sealift_bundler.progress import Item, no_item

from .content_check import forget
from .hub_endpoint import endpoint_or_default
from .hub_errors import Asked, told_as_ours, wrong_size
from .hub_values import HubFile, HubRevision

_AT_ONCE = 4

Progress = Callable[[int], None]


def snapshot(
    revision: HubRevision,
    files: Iterable[HubFile],
    cache_dir: Path,
    progress: Progress,
    *,
    token: str | None = None,
    endpoint: str | None = None,
    item: Item = no_item,
) -> dict[str, Path]:
    """Fetch `files` by commit; return where each lies, as a real file.

    `progress` is given byte counts, one call at a time; negative when the Hub makes
    the client start a file again. They add up to the size of `files`. `item` is told
    which files are in work.
    """
    hub = endpoint_or_default(endpoint)
    fetch = _Fetch(revision, cache_dir, progress, item, token, hub)
    with _quiet_client():
        _remove_remains(cache_dir / folder_of(revision.repo), cache_dir)
        return fetch.all(tuple(files))


class _StoppedError(Exception):
    """Another file failed, or the user interrupted: leave the transfer."""


@dataclass
class _Fetch:
    """One call of `snapshot`: its threads share the progress and the wish to stop."""

    revision: HubRevision
    cache_dir: Path
    progress: Progress
    item: Item
    token: str | None
    endpoint: str
    lock: threading.Lock = field(default_factory=threading.Lock)
    stop: threading.Event = field(default_factory=threading.Event)

    def all(self, files: tuple[HubFile, ...]) -> dict[str, Path]:
        """Fetch a few at a time; the first failure stops the others."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            running = {file.path: pool.submit(self.one, file) for file in files}
            try:
                for done in as_completed(running.values()):
                    done.result()
            except BaseException:
                self.stop.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return {path: future.result() for path, future in running.items()}

    def one(self, file: HubFile) -> Path:
        """Fetch one file, again if the cache holds it at another size."""
        counted = 0

        def count(size: int) -> None:
            nonlocal counted
            if self.stop.is_set():
                raise _StoppedError
            counted += size
            with self.lock:
                self.progress(size)

        count(0)
        asked = Asked(
            self.endpoint, self.revision.repo, self.revision.commit, file.path
        )
        with told_as_ours(asked), _transfer_told(asked), self.item(file.path):
            path = self._through_the_client(file, count)
            if path.stat().st_size != file.size:
                forget(path)
                path = self._through_the_client(file, count)
            if path.stat().st_size != file.size:
                forget(path)
                raise wrong_size(asked)
        count(file.size - counted)
        return path

    def _through_the_client(self, file: HubFile, count: Progress) -> Path:
        kept = hf_hub_download(
            self.revision.repo,
            file.path,
            revision=self.revision.commit,
            cache_dir=self.cache_dir,
            token=self.token,
            endpoint=self.endpoint,
            tqdm_class=_meter(count),
        )
        # The client answers with a link into its blobs; a packer wants the file.
        return Path(kept).resolve(strict=True)


def _meter(count: Progress) -> type[tqdm]:  # type: ignore[type-arg]
    """Return what the client takes for a progress bar: it shows nothing and counts."""

    class Meter(tqdm):  # type: ignore[type-arg]
        # Otherwise each class has a thread that looks after its bars, for good.
        monitor_interval = 0

        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **{**options, "disable": True})

        def update(self, n: float | None = 1) -> None:
            count(int(n or 0))

        # With these two the client's Xet path uses one bar for a file, not two: bytes
        # on the wire are not counted, bytes of the file are.
        def update_transfer(self, n: float) -> None:
            """Leave out what came over the wire."""

        def set_transfer_postfix_str(self, *args: Any, **options: Any) -> None:
            """Show no rate."""

    return Meter


@contextmanager
def _transfer_told(asked: Asked) -> Iterator[None]:
    """Tell what the client's two ways of transfer raise without a type of its own."""
    try:
        yield
    except ValueError as error:
        if "too large" not in str(error):
            raise
        raise SourceUnreachableError(
            f"{asked.what} is too large for the Hub's plain HTTP download",
            hint="Unset HF_HUB_DISABLE_XET and install hf_xet, then run again.",
        ) from error
    except RuntimeError as error:
        # hf_xet raises nothing else, after minutes of trying; its text quotes URLs.
        raise SourceUnreachableError(
            f"the Xet store of {asked.hub} did not deliver {asked.what}",
            hint="Check that this network lets the Hub's storage hosts through. "
            "HF_HUB_DISABLE_XET=1 fetches over plain HTTP instead (up to 50 GB a "
            "file).",
        ) from error


@contextmanager
def _quiet_client() -> Iterator[None]:
    """Keep the client's warnings off the terminal: they quote full URLs."""
    before = hub_logging.get_verbosity()
    hub_logging.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        hub_logging.set_verbosity(before)


def folder_of(repo: str) -> str:
    """Return the name of a repo's folder in a Hub cache."""
    return repo_folder_name(repo_id=repo, repo_type="model")


def _remove_remains(folder: Path, cache_dir: Path) -> None:
    """Remove what killed runs left half-fetched; spare what another run is fetching."""
    for remains in sorted(folder.glob("blobs/*.incomplete")):
        etag = remains.name.partition(".")[0]
        lock = cache_dir / ".locks" / folder.name / f"{etag}.lock"
        if not _is_held(lock):
            remains.unlink(missing_ok=True)


def _is_held(lock: Path) -> bool:
    """Say whether a client holds `lock`, which it does while it writes that blob."""
    try:
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False
