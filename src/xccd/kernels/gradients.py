"""VNG: its threshold, and the samples that stand for each direction, as positions in a square of 5 x 5 samples.

Positions count from 1, row by row, so that the sample in question is 13, as in Chang, Cheung and Pang (1999, Proc. SPIE
3650, 36).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

LEAST, BETWEEN = 1.5, 0.5  # the threshold: 1.5 times the smallest gradient, and half of the span of the gradients
MIDDLE = 13
Positions = tuple[int, ...]


class Direction(NamedTuple):
    """The samples of the own colour of 13, and of the two others, in a direction."""

    own: Positions
    one: Positions
    other: Positions


# At a red or blue sample: one is green, other is blue or red. N, E, S, W, NE, SE, NW, SW.
AT_CHROMA = (
    Direction((3, 13), (8,), (7, 9)),
    Direction((13, 15), (14,), (9, 19)),
    Direction((13, 23), (18,), (17, 19)),
    Direction((11, 13), (12,), (7, 17)),
    Direction((5, 13), (4, 8, 10, 14), (9,)),
    Direction((13, 25), (14, 18, 20, 24), (19,)),
    Direction((1, 13), (2, 6, 8, 12), (7,)),
    Direction((13, 21), (12, 16, 18, 22), (17,)),
)
# At a green sample: one is the colour of its neighbours in the row, other that of its neighbours in the column.
AT_GREEN = (
    Direction((3, 13), (2, 4, 12, 14), (8,)),
    Direction((13, 15), (14,), (8, 10, 18, 20)),
    Direction((13, 23), (12, 14, 22, 24), (18,)),
    Direction((11, 13), (12,), (6, 8, 16, 18)),
    Direction((9,), (4, 14), (8, 10)),
    Direction((19,), (14, 24), (18, 20)),
    Direction((7,), (2, 12), (6, 8)),
    Direction((17,), (12, 22), (16, 18)),
)


def weights(directions: tuple[Direction, ...]) -> Any:
    """The weight of each of the 25 samples in the value of one and other (256, 2, 25), for each choice of directions.

    Bit k of a choice says that direction k is in it. The weights of choice 0 are 0.
    """
    found = np.zeros((256, 2, 25))
    for chosen in range(1, 256):
        some = [d for k, d in enumerate(directions) if chosen >> k & 1]
        for colour in (0, 1):
            to = found[chosen, colour]
            to[MIDDLE - 1] += 1
            for d in some:
                for positions, sign in ((d.one if colour == 0 else d.other, 1), (d.own, -1)):
                    to[np.array(positions) - 1] += sign / len(positions) / len(some)
    return found
