"""Audio Set's ontology as published (`ontology.json`): what is a kind of what.

A list of objects with `id`, `name`, `child_ids` and `restrictions`. A node may have several parents (38 of the 632
published have: a police car's siren is a siren, and an emergency vehicle), but none may be an ancestor of itself. Two
restrictions are published: `abstract` nodes only give the tree its shape, `blacklist` nodes proved too hard for those
who labelled.

Reference: J. F. Gemmeke et al., "Audio Set: An ontology and human-labeled dataset for audio events", ICASSP 2017.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from earwitness.errors import LabelError


@dataclass(frozen=True, kw_only=True)
class Ontology:
    """Nodes by id."""

    names: Mapping[str, str]
    ancestors: Mapping[str, tuple[str, ...]]
    """All of a node's, without itself: nearest first, then in the ontology's order."""
    restricted: frozenset[str]
    """Nodes that are marked abstract or blacklisted."""


def read_ontology(path: str | Path) -> Ontology:
    """Read an ontology.

    Raises:
        LabelError: the file cannot be read, is no such list, names a node twice or a child that is not there, or a
            node is its own ancestor.
    """
    path = Path(path)
    try:
        nodes = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise LabelError(f"{path}: the ontology cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise LabelError(f"{path}: the ontology is not JSON text ({error})") from error
    try:
        names = {node["id"]: str(node["name"]) for node in nodes}
        children = {node["id"]: tuple(node["child_ids"]) for node in nodes}
        restricted = frozenset(node["id"] for node in nodes if node.get("restrictions"))
    except (KeyError, TypeError, AttributeError) as error:
        raise LabelError(
            f"{path}: an ontology is a list of objects with id, name, child_ids and restrictions, as Audio Set "
            "publishes it; this is none"
        ) from error
    if len(names) != len(nodes):
        ids = [node["id"] for node in nodes]
        twice = next(node_id for node_id in names if ids.count(node_id) > 1)
        raise LabelError(f"{path}: node {twice!r} stands there twice")
    parents: dict[str, list[str]] = {node_id: [] for node_id in names}
    for node_id, child_ids in children.items():
        for child in child_ids:
            if child not in names:
                raise LabelError(f"{path}: node {node_id!r} ({names[node_id]}) has a child {child!r} that is not there")
            parents[child].append(node_id)
    ancestors = {node_id: _ancestors(node_id, parents, names, path) for node_id in names}
    return Ontology(names=names, ancestors=ancestors, restricted=restricted)


def _ancestors(node_id: str, parents: Mapping[str, list[str]], names: Mapping[str, str], path: Path) -> tuple[str, ...]:
    found: dict[str, None] = {}
    level = parents[node_id]
    while level:
        found.update(dict.fromkeys(level))
        if node_id in found:
            raise LabelError(
                f"{path}: node {node_id!r} ({names[node_id]}) is an ancestor of itself; an ontology must not run in "
                "circles"
            )
        level = [parent for child in level for parent in parents[child] if parent not in found]
    return tuple(found)
