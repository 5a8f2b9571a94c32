"""An engine in memory that has volumes: it can be cut off at any step, or fail."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TextIO, cast

from sealift_installer.data_engine import OWNER, TOKEN
from sealift_installer.engine import EngineFacts, EngineRefusedError
from sealift_installer.host import Host
from sealift_installer.layout import Layout
from sealift_installer.report import Report


class Killed(BaseException):
    """The end of the process, at this instant."""


class VolumeEngine:
    """Volumes by name; `used` are mounted, of `broken` ones the engine says nothing.

    It is killed after `left` steps; a change has one before it and one after it.
    """

    def __init__(self) -> None:
        self.volumes: dict[str, dict[str, Any]] = {}
        self.used: set[str] = set()
        self.broken: set[str] = set()
        self.left = -1

    def add(self, name: str, owner: str, token: str, place: str = "") -> None:
        labels = {OWNER: owner, TOKEN: token}
        self.volumes[name] = {"Name": name, "Labels": labels, "Mountpoint": place}

    def step(self) -> None:
        if self.left == 0:
            raise Killed
        self.left -= 1

    def find(self, path: str) -> Any:
        name = path.rsplit("/", 1)[-1]
        if name in self.broken:
            raise EngineRefusedError("no such device", hint="", status=500)
        return self.volumes.get(name)

    def get(self, path: str, **query: str) -> Any:
        return []

    def send(self, method: str, path: str, value: Any = None) -> Any:
        name = value["Name"] if value else path.rsplit("/", 1)[-1]
        if method == "DELETE" and name in self.used:
            raise EngineRefusedError("volume is in use", hint="", status=409)
        self.step()
        if method == "POST":
            made = self.volumes.setdefault(name, dict(value))
        else:
            made = self.volumes.pop(name, {})
        self.step()
        return made

    def facts(self) -> EngineFacts:
        return cast(EngineFacts, SimpleNamespace(is_local=True))


def a_host(folder: Path, engine: VolumeEngine, err: TextIO | None = None) -> Host:
    """Return a host with this engine; what it says goes to `err`."""
    layout = Layout(str(folder / "state"), str(folder / "config"))
    os.makedirs(layout.state)
    os.makedirs(layout.config)
    report = Report(as_json=err is None, **({"err": err} if err else {}))
    return Host(layout, cast(Any, engine), report)
