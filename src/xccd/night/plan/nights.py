"""Which night a frame belongs to."""

from __future__ import annotations

from typing import Any

import numpy as np

DAY = np.timedelta64(24, "h").astype("timedelta64[ns]")
UNKNOWN = -(1 << 40)  # the night of a frame without a date


def nights_of(dates: Any, lights: Any) -> Any:
    """The number of each frame's night: the day (since 1970) in which the night begins.

    ``dates`` are datetime64[ns], ``lights`` says which frames are lights. A header tells no longitude, so noon is taken
    from the frames: it is the middle of the longest part of the day, over all days together, in which no light began.
    Without lights all frames count. Frames without a date belong to the one night there is, or to none that is known.
    """
    dates = np.asarray(dates, "datetime64[ns]")
    known = ~np.isnat(dates)
    found = np.full(len(dates), UNKNOWN, np.int64)
    if known.any():
        counted = known & lights if (known & lights).any() else known
        noon = _noon(dates[counted])
        found[known] = (dates[known] - noon).astype("datetime64[ns]").astype(np.int64) // DAY.astype(np.int64)
        numbers = np.unique(found[known])
        if len(numbers) == 1:
            found[~known] = numbers[0]
    return found


def _noon(dates: Any) -> Any:
    """The time of day that is farthest from all frames, as a difference from midnight."""
    times = np.unique(dates.astype(np.int64) % DAY.astype(np.int64))
    gaps = np.diff(times, append=times[0] + DAY.astype(np.int64))
    i = int(np.argmax(gaps))
    return np.timedelta64(int((times[i] + gaps[i] // 2) % DAY.astype(np.int64)), "ns")


def name_of(night: int) -> str:
    """The night as "2024-03-09"; "" if it is not known."""
    return "" if night == UNKNOWN else str(np.datetime64(int(night), "D"))
