"""What there is in some files, as sections of a report: plain values, for text and JSON."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xccd.headers import cards, common
from xccd.headers.differences import differing
from xccd.night.look.frame_table import groups_of, is_map_file, measured
from xccd.read.files.unpack import BROKEN
from xccd.read.images.chips import Options
from xccd.read.images.sources import items, open_file

if TYPE_CHECKING:
    from pandas import DataFrame

MOST_KEYWORDS, MOST_VALUES = 12, 4  # in a line


def report_of(table: DataFrame, *, stars: bool = False) -> dict[str, Any]:
    """The sections of a report on a table of `scan`."""
    statistics = measured(table, stars=stars)
    headers = [_header(row.file, int(row.hdu)) if not row.problem else "" for row in table.itertuples()]
    groups = [_group(table, numbers, headers) for numbers in groups_of(table)]
    return {
        "inputs": groups,
        "problems": [{"file": r["file"], "problem": r["problem"]} for r in statistics if r["problem"]],
        "statistics": statistics,
        "odd": [{"frame": r["name"], "odd": r["odd"]} for r in statistics if r.get("odd")],
        "suggestions": _suggestions(groups, statistics),
    }


def _header(file: str, hdu: int) -> str:
    place = Path(file) if Path(file).exists() else next(items(file))[0]
    try:
        return open_file(place, Options.of(hdu, None)).frames[0].header
    except (OSError, ValueError, *BROKEN):
        return ""


def _group(table: DataFrame, numbers: Sequence[int], headers: Sequence[str]) -> dict[str, Any]:
    """One row of the inputs: what its frames share, in which keywords they differ, and whether they have a WCS."""
    first = table.iloc[numbers[0]]
    texts = [headers[i] for i in numbers if headers[i]]
    exposure = float(first.exposure)
    return {
        "count": len(numbers),
        "map": is_map_file(first.file),
        "kind": first.kind,
        "filter": first["filter"],
        "exposure": exposure if exposure == exposure else None,
        "shape": first["shape"],
        "unit": first.unit,
        "files": [table.file.iloc[i] for i in numbers],
        "differ": differing(texts),
        "registration": _registration(texts),
    }


def _registration(texts: Sequence[str]) -> dict[str, Any]:
    """How many frames have a WCS, and whether it is one for all."""
    having = [text for text in texts if cards.card_value(text, "CTYPE1")]
    same = len(having) == len(texts) > 0 and common.same_grid(having)
    return {"wcs": len(having), "of": len(texts), "one_grid": bool(same)}


# What is usually done with frames of a kind: options of `xccd combine`.
REJECT = "--reject 'auto 4 4'"
WORK = {
    "bias": REJECT,
    "dark": REJECT,
    "flat": f"--normalize median {REJECT}",
    "light": REJECT,
}


def _suggestions(groups: Sequence[dict[str, Any]], statistics: Sequence[dict[str, Any]]) -> list[str]:
    """Sentences on what may be done next."""
    together: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for one in groups:
        together.setdefault(tuple(one[k] for k in ("kind", "filter", "exposure", "map")), []).append(one)
    said = [_of_group(_joined(some)) for some in together.values()]
    found = ["bias" if _is_bias(one) else one["kind"] for one in groups]
    if "light" in found:
        missing = [kind for kind in ("bias", "flat") if not any(kind in one for one in found)]
        said += [f"There are lights and no {kind} frames: the lights may be calibrated already." for kind in missing]
    odd = [row["name"] for row in statistics if row.get("odd")]
    if odd:
        said.append(f"Look at the odd frames first: {', '.join(odd[:MOST_KEYWORDS])}.")
    return said


def _joined(groups: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Groups that differ in shape, binning or unit alone, as one."""
    wcs, of = (sum(one["registration"][k] for one in groups) for k in ("wcs", "of"))
    one_grid = len(groups) == 1 and groups[0]["registration"]["one_grid"]
    count = sum(one["count"] for one in groups)
    return groups[0] | {"count": count, "registration": {"wcs": wcs, "of": of, "one_grid": one_grid}}


def _of_group(group: dict[str, Any]) -> str:
    kind, count = group["kind"] or "frame", group["count"]
    called = " ".join(filter(None, [group["filter"], kind]))
    if group["map"]:
        return f"{count} {called}: by their names maps of other files: leave them out."
    if count < 2:
        return f"1 {called}: nothing to combine."
    if kind.startswith("master-"):
        return f"{count} {called}: combined already."
    if kind == "light" or not group["kind"]:
        where = group["registration"]
        if where["one_grid"]:
            how = "they have one WCS: xccd combine takes them as they lie"
        elif where["wcs"] == where["of"]:
            how = "they have a WCS each: align them first"
        else:
            how = f"{where['of'] - where['wcs']} have no WCS: align them by their stars first"
        return f"{count} {called}: {how}."
    kind = "bias" if _is_bias(group) else kind
    exposure = f"{group['exposure']:g}s" if kind == "dark" and group["exposure"] is not None else ""
    name = re.sub(r"[^\w.-]+", "_", "-".join(filter(None, [kind, group["filter"], exposure])))
    return f"{count} {called}: xccd combine FILES -o {name}.fits {WORK.get(kind, REJECT)}"


def _is_bias(group: dict[str, Any]) -> bool:
    """Whether the frames are bias frames: a dark without exposure is one."""
    return bool(group["kind"] == "bias" or (group["kind"] == "dark" and group["exposure"] == 0))
