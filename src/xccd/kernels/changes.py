"""What a master does to samples: the operations that calibration kernels know, by number."""

from __future__ import annotations

from typing import Any

import numpy as np

SUBTRACT, DIVIDE, MULTIPLY = range(3)
CHANGES: dict[Any, int] = {np.subtract: SUBTRACT, np.divide: DIVIDE, np.multiply: MULTIPLY}
SIGN = np.uint16(1 << 15)  # of 16-bit integers, which FITS stores less 32768 if they are unsigned
