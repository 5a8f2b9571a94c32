"""The names things have on the host: volumes and the project.

Both sides must arrive at the same name from the same facts.
"""

from __future__ import annotations

from sealift_manifests.digests import Digest


def volume_name(bundle: str, model: str, tree: Digest) -> str:
    """Return the name of the volume that holds this tree of this model.

    Labels have no dots, so no two bundles arrive at one name.
    """
    return f"{_volumes(bundle)}{model}.{tree.short}"


def is_volume_of(name: str, bundle: str) -> bool:
    """Say whether this is the name of a volume of that bundle, of any version."""
    return name.startswith(_volumes(bundle))


def _volumes(bundle: str) -> str:
    return f"sealift.{bundle}."


def data_volume_name(bundle: str, label: str) -> str:
    """Return the name of the volume that holds a bundle's data under this label.

    No version is in it: from its first install on, the data is the site's.
    """
    return f"sealift-data.{bundle}.{label}"


def project_name(bundle: str) -> str:
    """Return the Compose project under which a bundle's stack runs."""
    return f"sealift-{bundle}"
