"""Reads the Compose files of a stack: one or several, and what they bring in.

`include` and `extends` are followed where the other file lies in the same directory:
elsewhere its relative paths would mean something else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sealift_manifests.errors import SpecError

from sealift_bundler import strictyaml

from .merge import all_merged, merged
from .nodes import Node, tree

_HERE_ONLY = "only files of the directory that the first Compose file is in"
_DEEPEST = 20


@dataclass
class Reader:
    """Reads files of one directory; `read` has the path of each, by its name."""

    directory: Path
    read: dict[str, Path] = field(default_factory=dict)

    def stack(self, paths: Sequence[Path]) -> Node:
        """Return all files as one, the last on top."""
        return all_merged(self._file(path, ()) for path in paths)

    def _file(self, path: Path, above: tuple[Path, ...]) -> Node:
        """Return a file with all that it brings in."""
        if path in above or len(above) > _DEEPEST:
            raise SpecError(
                f"{path.name} brings itself in",
                hint="Take one of `include` and `extends` out of the circle.",
            )
        self.read[path.name] = path
        root = tree(strictyaml.parse(strictyaml.read_text(path), path.name))
        if not isinstance(root.value, Mapping):
            return root
        chain = (*above, path)
        found = dict(root.value)
        services = found.get("services", Node(None))
        if services.items:
            extended = {
                name: self._extended(name, services, chain) for name in services.items
            }
            found["services"] = services.holding(extended)
        included = found.pop("include", None)
        parts = [self._file(each, chain) for each in self._included(included)]
        return all_merged([*parts, root.holding(found)])

    def _included(self, node: Node | None) -> Iterator[Path]:
        for entry in node.listed if node else ():
            path = entry
            if entry.items:
                if set(entry.items) != {"path"}:
                    raise _told(entry, "include", "only `path` is followed here")
                path = entry.items["path"]
            yield from (self._beside(each, "include") for each in path.listed)

    def _extended(
        self, name: str, services: Node, above: tuple[Path, ...], depth: int = 0
    ) -> Node:
        """Return a service with what it extends beneath it."""
        service = services.items[name]
        named = service.items.get("extends")
        if named is None:
            return service
        if depth > _DEEPEST:
            raise _told(named, "extends", "extends itself")
        entry = named.items or {"service": named}
        other = str(entry.get("service", Node(name)).plain)
        base = services
        if "file" in entry:
            path = self._beside(entry["file"], "extends")
            if path != above[-1]:
                base = self._file(path, above).items.get("services", Node(None))
        if other not in base.items:
            raise _told(named, "extends", f"{other!r} is no service of that file")
        own = {k: held for k, held in service.items.items() if k != "extends"}
        beneath = self._extended(other, base, above, depth + 1)
        return merged(beneath, service.holding(own), ("services", name))

    def _beside(self, node: Node, key: str) -> Path:
        written: Any = node.plain
        path = self.directory / str(written)
        if not isinstance(written, str) or path.parent.resolve() != self.directory:
            raise _told(node, key, f"{written!r} is not followed, {_HERE_ONLY}")
        if not path.is_file():
            raise _told(node, key, f"{path} does not exist")
        return path


def _told(node: Node, key: str, reason: str) -> SpecError:
    return SpecError(
        f"{node.file} cannot be used:\n  {key} (line {node.line}): {reason}",
        hint="Correct this line, or merge the files with `docker compose config`.",
    )
