"""The volumes of data of a bundle on this host: how each stands, and the words for it.

A volume is filled once. From then on it is the site's: nothing here compares or
replaces its content unless an operator has asked for that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, FrozenSet, Iterable, Iterator, List, Optional, Tuple

from sealift_manifests.errors import EngineError, InUseError, UsageError
from sealift_manifests.model import Manifest
from sealift_manifests.names import data_volume_name, project_name
from sealift_manifests.volume_entries import VolumeEntry

from sealift_installer import space
from sealift_installer.containers import Container, containers
from sealift_installer.data_attributes import require_no_attributes
from sealift_installer.data_engine import (
    find_volume,
    is_holder,
    token_of,
    used_size,
)
from sealift_installer.data_record import (
    WHOLE,
    DataRecord,
    read_record,
)
from sealift_installer.engine import Engine, EngineFacts
from sealift_installer.host import Host
from sealift_installer.layout import Layout
from sealift_installer.standing import Standing

ABSENT, UNFINISHED, FILLED, OTHERS = "absent", "unfinished", "filled", "others"
UNKNOWN = "unknown"


@dataclass(frozen=True)
class DataState:
    """How a volume stands: not there, half filled, filled by us, or not ours.

    `record` is what is remembered of it, whether that fits or not.
    """

    label: str
    volume: str
    kind: str
    record: Optional[DataRecord]

    @property
    def is_settled(self) -> bool:
        """Whether there is data in it, ours or the site's, which stays."""
        return self.kind in (FILLED, OTHERS)


def data_state(layout: Layout, engine: Engine, bundle: str, label: str) -> DataState:
    """Return how a volume of a bundle stands."""
    record, name = read_record(layout, bundle, label), data_volume_name(bundle, label)
    found = find_volume(engine, name)
    if found is None:
        kind = ABSENT
    elif record is None or token_of(found) != record.token:
        kind = OTHERS
    else:
        kind = FILLED if record.state == WHOLE else UNFINISHED
    return DataState(label, name, kind, record)


def data_states(host: Host, manifest: Manifest) -> Tuple[DataState, ...]:
    """Return how each volume of a bundle stands."""
    return tuple(
        data_state(host.layout, host.engine, manifest.name, volume.name)
        for volume in manifest.volumes
    )


def settled(host: Host, manifest: Manifest, restore: Iterable[str]) -> FrozenSet[str]:
    """Return the labels of the volumes that stay as they are; not those to restore."""
    states = data_states(host, manifest)
    return frozenset(s.label for s in states if s.is_settled) - frozenset(restore)


def check_restore(
    host: Host, manifest: Manifest, restore: Iterable[str], *, is_lossy: bool
) -> None:
    """Raise for volumes that cannot be replaced: not in the bundle, or in use.

    Also, but with `is_lossy`, for those with attributes that the copy would lose.
    """
    restore = sorted(restore)
    known = [volume.name for volume in manifest.volumes]
    unknown = [label for label in restore if label not in known]
    if unknown:
        raise UsageError(
            f"the bundle has no volume of data {', '.join(unknown)}; it has "
            + (", ".join(known) or "none"),
            hint="Name one of these with --restore-volume.",
        )
    if restore:
        names = [data_volume_name(manifest.name, label) for label in restore]
        require_free(host, manifest, names)
        if not is_lossy:
            require_no_attributes(host, names)


def require_free(host: Host, manifest: Manifest, volumes: Iterable[str]) -> None:
    """Raise InUseError while a container uses one of these volumes, by their names.

    Containers of the bundle's own stack that do not run are no hindrance: `start` makes
    new ones.
    """
    names, own = set(volumes), project_name(manifest.name)
    users = [
        f"{container.name} ({'running' if container.is_up else 'stopped'})"
        for container in users_of(host.engine, names)
        if (container.is_up or container.project != own)
        and not is_holder(container.name)  # Of a run that was killed: it goes.
    ]
    if users:
        raise InUseError(
            f"{', '.join(sorted(names))} cannot be replaced or removed: used by "
            + ", ".join(users),
            hint="Stop the stack (`stop`), and stop and remove containers of others; "
            "then run this again.",
        )


def own_users(host: Host, bundle: str, volume: str) -> Tuple[Container, ...]:
    """Return the containers of the bundle's stack that have the volume."""
    return tuple(
        container
        for container in users_of(host.engine, [volume])
        if container.project == project_name(bundle)
    )


def users_of(engine: Engine, volumes: Iterable[str]) -> Iterator[Container]:
    """Yield the containers, running or not, that have one of these volumes."""
    names = set(volumes)
    return (each for each in containers(engine) if names & each.volumes)


def data_needs(
    host: Host, facts: EngineFacts, manifest: Manifest, volumes: Iterable[VolumeEntry]
) -> List[space.Need]:
    """Return what filling these volumes takes below the engine's data directory.

    What a volume holds that is to be replaced is copied first.
    """
    needs, root = [], facts.root_dir
    block = space.probe(root).block
    for volume in volumes:
        size = sum(block - -item.size // block * block for item in volume.items)
        state = data_state(host.layout, host.engine, manifest.name, volume.name)
        if state.is_settled:
            size += used_size(host.engine, state.volume)
        what = f"volume of data {volume.name}"
        needs.append(space.Need(root, size, len(volume.items), what))
    return needs


def kept_words(state: DataState, volume: VolumeEntry) -> str:
    """Say that a volume was left alone, and how the bundle's data would get there."""
    how = f"--restore-volume {volume.name} replaces it, and keeps a copy"
    record = state.record
    if state.kind == OTHERS or record is None:
        what = "there was a volume of this name already, and it is kept"
    elif record.digest == volume.digest:
        what = f"filled {record.time} with this data, and the site's since: it is kept"
    else:
        what = f"filled {record.time} by {record.version}, and the site's since: it is "
        what += "kept, and the other data of this bundle is not used"
    return f"volume {state.volume}: {what} ({how})"


def data_faults(host: Host, manifest: Manifest) -> Iterator[Tuple[str, str, str]]:
    """Yield (kind, what, where) of volumes that are not there or half filled.

    What is in them is the site's: it is not compared with anything.
    """
    for state in data_states(host, manifest):
        what = f"volume of data {state.label}"
        if state.kind == ABSENT:
            yield "missing", what, f"the engine has no volume {state.volume}"
        elif state.kind == UNFINISHED:
            yield "changed", what, f"{state.volume} was not filled to its end"


def data_facts(
    host: Host, manifest: Manifest, *, silent: bool = False
) -> List[Dict[str, Any]]:
    """Return how the volumes stand, for --json; without an engine, what is known.

    An engine that is `silent`, or becomes so, is not asked again: it may hang.
    """
    found = []
    for volume in manifest.volumes:
        record = read_record(host.layout, manifest.name, volume.name)
        kind = UNKNOWN
        try:
            if not silent:
                state = data_state(host.layout, host.engine, manifest.name, volume.name)
                kind = state.kind
        except EngineError:
            silent = True
        found.append(
            {
                "label": volume.name,
                "volume": data_volume_name(manifest.name, volume.name),
                "state": kind,
                "filled": record.time if record and record.state == WHOLE else None,
                "version": record.version if record else None,
                "kept": list(record.kept) if record else [],
            }
        )
    return found


def bundle_data(host: Host, standing: Standing) -> List[Dict[str, Any]]:
    """Return how the volumes of all releases of a bundle stand, each once."""
    found: Dict[str, Dict[str, Any]] = {}
    for release in standing.releases:
        for each in data_facts(host, release.manifest):
            found.setdefault(each["label"], each)
    return list(found.values())


def data_lines(found: Iterable[Dict[str, Any]]) -> Iterator[str]:
    """Yield the same for people."""
    words = {
        ABSENT: "MISSING",
        UNFINISHED: "NOT FILLED TO ITS END",
        OTHERS: "the site's",
    }
    for each in found:
        said = words.get(each["state"], each["state"])
        if each["state"] == FILLED:
            said = f"filled {each['filled']} by {each['version']}"
        yield f"  data        {each['label']}: {each['volume']}, {said}"
        yield from (f"              before that: {name}" for name in each["kept"])
