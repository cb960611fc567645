"""The bits of the flags: why a sample is masked."""

from __future__ import annotations

from enum import IntFlag


class Flag(IntFlag):
    """The reasons, in the order of their bits."""

    MASKED_ON_INPUT = 1
    NOT_FINITE = 2
    BELOW_MINIMUM = 4
    ABOVE_MAXIMUM = 8
    REJECTED_LOW = 16
    REJECTED_HIGH = 32
    GROWN = 64
    OUTSIDE_FOOTPRINT = 128
