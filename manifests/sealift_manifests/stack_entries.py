"""The stack as a manifest lists it. Values that check themselves."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Dict, FrozenSet, Tuple

from sealift_manifests.model_entries import FileEntry
from sealift_manifests.paths import check_inner_paths
from sealift_manifests.records import require
from sealift_manifests.settings import Secret, Setting, check_names
from sealift_manifests.smoke import SmokeTest

_SERVICE = re.compile(r"[A-Za-z0-9._-]{1,255}\Z")


@dataclass(frozen=True)
class Service:
    """A service of the stack: the image and the models it uses, by name."""

    name: str
    image: str
    models: Tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require(_SERVICE.match(self.name), f"bad service name {self.name!r}")


@dataclass(frozen=True)
class StackEntry:
    """The Compose stack: its files and which of them Compose is given."""

    compose: str
    files: Tuple[FileEntry, ...]
    services: Tuple[Service, ...]
    facts: Dict[str, Any] = field(default_factory=dict)
    settings: Tuple[Setting, ...] = ()
    secrets: Tuple[Secret, ...] = ()
    smoke: Tuple[SmokeTest, ...] = ()

    def __post_init__(self) -> None:
        check_inner_paths(file.path for file in self.files)
        require(
            self.compose in {file.path for file in self.files},
            f"the compose file {self.compose!r} is not among the stack's files",
        )
        names = {service.name for service in self.services}
        require(len(names) == len(self.services), "a service appears twice")
        tests = {test.name for test in self.smoke}
        require(len(tests) == len(self.smoke), "a smoke test appears twice")
        for test in self.smoke:
            require(test.service in names, f"smoke test {test.name}: unknown service")
        check_names(self.settings, self.secrets)

    @property
    def sent_secrets(self) -> FrozenSet[str]:
        """The labels of the secrets that smoke tests ask for."""
        return frozenset(label for test in self.smoke for label in test.secrets)

    @property
    def leaves_open(self) -> bool:
        """Whether each host has something to decide: settings or secrets."""
        return bool(self.settings or self.secrets)
