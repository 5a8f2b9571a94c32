"""The volumes of data of a bundle that is uninstalled: which there are, and their end.

They stay unless somebody has said so: nobody else has what is in them.
"""

from __future__ import annotations

from typing import Tuple

from sealift_manifests.errors import EngineError, InUseError
from sealift_manifests.names import data_volume_name, project_name

from sealift_installer.data_engine import find_volume, owner_of, sweep_holders
from sealift_installer.data_record import (
    forget_records,
    read_record,
    recorded_labels,
)
from sealift_installer.data_volumes import users_of
from sealift_installer.host import Host
from sealift_installer.volumes import remove_volume


def data_of(host: Host, bundle: str) -> Tuple[str, ...]:
    """Return the volumes of data that are there, and copies of them, whole or begun.

    Only those that Sealift has made. Raises EngineError where no engine tells.
    """
    names = []
    for label in recorded_labels(host.layout, bundle):
        names.append(data_volume_name(bundle, label))
        record = read_record(host.layout, bundle, label)
        if record is not None:
            names += record.kept
            names += [record.keeping.volume] if record.keeping else []
    found = {name: find_volume(host.engine, name) for name in names}
    return tuple(n for n, v in found.items() if v and owner_of(v) == bundle)


def data_to_show(host: Host, bundle: str) -> Tuple[str, ...]:
    """Return the same to be shown; none where no engine tells."""
    try:
        return data_of(host, bundle)
    except EngineError:
        return ()


def require_no_users(host: Host, bundle: str) -> None:
    """Raise InUseError while a container that is not of the stack uses the data."""
    sweep_holders(host.engine)
    users = [
        container.name
        for container in users_of(host.engine, data_of(host, bundle))
        if container.project != project_name(bundle)
    ]
    if users:
        raise InUseError(
            f"the data of {bundle} is in use by {', '.join(users)}",
            hint="Stop and remove these containers, or leave --volumes out.",
        )


def remove_data(host: Host, bundle: str) -> Tuple[str, ...]:
    """Remove the volumes of data and what was kept of them; return their names.

    What is remembered of them goes last: while one is there, it is known.
    """
    names = data_of(host, bundle)
    for name in names:
        remove_volume(host.engine, name)
    forget_records(host.layout, bundle)
    return names
