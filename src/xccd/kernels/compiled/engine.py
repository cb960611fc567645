"""The numba engine: kernels on some thousand pixels of a stack, with their scratch and networks.

Every function takes the whole stack ``x`` as (frames, pixels), C-contiguous, and works on pixels ``start <= j < stop``.
``bounds`` tell which samples of these pixels are in use. `xccd.kernels.plain.engine` has the same functions in NumPy.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from xccd.kernels.arguments import Bounds, Counts, PixelRange, Request, Scratch, Ties
from xccd.kernels.changes import SIGN
from xccd.kernels.compiled import calibrate, clip, extrema, locations, maps, ranks, scatter, spread, sums
from xccd.kernels.compiled import flags as flag_kernels
from xccd.kernels.compiled import masked as masking
from xccd.kernels.compiled import weighted_ranks as weighted_ranks
from xccd.kernels.compiled.block import LONG, block, pads
from xccd.kernels.compiled.clip_calibrated import stored_bounds
from xccd.kernels.compiled.groups import program
from xccd.kernels.compiled.rejections import mark as mark
from xccd.kernels.compiled.rejections import unit_squares as unit_squares
from xccd.kernels.compiled.rejections import window as window
from xccd.kernels.limits import float_dtype, limits
from xccd.kernels.network import middle_rows
from xccd.kernels.plain import engine as plain
from xccd.kernels.table import DEVIATIONS, REDUCTIONS, ClipOptions

NAME = "numba"
# The kernels of combination, by their names in the table.
KERNELS: dict[str, Any] = {
    name: getattr(module, name)
    for module in (sums, spread, ranks, weighted_ranks, locations)
    for name in {row.kernel for row in REDUCTIONS.values()} & vars(module).keys()
}
_NOTHING = np.empty((0, 9), np.uint16)  # no groups, in the form of a table of groups: one signature
_NO_SUMS = np.empty(0)
_NO_CHANGE = np.empty(0, np.int64)
_UNTIED = Ties(np.empty(0, np.int32), np.empty(0, np.int32))


def sigma(x: Any, start: int, stop: int, bounds: Bounds, options: ClipOptions, total: Any = None) -> Any:
    """Narrow the bounds by a clip; returns the per-pixel count of survivors, int32.

    ``total`` gets their sums if these are equal to the bit to the sums of `reduce`, else NaN for all pixels.
    """
    if x.shape[0] >= LONG:
        if total is not None:
            total[:] = np.nan
        return _sigma_sorted(x, start, stop, bounds, options)
    return _sigma(x, start, stop, bounds, options, program(x.shape[0]), total)


def _sigma(
    x: Any, start: int, stop: int, bounds: Bounds, options: ClipOptions, groups: Any, total: Any = None
) -> Any:  # fmt: skip
    buffer = block(x.shape[0], x.dtype, stop - start)
    count, numbers = np.empty(stop - start, np.int32), np.zeros(clip.PLACES)
    scratch = Scratch(groups, pads(x.dtype), buffer, numbers)
    narrow = clip.mad_bounds if options.deviation == DEVIATIONS["mad_std"] else clip.sigma_bounds
    low, high = narrow(
        PixelRange(x, start, stop, *bounds), count, _NO_SUMS if total is None else total, options, scratch
    )
    if total is not None and not _never_rounds(x.dtype, x.shape[0], low, high):
        total[:] = np.nan
    return count


def sigma_stored(
    x: Any, start: int, stop: int, kinds: Any, operands: Any, bounds: Bounds, options: ClipOptions, total: Any
) -> Any:  # fmt: skip
    """As `sigma`, of native 16-bit integers after the operations of `calibrated`, which keep their order.

    The bounds are floats, of the dtype of the operands, and include all samples. The deviation is not the MAD.
    """
    frames, dtype, size = x.shape[0], operands.dtype, stop - start
    if frames >= LONG:
        return plain.sigma_stored(x, start, stop, kinds, operands, bounds, options, total)
    changed = block(frames, dtype, size)
    buffer = block(frames, x.dtype, changed.shape[1])
    count = np.empty(size, np.int32)
    scratch = Scratch(program(frames), pads(dtype), buffer, np.zeros(clip.PLACES))
    pixels = PixelRange(x, start, stop, *bounds)
    low, high = stored_bounds(pixels, kinds, operands, count, total, options, scratch, changed)
    if not _never_rounds(dtype, frames, low, high):
        total[:] = np.nan
    return count


def _sorted(x: Any, start: int, stop: int, bounds: Bounds) -> tuple[Any, Bounds]:
    """The samples in use as sorted floats, NaN last, and bounds within which all of them are."""
    x = x[:, start:stop]
    inside = (x >= bounds.least) & (x <= bounds.most)
    values = np.sort(np.where(inside, x, np.nan).astype(float_dtype(x.dtype), copy=False), axis=0)
    found, size = limits(values.dtype), stop - start
    return values, Bounds(np.full(size, found.least), np.full(size, found.most), False)


def _sigma_sorted(x: Any, start: int, stop: int, bounds: Bounds, options: ClipOptions) -> Any:
    values, own = _sorted(x, start, stop, bounds)
    count = _sigma(values, 0, stop - start, own, options, _NOTHING)
    found = limits(x.dtype)
    some = count > 0
    bounds.least[:], bounds.most[:] = found.behind, found.before
    bounds.least[some], bounds.most[some] = own.least[some], own.most[some]
    return count


def extreme(x: Any, start: int, stop: int, bounds: Bounds, nlow: int, nhigh: int, total: Any = None) -> Any:
    """Narrow the bounds by ranks; returns the per-pixel count of samples left, and `Ties`, or None if none are tied.

    ``total`` is as in `sigma`. If it gets the sums, ties are not looked for.
    """
    frames = x.shape[0]
    if frames >= LONG:
        return plain.extreme(x, start, stop, bounds, nlow, nhigh, total)
    if total is not None and _rounds(x[0, start:stop]):
        total[:] = np.nan
        total = None
    before = bounds.least.copy(), bounds.most.copy()  # to start again if the sums may round
    buffer = block(frames, x.dtype, stop - start)
    count, skip, keep = (np.empty(stop - start, np.int32) for _ in range(3))
    # only the rows beside a cut must be right, so the rest of the network is not run
    cuts = program(frames, tuple(r for r in range(frames) if r <= nlow or r >= frames - nhigh - 1))
    scratch = Scratch(program(frames), pads(x.dtype), buffer, _NO_SUMS)
    tied = extrema.extrema_bounds(
        PixelRange(x, start, stop, *bounds), count, _NO_SUMS if total is None else total, nlow, nhigh, cuts, scratch,
        Ties(skip, keep),
    )  # fmt: skip
    if total is not None:
        some = count > 0
        if some.any():
            low, high = float(bounds.least[some].min()), float(bounds.most[some].max())
            if _never_rounds(x.dtype, frames, low, high):
                return count, None
        total[:] = np.nan
        bounds.least[:], bounds.most[:] = before  # rare: the sums may round, so start again and find the ties
        return extreme(x, start, stop, bounds, nlow, nhigh)
    return count, Ties(skip, keep) if tied else None


def masked(x: Any, start: int, stop: int, bounds: Bounds, ties: Ties | None, out: Any, first: int) -> None:
    """Write the samples in use to columns from ``first`` on of ``out`` (frames, columns), and NaN for all others."""
    pixels = PixelRange(x, start, stop, *bounds)
    if ties is None:
        masking.masked(pixels, out, first)
    else:
        masking.masked_ties(pixels, ties, out, first)


def flag(x: Any, start: int, stop: int, bounds: Bounds, ties: Ties | None, low: int, high: int, flags: Any) -> None:
    """Set ``low`` or ``high`` in ``flags`` in place, for samples without a flag that are no longer in use."""
    own = _UNTIED if ties is None else Ties(*(np.ascontiguousarray(t, np.int32) for t in ties))
    flag_kernels.flag(PixelRange(x, start, stop, *bounds), own, low, high, flags)


def calibrated(
    x: Any, start: int, stop: int, unsigned: bool, kinds: Any, operands: Any, out: Any, first: int
) -> None:  # fmt: skip
    """Write pixels to those from ``first`` on of ``out``, floats, after the operations ``kinds`` of `CHANGES`.

    Each has a row of ``operands``. If ``unsigned``, ``x`` is int16, less 32768. It may have any order of bytes.
    """
    if x.dtype.kind not in "iu" or x.dtype.itemsize != 2 or not x.flags.carray:
        plain.calibrated(x, start, stop, unsigned, _NO_CHANGE, operands[:0], out, first)
        calibrate.changed(kinds, operands, out, first, stop - start)
        return
    signed = x.dtype.kind == "i"
    flip, offset = SIGN if signed else np.uint16(0), np.int32(1 << 15 if signed and not unsigned else 0)
    swapped = not x.dtype.isnative
    calibrate.calibrated_shorts(x.view(np.uint16), start, stop, swapped, flip, offset, kinds, operands, out, first)


def reduce(
    name: str, x: Any, start: int, stop: int, bounds: Bounds, weights: Any, argument: float, ddof: int, out: Any,
    count: Any = None,
) -> int:  # fmt: skip
    """Combine into ``out``, a float for each pixel; returns the count of samples with an unusable weight.

    ``name`` is a row of `table.REDUCTIONS`. ``argument`` is its own argument, for example the quantile. ``count`` is
    the per-pixel count of samples if it is known.
    """
    frames, (kernel, mode, sorts) = x.shape[0], REDUCTIONS[name]
    by_weights = kernel == "weighted_quantile"
    groups = _NOTHING
    if sorts and frames >= LONG:
        if sorts == "middle" or by_weights:
            # by the NumPy engine, which sorts without a network; the bits are equal
            return plain.reduce(name, x, start, stop, bounds, weights, argument, ddof, out, count)
        x, bounds = _sorted(x, start, stop, bounds)
        start, stop = 0, stop - start
    elif sorts:
        groups = program(frames, middle_rows(frames) if sorts == "middle" else None)
    buffer = block(frames, x.dtype, stop - start) if sorts else np.empty((1, sums.SAMPLES), x.dtype)
    # weighted quantiles keep the weights of all frames, other methods some sums
    acc = np.empty((frames + 6, buffer.shape[1]) if by_weights else sums.PLACES)
    known = count is not None
    counts = Counts(known, count if known else np.empty(stop - start, np.int32), _exact(x.dtype, frames, bounds))
    request = Request(weights, float(argument) if mode is None else mode, ddof)
    scratch = Scratch(groups, pads(x.dtype), buffer, acc)
    return int(KERNELS[kernel](PixelRange(x, start, stop, *bounds), counts, request, scratch, out))


def weighted_error(x: Any, start: int, stop: int, bounds: Bounds, weights: Any, out: Any) -> Any:
    """Write the error of the weighted mean to ``out``; returns the total weight of each pixel, float64."""
    whole = np.empty(stop - start)
    scatter.weighted_error(PixelRange(x, start, stop, *bounds), weights, np.empty(scatter.PLACES), whole, out)
    return whole


def error_sums(
    x: Any, start: int, stop: int, bounds: Bounds, weights: Any, factors: Any, errors: Any, common: Any, ranks: bool
) -> tuple[Any, int]:  # fmt: skip
    """The rows of `scatter.error_sums`, (6, pixels), and the count of errors below 0."""
    sums = np.empty((6, stop - start))
    pixels = PixelRange(x, start, stop, *bounds)
    return sums, scatter.error_sums(pixels, weights, factors, errors, common, ranks, sums)


def survey(
    x: Any, start: int, stop: int, bounds: Bounds, before: Bounds | None, count: Any, total: Any, ddof: int,
) -> tuple[Any, Any, Any, Any]:  # fmt: skip
    """The standard deviation of each pixel, and the samples that clips rejected, in one look at the samples.

    Without ``total``, the sums of the samples in use, there is no deviation; without ``before``, the bounds before the
    clips, no counts. These are per pixel, of low and of high samples, and for each frame, (2, frames).
    """
    size = stop - start
    found = np.empty(size if total is not None else 0)
    low, high = np.empty((2, size if before is not None else 0), np.int32)
    by_frame = np.zeros((2, x.shape[0]), np.int64)
    scratch = Scratch(_NOTHING, pads(x.dtype), np.empty((1, maps.SAMPLES), x.dtype), np.empty(sums.PLACES))
    maps.survey(
        PixelRange(x, start, stop, *bounds), bounds if before is None else before, count,
        _NO_SUMS if total is None else total, ddof, scratch, found, low, high, by_frame,
    )  # fmt: skip
    return found, low, high, by_frame


def median_and_mad(x: Any, start: int, stop: int, bounds: Bounds) -> tuple[Any, Any]:
    """The medians and the scaled median absolute deviations of the pixels, float64."""
    frames, size = x.shape[0], stop - start
    if frames >= LONG:
        return plain.median_and_mad(x, start, stop, bounds)
    buffer = block(frames, x.dtype, size)
    scratch = Scratch(program(frames), pads(x.dtype), buffer, np.empty(sums.PLACES))
    center, mad = np.empty((2, size))
    maps.median_and_mad(PixelRange(x, start, stop, *bounds), np.empty(size, np.int32), scratch, center, mad)
    return center, mad


def own_errors(
    x: Any, start: int, stop: int, bounds: Bounds, errors: Any, at: int, ranks: bool
) -> tuple[Any, Any, int]:  # fmt: skip
    """Sums of s^2 and, if ``ranks``, of 1 / s for errors s of the samples in use; and the count of errors below 0.

    ``errors`` are (frames, pixels), float32 or float64; their pixel ``at`` is pixel ``start`` of the samples.
    """
    squared, inverse = np.empty((2, stop - start))
    wrong = maps.own_errors(
        PixelRange(x, start, stop, *bounds), errors, at, ranks, np.empty(sums.PLACES), squared, inverse
    )  # fmt: skip
    return squared, inverse, int(wrong)


def _rounds(frame: Any) -> bool:
    """A first guess from one frame, whether sums round: for float64, or if its samples have both signs."""
    real = frame.dtype.kind == "f"
    return bool(real and (frame.dtype.itemsize > 4 or ((frame < 0).any() and (frame > 0).any())))


def _exact(dtype: np.dtype[Any], frames: int, bounds: Bounds) -> bool:
    """Whether no sum of samples within these bounds can round."""
    low, high = (float(bounds.least.min()), float(bounds.most.max())) if bounds.bounded else (-np.inf, np.inf)
    return _never_rounds(dtype, frames, low, high)


def _never_rounds(dtype: np.dtype[Any], frames: int, low: float, high: float) -> bool:
    """Whether no sum of samples from ``low`` to ``high`` rounds in float64.

    This is so for integers, and for float32 of one sign and like size. The least sample L is a multiple of 2^-24 L or
    more, and so are all others. Residuals about a median are multiples of half of that. Sums below 2^53 of these
    units are exact.
    """
    if dtype.kind in "iu":
        return frames < 1 << 21
    if dtype.itemsize > 4:
        return False
    return (low > 0 and high * frames < low * 2**28) or (high < 0 and -low * frames < -high * 2**28)
