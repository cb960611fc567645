"""The rejections that a pixel went through: from the plan of a lazy stack, or from the history."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

import xarray as xr

from xccd.compute import arrays
from xccd.compute.steps import Range
from xccd.kernels.table import REJECTIONS
from xccd.verbs.clip import extrema_step, sigma_step
from xccd.verbs.explain_limits import NOT_TOLD
from xccd.verbs.reject import BUILDERS, _step_of_row, given_of

WORDS = {"off": None, "stable": None}
REJECTING = ("sigma_clip", "clip_extrema", "minmax", "reject", "grow", "large_structures")
NEIGHBOURS = {
    "grow": "a neighbour in its frame was rejected",
    "large_structures": "it is beside a large rejected structure of its frame",
}
MASKING = ("mask_where", "bayer_planes")
PASSIVE = ("assign_wcs", "refine_wcs", "keep", "apply_flags", *MASKING)  # they change no sample
STEP = re.compile(r"xccd\.(\w+)")
ROW_NOISE = "its noise is measured in a whole row or image"


class Rule(NamedTuple):
    """A rejection: the text of its call, its name, its step, and why the step is not known if it is None."""

    text: str
    name: str
    step: Any = None
    numbers: Any = None  # what the step takes of each sample or frame
    why: str = ""  # it cannot be told, because ...
    spares: bool = False  # whether it may keep what the step rejects


def verb_of(text: str) -> str:
    """The verb of a line of history; "" for a line of another program."""
    found = STEP.match(text)
    return found[1] if found else ""


def of_plan(steps: Sequence[Any], history: Sequence[str]) -> list[Rule]:
    """The rules of steps that a lazy array notes, with the last lines of history as their texts."""
    names = [_name_of(step) for step in steps]
    said = [line for line in history if verb_of(line) in REJECTING][-len(steps) :]
    verbs = [REJECTIONS[name].verb if name in REJECTIONS else "reject" for name in names]
    fits = len(said) == len(steps) and all(
        verb_of(line) in (verb, "reject") for line, verb in zip(said, verbs, strict=True)
    )
    texts = said if fits else [f"xccd.{REJECTIONS[n].verb if n in REJECTIONS else n}" for n in names]
    shown = [name if "algorithm=" in text else verb for text, name, verb in zip(texts, names, verbs, strict=True)]
    return [Rule(text, name, step) for text, name, step in zip(texts, shown, steps, strict=True)]


def _name_of(step: Any) -> str:
    return str(getattr(step, "name", None) or next(name for name, row in REJECTIONS.items() if row is step.row))


def of_history(lines: Sequence[str], one: xr.DataArray, dim: Hashable) -> list[Rule]:
    """The rules of lines of history, made again for a stack of one pixel."""
    return [_rule(line, one, dim) for line in lines if verb_of(line) in REJECTING]


def _rule(line: str, one: xr.DataArray, dim: Hashable) -> Rule:
    verb = verb_of(line)
    if verb in NEIGHBOURS:
        return Rule(line, verb, why=NEIGHBOURS[verb])
    try:
        call: Any = ast.parse(line, mode="eval").body
        given = {word.arg: ast.literal_eval(word.value) for word in call.keywords}
    except (SyntaxError, ValueError, AttributeError):  # a function has only its name there, an array its shape
        return Rule(line, verb, why="the history does not hold a function or an array that it was given")
    if given.pop("dim", "frame") != dim:
        return Rule(line, verb, why=f"it was not along {dim!r}")
    given = {k: WORDS.get(v, v) if isinstance(v, str) else v for k, v in given.items()}
    if given.get("algorithm") in NOT_TOLD:
        return Rule(line, given["algorithm"], why=NOT_TOLD[given["algorithm"]])
    if given.get("algorithm") == "average_sigma" and given.get("per", "row") != "pixel":
        return Rule(line, "average_sigma", why=ROW_NOISE)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of few frames: they were given when the clip was made
            return MAKERS[verb](line, given, one, dim)
    except (ValueError, TypeError, KeyError) as error:
        return Rule(line, verb, why=f"it cannot be made again: {error}")


def _sigma(line: str, given: dict[str, Any], one: xr.DataArray, dim: Hashable) -> Rule:
    given = {option.name: option.default for option in REJECTIONS["sigma"].options} | given
    given.pop("preset", None)  # all its options are in the line
    low, high = given.pop("low", 3), given.pop("high", 3)
    return Rule(line, "sigma_clip", sigma_step(one.sizes[dim], low, high, given))


def _extrema(line: str, given: dict[str, Any], one: xr.DataArray, dim: Hashable) -> Rule:
    step = extrema_step(one.sizes[dim], given.get("nlow", 0), given.get("nhigh", 0), ("nlow", "nhigh"))
    return Rule(line, "clip_extrema", step)


def _minmax(line: str, given: dict[str, Any], one: xr.DataArray, dim: Hashable) -> Rule:
    return Rule(line, "minmax", Range(*(None if (v := given.get(k)) is None else float(v) for k in ("min", "max"))))


def _reject(line: str, given: dict[str, Any], one: xr.DataArray, dim: Hashable) -> Rule:
    given = {k: v for k, v in given.items() if k not in ("chosen_by", "preset")}
    spares = given.pop("spare_cores", None) is not None
    name, low, high = given.pop("algorithm"), given.pop("low", ...), given.pop("high", ...)
    call = given_of(name, low, high, given, one.sizes[dim], dim)
    step, numbers = BUILDERS.get(call.name, _step_of_row)(one, call)
    if arrays.is_dask(numbers):
        numbers = numbers.compute()
    return Rule(line, name, step, numbers.load() if arrays.is_deferred(numbers) else numbers, spares=spares)


MAKERS: dict[str, Callable[..., Rule]] = {
    "sigma_clip": _sigma,
    "clip_extrema": _extrema,
    "minmax": _minmax,
    "reject": _reject,
}


def since(lines: Sequence[str]) -> tuple[list[str], str]:
    """The lines after the last one that changed samples, and why earlier rejections cannot be told; "" if none is."""
    changed = max((i for i, line in enumerate(lines) if _changes(line)), default=-1)
    before = [line for line in lines[: changed + 1] if verb_of(line) in REJECTING]
    why = f"{verb_of(lines[changed])} changed the samples after {verb_of(before[-1])}" if before else ""
    return list(lines[changed + 1 :]), why


def _changes(line: str) -> bool:
    verb = verb_of(line)
    return bool(verb) and verb not in (*REJECTING, *PASSIVE) and not verb.startswith("open_")
