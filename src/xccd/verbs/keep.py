"""`keep`: the frames that a rule such as ``"fwhm<80%"`` leaves in."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Hashable
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
import xarray as xr

from xccd.labels.flags import image_names, not_taken
from xccd.labels.frames import add_history, check_stack, frame_names
from xccd.labels.keywords import keyword_of_frames
from xccd.labels.nodes import map_nodes
from xccd.verbs.stats import MEASURED, STARS, stats

Obj = TypeVar("Obj", xr.DataArray, xr.Dataset, xr.DataTree)
Array = np.ndarray[Any, Any]
MOST_LINES = 50  # of the log; more frames are counted
log = logging.getLogger("xccd")

OPERATORS = ("<", "<=", ">", ">=")
_CONDITION = re.compile(
    r"\s*(?P<name>[A-Za-z_][\w .-]*?)\s*(?P<operator><=|>=|<|>)\s*(?P<value>[^<>=%]+?)\s*(?P<share>%?)\s*"
)
EXAMPLES = "as 'fwhm<80%', 'stars>20%' or 'noise<=12.5', several joined by commas"


class Condition(NamedTuple):
    """One part of a rule: what a frame must meet to stay."""

    name: str
    operator: str  # one of `OPERATORS`
    value: float  # a number, or percent
    share: bool  # whether the value is a share of the frames in percent

    def __str__(self) -> str:
        return f"{self.name}{self.operator}{self.value:.15g}{'%' if self.share else ''}"


def parsed(text: str) -> tuple[Condition, ...]:
    """The conditions of a rule; ValueError or TypeError says which part is wrong, and how to write it.

    Only the text is judged: whether frames have such a label is not known here.
    """
    if not isinstance(text, str):
        raise TypeError(f"rule={text!r} is not a text: write it {EXAMPLES}")
    return tuple(_condition(text, part) for part in text.split(","))


def _condition(text: str, part: str) -> Condition:
    found = _CONDITION.fullmatch(part)
    if found is None:
        where = f": {part.strip()!r}" if part.strip() != text.strip() else ""
        raise ValueError(f"rule={text!r}{where} is not a name, one of {' '.join(OPERATORS)}, and a number: {EXAMPLES}")
    name, operator, number, share = found.groups()
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"rule={text!r}: {number!r} is not a finite number: {EXAMPLES}")
    kept = value if operator in ("<", "<=") else 100 - value
    if share and not 0 < kept <= 100:
        bounds = "above 0 and up to 100" if operator in ("<", "<=") else "from 0 to less than 100"
        raise ValueError(f"rule={text!r}: {name}{operator}{number}% leaves no frame or is no share: give {bounds} %")
    return Condition(name, operator, value, bool(share))


def keep(obj: Obj, rule: str, *, dim: Hashable = "frame") -> Obj:
    """Leave the worst frames out: keep those that meet a rule.

    Parameters
    ----------
    obj : DataArray, Dataset or DataTree
        A stack.
    rule : str
        Conditions, joined by commas, as ``"fwhm<80%, stars>20%, noise<=12.5"``. A condition is a name, one of < <= >
        >=, and a number. Names are the columns of `stats` (fwhm, stars, elongation, background, noise, median, mean,
        min, max, missing, saturated, rejected), or any label or keyword of the frames that is a number.

        With % the number is a share of the frames by rank: ``"fwhm<80%"`` keeps the 80 % of smallest fwhm,
        ``"stars>20%"`` leaves out the 20 % with the fewest stars. Frames of equal value are judged alike, so a few more
        may stay. All conditions must hold, and each is judged on all frames.
    dim : hashable, default: "frame"
        The dimension that holds the frames.

    Returns
    -------
    DataArray, Dataset or DataTree
        The frames that are left, with their labels, and what was measured as labels. In a tree each node is judged by
        itself. The log says which frames were left out, and why.

    Raises
    ------
    ValueError
        The rule cannot be read, a name is unknown, no frame is left, there is no dimension ``dim``.
    TypeError
        ``rule`` is not a text, ``obj`` is no stack.
    ImportError
        Stars are measured without sep.

    See Also
    --------
    stats : the table that is judged

    Notes
    -----
    Labels are used where they are, as after ``stack.assign_coords(stack.ccd.stats(stars=True))``. What is no label is
    measured now, also of a lazy stack: all its samples are read. The frames that are left are still lazy. A frame
    without a value, as the fwhm of a frame without stars, is left out.

    Examples
    --------
    >>> import numpy as np
    >>> import xccd
    >>> rng = np.random.default_rng(0)
    >>> frames = [rng.normal(500, noise, (64, 64)) for noise in (5, 5, 5, 5, 30)]
    >>> stack = xccd.open_stack([(frame, {"EXPTIME": 60.0 + i}) for i, frame in enumerate(frames)])
    >>> kept = stack.ccd.keep("noise<10, EXPTIME>60")
    >>> kept.EXPTIME.values.tolist()
    [61.0, 62.0, 63.0]
    >>> kept.attrs["history"]
    "xccd.keep('noise<10, EXPTIME>60'): 3 of 5 frames"
    """
    conditions = parsed(rule)
    kept: Any
    if isinstance(obj, xr.DataTree):
        kept = map_nodes(
            lambda ds: _kept(ds, rule, conditions, dim),
            obj,
            lambda ds: any(dim in v.dims for v in ds.data_vars.values()),
            f"a variable with the dimension {dim!r}",
        )
    elif isinstance(obj, (xr.DataArray, xr.Dataset)):
        kept = _kept(obj, rule, conditions, dim)
    else:
        raise not_taken("keep()", obj, "keep takes a DataArray, a Dataset or a DataTree, not")
    return cast("Obj", kept)


def _kept(obj: Any, rule: str, conditions: tuple[Condition, ...], dim: Hashable) -> Any:
    stack = obj
    if isinstance(obj, xr.Dataset):
        every = [name for name in image_names(obj) if dim in obj[name].dims]
        some = [name for name in every if obj[name].ndim > 1] or every  # without tables of the frames
        if not some:
            raise ValueError(f"no variable of this Dataset has the dimension {dim!r}: name it with dim=...")
        stack = obj[some[0]]
    n = check_stack(stack, dim)
    values, measured = _values(obj, stack, rule, conditions, dim)
    good = np.ones(n, bool)
    why: list[list[str]] = [[] for _ in range(n)]
    for condition in conditions:
        own = values[condition.name]
        met = _met(condition, own)
        good &= met
        for i in np.flatnonzero(~met).tolist():
            why[i].append(_reason(condition, own[i]))
    if not good.any():
        raise ValueError(f"rule={rule!r} leaves none of {n} frames: {_ranges(values)}")
    _tell(
        rule, [(name, text) for name, text, stays in zip(frame_names(stack, dim), why, good, strict=True) if not stays]
    )
    kept = obj.assign_coords(measured).isel({dim: np.flatnonzero(good)})
    step = f"xccd.keep({rule!r}): {int(good.sum())} of {n} frames"
    if isinstance(obj, xr.Dataset):
        return kept.assign({name: add_history(kept[name], step) for name in some})
    return add_history(kept, step)


def _values(
    obj: Any, stack: xr.DataArray, rule: str, conditions: tuple[Condition, ...], dim: Hashable
) -> tuple[dict[str, Array], dict[str, Any]]:
    """For each name its value in each frame; and what of it was measured, as labels."""
    names = list(dict.fromkeys(condition.name for condition in conditions))
    missing = [k for k in names if k in MEASURED and not (k in stack.coords and stack.coords[k].dims == (dim,))]
    others = {k: _label(stack, rule, k, dim) for k in names if k not in missing}  # first: these may be unknown
    if not missing:
        return others, {}
    table = stats(obj, stars=bool({*STARS} & {*missing}), dim=dim).compute()
    lacking = [k for k in missing if k not in table]
    if lacking:
        way = "stats(saturation=...)" if lacking[0] == "saturated" else "to_dataset(), before the clip,"
        raise ValueError(f"rule={rule!r}: {lacking[0]} of these frames is not known: {way} can tell it")
    measured = {k: table[k].variable for k in missing}
    return others | {k: table[k].values.astype(np.float64) for k in missing}, measured


def _label(stack: xr.DataArray, rule: str, name: str, dim: Hashable) -> Array:
    label = stack.coords.get(name)
    if label is not None and label.dims == (dim,) and label.dtype.kind in "fiub":
        return np.asarray(label.values, np.float64)
    return np.asarray(keyword_of_frames(f"rule={rule!r}: name", name, stack, dim, measured=MEASURED), np.float64)


def _met(condition: Condition, values: Array) -> Array:
    """Where the condition holds; not for frames without a value."""
    rising = condition.operator in ("<", "<=")
    if not condition.share:
        with np.errstate(invalid="ignore"):
            return np.asarray(_COMPARE[condition.operator](values, condition.value))
    share = condition.value / 100 if rising else 1 - condition.value / 100
    count = max(1, math.floor(share * values.size + 0.5))
    ranked = np.sort(values[np.isfinite(values)] if rising else -values[np.isfinite(values)])
    if not ranked.size:
        return np.zeros(values.size, bool)
    last = ranked[min(count, ranked.size) - 1]
    with np.errstate(invalid="ignore"):
        return np.asarray((values if rising else -values) <= last)


_COMPARE = {"<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal}
_WITHOUT = {"fwhm": "no stars to measure", "elongation": "no stars to measure"}


def _reason(condition: Condition, value: float) -> str:
    if not math.isfinite(value):
        return f"{condition.name} is unknown: {_WITHOUT.get(condition.name, 'it has no samples')}"
    said = f"{condition.name} = {value:.6g}"
    if not condition.share:
        return f"{said}, not {str(condition).removeprefix(condition.name)}"
    if condition.operator in ("<", "<="):
        return f"{said} is not among the smallest {condition.value:.15g} %"
    return f"{said} is among the smallest {condition.value:.15g} %"


def _ranges(values: dict[str, Array]) -> str:
    """The range of each name, for a rule that nothing meets."""
    texts = []
    for name, own in values.items():
        good = own[np.isfinite(own)]
        texts.append(f"{name} is {good.min():.6g} to {good.max():.6g}" if good.size else f"{name} is unknown in all")
    return ", ".join(texts)


def _tell(rule: str, left_out: list[tuple[str, list[str]]]) -> None:
    """Log which frames are left out, and why."""
    for name, reasons in left_out[:MOST_LINES]:
        log.info("keep: left out %s: %s", name, "; ".join(reasons))
    if len(left_out) > MOST_LINES:
        log.info("keep: left out %d frames more by %r", len(left_out) - MOST_LINES, rule)
