"""What is said of the share of each frame that clips rejected: of trails, clouds, another field."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np

MUCH = 0.3  # of all samples: "percentile_rank" takes 10 to 23 % of clean ones
LARGE, TIMES = 0.1, 3  # a share that is told of: above 10 %, and above 3 times that of the median frame
PIXELS = 1000  # of a frame: a share of fewer says little
MOST_NAMES = 5
CLIPS = ("xccd.sigma_clip(", "xccd.clip_extrema(", "xccd.reject(")
BY_COUNT = ("xccd.clip_extrema(", "algorithm='extrema'")  # of three frames the lowest is a third, as was asked for
log = logging.getLogger("xccd")


def remarks(verb: str, share: np.ndarray[Any, Any], names: Sequence[str], steps: str) -> list[str]:
    """Sentences on the rejected shares of frames; logs one line if the clips among the ``steps`` rejected nothing."""
    if not share.any():
        if any(clip in steps for clip in CLIPS):
            log.info("%s: the clips rejected no sample of %d frames", verb, share.size)
        return []
    usual, found = float(np.median(share)), []
    if usual > MUCH and not any(clip in steps for clip in BY_COUNT):
        found.append(f"rejected were {usual:.0%} of the median frame: the thresholds, or the noise, may be wrong")
    far = np.flatnonzero((share > LARGE) & (share > TIMES * usual))
    if far.size:
        some = ", ".join(f"{share[i]:.0%} of {names[i]}" for i in far[:MOST_NAMES].tolist())
        more = f" and {far.size - MOST_NAMES} more" if far.size > MOST_NAMES else ""
        found.append(f"rejected were {some}{more}, and {usual:.1%} of the median frame: look at it, or leave it out")
    return [f"{verb}: {text}" for text in found]
