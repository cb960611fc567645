"""`warm_up`: compile every kernel before it is needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from xccd.compute.calibrated import Calibrated, Change, Input
from xccd.compute.chain import Chain
from xccd.compute.ends import Combine
from xccd.compute.errors import Propagated, Scatter
from xccd.compute.flagged import Reasons
from xccd.compute.mosaic import REACH, Mosaic, values_of, variances_of
from xccd.compute.steps import Extrema, Marked, Sigma, Window
from xccd.kernels.limits import DIRECT, float_dtype
from xccd.kernels.table import CENTERS, DEVIATIONS, METHODS, REJECTIONS, ClipOptions
from xccd.messages import did_you_mean
from xccd.night.live.running import Running
from xccd.sky.pixel_map import call_kernel, table

CLIP, MAD_CLIP = (Sigma(ClipOptions(CENTERS["median"], DEVIATIONS[name], 3.0, 3.0)) for name in ("std", "mad_std"))


def warm_up(dtypes: Sequence[Any] | None = None) -> None:
    """Compile all kernels that clip, combine and align, once for all processes of this machine.

    A kernel is compiled when a dtype first needs it. That takes some seconds. The kernel is cached on disk: beside the
    package, or in the user's cache folder if the package is read-only. Call this when an image for a cluster is built,
    or before a night begins. With the engine "numpy" it does nothing.

    Parameters
    ----------
    dtypes : sequence of dtype, optional
        Dtypes of samples. Default: all that have kernels (float32, float64, int16, uint16). Other dtypes are converted
        to one of these.

    Raises
    ------
    ValueError
        A dtype has no kernels, or ``dtypes`` is not a sequence of dtypes.

    Examples
    --------
    >>> import xccd
    >>> xccd.warm_up(["float32"])
    """
    try:
        chosen = DIRECT if dtypes is None else tuple(np.dtype(d) for d in dtypes)
    except TypeError as error:
        near = "".join(did_you_mean(d, DIRECT) for d in (dtypes if isinstance(dtypes, list | tuple) else ()))
        raise ValueError(f"dtypes={dtypes!r} are no dtypes, as ['float32']: {error}{near}") from None
    for dtype in chosen:
        if dtype not in DIRECT:
            raise ValueError(f"dtypes: {dtype} is none of {', '.join(map(str, DIRECT))}, which others are converted to")
        tied, untied = (np.array(rows, dtype) for rows in ([[1], [1], [2]], [[1], [2], [3]]))
        for clip in (CLIP, MAD_CLIP):
            _run_chain(Chain((clip,)), untied)
        _run_chain(Chain((Extrema(1, 0),)), tied)
        for step in rejections(len(untied)):
            _run_chain(Chain((step,)), untied)
        for method, row in METHODS.items():
            for weighted in (False, True) if row.weighted else (False,):
                _run_chain(Chain((), (Combine(method, weighted),)), untied)
        for end in (Scatter("mean", weighted=True), Propagated("mean")):
            _run_chain(Chain((), (end,)), untied)
        for x in (tied, untied):
            _run_chain(Reasons((CLIP, Extrema(1, 0))), x)
        _run_maps(np.repeat(untied, 2, axis=1))
        _calibrate(untied)
    for dtype in {float_dtype(dtype) for dtype in chosen}:
        _resample(dtype)
        _debayer(dtype)
        Running(1).add(np.ones(1, dtype))


def rejections(frames: int) -> list[Window | Marked]:
    """A step for each row of `REJECTIONS` that has a kernel and no step of its own, with its defaults."""
    found: list[Window | Marked] = []
    for name, row in REJECTIONS.items():
        numbers = row.numbers(row.low, row.high, {}) if row.verb == "reject" else (1.0, 1.0)
        if row.kernel and row.verb == "reject":
            found.append(Window(name, numbers))
        if row.marks:
            found.append(Marked(name, numbers, ((1.0,) * frames,) * row.kinds))
    return found


def _calibrate(x: np.ndarray[Any, Any]) -> None:
    one, none, dtype = np.ones((1, 1)), np.zeros((1, 1), np.uint8), float_dtype(x.dtype)
    first = Calibrated(False, (Change(np.subtract, _as_it_is, 1),), dtype)
    for steps in ((first,), (first, CLIP)):
        Chain(steps, (Combine("mean"),))(x, 0, 1, none, one, one, Input(one, (1,)), np.empty(1, dtype))


def _as_it_is(values: Any, *, dtype: Any) -> Any:
    return values.astype(dtype)


def _resample(dtype: np.dtype[Any]) -> None:
    frame, value, error = np.ones((2, 2), dtype), np.empty((1, 1), dtype), np.empty((1, 1), dtype)
    none, bits = np.zeros((2, 2), np.uint8), np.empty((1, 1), np.uint8)
    call_kernel("resample", "interpolated_nodes", np.zeros((2, 4, 4)), table(8), 0, np.zeros((2, 1, 1)))
    call_kernel("resample", "resampled", frame, frame, none, 0, 2, np.zeros((2, 1, 1)), 2, value, error, bits)
    rest = (frame, frame, none, 0, 2, np.zeros((2, 2, 2)), False)
    call_kernel("overlap", "overlapped", *rest, value, error, bits)
    call_kernel("drizzle", "dropped", *rest, 0, 1.0, np.empty((1, 1), np.float32), value, error, bits)


def _debayer(dtype: np.dtype[Any]) -> None:
    x = np.ones((6, 6), dtype)
    for method in REACH:
        values_of(x, None, Mosaic(method, 0, 0))
        variances_of(x, None, x.astype(np.float64), Mosaic(method, 0, 0))


def _run_maps(x: np.ndarray[Any, Any]) -> None:
    one, none, images = np.ones((1, 1)), np.zeros((1, 1), np.uint8), np.empty((2, x.shape[1]))
    for method in ("mean", "median"):
        chain = Chain((CLIP,), (Combine(method), Scatter(method)), reasons=True)
        chain(x, 0, x.shape[1], none, one, one, *images)
    for dtype in (np.float32, np.float64):
        errors = np.ones(x.shape, dtype)
        Chain((), (Propagated("mean"),))(x, 0, x.shape[1], none, one, one, errors, images[0])


def _run_chain(chain: Chain | Reasons, x: np.ndarray[Any, Any]) -> None:
    one, none = np.ones((1, 1)), np.zeros((1, 1), np.uint8)
    if not chain.ends:
        dtype = np.dtype(np.uint8) if isinstance(chain, Reasons) else float_dtype(x.dtype)
        chain(x, 0, 1, none, one, one, np.empty(x.shape, dtype))
        return
    given = METHODS[chain.ends[0].method].dtype
    for dtype in {np.dtype(given)} if given else {float_dtype(x.dtype), np.dtype(np.float64)}:
        chain(x, 0, 1, none, one, one, np.empty(1, dtype))
