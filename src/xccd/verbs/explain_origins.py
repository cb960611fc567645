"""Where the unit, the WCS and the mask of a stack came from, in words."""

from __future__ import annotations

from collections.abc import Hashable

import xarray as xr

from xccd.compute import notes, plans
from xccd.headers import cards, common
from xccd.labels.flags import flags_of
from xccd.labels.lazy import array_of
from xccd.messages import shown
from xccd.verbs.explain_steps import MASKING, verb_of

MASKS = (*MASKING, "apply_flags")


def origins(stack: xr.DataArray, dim: Hashable) -> dict[str, str]:
    """For unit, WCS and mask a sentence each."""
    headers = common.texts(stack, dim)
    return {"unit": _unit(stack, headers), "WCS": _wcs(stack, headers), "mask": _mask(stack)}


def _unit(stack: xr.DataArray, headers: list[str]) -> str:
    unit = str(stack.attrs.get("units") or "")
    known = {str(cards.card_value(text, "BUNIT") or "").strip() for text in headers} - {""}
    said = ", ".join(sorted(map(shown, known)))
    if not unit:
        return f"none; the headers say {said}" if known else "none: the headers have no BUNIT, and units= gave none"
    if "gain_correct" in map(verb_of, common.history_steps(stack)):
        return f"{unit}, by gain_correct; the headers say {said or 'nothing'}"
    if known == {unit}:
        return f"{unit}, BUNIT of the headers"
    return f"{unit}, attrs['units']; the headers say {said or 'nothing'}"


def _wcs(stack: xr.DataArray, headers: list[str]) -> str:
    if common.ALIGNED_TO in stack.coords:
        return "the grid of align, the same for all frames"
    given = [verb for verb in map(verb_of, common.history_steps(stack)) if verb in ("assign_wcs", "refine_wcs")]
    with_one = sum("CTYPE1" in cards.values(text) for text in headers)
    if given and common.SOLVED in stack.coords:
        return f"by {given[-1]}"
    if not headers:
        return "none: the stack has no headers"
    if not with_one:
        return f"none: {common.why_no_wcs(stack)}"
    one = ", the same in all" if common.same_grid(headers) else ", one for each frame"
    return f"the headers{one if with_one == len(headers) else f', in {with_one} of {len(headers)} frames'}"


def _mask(stack: xr.DataArray) -> str:
    steps = [step.removeprefix("xccd.") for step in common.history_steps(stack) if verb_of(step) in MASKS]
    said = f"; then {', '.join(steps)}" if steps else "; no step masked samples"
    if flags_of(stack) is not None:
        return f"flags; what the files, mask files or BLANK masked has the flag 1{said}"
    x = array_of(stack)
    reader = notes.noted(x, notes.READER) or getattr(plans.plan_of(x).source, "reader", None)
    if reader is None:
        return f"NaN{said}"  # masks of files cannot be told once frames were loaded or changed
    files = ["a mask of the files"] if any(reader.masks) else []
    files += ["BLANK, or masks of frames in memory"] if any(frame.masks for frame in reader.frames) else []
    return f"NaN; {' and '.join(files) or 'the files have no mask'}{said}"
