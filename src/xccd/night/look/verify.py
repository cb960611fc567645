"""`verify`: what is wrong with files, each by itself and all together."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xccd.messages import shown
from xccd.night.look.frame_table import is_map_file
from xccd.night.look.verify_file import PROBLEM, WARNING, FileFacts, Finding, facts_of
from xccd.night.scan.scan import _places

MOST_NAMES = 4  # files in a message


@dataclass
class Verified:
    """What was found in some files."""

    files: list[FileFacts] = field(default_factory=list)
    together: list[Finding] = field(default_factory=list)  # of several files

    def count(self, level: str) -> int:
        """How many files have a finding of a level."""
        return sum(one.has(level) for one in self.files)


def verify(where: Sequence[str]) -> Verified:
    """Look at files, folders and globs, and all their samples. OSError only for a place without files."""
    found = Verified()
    known: dict[Any, str] = {}
    for place in (place for one in where for place in _places(one, False)):
        key = _key(place)
        if key in known:
            text = f"{shown(place)} is given twice, or is the same file as {shown(known[key])}"
            found.together.append(Finding(WARNING, "duplicate", text))
            continue
        known[key] = str(place)
        found.files.append(facts_of(place))
    _duplicates(found)
    found.together += _mixed(found.files)
    return found


def _key(place: Any) -> Any:
    """One key for all names of a file."""
    if not isinstance(place, Path):
        return place
    try:
        status = place.stat()
    except (OSError, ValueError):
        return str(place)
    return (status.st_dev, status.st_ino) if status.st_ino else os.path.realpath(place)


def _duplicates(found: Verified) -> None:
    """Files with the same samples. Noise never repeats, so one is a copy of the other."""
    first: dict[str, FileFacts] = {}
    for facts in found.files:
        digest = facts.image.digest if facts.image else ""
        if not digest:
            continue
        other = first.setdefault(digest, facts)
        if other is not facts:
            text = f"its samples are those of {shown(other.file)}"
            facts.findings.append(Finding(PROBLEM, "duplicate", text))


# What frames of one kind and filter should share, and how it is read.
SHARED: dict[str, Callable[[FileFacts], str]] = {
    "shape": lambda facts: "x".join(map(str, facts.image.shape)) if facts.image else "",
    "unit": lambda facts: facts.summary.unit,
    "gain": lambda facts: f"{facts.summary.gain:g}" if facts.summary.gain == facts.summary.gain else "",
    "binning": lambda facts: facts.summary.binning,
}


def _mixed(files: list[FileFacts]) -> Iterator[Finding]:
    """What differs among frames of one kind and filter. A value that a header does not tell matches any."""
    groups: dict[tuple[str, str], list[FileFacts]] = {}
    for facts in files:
        if facts.image is not None and not facts.has(PROBLEM) and not is_map_file(facts.file):
            groups.setdefault((facts.summary.kind, facts.summary.filter), []).append(facts)
    for (kind, name), group in groups.items():
        called = " ".join(filter(None, [name, kind or "frames of unknown kind"]))
        for what, read in SHARED.items():
            values = Counter(value for facts in group if (value := read(facts)))
            if len(values) > 1:
                said = ", ".join(f"{value} ({n})" for value, n in values.most_common(MOST_NAMES))
                more = f" and {len(values) - MOST_NAMES} more" if len(values) > MOST_NAMES else ""
                yield Finding(WARNING, "mixed", f"{shown(called)}: they differ in {what}: {shown(said)}{more}")
