"""A Compose file as a tree that knows of each part which line of which file it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sealift_bundler.strictyaml import Document, Place


@dataclass(frozen=True)
class Node:
    """A mapping or a list of nodes, or a scalar, and where it stands."""

    value: Any
    file: str = ""
    line: int = 0

    @property
    def items(self) -> dict[str, Node]:
        """What is in it, when it is a mapping; else nothing."""
        return dict(self.value) if isinstance(self.value, Mapping) else {}

    @property
    def listed(self) -> list[Node]:
        """What is in it, when it is a list; else itself, or nothing."""
        if isinstance(self.value, list):
            return list(self.value)
        return [] if self.value is None else [self]

    @property
    def plain(self) -> Any:
        """The value without places."""
        if isinstance(self.value, Mapping):
            return {key: held.plain for key, held in self.value.items()}
        if isinstance(self.value, list):
            return [held.plain for held in self.value]
        return self.value

    def holding(self, value: Any) -> Node:
        """Return a node at the same place."""
        return Node(value, self.file, self.line)


def tree(document: Document) -> Node:
    """Return the tree of a document."""

    def grown(value: Any, place: Place, line: int) -> Node:
        line = document.lines.get(place, line)
        if isinstance(value, Mapping):
            below: Any = {k: grown(v, (*place, k), line) for k, v in value.items()}
        elif isinstance(value, list):
            below = [grown(v, (*place, n), line) for n, v in enumerate(value)]
        else:
            below = value
        return Node(below, document.where, line)

    return grown(document.value, (), 1)


def document_of(root: Node, where: str) -> Document:
    """Return a tree as a document again; faults in it name the file as well."""
    places = list(_places(root, ()))
    several = len({node.file for _, node in places}) > 1
    return Document(
        where,
        root.plain,
        {place: node.line for place, node in places},
        {place: node.file for place, node in places} if several else {},
    )


def _places(node: Node, place: Place) -> Iterator[tuple[Place, Node]]:
    yield place, node
    if isinstance(node.value, Mapping):
        for key, held in node.value.items():
            yield from _places(held, (*place, key))
    elif isinstance(node.value, list):
        for number, held in enumerate(node.value):
            yield from _places(held, (*place, number))
