"""All blobs of a resolved image, in parallel, into a content-addressed directory.

The first failure stops the others; what they had fetched is kept for next time.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from pathlib import Path

from sealift_manifests.digests import Digest
from sealift_manifests.errors import OutputError

from sealift_bundler.progress import Item, no_item

from .blobs import BlobFetcher, Progress, Tally
from .client import RegistryClient
from .documents import Descriptor
from .resolve import ResolvedImage
from .transport import HttpPolicy

_THREADS = 4


def _silent(_bytes_done: int, /) -> None:
    pass


def fetch(
    resolved: ResolvedImage,
    blob_dir: Path,
    progress: Progress = _silent,
    *,
    insecure: frozenset[str] = frozenset(),
    policy: HttpPolicy | None = None,
    item: Item = no_item,
) -> dict[Digest, Path]:
    """Bring config and layers to `blob_dir/sha256/<hex>`; return where each is.

    Blobs that are there already are measured, and fetched again if wrong.
    Several runs may share one `blob_dir`. `item` is told what is in work.
    """
    registry = resolved.reference.registry
    directory = blob_dir / "sha256"
    _make(directory)
    fetcher = BlobFetcher(
        client=RegistryClient(registry, insecure=insecure, policy=policy),
        reference=resolved.reference,
        directory=directory,
        tally=Tally(progress),
    )
    with ThreadPoolExecutor(_THREADS, "fetch") as pool:
        running = {
            pool.submit(_fetch_one, fetcher, blob, item): blob.digest
            for blob in resolved.blobs
        }
        return _collect(running, fetcher.tally)


def _collect(running: dict[Future[Path], Digest], tally: Tally) -> dict[Digest, Path]:
    try:
        return {running[done]: done.result() for done in as_completed(running)}
    except BaseException:
        tally.stopped.set()
        for future in running:
            future.cancel()
        raise


def _fetch_one(fetcher: BlobFetcher, blob: Descriptor, item: Item) -> Path:
    try:
        with item(f"blob {blob.digest.short}"):
            return fetcher.fetch(blob)
    except OSError as error:
        raise _unwritable(fetcher.directory, error) from error


def _make(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(directory, error) from error


def _unwritable(directory: Path, error: OSError) -> OutputError:
    return OutputError(
        f"a blob cannot be kept in {directory}: {error.strerror or error}",
        hint="Make room there, or name another directory. "
        "What has arrived is kept and continued.",
    )
