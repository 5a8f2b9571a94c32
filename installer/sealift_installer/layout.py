"""Where everything lies on the host. Pure names; creates nothing.

state directory (default /var/lib/sealift):
    store/sha256/ab/abcd...      weights, once each, 0444
    volumes/<model>/<digest>/    the tree that a container mounts
    releases/<bundle>/<version>-<root>/   the signed files and the stack
    current/<bundle>             a link to the release in use
    data/<bundle>/<label>.json   how far each volume of data was filled
    history/<bundle>             which releases were in use before, and came up last
    serials/<bundle>             the highest serial this host has had
    journal/                     files that are not whole yet
    ledger.jsonl                 what was done, each line bound to the one before
config directory (default /etc/sealift):
    allowed_signers, policy.json
    sites/<bundle>.yaml          the settings of this site
    secrets/<bundle>/<label>     what containers find below /run/secrets
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from sealift_manifests.digests import Digest
from sealift_manifests.model import Manifest
from sealift_manifests.model_entries import ModelEntry

DEFAULT_STATE = "/var/lib/sealift"
DEFAULT_CONFIG = "/etc/sealift"


@dataclass(frozen=True)
class Layout:
    """The absolute paths of one installation."""

    state: str
    config: str

    @property
    def journal(self) -> str:
        """Where files are written until they are whole."""
        return os.path.join(self.state, "journal")

    @property
    def ledger(self) -> str:
        """The log of what was done."""
        return os.path.join(self.state, "ledger.jsonl")

    @property
    def lock(self) -> str:
        """Held by whoever changes this installation."""
        return os.path.join(self.state, "lock")

    @property
    def store(self) -> str:
        """The files of all models, by digest."""
        return os.path.join(self.state, "store", "sha256")

    @property
    def volumes(self) -> str:
        """The trees of all models."""
        return os.path.join(self.state, "volumes")

    @property
    def releases(self) -> str:
        """The releases of all bundles."""
        return os.path.join(self.state, "releases")

    @property
    def allowed_signers(self) -> str:
        """The keys this host trusts, in OpenSSH's format."""
        return os.path.join(self.config, "allowed_signers")

    @property
    def policy(self) -> str:
        """How many of these keys must have signed, and of which algorithms."""
        return os.path.join(self.config, "policy.json")

    def site(self, bundle: str) -> str:
        """Return the file with this site's settings of a bundle."""
        return os.path.join(self.config, "sites", f"{bundle}.yaml")

    def secrets(self, bundle: str) -> str:
        """Return the directory of a bundle's secrets."""
        return os.path.join(self.config, "secrets", bundle)

    def content(self, digest: Digest) -> str:
        """Return the place of a file in the store."""
        return os.path.join(self.store, digest.hex[:2], digest.hex)

    def tree(self, model: ModelEntry) -> str:
        """Return the directory that containers mount for this model."""
        return os.path.join(self.volumes, model.name, model.tree.hex)

    def release(self, manifest: Manifest, root: Digest) -> str:
        """Return the directory of a release; `root` is the digest of SHA256SUMS."""
        name = f"{manifest.version}-{root.short}"
        return os.path.join(self.releases, manifest.name, name)

    def current(self, bundle: str) -> str:
        """Return the link to the release in use."""
        return os.path.join(self.state, "current", bundle)

    def data(self, bundle: str, label: str) -> str:
        """Return the file that says how far a volume of data was filled."""
        return os.path.join(self.state, "data", bundle, f"{label}.json")

    def history(self, bundle: str) -> str:
        """Return the file that keeps which releases were in use before."""
        return os.path.join(self.state, "history", bundle)

    def serial(self, bundle: str) -> str:
        """Return the file that keeps the highest serial."""
        return os.path.join(self.state, "serials", bundle)
