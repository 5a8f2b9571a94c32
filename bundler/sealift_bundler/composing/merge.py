"""Compose files that are laid over one another, by the rules of Compose.

Mappings are merged key by key, lists are joined, anything else is replaced. What
Compose treats in a way of its own stands in the tables here.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable
from typing import Any

from sealift_bundler.compose_check import read_volume
from sealift_bundler.strictyaml import Place, Plain

from .nodes import Node

_REPLACED = frozenset(("command", "entrypoint", "test"))
_ASSIGNED = frozenset(("annotations", "args", "environment", "labels", "sysctls"))
"""Lists of NAME=VALUE that may be mappings as well."""

_NAMED = frozenset(("depends_on", "networks"))
"""Lists of names that may be mappings as well."""


def merged(below: Node, above: Node, place: Place = ()) -> Node:
    """Return two trees as one; where they differ, the one above counts."""
    key = place[-1] if place else ""
    in_service = place[:1] == ("services",) and len(place) > 2
    if in_service and key in _REPLACED:
        return above
    if above.value is None and isinstance(below.value, dict | list):
        return below
    if in_service and len(place) == 3:
        below, above = _alike(str(key), below, above)
    elif _is_assigned(place):
        below, above = _mapping(below, _assignment), _mapping(above, _assignment)
    if in_service and key == "logging" and _drivers_differ(below, above):
        return above
    if isinstance(below.value, dict) and isinstance(above.value, dict):
        return above.holding(_merged_keys(below, above, place))
    if isinstance(below.value, list) and isinstance(above.value, list):
        return above.holding(_joined(str(key), below.value, above.value))
    return above


def _merged_keys(below: Node, above: Node, place: Place) -> dict[str, Node]:
    found = below.items
    for key, node in above.items.items():
        old = found.get(key)
        found[key] = node if old is None else merged(old, node, (*place, key))
    return found


def _drivers_differ(below: Node, above: Node) -> bool:
    drivers = [node.items.get("driver", Node(None)).plain for node in (below, above)]
    return None not in drivers and drivers[0] != drivers[1]


def _is_assigned(place: Place) -> bool:
    """Whether it is a list of NAME=VALUE, or a mapping, further in or further out."""
    if place[:1] == ("services",):
        inside = len(place) == 4 and place[2] in ("build", "deploy")
        return inside and place[3] in _ASSIGNED
    return len(place) == 3 and place[2] == "labels"


def _alike(key: str, below: Node, above: Node) -> tuple[Node, Node]:
    """Return two ways of writing one key of a service in the same way."""
    if key == "extra_hosts":
        return _hosts(below), _hosts(above)
    if type(below.value) is type(above.value) and not isinstance(below.value, list):
        return below, above
    if key in _ASSIGNED:
        return _mapping(below, _assignment), _mapping(above, _assignment)
    if key in _NAMED:
        as_named = _dependency if key == "depends_on" else _empty
        return _mapping(below, as_named), _mapping(above, as_named)
    if key == "build":
        return _build(below), _build(above)
    if isinstance(below.value, list) or isinstance(above.value, list):
        return below.holding(below.listed), above.holding(above.listed)
    return below, above


def _mapping(node: Node, entry: Callable[[Node], tuple[str, Node]]) -> Node:
    if not isinstance(node.value, list):
        return node
    return node.holding(dict(entry(each) for each in node.value))


def _assignment(item: Node) -> tuple[str, Node]:
    name, equals, value = str(item.value).partition("=")
    return Plain(name), item.holding(value if equals else None)


def _hosts(node: Node) -> Node:
    """Return a list of NAME:ADDRESS: one name may have several addresses."""
    if isinstance(node.value, dict):
        given = node.value.items()
        hosts = [
            one.holding(f"{name}:{one.value}") for name, n in given for one in n.listed
        ]
        return node.holding(hosts)
    colons = [
        each.holding(each.value.replace("=", ":", 1))
        if isinstance(each.value, str)
        else each
        for each in node.listed
    ]
    return node.holding(colons)


def _dependency(item: Node) -> tuple[str, Node]:
    started = {Plain("condition"): item.holding(Plain("service_started"))}
    return Plain(str(item.value)), item.holding(started)


def _empty(item: Node) -> tuple[str, Node]:
    return Plain(str(item.value)), item.holding(None)


def _build(node: Node) -> Node:
    if isinstance(node.value, dict):
        return node
    return node.holding({Plain("context"): node})


def _joined(key: str, below: list[Node], above: list[Node]) -> list[Node]:
    """Return two lists as one; of two that mean one thing the later counts."""
    same = {"volumes": _target, "devices": _inside, "secrets": _seen_at}.get(
        key, _whole
    )
    found: dict[Any, Node] = {}
    for node in (*below, *above):
        found[same(node)] = node
    return list(found.values())


def _target(node: Node) -> Any:
    volume = read_volume(node.plain)
    return posixpath.normpath(volume.target) if volume else _whole(node)


def _inside(node: Node) -> Any:
    if not isinstance(node.value, str):
        return _whole(node)
    parts = node.value.split(":")
    return parts[1] if len(parts) > 1 else parts[0]


def _seen_at(node: Node) -> Any:
    """Return where a secret is seen: one may be so at several places."""
    source = node.items.get("source", node).plain
    target = node.items.get("target")
    return target.plain if target else f"/run/secrets/{source}"


def _whole(node: Node) -> Any:
    return repr(node.plain)


def all_merged(layers: Iterable[Node]) -> Node:
    """Return all layers as one, the last on top."""
    result: Node | None = None
    for layer in layers:
        result = layer if result is None else merged(result, layer)
    return result or Node(None)
