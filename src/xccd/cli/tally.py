"""Samples and frames that are counted while an image is made: what was rejected, of which frame."""

from __future__ import annotations

from functools import partial
from pathlib import PurePath
from threading import Lock
from typing import Any

from xccd.cli.wording import visible


class NothingLeft(Exception):
    """All pixels of the product would be NaN."""


class Tally:
    """Counts the valid samples and those in use while the bands of an image are made."""

    def __init__(self, frames: int, pixels: int) -> None:
        self.frames, self.pixels = frames, pixels
        self.used = self.valid = self.done = 0
        self.good, self.lock = False, Lock()

    def __call__(self, data: Any, used: Any, *valid: Any, known: int) -> Any:
        """Returns a band of the image unchanged. Raises at the last band if no pixel of any band is good.

        The first ``known`` of ``valid`` are counts of valid samples; without one all are valid.
        """
        import numpy as np

        good = bool(np.isfinite(data).any())
        with self.lock:
            self.used += int(used.sum())
            self.valid += sum(int(v.sum()) for v in valid[:known]) or data.size * self.frames
            self.done += data.size
            self.good |= good
            if self.done == self.pixels and not self.good:
                raise NothingLeft
        return data


class ByFrame:
    """Counts the samples of each frame before and after the rejections, while the bands of an image are made."""

    def __init__(self, stack: Any, steps: list[tuple[str, Any]], *, sides: bool = False) -> None:
        from xccd.compute.frame_counts import FrameCounts

        self.stack, self.left = stack, steps[-1][1]
        # samples beyond the limits of --minmax are not told of: they are those of saturated stars
        self.first = [ds for text, ds in steps if not text or text.startswith("--minmax")][-1]
        self.limited = self.first is not steps[0][1]
        self.before, self.after = FrameCounts(stack.sizes["frame"]), FrameCounts(stack.sizes["frame"])
        self.pixels = stack[0].size
        self.sides = sides  # whether low and high samples are told apart: it takes a look at all samples more

    def counting(self) -> Any:
        """A context in which a product counts."""
        from xccd.compute.frame_counts import counting

        return counting(self.after)

    def maps(self, method: str) -> dict[str, Any]:
        """The argument of `combine` with which the steps tell what they rejected."""
        self.sides &= method != "count"
        return {"maps": ["uncertainty", "count", "rejected_low"]} if self.sides else {}

    def labelled(self, image: Any) -> Any:
        """The image as it is written. The shares of the frames, which are known when it is computed, go with it."""
        from xccd.headers.writing import FILES

        image = image.drop_vars("data_rejected_low", errors="ignore")
        if not self.sides:
            return image
        shares = {f"data_share_rejected_{side}": ("frame", row)
                  for side, row in zip(("low", "high"), self.after.shares, strict=True)}  # fmt: skip
        return image.assign_coords(shares | {FILES: ("frame", [name for _, name in self.names()])})

    def names(self) -> list[tuple[str, str]]:
        """The path of each frame, and its name without folder; both with the chip."""
        from xccd.labels.frames import file_names

        files, named = (file_names(self.stack, "frame", chips=chips) for chips in (False, True))
        return [(name, PurePath(file).name + name.removeprefix(file)) for file, name in zip(files, named, strict=True)]

    def told(self) -> list[dict[str, Any]] | None:
        """For each frame the rejected samples, for JSON; None if they were not counted."""
        if not self.sides:
            return None
        rows = zip(self.names(), *self.after.sides.tolist(), strict=True)
        return [{"file": file, "low": low, "high": high, "share_low": low / self.pixels,
                 "share_high": high / self.pixels} for (file, _), low, high in rows]  # fmt: skip

    def lines(self) -> list[str]:
        """A table of the frames; the one that lost most is marked."""
        rows = self.told() or []
        most = max((row["low"] + row["high"] for row in rows), default=0)
        cells = [("low", "", "high", "", "frame")]
        for row in rows:
            mark = "  <- lost most" if 0 < most == row["low"] + row["high"] else ""
            cells.append((f"{row['low']}", f"{row['share_low']:.2%}", f"{row['high']}", f"{row['share_high']:.2%}",
                          f"{visible(row['file'])}{mark}"))  # fmt: skip
        width = [max(len(row[i]) for row in cells) for i in range(4)]
        shown = ("  ".join([*(c.rjust(n) for c, n in zip(row, width, strict=False)), row[4]]) for row in cells)
        return [*shown] if rows else []

    def valid(self) -> list[Any]:
        """The count of samples before, as a lazy array that must be computed with the image; [] if none is missing."""
        import numpy as np

        from xccd.compute.chain import Chain
        from xccd.compute.frame_counts import CountedByFrame
        from xccd.compute.run import chained
        from xccd.labels.lazy import array_of

        if self.first is self.left:
            return []
        if self.stack.dtype.kind != "f" and not self.limited:  # no integer is missing
            self.before.counts[:] = self.pixels
            return []
        x, flags = (array_of(self.first[name]) for name in ("data", "data_flags"))
        return chained(Chain((), (CountedByFrame(self.before),)), x, flags=flags, dtypes=[np.dtype(np.int64)])

    def tell(self) -> None:
        """Warn of frames that lost much."""
        from xccd.labels.frames import frame_names
        from xccd.labels.rejected_shares import PIXELS, remarks
        from xccd.labels.warn import warn

        if self.first is self.left or not self.after.counts.any() or self.pixels < PIXELS:
            return
        share = (self.before.counts - self.after.counts) / self.pixels
        steps = str(self.left["data"].attrs.get("history", ""))
        for text in remarks("combine", share, frame_names(self.stack, "frame"), steps):
            warn(text)


def counted(image: Any, stack: Any, frames: ByFrame) -> tuple[Any, Tally]:
    """The image, and a tally of its samples; both are made in one pass."""
    from xccd.compute.deferred import Deferred
    from xccd.labels.lazy import array_of, as_lazy_indexed

    data = array_of(image["data"])
    tally, more = Tally(stack.sizes["frame"], data.size), frames.valid()
    used = array_of(image["data_count"]) if "data_count" in image else data
    valid = [array_of(stack.ccd.count())] if stack.dtype.kind == "f" else []  # no integer is missing
    made = partial(tally, known=len(valid))
    tallied = as_lazy_indexed(Deferred(made, [data, used, *valid, *more], data.shape, data.dtype, frames=False))
    return image.assign(data=image["data"].copy(deep=False, data=tallied)), tally
