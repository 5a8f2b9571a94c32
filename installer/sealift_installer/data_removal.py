"""The volumes of data of a bundle that is uninstalled: which there are, and their end.

They stay unless somebody has said so: nobody else has what is in them.
"""

from __future__ import annotations

from typing import Tuple

from sealift_manifests.errors import EngineError, InUseError
from sealift_manifests.names import data_volume_name, project_name

from sealift_installer.containers import containers
from sealift_installer.data_engine import find_volume, owner_of, sweep_holders
from sealift_installer.data_record import (
    forget_records,
    read_record,
    recorded_labels,
)
from sealift_installer.host import Host
from sealift_installer.volumes import remove_volume


def data_of(host: Host, bundle: str) -> Tuple[str, ...]:
    """Return the volumes of data that are there, and the copies that were kept.

    Only those that Sealift has made; none where no engine answers.
    """
    names = []
    for label in recorded_labels(host.layout, bundle):
        record = read_record(host.layout, bundle, label)
        names += [data_volume_name(bundle, label), *(record.kept if record else ())]
    try:
        found = {name: find_volume(host.engine, name) for name in names}
    except EngineError:
        return ()
    return tuple(n for n, v in found.items() if v and owner_of(v) == bundle)


def require_no_users(host: Host, bundle: str) -> None:
    """Raise InUseError while a container that is not of the stack uses the data."""
    sweep_holders(host.engine)
    names, own = set(data_of(host, bundle)), project_name(bundle)
    users = [
        container.name
        for container in containers(host.engine)
        if names & container.volumes and container.project != own
    ]
    if users:
        raise InUseError(
            f"the data of {bundle} is in use by {', '.join(users)}",
            hint="Stop and remove these containers, or leave --volumes out.",
        )


def remove_data(host: Host, bundle: str) -> Tuple[str, ...]:
    """Remove the volumes of data and what was kept of them; return their names."""
    names = data_of(host, bundle)
    for name in names:
        remove_volume(host.engine, name)
    forget_records(host.layout, bundle)
    return names
