"""The parts of a report on a stack that tell of its frames: inputs, headers, statistics, noise, registration."""

from __future__ import annotations

from typing import Any

import numpy as np

from xccd.headers import cards, common
from xccd.headers.common import ALIGNED_TO, SOLVED
from xccd.headers.differences import differing
from xccd.pictures.captions import check_keys, values_of
from xccd.pictures.page import Cell, Html, facts, items, joined, paragraph, picture, pictures, table, untold
from xccd.pictures.picked import nth
from xccd.pictures.plot_noise import plot_noise
from xccd.pictures.plot_transforms import plot_transforms
from xccd.pictures.report_look import Look
from xccd.pictures.report_part import Asked, UntoldError, counted, diagram, number, percent
from xccd.pictures.report_thumbs import chosen, every, thumbs

MOST_VALUES = 6  # of a keyword
COLUMNS = {  # of the statistics, with the heading and how a value is written
    "mean": ("mean", number), "median": ("median", number), "background": ("background", number),
    "noise": ("noise", number), "min": ("least", number), "max": ("greatest", number),
    "missing": ("missing %", percent), "saturated": ("saturated %", percent), "rejected": ("rejected %", percent),
    "stars": ("stars", number), "fwhm": ("fwhm", number), "elongation": ("elongation", number),
}  # fmt: skip


def odd_of(look: Look) -> list[str]:
    """How each frame differs from most; "" if it does not."""
    return [str(text) for text in look.table["odd"].values.tolist()]


def inputs(look: Look, asked: Asked) -> Html:
    """What all frames share, their pictures, and a table of their files."""
    what, keys = look.what, check_keys(look.what, None)
    columns = {key: values_of(what, key) for key in keys}
    shared = [(key, column[0]) for key, column in columns.items() if len(set(column)) == 1 and column[0]]
    height, width = what.size
    size = [("frames", what.count), ("pixels", f"{height} x {width}"), ("type", str(what.stack.dtype))]
    own = facts([*size, ("unit", what.stack.attrs.get("units", "not known")), *shared])
    odd = odd_of(look)
    numbers, left = chosen(look, asked.n, odd)
    step = every(look)
    words = ["All pictures have one stretch (zscale). Blue: no sample."]
    words += [f"Every {nth(step)} row and column is shown."] if step > 1 else []
    differ = [key for key, column in columns.items() if len(set(column)) > 1]
    files = look.files or look.names
    rows = [
        (i, Cell(files[i], "long"), *(columns[k][i] for k in differ), Cell(look.problems[i] if look.problems else ""))
        for i in range(what.count)
    ]
    problem = ["problem"] if any(look.problems) else []
    head = ["number", "file" if look.files else "frame", *differ, *problem]
    listed = table(head, [row[: len(head)] for row in rows])
    return joined([own, thumbs(look, numbers, odd), paragraph(" ".join(filter(None, [*words, left]))), listed])


def headers(look: Look, asked: Asked) -> Html:
    """The keywords in which headers differ, with their values and counts."""
    texts = common.texts(look.what.stack, look.what.dim)
    if not texts:
        raise UntoldError("The stack carries no headers, so nothing is known of what differs in them.")
    if len(texts) == 1:
        raise UntoldError("There is one frame, so no header to compare it with.")
    found = differing(texts)
    if not found:
        return paragraph(f"The headers of all {len(texts)} frames agree, but for the WCS and checksums.")
    few = {k: v for k, v in found.items() if len(v) < len(texts)}
    rows = [(name, len(values), Cell(_values(values), "long")) for name, values in few.items()]
    most = [name for name in found if name not in few]
    said = [paragraph(f"Another value in every frame: {', '.join(most)}.")] if most else []
    return joined([table(["keyword", "values", "value (frames)"], rows), *said])


def _values(values: dict[str, int]) -> str:
    shown = [f"{value or '(empty)'} ({n})" for value, n in list(values.items())[:MOST_VALUES]]
    rest = len(values) - MOST_VALUES
    return ", ".join([*shown, *([f"and {rest} more"] if rest > 0 else [])])


def statistics(look: Look, asked: Asked) -> Html:
    """A row for each frame; odd frames are marked, with the reason."""
    found, odd = look.table, odd_of(look)
    columns = [k for k in COLUMNS if k in found]
    values = {k: found[k].values for k in columns}
    rows = [
        (look.names[i], Cell(odd[i]), *(Cell(COLUMNS[k][1](values[k][i]), "number") for k in columns))
        for i in range(look.what.count)
    ]
    marked = [bool(text) for text in odd]
    unit = look.what.stack.attrs.get("units")
    said = [f"Levels are in {unit}." if unit else "The unit of the samples is not known."]
    rows_said = str(found.attrs.get("rows", ""))
    said += [f"Rows: {rows_said}."] if rows_said and not rows_said.startswith("all") else []
    names = [f"{look.names[i]}: {text}" for i, text in enumerate(odd) if text]
    if names:
        lead = joined([paragraph(f"{counted(len(names), 'frame')} differ from most:"), items(names[: asked.n])])
    elif look.what.count < 5:
        lead = paragraph("No frame can be called odd: that takes 5 frames or more.")
    else:
        lead = paragraph("No frame is odd.")
    head = ["frame", "odd", *(COLUMNS[k][0] for k in columns)]
    return joined([lead, table(head, rows, marked=marked), paragraph(" ".join(said))])


def noise(look: Look, asked: Asked) -> Html:
    """The noise of the mean of 1, 2, 3, ... frames against 1 / sqrt(N)."""
    what = look.what
    if what.count < 2:
        raise UntoldError("There is one frame: nothing averages down.")
    if what.has_colours:
        raise UntoldError("The frames have colours: pick one, as stack.sel(channel='G'), for its noise.")
    kept: dict[str, Any] = {}

    def draw(axes: Any) -> None:
        kept["lines"] = plot_noise(look.rows, ax=axes, dim=what.dim)

    data = diagram(draw)
    measured, expected = (line.get_ydata() for line in kept["lines"])
    single, last = float(expected[0]), float(measured[-1])
    gain = single / last if last > 0 else np.nan
    told = facts([
        ("noise of a frame", number(single)), ("noise of the mean", number(last)), ("gained", f"{number(gain)} times"),
        ("sqrt(N)", number(what.count**0.5)), ("of what is possible %", percent(gain / what.count**0.5)),
    ])  # fmt: skip
    alt = f"noise of the mean of 1 to {what.count} frames, and the line of 1 / sqrt(N)"
    return joined([told, pictures([picture(data, alt)], "plots")])


def registration(look: Look, asked: Asked) -> Html:
    """Whether frames have a WCS, whether it is one, and how well the stars matched."""
    texts = common.texts(look.what.stack, look.what.dim)
    having = [text for text in texts if cards.card_value(text, "CTYPE1")]
    if not having:
        said = "No frame has a WCS."
    elif len(having) < len(texts):
        said = f"{len(having)} of {len(texts)} frames have a WCS."
    else:
        said = "All frames have one WCS." if common.same_grid(having) else "Each frame has a WCS of its own."
    aligned = ALIGNED_TO in look.what.stack.coords
    more = " They are aligned: their samples lie on one grid." if aligned else ""
    more += " It was measured, and is not that of the files." if SOLVED in look.what.stack.coords else ""
    return joined([paragraph(said + more), _residuals(look, asked)])


def _residuals(look: Look, asked: Asked) -> Html:
    found = asked.transforms
    if found is None:
        return untold(
            "Residuals are not known: give transforms=stack.ccd.find_transforms() to see how well the stars match."
        )
    names = [str(v) for v in look.names] if found.sizes["frame"] == look.what.count else [""] * found.sizes["frame"]
    rows = [
        (names[i] or i, Cell(int(found.stars_matched.values[i]), "number"),
         Cell(number(float(found.residual.values[i])), "number"))
        for i in range(found.sizes["frame"])
    ]  # fmt: skip
    shown = [
        picture(diagram(lambda axes: plot_transforms(found, what="frames", ax=axes)), "outlines of the frames"),
        picture(
            diagram(lambda axes: plot_transforms(found, what="residuals", ax=axes), height=_height(len(rows))),
            "residuals of matched stars of each frame",
        ),
    ]
    return joined([pictures(shown, "plots"), table(["frame", "stars matched", "residual [pixel]"], rows)])


def _height(count: int) -> float:
    return max(4.2, 1.4 + 0.17 * min(count, 40))
