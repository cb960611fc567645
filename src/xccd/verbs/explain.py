"""`explain`: all samples of a pixel, which of them are in use, and what rejected the others."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from xccd.compute import plans
from xccd.compute.pixel import first_samples, pixel_of, turns
from xccd.compute.steps import First
from xccd.headers.common import history_steps
from xccd.kernels.flags import Flag
from xccd.labels.flags import flags_of
from xccd.labels.frames import check_stack, file_names, frames_first
from xccd.messages import is_number
from xccd.verbs import explain_steps
from xccd.verbs.clip_history import OF_FRAMES
from xccd.verbs.explain_limits import limits_of
from xccd.verbs.explain_origins import origins
from xccd.verbs.explain_steps import MASKING, REJECTING, Rule, verb_of
from xccd.verbs.explanation import OF_CLIPS, REASONS, Explanation, Told
from xccd.verbs.only_array import only_array
from xccd.verbs.stats_table import short_names

Array = np.ndarray[Any, Any]
IMAGE = ("y", "x")
LOW = np.uint8(Flag.REJECTED_LOW | Flag.BELOW_MINIMUM)
HIGH = np.uint8(Flag.REJECTED_HIGH | Flag.ABOVE_MAXIMUM)
SIDES = LOW | HIGH
LOST = "missing, or rejected: original= or a flagged Dataset tells"
NOT_AGAIN = "the calls of the history do not reject the same samples: frames, samples or flags were changed since"


def explain(
    obj: xr.DataArray | xr.Dataset,
    y: float | None = None,
    x: float | None = None,
    *,
    original: xr.DataArray | None = None,
    dim: Hashable = "frame",
) -> Explanation:
    """Tell all samples of a pixel: which are in use, and which rule rejected the others, with its bounds.

    Parameters
    ----------
    obj : DataArray or Dataset
        A stack, clipped or not. A Dataset must have one variable that is not a map.
    y, x : int, optional
        The pixel, by its labels ``y`` and ``x``: the pixel numbers on the detector, from 0. A crop keeps them. Left out
        where the stack has no such dimension: ``stack[:, 3, 4].ccd.explain()``.
    original : DataArray, optional
        The same frames before the clip. Needed after a clip of a stack in memory, whose rejected samples are NaN. A
        lazy stack and a flagged Dataset know them.
    dim : hashable, default: "frame"
        The dimension that holds the frames.

    Returns
    -------
    Explanation
        It prints as a table. Its fields are ``name``, ``sample``, ``flags``, ``kept``, ``rejected`` and ``why``, with
        an entry for each frame; ``rules``, with the centre and the bounds of the last pass of each rejection;
        ``origins``, where unit, WCS and mask came from; ``notes``. ``to_dataset()`` gives the same on ``frame``, with
        the limits of the last rejection that has some.

    Raises
    ------
    ValueError
        There is no such pixel, no dimension ``dim``, other dimensions beside y and x, or ``original`` is another stack.
    TypeError
        ``obj`` is not a DataArray or a Dataset, or ``y`` and ``x`` are no numbers.

    See Also
    --------
    mask : the samples that are not in use
    stats : rejected samples of each frame

    Notes
    -----
    Only this pixel is read, from files its rows. A lazy stack is not computed elsewhere.

    A clip of a lazy stack is repeated on the pixel from what the stack notes of it. Of other stacks the calls are read
    from ``attrs["history"]``. Where these do not give the mask that is there, the bounds are left out, and a note says
    so. :doc:`why_pixel_vanished` shows what is told of each rejection, and what is not.

    Examples
    --------
    >>> import numpy as np
    >>> import xccd
    >>> frames = [np.full((2, 2), value) for value in [100.0, 101, 99, 100, 102, 98, 150]]
    >>> stack = xccd.open_stack([(frame, {"BUNIT": "adu"}) for frame in frames]).ccd.to_dataset()
    >>> told = stack.ccd.sigma_clip(3, 3, center="median", deviation="mad_std").ccd.explain(y=1, x=0)
    >>> told.kept.tolist()
    [True, True, True, True, True, True, False]
    >>> told.why[-1]
    'above 104.448: sigma_clip'
    >>> told.rules[0].low[0].round(3), told.rules[0].high[0].round(3)
    (np.float64(95.552), np.float64(104.448))
    """
    stack = only_array("explain", obj, dim, arguments="y, x")
    n = check_stack(stack, dim)
    place = _place(stack, {"y": y, "x": x}, dim)
    rest = [d for d in stack.dims if d != dim]
    if original is not None:
        _check_original(original, stack, dim)
    index = tuple(place[d][0] for d in rest)
    if dim != stack.dims[0]:  # cut first: a transposed lazy array would be computed
        own = {d: slice(place[d][0], place[d][0] + 1) for d in rest}
        stack = stack.isel(own).transpose(dim, ...)
        original = None if original is None else original.isel(own)
        index = (0,) * len(rest)
    flags = flags_of(stack)
    one = stack.isel(dict(zip(rest, index, strict=True)))
    column = _of_nan(stack, index, one, original, dim) if flags is None else _of_flags(stack, flags, index, one, dim)
    files = file_names(stack, dim)
    names = short_names(files) if files else [str(i) for i in range(n)]
    values, bits, rules, why = _told(column)
    return Explanation(
        {d: place[d][1] for d in ("y", "x") if d in place}, tuple(names), values, bits, why, rules,
        str(stack.attrs.get("units", "")), origins(stack, dim), column.notes, dim,
    )  # fmt: skip


class Column(NamedTuple):
    """What is known of a pixel: samples before the rules, flags before and after them, and the rules."""

    samples: Array
    before: Array
    after: Array  # as they are; of a stack whose mask is NaN only whether a sample is in use
    exact: bool  # whether ``after`` has the reasons
    rules: list[Rule]
    notes: tuple[str, ...] = ()
    lost: bool = False  # whether missing samples may be rejected ones
    flagged: bool = False  # whether flags have the reasons


def _place(stack: xr.DataArray, given: dict[str, Any], dim: Hashable) -> dict[Hashable, tuple[int, Any]]:
    """The index and the label of the pixel along each dimension."""
    others = {d: n for d, n in stack.sizes.items() if d not in (dim, *IMAGE)}
    if others:
        first = next(iter(others))
        way = f"pick one, as isel({first}=0), before the clip"
        raise ValueError(f"explain takes one pixel (y, x), the stack also has {others}: {way}")
    found: dict[Hashable, tuple[int, Any]] = {}
    for name, value in given.items():
        if name not in stack.dims:
            if value is not None:
                raise ValueError(f"{name}={value!r}: the stack has no dimension {name!r}, it has {dict(stack.sizes)}")
            continue
        labels = stack.coords[name].values if name in stack.coords else np.arange(stack.sizes[name])
        if value is None:
            raise ValueError(f"explain(y, x) needs {name}: a label from {labels[0]} to {labels[-1]}")
        if not is_number(value):
            raise TypeError(f"{name}={value!r} is not a pixel number: give one from {labels[0]} to {labels[-1]}")
        at = np.flatnonzero(labels == value)
        if not at.size:
            near = labels[np.argmin(np.abs(labels - value))] if np.isfinite(float(value)) else labels[0]
            raise ValueError(
                f"{name}={value!r} is no pixel of the stack, whose {name} is {labels[0]} to {labels[-1]}: "
                f"the nearest is {near}"
            )
        found[name] = (int(at[0]), labels[at[0]].item())
    return found


def _check_original(original: Any, stack: xr.DataArray, dim: Hashable) -> None:
    if not isinstance(original, xr.DataArray):
        raise TypeError(f"original= is {type(original).__name__}: give the stack before the clip, a DataArray")
    if flags_of(stack) is not None:
        raise ValueError("original= goes with a stack whose mask is NaN: a flagged Dataset holds all samples")
    if dict(original.sizes) != dict(stack.sizes):
        raise ValueError(f"original= has {dict(original.sizes)}, the stack {dict(stack.sizes)}: give the same frames")
    for d in stack.dims:
        if d in original.coords and d in stack.coords and not original.coords[d].equals(stack.coords[d]):
            raise ValueError(f"original= has other labels along {d!r} than the stack: give the same pixels")


def _of_nan(
    stack: xr.DataArray, index: tuple[int, ...], one: xr.DataArray, original: xr.DataArray | None, dim: Hashable
) -> Column:  # fmt: skip
    """A pixel of a stack whose mask is NaN."""
    x, history = frames_first(stack, dim), history_steps(stack)
    none = np.zeros(len(one), np.uint8)
    if original is not None:
        return _beside(stack, index, one, original, dim)
    plan = plans.plan_of(x)
    steps = tuple(step for step in plan.steps if not isinstance(step, First))
    if steps:
        samples = first_samples(plan, index)
        rules = explain_steps.of_plan(steps, history)
        earlier = [line for line in history if verb_of(line) in REJECTING][: -len(steps)]
        notes = (f"missing samples may also have been rejected by {', '.join(earlier)}",) if earlier else ()
        return Column(samples, none, none, False, rules, notes, bool(earlier))
    samples = first_samples(plan, index) if plan.steps else pixel_of(x, index).reshape(-1)
    clips = [line for line in history if verb_of(line) in REJECTING]
    notes = (f"{', '.join(clips)}: rejected samples are NaN now, give original= to see them",) if clips else ()
    return Column(samples, none, none, False, [], notes, bool(clips))


def _beside(
    stack: xr.DataArray, index: tuple[int, ...], one: xr.DataArray, original: xr.DataArray, dim: Hashable
) -> Column:  # fmt: skip
    """A pixel beside that of the stack before the clips."""
    before = original.transpose(*stack.dims)
    samples = pixel_of(frames_first(before, dim), index).reshape(-1)
    now = pixel_of(frames_first(stack, dim), index).reshape(-1)
    wrong = np.flatnonzero(np.isfinite(now) & (now != samples.astype(now.dtype)))
    if wrong.size:
        i = int(wrong[0])
        raise ValueError(
            f"original= has {samples[i]} in frame {i} of this pixel, the stack {now[i]}: give the stack before the clip"
        )
    after = np.where(np.isfinite(now), 0, Flag.NOT_FINITE).astype(np.uint8)
    lines, old = history_steps(stack), history_steps(original)
    lines, notes = _checked_lines(lines[len(old) :] if lines[: len(old)] == old else lines)
    first = one.copy(data=samples)
    rules = explain_steps.of_history(lines, first, dim)
    none = np.zeros(len(one), np.uint8)
    return _verified(Column(samples, none, after, False, rules, notes))


def _of_flags(
    stack: xr.DataArray, flags: xr.DataArray, index: tuple[int, ...], one: xr.DataArray, dim: Hashable
) -> Column:  # fmt: skip
    """A pixel of a flagged stack."""
    x, marks = frames_first(stack, dim), frames_first(flags, dim)
    plan = plans.plan_of(x)
    whole = all(isinstance(step, First) for step in plan.steps)
    samples = first_samples(plan, index) if plan.steps and whole else pixel_of(x, index).reshape(-1)
    start, steps = plans.plan_of_flags(x, marks)
    if steps and whole:
        none = np.zeros(len(samples), np.uint8)
        before = none if start is None else pixel_of(start, index).reshape(-1)
        history = history_steps(stack)
        earlier = [line for line in history if verb_of(line) in REJECTING][: -len(steps)]
        said = [f"before these rules came {', '.join(earlier)}: bounds of those are not told"] if earlier else []
        rules = explain_steps.of_plan(steps, history)
        return Column(samples, before, none, False, rules, tuple(said), flagged=True)
    after = pixel_of(marks, index).reshape(-1)
    lines, notes = _checked_lines(history_steps(stack))
    notes = (*notes, *_not_again(lines, flags.attrs.get(OF_FRAMES, len(samples)), len(samples)))
    given = ~np.uint8(SIDES | Flag.GROWN) | np.uint8(Flag.ABOVE_MAXIMUM if "saturation" in flags.attrs else 0)
    before = after & given
    first_of_all = one.assign_coords({flags.name: (dim, before)})  # a rule may measure what was in use then
    rules = [] if notes else explain_steps.of_history(lines, first_of_all, dim)
    return _verified(Column(samples, before, after, True, rules, notes, flagged=True))


def _not_again(lines: Sequence[str], seen: int, count: int) -> list[str]:
    """Why the clips of these lines cannot be made again for flags that are there."""
    verbs = [verb_of(line) for line in lines]
    first = next((i for i, verb in enumerate(verbs) if verb in REJECTING), len(verbs))
    after = [verb for verb in verbs[first:] if verb in (*MASKING, "keep")]
    why = [f"{after[0]} came after {verbs[first]}: bounds are not told"] if after else []
    if "apply_flags" in verbs and first < len(verbs):
        why.append("apply_flags gave flags of another image: bounds are not told")
    if seen != count:
        why.append(f"the clip saw {seen} frames, these are {count}: bounds are not told")
    return why


def _checked_lines(lines: Sequence[str]) -> tuple[list[str], tuple[str, ...]]:
    """The lines whose rejections can be made again, and a note on those that cannot."""
    rest, why = explain_steps.since(lines)
    return rest, (f"{why}: its bounds are not told",) if why else ()


def _verified(column: Column) -> Column:
    """The column, without its rules if they do not give the flags that are there."""
    if not column.rules:
        return column
    bits = _turns(column)[-1].flags
    out = column.after != 0
    same = np.array_equal(bits != 0, out)
    if column.exact:
        same = same and np.array_equal(bits & SIDES, column.after & SIDES)
    if same:
        return column
    rules = [rule._replace(step=None, why=rule.why or NOT_AGAIN) for rule in column.rules]
    return column._replace(rules=rules, before=column.after, notes=(*column.notes, NOT_AGAIN))


def _turns(column: Column) -> list[Any]:
    """What each rule did. One that may spare samples, or that looks at neighbours, follows the flags that are there."""
    known = column.exact or bool(column.after.any())
    later = [any(rule.step is not None for rule in column.rules[i + 1 :]) for i in range(len(column.rules))]

    def after(i: int, old: Array, new: Array) -> Array:
        rule = column.rules[i]
        if rule.spares and known:
            return np.where((new != old) & (column.after == 0), old, new)
        if rule.step is None and known:
            grown = np.uint8(Flag.GROWN)
            if column.exact:
                more = column.after & (grown if rule.name in explain_steps.NEIGHBOURS else SIDES)
                return np.where((old == 0) & (more != 0) & (later[i] <= (more == grown)), more, new)
            return np.where((old == 0) & (column.after != 0) & (not later[i]), grown, new)
        return new

    steps, numbers = ([getattr(rule, k) for rule in column.rules] for k in ("step", "numbers"))
    return turns(column.samples, column.before, steps, numbers, after)


def _told(column: Column) -> tuple[Array, Array, tuple[Told, ...], tuple[str, ...]]:
    """Samples, flags, what each rule did, and why each sample is out."""
    bits = column.after if column.exact else column.before
    bits = np.where((bits == 0) & ~np.isfinite(column.samples), np.uint8(Flag.NOT_FINITE), bits).astype(np.uint8)
    told, why = [], [_reason(flag) for flag in bits.tolist()]
    if not column.flagged:
        why = [text and (LOST if column.lost else "missing") for text in why]
    for rule, turn in zip(column.rules, _turns(column) if column.rules else [], strict=True):
        new = np.flatnonzero(np.isfinite(turn.before) & (turn.flags != 0))
        kept = np.isfinite(turn.before) & (turn.flags == 0)
        limits = limits_of(turn.step, turn.before, kept)
        low, high = (int(np.count_nonzero(turn.flags[new] & side)) for side in (LOW, HIGH))
        why_not = rule.why or _why_not(rule, turn.before)
        told.append(Told(rule.text.removeprefix("xccd."), low, high, *limits, why_not, new.size - low - high))
        for i in new.tolist():
            why[i] = f"{_side(turn.before[i], turn.flags[i], limits.low[i], limits.high[i])}: {rule.name}"
        bits = np.where(bits == 0, turn.flags, bits)
    values = column.samples.astype(np.result_type(column.samples.dtype, np.float32))
    return np.where(np.isfinite(values), values, np.nan), bits.astype(np.uint8), tuple(told), tuple(why)


def _why_not(rule: Rule, before: Array) -> str:
    if getattr(rule.step, "function", None) is not None:
        return "a function does not tell its bounds"
    return "" if np.isfinite(before).any() else "no sample was left"


def _side(value: float, flag: int, low: float, high: float) -> str:
    """Which bound the sample is beyond, or what its flag says."""
    if value < low and flag & LOW:
        return f"below {low:.6g}"
    if value > high and flag & HIGH:
        return f"above {high:.6g}"
    return _reason(flag)


def _reason(flag: int) -> str:
    """What the flags of a sample say, in words."""
    clips = {f: text for f, text in REASONS.items() if flag & f}
    first = [text for f, text in clips.items() if f & ~OF_CLIPS] or list(clips.values())
    return ", ".join(first)
