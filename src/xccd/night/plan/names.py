"""Names of products: safe for file systems, and each of one product only."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable

from xccd.night.plan.detectors import Detector
from xccd.night.plan.drafts import Draft
from xccd.night.plan.nights import name_of

LONGEST = 180  # bytes of a name as UTF-8: file systems take 255, with what comes before and behind
DEVICES = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?", re.IGNORECASE)  # not the names of files on Windows


def safe(text: str) -> str:
    """A part of a name: letters of any alphabet, digits and "+.-_"; other characters become "_"."""
    plain = unicodedata.normalize("NFC", text.strip())
    return re.sub(r"_+", "_", re.sub(r"[^\w.+-]+", "_", plain)).strip("_")


def seconds(exposure: float) -> str:
    """An exposure as "120s" or "0.5s"; "" if it is not known."""
    return "" if exposure != exposure else f"{exposure:g}s"


def _own(draft: Draft) -> str:
    """The name without what tells products of one name apart."""
    group = draft.group
    if draft.kind == "light":
        first = [safe(value) for value in group.by] or ["light"]
        parts = [first[0] or "no_name", *first[1:], seconds(group.exposure)]
    else:
        parts = [draft.kind, safe(group.filter), seconds(group.exposure) if draft.kind == "dark" else ""]
    name = "-".join(part for part in parts if part).lstrip("._-")
    if DEVICES.fullmatch(name) or not name:
        name = f"_{name}"
    return name.encode()[:LONGEST].decode(errors="ignore")


def names_of(drafts: list[Draft], detectors: list[Detector]) -> list[str]:
    """The name of each product. Capitals alone tell no two apart, as some file systems see none."""
    apart: tuple[Callable[[Draft], str], ...] = (
        lambda d: name_of(d.group.night) if d.kind != "light" else "",
        lambda d: detectors[d.group.detector].shape,
        lambda d: _before("bin", detectors[d.group.detector].binning),
        lambda d: _before("gain", detectors[d.group.detector].gain),
        lambda d: _before("chip", detectors[d.group.detector].chip),
        lambda d: safe(detectors[d.group.detector].unit.replace("/", "_per_")),
        lambda d: "-".join(safe(text) for text in detectors[d.group.detector].more if text),
        lambda d: _degrees(d.group.temperature) if d.kind != "light" else "",
    )
    names = [_own(draft) for draft in drafts]
    for part in apart:
        for same in _alike(names):
            parts = [part(drafts[i]) for i in same]
            if len(set(parts)) > 1:
                for i, text in zip(same, parts, strict=True):
                    names[i] = "-".join(filter(None, (names[i], text)))
    return _numbered(names)


def _numbered(names: list[str]) -> list[str]:
    taken: set[str] = set()
    again: Counter[str] = Counter()
    found = []
    for name in names:
        stem = name
        while name.casefold() in taken:
            again[stem.casefold()] += 1
            name = f"{stem}-{again[stem.casefold()] + 1}"
        taken.add(name.casefold())
        found.append(name)
    return found


def _alike(names: list[str]) -> list[list[int]]:
    places = defaultdict(list)
    for i, name in enumerate(names):
        places[name.casefold()].append(i)
    return [some for some in places.values() if some[1:]]


def _before(word: str, text: str) -> str:
    return word + safe(text) if text else ""


def _degrees(temperature: float) -> str:
    return "" if temperature != temperature else f"{temperature:.0f}deg".replace("-", "minus")
