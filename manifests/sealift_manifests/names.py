"""The names things have on the host: volumes and the project.

Both sides must arrive at the same name from the same facts.
"""

from __future__ import annotations

from sealift_manifests.digests import Digest


def volume_name(bundle: str, model: str, tree: Digest) -> str:
    """Return the name of the volume that holds this tree of this model.

    Labels have no dots, so no two bundles arrive at one name.
    """
    return f"sealift.{bundle}.{model}.{tree.short}"


def project_name(bundle: str) -> str:
    """Return the Compose project under which a bundle's stack runs."""
    return f"sealift-{bundle}"
