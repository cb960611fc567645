"""The table of `stats`: short names of frames, which frames are odd and why, and its lines as text."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from xccd.kernels.limits import MAD_TO_STD

Columns = Mapping[str, Any]
LEAST = 5  # frames with a value: of fewer, none is odd
TIMES = 5.0  # deviations from the median of the frames; more for few frames, see `limit_of`
OF_STARS = ("stars", "fwhm", "elongation")
FEW_STARS = 10  # of most frames: hot pixels and noise of darks and flats give some
WIDEST = 24  # letters of a short name
ENDING = re.compile(r"\.(fits?|fts)(\.(gz|bz2|xz|fz))*(?=\[|$)", re.IGNORECASE)


class Odd(NamedTuple):
    """What makes a frame odd in one column: beyond `TIMES` deviations, and farther from the median than ``least``."""

    low: str  # the word for a value that is too low; "" if that is no fault
    high: str
    least: Callable[[float, Columns], float]  # of the median of the column, and all columns
    missing: str = ""  # the word for a frame without a value, where others have one


def _noise(columns: Columns) -> float:
    noise = columns["noise"][np.isfinite(columns["noise"])]
    return float(np.median(noise)) if noise.size else 0.0


ODD = {
    "background": Odd("low background", "high background", lambda _, columns: _noise(columns), "no samples"),
    "noise": Odd("low noise", "high noise", lambda middle, _: 0.1 * middle),
    "light": Odd("little light", "much light", lambda _, columns: 0.5 * _noise(columns)),
    "missing": Odd("", "many missing", lambda *_: 0.01),
    "saturated": Odd("", "many saturated", lambda *_: 0.001),
    "rejected": Odd("", "many rejected", lambda *_: 0.02),
    "stars": Odd("few stars", "many stars", lambda middle, _: max(0.2 * middle, 3 * middle**0.5)),
    "fwhm": Odd("narrow stars", "wide stars", lambda middle, _: 0.1 * middle, "no stars"),
    "elongation": Odd("", "long stars", lambda *_: 0.1),
}


def _light(columns: Columns) -> Any:
    """What stars, trails and cosmic rays add to the mean. A trail changes neither the background nor the noise much."""
    return np.asarray(columns["mean"], np.float64) - columns["background"]


def limit_of(count: int) -> float:
    """How many deviations from the median are odd: 10 for 5 frames, 6 for 25, 5 for very many.

    The scatter of few frames is a bad guess.
    """
    return TIMES * (1 + LEAST / max(1, count))


def odd_frames(columns: Columns) -> list[str]:
    """For each frame in which columns it is odd, in words; "" if in none."""
    count = len(next(iter(columns.values())))
    if "mean" in columns:
        columns = {**columns, "light": _light(columns)}
    words: list[list[str]] = [[] for _ in range(count)]
    few = "stars" in columns and np.median(columns["stars"]) < FEW_STARS
    for name, row in ODD.items():
        if name not in columns or (few and name in OF_STARS):
            continue
        values = np.asarray(columns[name], np.float64)
        good = np.isfinite(values)
        if np.count_nonzero(good) < LEAST:
            continue
        middle = float(np.median(values[good]))
        scatter = MAD_TO_STD * float(np.median(np.abs(values[good] - middle)))
        limit = max(limit_of(int(np.count_nonzero(good))) * scatter, row.least(middle, columns))
        for word, out in (
            (row.low, middle - values > limit),
            (row.high, values - middle > limit),
            (row.missing, ~good),
        ):
            for i in np.flatnonzero(out & bool(word)).tolist():
                words[i].append(word)
    return [", ".join(dict.fromkeys(some)) for some in words]


def short_names(names: Sequence[str]) -> list[str]:
    """Names that show what differs: without the folder and the ending that all share, and if they are long without
    the beginning that all share.
    """
    paths = [name.replace(os.sep, "/") for name in names]
    folder = _beginning([path[: path.rfind("/") + 1] for path in paths])
    folder = folder[: folder.rfind("/") + 1]
    short = [path.removeprefix(folder) for path in paths]
    short = _if_apart([ENDING.sub("", name) for name in short], short)
    if len(short) < 2 or max(map(len, short)) <= WIDEST:
        return short
    common = re.sub(r"\d+$", "", _beginning(short))  # not within a number
    common = common if re.search(r"[\W_]$|[^\W\d]$", common) else ""
    return [f"...{name.removeprefix(common)}" for name in short] if len(common) > 3 else short


def _beginning(texts: Sequence[str]) -> str:
    """The letters with which all texts begin."""
    first, last = min(texts), max(texts)
    return next((first[:i] for i, c in enumerate(first) if last[i : i + 1] != c), first)


def _if_apart(new: list[str], old: list[str]) -> list[str]:
    """The new names if they tell as many frames apart as the old ones, and none is empty."""
    return new if len(set(new)) == len(set(old)) and all(new) else old
