"""The arguments of a `LiveStack`, checked."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from xccd.messages import did_you_mean, is_whole
from xccd.night.live.register import ALIGN
from xccd.sky.stars import needs_sep
from xccd.verbs.levels import LEVELS


def check(**options: Any) -> None:
    """Raise for options that are unknown or have no such value."""
    for name in ("low", "high", "floor", "min", "max"):
        value = options[name]
        if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float, np.number))):
            raise TypeError(f"{name}={value!r} is not a number")
        if value is not None and value != value:
            raise ValueError(f"{name}={value!r} is not a number")
    for name in ("low", "high"):
        if options[name] is not None and not options[name] > 0:
            raise ValueError(f"{name}={options[name]!r}: a threshold is above 0 deviations (None switches a side off)")
    if options["floor"] is None or not 0 <= options["floor"] < math.inf:
        raise ValueError(f"floor={options['floor']!r} is not a finite number of 0 or more")
    if not is_whole(options["minimum"]) or options["minimum"] < 3:
        raise ValueError(f"minimum={options['minimum']!r} is not a whole number of 3 or more")
    least, most = options["min"], options["max"]
    if least is not None and most is not None and least > most:
        raise ValueError(f"min={least!r} is above max={most!r}: nothing would be left")
    for name, known in (("align", ALIGN), ("zero", (None, *LEVELS))):
        if options[name] not in known:
            names = [k for k in known if k]
            near = did_you_mean(options[name], names)
            raise ValueError(
                f"{name}={options[name]!r} is unknown: use one of {', '.join(names)}, or leave it out{near}"
            )
    if options["align"] in ("offsets", "transforms"):
        needs_sep()  # now, not when the second frame of the night comes
