"""`reject`: every rejection by its name, and those that users register."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from functools import partial, wraps
from numbers import Real
from types import EllipsisType
from typing import Any, TypeVar, cast

import numpy as np
import xarray as xr

from xccd.compute.steps import Marked, Share, Window
from xccd.kernels.table import REJECTIONS, Option, Rejection
from xccd.labels.apply import per_variable
from xccd.labels.choices import Rejection as RejectionLike
from xccd.labels.frames import check_stack, step_text
from xccd.labels.warn import warn
from xccd.messages import called, did_you_mean
from xccd.verbs import auto, reject_numbers
from xccd.verbs.clip import check_thresholds, extrema_step, rejected, sigma_step
from xccd.verbs.cores import check_spare_cores, spared
from xccd.verbs.lacosmic import cosmic_rays
from xccd.verbs.marked import image_axes, marked
from xccd.verbs.presets import arguments_of
from xccd.verbs.reject_numbers import Given

F = TypeVar("F", bound=Callable[..., Any])
Threshold = float | None | EllipsisType


def _both_or_named(verb: F) -> F:
    """Refuse one threshold by position alone: it may be meant for both sides."""

    @wraps(verb)
    def checked(*args: Any, **kwargs: Any) -> Any:
        if len(args) == 3 and "high" not in kwargs and isinstance(args[2], Real):
            row = REJECTIONS.get(args[1]) if isinstance(args[1], str) else None
            if row is None or (row.sided and row.high != args[2]):
                name, left = called(args[1]), f"high={row.high}" if row else "high"
                raise TypeError(
                    f"reject({name}, {args[2]}) leaves {left}: give both, reject({name}, {args[2]}, {args[2]}), or "
                    f"name one, low={args[2]}"
                )
        return verb(*args, **kwargs)

    return cast("F", checked)


@_both_or_named
@per_variable
def reject(
    stack: xr.DataArray,
    /,
    algorithm: RejectionLike,
    low: Threshold = ...,
    high: Threshold = ...,
    *,
    spare_cores: float | None = None,
    dim: Hashable = "frame",
    **options: Any,
) -> xr.DataArray:
    """Reject samples by an algorithm of this name, or by a function.

    A threshold that is left out is the algorithm's own; ``None`` switches that side off.

    .. list-table::
       :header-rows: 1

       * - algorithm
         - low, high
         - rejects
         - options
       * - "sigma"
         - 3, 3
         - samples far from the centre, as `sigma_clip`
         - those of `sigma_clip`
       * - "extrema"
         - 0, 0
         - the ``low`` lowest and ``high`` highest samples, as `clip_extrema`
         - fraction
       * - "percentile"
         - 0.2, 0.1
         - samples further from the median than this part of it
         -
       * - "percentile_rank"
         - 3, 3
         - samples far from the median, in distances of the one some ranks away
         - pclip, nkeep
       * - "linear_fit"
         - 5, 2.5
         - samples far from a line through the sorted ones, in mean residuals
         -
       * - "winsorized"
         - 4, 3
         - samples far from the median, in deviations that outliers hardly enter
         - floor
       * - "esd"
         -
         - outliers by the generalised ESD test
         - max_outliers, alpha
       * - "chauvenet"
         -
         - the worst sample, while few like it are to be expected
         - limit, robust
       * - "noise"
         - 3, 3
         - samples far from the centre, in the noise of a CCD at that level
         - readnoise, gain, sensitivity, center, nkeep
       * - "variance"
         - 3, 3
         - samples far from the median, in their uncertainties
         -
       * - "average_sigma"
         - 3, 3
         - samples far from the centre, in a noise that is measured where the light is the same
         - center, per, nkeep
       * - "swarp"
         - 4, 4
         - samples far from the median, in noise and in parts of the median
         - amplitude, gain, noise
       * - "lacosmic"
         -
         - cosmic rays by their sharp edges, in each frame by itself
         - sigclip, sigfrac, objlim, niter, readnoise, gain, saturation

    :doc:`rejections` has the formulas and their sources. "auto" chooses one for the count of frames and for what is
    known of their noise, and says it in the log and in the history; :doc:`choosing` has its rules.

    Parameters
    ----------
    stack : DataArray, Dataset or DataTree
        Frames along ``dim``; of a Dataset, and of each node of a DataTree, every variable that has it.
    algorithm : str or callable
        A name of the table, "auto", or a name that was registered by `register_rejection`. A function takes (values,
        axis) and returns True for each sample to reject; values are NaN where missing. It gets some pixels at a time,
        perhaps in several threads, and must judge each pixel by itself.
    low, high : float or None, optional
        Thresholds below and above the centre, 0 or more.
    spare_cores : float, optional
        Keep samples that are no farther from the median than this number of slopes of the median image, the greatest
        difference to the four neighbours. A star that is two pixels wide, and shifted by part of a pixel, changes that
        much: 1.2 is usual.
    dim : hashable, default: "frame"
        The dimension that holds the frames.
    **options
        The algorithm's own; a function gets them, and thresholds that were given, by name.

    Returns
    -------
    DataArray, Dataset or DataTree
        Same shape and labels, rejected samples NaN, or flagged in a flagged Dataset. Finite values that stay are not
        changed.

    Raises
    ------
    ValueError
        An unknown algorithm or option, a value out of its range, no dimension ``dim``, an empty stack.
    TypeError
        Samples that are not real numbers; one threshold by position, which may be for one side or both.

    Warns
    -----
    UserWarning
        If there are fewer frames than the algorithm needs.

    Examples
    --------
    >>> import numpy as np
    >>> import xarray as xr
    >>> import xccd
    >>> stack = xr.DataArray([100.0, 101, 99, 100.5, 99.5, 102, 98, 100, 150, 90], dims="frame")
    >>> clipped = stack.ccd.reject("percentile", 0.2, 0.1)
    >>> stack.values[np.isnan(clipped)].tolist()
    [150.0]

    A function of one's own:

    >>> clipped = stack.ccd.reject(lambda values, axis: values > 120)
    >>> clipped.count().item()
    9
    """
    n = check_stack(stack, dim)
    if spare_cores is not None:
        check_spare_cores(spare_cores)
        image_axes(stack, dim)
    by = None
    if isinstance(algorithm, str) and algorithm == "auto":
        thresholds = {k: v for k, v in (("low", low), ("high", high)) if v is not ...}
        algorithm, options, spare_cores = auto.chosen(stack, dim, thresholds, options, spare_cores)
        by = "auto"
    clipped = _rejected(stack, algorithm, low, high, options, n, dim, {"spare_cores": spare_cores, "chosen_by": by})
    return clipped if spare_cores is None else spared(stack, clipped, dim, float(spare_cores))


def _rejected(
    stack: xr.DataArray, algorithm: Any, low: Any, high: Any, options: dict[str, Any], n: int, dim: Hashable, said: Any
) -> xr.DataArray:  # fmt: skip
    """The stack after the algorithm; ``said`` are other arguments for its history."""
    if callable(algorithm):
        thresholds = {k: v for k, v in (("low", low), ("high", high)) if v is not ...}
        step, numbers = _by_function(called(algorithm), algorithm, thresholds | options), None
        text = step_text("reject", algorithm=algorithm, **_as_text(thresholds), **options, **said)
        return rejected(stack, dim, step, text, numbers)
    preset = options.pop("preset", None) if algorithm == "sigma" else None
    options = options if preset is None else arguments_of(preset) | options
    given = given_of(algorithm, low, high, options, n, dim)
    if n < given.row.least:
        warn(f"reject({given.name!r}) rejects nothing with {n} frame(s): it takes {given.row.least} or more")
    own = {k: "stable" if k == "maxiters" and v is None else v for k, v in given.options.items() if k in options}
    sides = _as_text({"low": given.low, "high": given.high}) if given.row.sided else {}
    text = step_text("reject", algorithm=given.name, **sides, **own, preset=preset, **said)
    if given.row.images:
        return marked(stack, dim, cosmic_rays(stack, dim, given.options), text)
    step, numbers = BUILDERS.get(given.name, _step_of_row)(stack, given)
    return rejected(stack, dim, step, text, numbers)


def _as_text(thresholds: Mapping[str, Any]) -> dict[str, Any]:
    return {k: "off" if v is None else v for k, v in thresholds.items()}


def algorithms() -> dict[str, Rejection]:
    """The rows of `REJECTIONS` that `reject` takes. Limits in data units are `minmax`."""
    return {name: row for name, row in REJECTIONS.items() if name != "range"}


def given_of(algorithm: Any, low: Any, high: Any, options: dict[str, Any], n: int, dim: Hashable) -> Given:
    """The call with defaults filled in; raises for what the algorithm does not take."""
    known = algorithms()
    if not isinstance(algorithm, str) or algorithm not in known:
        raise ValueError(
            f"algorithm={algorithm!r} is unknown: use one of {', '.join(known)}, 'auto', a function of (values, axis), "
            f"or register_rejection{did_you_mean(algorithm, ['auto', *known])}"
        )
    row = known[algorithm]
    own = {option.name: option for option in row.options}
    takes = ", ".join([*(["low", "high"] if row.sided else []), *(f"{o.name}={o.default!r}" for o in row.options)])
    thresholds = {k: v for k, v in (("low", low), ("high", high)) if v is not ...}
    for name in (*({} if row.sided else thresholds), *(k for k in options if k not in own)):
        value = (thresholds | options)[name]
        raise ValueError(
            f"{name}={value!r} is no option of {algorithm!r}: it takes {takes or 'none'}{did_you_mean(name, own)}"
        )
    found = {"low": row.low, "high": row.high} | thresholds
    if row.sided and row.function is None:
        check_thresholds(found["low"], found["high"])
    for name, value in options.items():
        if not _is_right(own[name], value):
            raise ValueError(f"{name}={value!r} of {algorithm!r} is not {own[name].rule}")
    filled = {name: options.get(name, option.default) for name, option in own.items()}
    return Given(algorithm, row, found["low"], found["high"], filled, n, dim)


def _is_right(option: Option, value: Any) -> bool:
    try:
        return bool(option.is_right(value))
    except (TypeError, ValueError):
        return False


def _step_of_row(stack: xr.DataArray, given: Given) -> tuple[Any, Any]:
    """The step of a row without a function in `BUILDERS`."""
    if given.row.function is None:
        return reject_numbers.of_options(Window if given.row.kernel else Marked, given)
    sides = {"low": given.low, "high": given.high} if given.row.sided else {}
    return _by_function(given.name, given.row.function, sides | given.options), None


def _sigma(stack: xr.DataArray, given: Given) -> tuple[Any, Any]:
    return sigma_step(given.frames, given.low, given.high, given.options), None


def _extrema(stack: xr.DataArray, given: Given) -> tuple[Any, Any]:
    step = extrema_step(given.frames, given.low, given.high, ("low", "high"))
    return Share(given.name, given.numbers()) if given.options["fraction"] else step, None


def _by_function(name: str, function: Callable[..., Any], options: dict[str, Any]) -> Marked:
    return Marked(name, function=partial(function, **options) if options else function)


# For each row that needs more than its options: the step, and the numbers of samples or frames that go with it.
BUILDERS: dict[str, Callable[[xr.DataArray, Given], tuple[Any, Any]]] = {
    "sigma": _sigma,
    "extrema": _extrema,
    "noise": reject_numbers.noise,
    "variance": reject_numbers.variance,
    "average_sigma": reject_numbers.average_sigma,
    "swarp": reject_numbers.swarp,
}


def register_rejection(
    name: str,
    function: Callable[..., Any],
    *,
    defaults: Mapping[str, Any] | None = None,
    least: int = 1,
    summary: str = "",
) -> None:
    """Give a function a name, so that `reject` takes it as one of its algorithms.

    The name is then listed in error messages, and written to the history. Flags, lazy arrays, Datasets and trees are
    handled as for the other algorithms. One's own name that is registered again stands for the new function, as when
    the cell of a notebook runs twice; `unregister_rejection` takes it away.

    Parameters
    ----------
    name : str
        The name.
    function : callable
        It takes (values, axis) and the options by name, and returns True for each sample to reject. Values are
        float64, NaN where missing. It gets some pixels at a time, perhaps in several threads, and must judge each
        pixel by itself. A result that is computed in other processes needs a function that can be pickled.
    defaults : mapping, optional
        The options of the function with their defaults. With "low" and "high" it has thresholds.
    least : int, default: 1
        Frames without which the function rejects nothing; `reject` warns of fewer.
    summary : str, optional
        What it rejects, in some words.

    Raises
    ------
    ValueError
        The name of an algorithm of this package, or no name.
    TypeError
        ``function`` cannot be called.

    Examples
    --------
    >>> import numpy as np
    >>> import xarray as xr
    >>> import xccd
    >>> def brightest(values, axis, number=1):
    ...     ranks = np.argsort(np.argsort(-np.nan_to_num(values, nan=-np.inf), axis=axis), axis=axis)
    ...     return ranks < number
    >>> xccd.register_rejection("brightest", brightest, defaults={"number": 1})
    >>> stack = xr.DataArray([5.0, 9.0, 3.0, 7.0], dims="frame")
    >>> stack.ccd.reject("brightest", number=2).values.tolist()
    [5.0, nan, 3.0, nan]
    >>> xccd.unregister_rejection("brightest")
    """
    if not isinstance(name, str) or not name:
        raise ValueError(f"name={name!r}: give a name, as 'brightest'")
    if name == "auto" or (name in REJECTIONS and REJECTIONS[name].function is None):
        raise ValueError(f"name={name!r} is an algorithm of xccd already: choose another name")
    if not callable(function):
        raise TypeError(f"function={function!r} is no function: give one of (values, axis) that returns bool")
    if not isinstance(least, (int, np.integer)) or least < 1:
        raise ValueError(f"least={least!r} is not a whole number of 1 or more")
    rest = dict(defaults or {})
    sided = not {"low", "high"}.isdisjoint(rest)
    low, high = rest.pop("low", None), rest.pop("high", None)
    options = tuple(Option(k, v, lambda _: True, "") for k, v in rest.items())
    REJECTIONS[name] = Rejection(
        "reject", None, "", low=low, high=high, sided=sided, options=options, least=int(least),
        function=function, summary=summary,
    )  # fmt: skip


def unregister_rejection(name: str) -> None:
    """Take away a name that `register_rejection` gave.

    A lazy result that was made with it keeps its function.

    Parameters
    ----------
    name : str
        The name.

    Raises
    ------
    ValueError
        No function has this name, or it is an algorithm of this package.

    Examples
    --------
    >>> import xccd
    >>> xccd.register_rejection("above 120", lambda values, axis: values > 120)
    >>> xccd.unregister_rejection("above 120")
    """
    own = [key for key, row in REJECTIONS.items() if row.function is not None]
    if name not in own:
        built_in = isinstance(name, str) and (name == "auto" or name in REJECTIONS)
        known = "is an algorithm of xccd" if built_in else f"is not registered: {', '.join(own) or 'no name'} is"
        raise ValueError(f"name={name!r} {known}{'' if built_in else did_you_mean(name, own)}")
    del REJECTIONS[name]
