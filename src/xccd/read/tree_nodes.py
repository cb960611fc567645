"""The frames at each node of a tree, with those of files that cannot be opened where it is known for what they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from xccd.labels.problems import line
from xccd.read.images.chips import Frame
from xccd.read.settled import NOTHING, Told, check_left, made_nan, tell, told_of

Path = tuple[str, ...]


class Node(NamedTuple):
    """The frames at a node: their numbers in the tree, and what their stack says of files that cannot be opened."""

    path: Path
    numbers: list[int]
    frames: list[Frame]
    told: Told


class Nodes(NamedTuple):
    """All nodes, and a line for each file that is at none of them."""

    nodes: list[Node]
    skipped: str


def of_nodes(
    found: Sequence[Frame], groups: Sequence[tuple[Path, list[int]]], values: Sequence[Sequence[Any]], errors: str
) -> Nodes:
    """The nodes of a tree from the groups of its good frames; ``values`` are those of each level for all frames."""
    if errors == "raise":
        return Nodes([Node(path, some, [found[i] for i in some], NOTHING) for path, some in groups], "")
    check_left(found)
    own: list[list[int]] = [[] for _ in groups]
    nowhere: list[Frame] = []
    for i, frame in enumerate(found):
        if frame.problem:
            group = _group_of(i, frame, found, groups, values)
            if group is None:
                nowhere.append(frame)
            else:
                own[group].append(i)
    placed = [found[i] for some in own for i in some]
    if errors == "skip":
        tell([*placed, *nowhere], found, errors)
    else:
        tell(placed, found, errors)
        tell(nowhere, found, "skip", " and are of no known kind")
    nodes = [_node(path, good, bad, found, errors) for (path, good), bad in zip(groups, own, strict=True)]
    return Nodes(nodes, "\n".join(line(frame.file, frame.problem) for frame in nowhere))


def _node(path: Path, good: list[int], bad: list[int], found: Sequence[Frame], errors: str) -> Node:
    numbers = sorted([*good, *bad])
    every = [found[i] for i in numbers]
    told = told_of([found[i] for i in bad], every, errors, "open_tree")
    if errors == "skip":
        return Node(path, good, [found[i] for i in good], told)
    return Node(path, numbers, made_nan(every), told)


def _group_of(
    i: int,
    frame: Frame,
    found: Sequence[Frame],
    groups: Sequence[tuple[Path, list[int]]],
    values: Sequence[Sequence[Any]],
) -> int | None:
    """The group whose frames have the values of a frame, and its shape if that is known; None if not just one has."""
    fits = [
        number
        for number, (_, some) in enumerate(groups)
        if all(level[some[0]] == level[i] for level in values)
        and frame.pixels.shape in ((), found[some[0]].pixels.shape)
    ]
    return fits[0] if len(fits) == 1 else None
