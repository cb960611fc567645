"""The parts of a report on a stack that tell of its clips: before and after, and what was rejected."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from xccd.pictures.causes import CAUSES
from xccd.pictures.page import Cell, Html, joined, paragraph, picture, pictures, table, tag
from xccd.pictures.picked import nth
from xccd.pictures.plot_rejection import plot_rejection
from xccd.pictures.report_frames import _height
from xccd.pictures.report_look import Look
from xccd.pictures.report_part import NO_DIAGRAMS, Asked, UntoldError, counted, diagram, percent, stands_out
from xccd.pictures.report_thumbs import LARGE, image_of, smaller

Array = np.ndarray[Any, Any]
NOT_CLIPPED = "The stack was not clipped: nothing was rejected."
NOT_KNOWN = (
    "What was rejected is not known: samples are missing, and neither flags nor the steps of the stack tell why. Give "
    "original=, the stack before the clip, or clip a lazy stack or a flagged Dataset."
)
COLOURS = "The frames have colours: report on one of them, as stack.sel(channel='G'), to see what was rejected."


def compare(look: Look, asked: Asked) -> Html:
    """Frames before and after the clips at one stretch: those of which most was rejected."""
    before, share = _known(look)
    worst = sorted(np.argsort(-share, kind="stable")[: asked.pairs].tolist())
    made = []
    for i in worst:
        both = [smaller(one[i], LARGE) for one in (before, look.values)]
        for image, word in zip(both, ("before", "after"), strict=True):
            caption = joined([tag("b", look.names[i]), f" {word}"])
            made.append(image_of(image, look.limits, f"{look.names[i]} {word}", caption))
    step = look.step * max(1, -(-max(look.values.shape[1:3]) // LARGE))
    shown = f" Every {nth(step)} row and column is shown." if step > 1 else ""
    lead = paragraph(
        f"The frames of which most was rejected, in the stretch of the stack before. Blue: rejected.{shown}"
    )
    return joined([lead, pictures(made, "pair")])


def _known(look: Look) -> tuple[Array, Array]:
    """The samples before the clips, and the rejected share of each frame."""
    if look.what.has_colours:
        raise UntoldError(COLOURS)
    if look.before is None or look.rejected is None:
        missing = bool(np.isnan(look.values).any())
        raise UntoldError(NOT_KNOWN if missing or "clip" in str(look.what.stack.attrs.get("history")) else NOT_CLIPPED)
    share = look.rejected[[cause.rejected for cause in CAUSES]].sum(0)
    if not share.any():
        steps = str(look.what.stack.attrs.get("history", ""))
        raise UntoldError("The clips rejected no sample." if "clip" in steps or "reject" in steps else NOT_CLIPPED)
    return look.before, share


def rejection(look: Look, asked: Asked) -> Html:
    """How many samples of each frame were rejected, by cause, as a table, a map and bars."""
    _, share = _known(look)
    assert look.rejected is not None
    causes = [(k, cause) for k, cause in enumerate(CAUSES) if look.rejected[k].any()]
    exact = _counts(look)
    most, order = float(share.max()), np.argsort(-share, kind="stable")
    rows = []
    for i in range(look.what.count):
        bar = tag("span", css="bar", style=f"width:{6 * share[i] / most:.2f}rem")
        own = [Cell(str(int(exact[i])), "number")] if exact is not None else []
        rows.append((look.names[i], *own, Cell(percent(share[i]), "number"), Cell(bar),
                     *(Cell(percent(look.rejected[k, i]), "number") for k, _ in causes)))  # fmt: skip
    head = [
        "frame",
        *(["by clips" if look.step > 1 else "samples"] if exact is not None else []),
        "rejected %",
        "",
        *(f"{c.name} %" for _, c in causes),
    ]
    worst = int(order[0])
    lead = f"Most was rejected of {look.names[worst]}: {percent(share[worst])} %. Of all: {percent(share.mean())} %."
    if look.step > 1:
        lead += f" Shares by cause are those of every {nth(look.step)} row and column."
    return joined([paragraph(lead), table(head, rows, marked=stands_out(share)), _diagrams(look)])


def _counts(look: Look) -> Array | None:
    """The number of rejected samples of each frame; None if not all samples were looked at, and none was counted."""
    if look.step == 1 and look.causes is not None:
        rejected = [k for k, cause in enumerate(CAUSES, 1) if cause.rejected]
        return np.array([np.count_nonzero(np.isin(one, rejected)) for one in look.causes])
    sides = [look.table[k].values for k in ("rejected_low", "rejected_high") if k in look.table]
    return np.asarray(sides[0] + sides[1]) if len(sides) == 2 else None


def _diagrams(look: Look) -> Html:
    whole, dim = look.small, look.what.dim
    wide = {"map": "samples rejected of each pixel", "frames": "rejected samples of each frame by cause"}
    made = []
    for what, alt in wide.items():
        height = 4.6 if what == "map" else _height(look.what.count)
        try:
            data = diagram(partial(_drawn, whole, what, dim), height=height)
        except UntoldError:
            return paragraph(NO_DIAGRAMS, css="untold")
        made.append(picture(data, f"{alt}, of {counted(look.what.count, 'frame')}"))
    return pictures(made, "plots")


def _drawn(stack: Any, what: str, dim: Any, axes: Any) -> object:
    return plot_rejection(stack, what=what, ax=axes, dim=dim)
