"""`LiveStack`: frames added one at a time, as they come from the telescope."""

from __future__ import annotations

import math
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from xccd.compute import notes
from xccd.labels.frames import step_text
from xccd.labels.lazy import array_of
from xccd.labels.warn import warn
from xccd.night.live import fit, state
from xccd.night.live.arguments import check
from xccd.night.live.clipped import Clipped
from xccd.night.live.copied import Copied
from xccd.night.live.frame import Added, Record, as_frame, axes_of, identity_of, record_of, stamped, values_of
from xccd.night.live.interrupts import to_its_end
from xccd.night.live.product import product
from xccd.night.live.register import ALIGN, Unregistered, levelled, registered

MANY = 0.2  # rejected samples of a frame, above which it does not look like the others


class LiveStack(Copied):
    """A mean that is ready after each frame, for an observer at the telescope.

    Mean, standard deviation and count of each pixel are kept, not the frames: the memory for pixels does not grow with
    their number. New samples that lie far from the mean of those before them are rejected.

    Parameters
    ----------
    low, high : float or None, default: 3
        Thresholds in standard deviations, above 0. ``None`` switches a side off. With few frames the limits are wider,
        so that a normal sample is rejected with the same chance at any number of frames.
    minimum : int, default: 8
        Frames before any is rejected, 3 or more. These first frames are kept in memory, and clipped together by
        ``sigma_clip(low, high, center="median", deviation="mad_std")`` when there are so many. A pixel with less
        than half as many samples rejects none.
    min, max : float, optional
        Samples below and above are missing, such as those of saturated stars. They do not count as rejected.
    floor : float, default: 0
        The least standard deviation, in data units: 0.29 for whole counts.
    zero : str, optional
        "mean", "median", "mode" or "clipped_median": each frame is shifted by a constant, so that this level is that of
        the first frame. For a sky that changes.
    align : {None, "pixels", "wcs", "offsets", "transforms"}, default: None
        How frames are brought onto the pixels of the first frame: not at all, by their WCS, by `find_offsets`, or by
        the stars of `find_transforms`. ``None`` refuses a frame with another WCS than the first, "pixels" takes it.
    mixed : bool, default: False
        Take frames of several kinds or filters.
    hdu : int, str or (str, int), optional
        The image of files that hold several, as in `open_stack`.
    bits : int or list of int, optional
        The bad bits of masks, as in `open_stack`.

    Raises
    ------
    ValueError, TypeError, ImportError
        An argument is unknown or has no such value; ``align`` by stars without sep.

    Notes
    -----
    Means and sums of squares are float64, by Welford (1962, Technometrics 4, 419). Without rejection mean and scatter
    are those of `combine`, to rounding. A new sample is one of another draw than the mean and deviation that it is
    compared with, which are uncertain themselves: its limit is a quantile of Student's distribution, times
    sqrt(1 + 1/n). The deviation of clipped samples is divided by that of a normal distribution within the thresholds.
    ``copy.copy``, ``copy.deepcopy`` and pickle give a LiveStack that goes on by itself; `save` is for files.

    Examples
    --------
    >>> import numpy as np
    >>> import xccd
    >>> rng = np.random.default_rng(0)
    >>> live = xccd.LiveStack(low=4, high=4)
    >>> for number in range(12):
    ...     frame = rng.normal(100, 2, (20, 30)).astype("float32")
    ...     if number == 10:
    ...         frame[5, 7] = 900  # a cosmic ray
    ...     added = live.add((frame, {"EXPTIME": 30.0}))
    >>> image = live.snapshot()
    >>> image.data_count[5, 7].item(), image.data_rejected_high[5, 7].item(), image.data.attrs["EXPTOTAL"]
    (11, 1, 360.0)
    >>> bool(abs(image.data[5, 7] - 100) < 3)
    True
    """

    def __init__(
        self,
        low: float | None = 3,
        high: float | None = 3,
        *,
        minimum: int = 8,
        min: float | None = None,
        max: float | None = None,
        floor: float = 0,
        zero: str | None = None,
        align: str | None = None,
        mixed: bool = False,
        hdu: Any = None,
        bits: Any = None,
    ) -> None:
        self._options: dict[str, Any] = {
            "low": low, "high": high, "minimum": minimum, "min": min, "max": max, "floor": floor, "zero": zero,
            "align": align, "mixed": mixed, "hdu": hdu, "bits": bits,
        }  # fmt: skip
        check(**self._options)
        self._lock = threading.Lock()  # a viewer may look while a frame is added
        self._records: list[Record] = []
        self._keys: dict[str, str] = {}  # of samples, with the name of their frame
        self._kinds = fit.Kinds()
        self._left_out: list[str] = []
        self._clipped = Clipped(low, high, minimum, floor)
        self._first: xr.DataArray | None = None  # with its samples only if others are registered on them
        self._axes: dict[Any, xr.Variable] = {}  # of the product
        self._dtype = np.dtype(np.float32)
        self._level: float | None = None  # that of the first frame, with zero=

    def __len__(self) -> int:
        return len(self._records)

    def __repr__(self) -> str:
        of = "" if self._first is None else f" of {' x '.join(map(str, self._sizes.values()))} pixels"
        left = f", {len(self._left_out)} left out" if self._left_out else ""
        return f"<xccd.LiveStack: {len(self)} frame{'' if len(self) == 1 else 's'}{of}{left}>"

    @property
    def options(self) -> dict[str, Any]:
        """The arguments that it was made with."""
        return dict(self._options)

    @property
    def names(self) -> list[str]:
        """The names of the frames that were added, in their order."""
        return [record.name for record in self._records]

    @property
    def left_out(self) -> list[str]:
        """The names of the frames that could not be registered."""
        return list(self._left_out)

    @property
    def _sizes(self) -> dict[Any, int]:
        assert self._first is not None
        return {k: n for k, n in self._first.sizes.items() if k != "frame"}

    def add(self, frame: Any, *, again: bool = False) -> Added | None:
        """Add one frame.

        It is added whole or not at all: after an error the stack is as it was, and an interrupt waits for the pixels.

        Parameters
        ----------
        frame : path, DataArray, Dataset, array, CCDData, HDUList or (array, header)
            One image, as `open_stack` takes them, or as `open_stack` and `open_dataset` return them. NaN, BLANK and
            masked samples are missing.
        again : bool, default: False
            Add it even if it is there already, under any name (frames with equal samples count as the same), or if it
            is the product of a LiveStack.

        Returns
        -------
        Added or None
            ``name``, ``number``, ``samples`` (those that are valid) and ``rejected`` of the frame; None if it could not
            be registered (``align=``) and was left out. While the first frames are collected none is rejected.

        Raises
        ------
        ValueError
            The frame does not go with those before it: shape, place on the detector, unit, kind, filter, ROWORDER or
            WCS; it is there already; ``frame`` holds several. The message names it.
        OSError, TypeError
            As `open_stack`.

        Warns
        -----
        UserWarning
            The frame is left out, or over 20 % of its samples are rejected.

        Examples
        --------
        >>> import numpy as np
        >>> import xccd
        >>> live = xccd.LiveStack()
        >>> live.add(np.array([[1.0, 2.0]])), live.add(np.array([[3.0, np.nan]]))
        (Added(name='frame 1', number=1, samples=2, rejected=0), Added(name='frame 2', number=2, samples=1, rejected=0))
        >>> live.snapshot().data.values.tolist()
        [[2.0, 2.0]]
        """
        number = len(self) + len(self._left_out) + 1
        stack = as_frame(frame, self._options["hdu"], self._options["bits"], number)
        if self._first is not None and set(stack.dims) == set(self._first.dims):
            stack = stack.transpose(*self._first.dims)
        values, origin = values_of(stack), notes.origin_of_samples(array_of(stack))
        who = identity_of(stack, values, frame, number)
        if not again:
            fit.check_new(stack, who, self._keys)
        stack = stack.copy(deep=False, data=values[None])
        notes.mark(array_of(stack), origin)
        self._check_fit(stack, record_of(stack, who))
        stack, level = levelled(stack, who.name, self._options, self._level)
        if self._first is not None and self._options["align"] in ALIGN[2:]:
            try:
                stack = registered(stack, self._first, self._options["align"])
            except Unregistered as why:
                self._left_out.append(who.name)
                warn(f"LiveStack: {who.name} is left out, it cannot be brought onto the first frame: {why}")
                return None
        added = to_its_end(lambda: self._take(stack, record_of(stack, who), level), self._lock)
        if added.rejected > MANY * added.samples:
            warn(
                f"LiveStack: {added.rejected / added.samples:.0%} of the samples of {who.name} are rejected: its level "
                "or its scatter is not that of the frames before it. zero='median' brings frames to one level"
            )
        return added

    def knows(self, path: str | os.PathLike[str]) -> bool:
        """Whether this file was added as it is now, by its path, size and time.

        Parameters
        ----------
        path : path
            A local file.

        Returns
        -------
        bool

        Examples
        --------
        >>> import xccd
        >>> xccd.LiveStack().knows("light-1.fits")
        False
        """
        real, stamp = stamped(os.fspath(path))
        return bool(real) and any((r.who.path, r.who.stamp) == (real, stamp) for r in self._records)

    def _check_fit(self, stack: xr.DataArray, record: Record) -> None:
        """Raise for a frame that does not go with those before it, or cannot be the first one."""
        align = self._options["align"]
        if self._first is None:
            fit.check_first(record, stack, align)
        else:
            self._kinds.check(record, allow_mixed=self._options["mixed"])
            fit.check_place(record, stack, self._records[0], self._first, align)

    def _take(self, stack: xr.DataArray, record: Record, level: float | None) -> Added:
        """Add a frame that was checked. What may fail comes before the first change."""
        flat = np.ascontiguousarray(stack.values[0]).reshape(-1)
        first = self._first
        if first is None:
            sizes = {k: n for k, n in stack.sizes.items() if k != "frame"}
            first = fit.labelled([record], sizes, stack.dtype).assign_coords(axes_of(stack))
            if self._options["align"] in ("offsets", "transforms"):
                first = first.copy(data=flat.reshape(first.shape).copy())  # the caller may write to its array
        there, rejected = self._clipped.add(flat)
        if first is not self._first:
            self._first, self._level = first, level
        if self._options["align"] in ALIGN[2:] or not self._axes:
            self._axes = axes_of(stack)
        self._dtype = np.promote_types(self._dtype, stack.dtype)
        self._note(record)
        return Added(record.name, len(self), there, rejected)

    def _note(self, record: Record) -> None:
        self._records.append(record)
        self._keys.setdefault(record.who.key, record.name)
        self._kinds.note(record)

    def snapshot(self) -> xr.Dataset:
        """The image of the frames so far, with its maps.

        Returns
        -------
        Dataset
            ``data``, the mean, NaN without a sample; ``data_uncertainty``, its standard error by the scatter of the
            samples, NaN for less than two; ``data_count``; ``data_rejected_low`` and ``data_rejected_high``, how many
            samples were rejected on each side. Header and attributes are those of a product of `combine`, so that
            `to_fits` writes it with all maps. It is a copy: later frames do not change it.

        Raises
        ------
        ValueError
            No frame was added.

        Examples
        --------
        >>> import numpy as np
        >>> import xccd
        >>> live = xccd.LiveStack()
        >>> for level in (4.0, 6.0):
        ...     added = live.add((np.full((2, 3), level), {"EXPTIME": 10.0, "FILTER": "r"}))
        >>> image = live.snapshot()
        >>> image.data.attrs["NCOMBINE"], image.data.attrs["FILTER"], image.data_uncertainty[0, 0].item()
        (2, 'r', 1.0)
        """
        if self._first is None:
            raise ValueError("this LiveStack has no frame: add() one first")
        shown = {k: "off" if self._options[k] is None else self._options[k] for k in ("low", "high")}
        if self._clipped.clips:
            shown |= {"minimum": self._options["minimum"], "floor": self._options["floor"] or None}
        step = step_text("LiveStack", **shown, **{k: self._options[k] for k in ("min", "max", "zero", "align")})
        with self._lock:
            return product(self._records, self._clipped.running, self._sizes, self._axes, self._dtype, step)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write all that is known to a file, to go on later. It is written whole or not at all.

        Parameters
        ----------
        path : path
            The file. An older state there is replaced, another file is not.

        Returns
        -------
        pathlib.Path

        Raises
        ------
        OSError
            No such folder, no permission, a full disk, or a file there that is no state. The old file stays.

        Notes
        -----
        A zip archive of NumPy arrays (28 bytes for each pixel, and while the first frames are collected these frames)
        and a JSON text. Nothing in it is run when it is loaded.

        Examples
        --------
        >>> import tempfile
        >>> import numpy as np
        >>> import xccd
        >>> live = xccd.LiveStack()
        >>> added = live.add(np.eye(3))
        >>> path = live.save(f"{tempfile.mkdtemp()}/live.state")
        >>> xccd.LiveStack.load(path)
        <xccd.LiveStack: 1 frame of 3 x 3 pixels>
        """
        with self._lock:
            arrays = self._clipped.arrays()
            more: dict[str, Any] = {"options": self._options, "level": self._level, "left_out": self._left_out}
            if self._first is not None:
                dtypes = {"dtype": self._dtype.str, "first_dtype": self._first.dtype.str}
                more |= {"sizes": list(self._sizes.items()), **dtypes}
                more |= {"first_axes": state.axes_as_json(axes_of(self._first)), "axes": state.axes_as_json(self._axes)}
                if self._options["align"] in ("offsets", "transforms"):
                    arrays["first"] = self._first.values.reshape(-1)
            return state.write(path, more | {"frames": [state.record_as_json(r) for r in self._records]}, arrays)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> LiveStack:
        """Read what `save` wrote.

        Parameters
        ----------
        path : path
            The file.

        Returns
        -------
        LiveStack
            It goes on to the bit as the one that was saved.

        Raises
        ------
        OSError
            There is no such file, it is no state of a LiveStack, or it is damaged.
        ValueError
            Another version of xccd wrote it, in a form that this one does not read.

        Examples
        --------
        >>> import xccd
        >>> xccd.LiveStack.load("none.state")
        Traceback (most recent call last):
        xccd.errors.XccdFileNotFoundError: none.state does not exist: check the path
        """
        with state.opened(path) as (kept, array):
            hdu = kept["options"]["hdu"]
            live = cls(**kept["options"] | {"hdu": tuple(hdu) if isinstance(hdu, list) else hdu})
            live._level, live._left_out = kept["level"], [str(name) for name in kept["left_out"]]
            records = [state.record_from_json(one) for one in kept["frames"]]
            if records:
                sizes = {str(k): int(n) for k, n in kept["sizes"]}
                size, live._dtype = math.prod(sizes.values()), np.dtype(kept["dtype"])
                live._clipped.restore(len(records), lambda name: array(name, size))
                first = fit.labelled(records[:1], sizes, np.dtype(kept["first_dtype"]))
                first = first.assign_coords(state.axes_from_json(kept["first_axes"]))
                if live._options["align"] in ("offsets", "transforms"):
                    first = first.copy(data=array("first", size).reshape(first.shape))
                live._first, live._axes = first, state.axes_from_json(kept["axes"])
            for record in records:
                live._note(record)
        return live
