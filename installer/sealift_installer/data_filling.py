"""Fill volumes of data from the media, or replace what they hold and keep a copy of it.

A volume that was not filled to its end is made anew: no run goes on with what another
has left. The bytes go straight from the media into the engine, and are read back.
"""

from __future__ import annotations

import os
import uuid
from dataclasses import replace
from itertools import chain, count
from typing import IO, FrozenSet, Iterable, Iterator, List, Mapping, Set, Tuple

from sealift_manifests.bundle import Bundle
from sealift_manifests.digests import Buffer, Digest
from sealift_manifests.errors import (
    DigestMismatchError,
    PayloadError,
    StagingError,
)
from sealift_manifests.model import Manifest
from sealift_manifests.sizes import human
from sealift_manifests.volume_entries import VolumeEntry

from sealift_installer.containers import remove_container
from sealift_installer.data_archive import (
    Listing,
    data_archive,
    differences,
    expected,
    listing_of,
)
from sealift_installer.data_engine import (
    OWNER,
    TOKEN,
    find_volume,
    held,
    make_volume,
    read_archive,
    sweep_holders,
    token_of,
    write_archive,
)
from sealift_installer.data_record import (
    FILLING,
    WHOLE,
    DataRecord,
    Keeping,
    write_record,
)
from sealift_installer.data_volumes import (
    UNFINISHED,
    DataState,
    data_state,
    kept_words,
    own_users,
    require_free,
)
from sealift_installer.host import Host
from sealift_installer.progress import Meter
from sealift_installer.releases import TIME
from sealift_installer.slot import Slot
from sealift_installer.volumes import remove_volume


class DataFilling:
    """The volumes that are still to be filled.

    Those in `restore` are filled whatever they hold; that is kept then.
    """

    def __init__(
        self,
        host: Host,
        slot: Slot,
        volumes: Tuple[VolumeEntry, ...],
        restore: FrozenSet[str],
        names: Mapping[Digest, str],
    ) -> None:
        self._host = host
        self._slot = slot
        self._left: List[VolumeEntry] = list(volumes)
        self._restore = restore
        self._names = names

    def lacking(self) -> Set[int]:
        """Return the chunks of these volumes that no medium here has."""
        return {n for each in self._left for n in self._slot.lacks(_digests(each))}

    def fill_whole(self) -> Set[int]:
        """Fill those that the media here have; return the chunks that were bad."""
        bad: Set[int] = set()
        for volume in tuple(self._left):
            if self._slot.has(_digests(volume)):
                try:
                    self._fill(volume)
                except (DigestMismatchError, PayloadError):
                    found = self._slot.measure(_digests(volume))
                    if not found:
                        raise
                    bad |= found
        return bad

    def fill_begun(self) -> None:
        """Fill those that the media here have a part of, asking for the other parts."""
        for volume in tuple(self._left):
            if any(self._slot.rank(digest) < 2 for digest in _digests(volume)):
                self._fill(volume)

    def _fill(self, volume: VolumeEntry) -> None:
        host, manifest = self._host, self._slot.bundle.manifest
        state = data_state(host.layout, host.engine, manifest.name, volume.name)
        self._left.remove(volume)
        if state.is_settled and volume.name not in self._restore:
            host.report.step(kept_words(state, volume))  # It has come up meanwhile.
            return
        try:
            self._make(volume, state)
        except BaseException:
            self._left.append(volume)
            raise

    def _make(self, volume: VolumeEntry, state: DataState) -> None:
        """Make the volume anew and fill it; what is in it, if it counts, is kept.

        Wherever this is cut off, a half-filled volume is known as one: see `_begun`.
        """
        engine, bundle = self._host.engine, self._slot.bundle
        sweep_holders(engine)
        drop_half_kept(self._host, bundle.manifest.name, state)
        record = _begun(bundle, volume, state, self._host)
        if state.is_settled:
            kept = self._keep(volume, state, record)
            record = replace(record, kept=(*record.kept, kept))
        self._write(volume, record)
        for container in own_users(self._host, bundle.manifest.name, state.volume):
            remove_container(engine, container)
        remove_volume(engine, state.volume)
        labels = {OWNER: bundle.manifest.name, TOKEN: record.token}
        make_volume(engine, state.volume, labels)
        task, size = f"filling volume {volume.name}", 2 * volume.size
        with self._host.report.progress(task, size) as progress:
            self._pour(volume, state.volume, progress)
        sync_engine(self._host)
        whole = replace(record, state=WHOLE, time=self._host.now().strftime(TIME))
        self._write(volume, whole)
        facts = {"volume": state.volume, "digest": volume.digest}
        self._host.log("data-filled", bundle.manifest, **facts)
        self._host.report.step(
            f"volume {state.volume}: {human(volume.size)} of data, the site's from now"
        )

    def _pour(self, volume: VolumeEntry, name: str, progress: Meter) -> None:
        """Write the data, then read it back and compare it."""
        engine, slot = self._host.engine, self._slot

        def read(digest: Digest) -> Iterator[Buffer]:
            progress.at(self._names[digest])
            for piece in slot.read_content(digest):
                yield piece
                progress(len(piece))

        with held(engine, name) as container:
            write_archive(engine, container, data_archive(volume, read, slot.rank))
            with read_archive(engine, container) as stream:
                found = listing_of(stream, progress)
        _require(differences(expected(volume), found), name)

    def _keep(self, volume: VolumeEntry, state: DataState, begun: DataRecord) -> str:
        """Copy what a volume holds into one of another name, which is returned."""
        host, bundle = self._host, self._slot.bundle
        require_free(host, bundle.manifest, [state.volume])
        self._require_whole(volume)
        keeping = Keeping(name_to_keep(host, state.volume), uuid.uuid4().hex)
        self._write(volume, replace(state.record or begun, keeping=keeping))
        labels = {OWNER: bundle.manifest.name, TOKEN: keeping.token}
        make_volume(host.engine, keeping.volume, labels)
        with host.report.progress(f"keeping what {state.volume} holds", 0) as progress:
            faults = copy_volume(host, state.volume, keeping.volume, progress)
        _require(faults, keeping.volume)
        sync_engine(host)
        host.report.step(
            f"what {state.volume} held is kept as {keeping.volume}: content, owners, "
            "modes, and times to the second; not extended attributes or ACLs"
        )
        return keeping.volume

    def _require_whole(self, volume: VolumeEntry) -> None:
        """Raise, before anything is replaced, for what the media do not have whole."""
        digests = _digests(volume)
        if self._slot.has(digests) and self._slot.measure(digests):
            raise DigestMismatchError(
                f"the media do not have volume {volume.name} whole",
                hint="Run `verify` on the bundle, and copy the part it names again.",
            )

    def _write(self, volume: VolumeEntry, record: DataRecord) -> None:
        bundle = self._slot.bundle.manifest.name
        write_record(self._host.layout, bundle, volume.name, record)


def leave_alone(host: Host, manifest: Manifest, going: Iterable[VolumeEntry]) -> None:
    """Say of each volume that is not filled now that it stays as it is.

    A copy of it that a run which was cut off has begun goes.
    """
    filled = {volume.name for volume in going}
    for volume in manifest.volumes:
        if volume.name not in filled:
            state = data_state(host.layout, host.engine, manifest.name, volume.name)
            drop_half_kept(host, manifest.name, state)
            host.report.step(kept_words(state, volume))


def copy_volume(host: Host, source: str, target: str, progress: Meter) -> List[str]:
    """Copy a volume into an empty one; return in what the two differ."""
    engine = host.engine

    def pieces(stream: IO[bytes]) -> Iterator[bytes]:
        for piece in iter(lambda: stream.read(1 << 20), b""):
            yield piece
            progress(len(piece))

    def listed(container: str) -> Listing:
        with read_archive(engine, container) as stream:
            return listing_of(stream, progress)

    with held(engine, source) as old, held(engine, target) as new:
        with read_archive(engine, old) as stream:
            write_archive(engine, new, pieces(stream))
        return differences(listed(old), listed(new))


def drop_half_kept(host: Host, bundle: str, state: DataState) -> None:
    """Remove the copy that a run which was cut off has begun."""
    record = state.record
    if record is None or record.keeping is None:
        return
    found = find_volume(host.engine, record.keeping.volume)
    if found is not None and token_of(found) == record.keeping.token:
        remove_volume(host.engine, record.keeping.volume)
    whole = replace(record, keeping=None)
    write_record(host.layout, bundle, state.label, whole)


def sync_engine(host: Host) -> None:
    """Wait until what the engine has written is on the disk, if it is this host's."""
    if host.engine.facts().is_local:
        os.sync()


def name_to_keep(host: Host, volume: str) -> str:
    """Return a name that no volume has: two runs in one second may keep one each."""
    name = f"{volume}.kept-{host.now().strftime('%Y%m%dT%H%M%SZ')}"
    names = chain([name], (f"{name}-{number}" for number in count(2)))
    return next(each for each in names if find_volume(host.engine, each) is None)


def _begun(
    bundle: Bundle, volume: VolumeEntry, state: DataState, host: Host
) -> DataRecord:
    """Return the record of a volume that is about to be filled.

    One that is half filled keeps its token until it is gone, or it would be taken for
    the site's. What is settled stays the site's for as long as it is there.
    """
    half = state.record if state.kind == UNFINISHED else None
    return DataRecord(
        volume=state.volume,
        token=half.token if half else uuid.uuid4().hex,
        state=FILLING,
        digest=volume.digest,
        version=bundle.manifest.version,
        root=bundle.root,
        time=host.now().strftime(TIME),
        kept=state.record.kept if state.record else (),
    )


def _require(faults: List[str], name: str) -> None:
    if faults:
        raise StagingError(
            f"volume {name} does not hold what was written to it: {'; '.join(faults)}",
            hint="Look for faults of the disk (`dmesg`), or for a volume driver that "
            "keeps no owners; then run this again.",
        )


def _digests(volume: VolumeEntry) -> FrozenSet[Digest]:
    return frozenset(item.digest for item in volume.files if item.digest is not None)
