"""VNG: colours of a raw colour frame from the directions in which it changes least, as `gradients` says.

Pixels of one kind in a row, every second one, are handled together. The 25 samples around them are put apart into one
array, in which each position of the square has neighbours side by side: so LLVM makes vector instructions.
"""

import numpy as np

from xccd.kernels.compiled.compile import inner_function, kernel
from xccd.kernels.gradients import BETWEEN, LEAST

RED, GREEN, BLUE = 0, 1, 2
WIDTH = 128  # pixels at a time
STRIDE = WIDTH + 8
# Numbers of pixels, in one array: gradients, which become 1 for directions in use and 0 for others; and results.
N, E, S, W, NE, SE, NW, SW, OWN, ONE, OTHER, CHOSEN = (k * WIDTH for k in range(12))
# Where the samples of position 1, 2, ... begin: those of even and of odd columns of each row are apart.
# fmt: off
(P1, P2, P3, P4, P5, P6, P7, P8, P9, P10, P11, P12, P13, P14, P15, P16, P17, P18, P19, P20, P21, P22, P23, P24, P25) = (
    (2 * row + column % 2) * STRIDE + column // 2 for row in range(5) for column in range(5)
)
# fmt: on


@kernel
def vng(tile, edge, row, column, out, chosen):
    """Replace values of ``out`` (3, rows, columns) where all 25 samples around a pixel are there.

    ``chosen`` (rows, columns) gets the directions: bit k for direction k; 0 where nothing was replaced. The others are
    as for `debayer.bilinear`.
    """
    s, acc = np.zeros(10 * STRIDE), np.empty(12 * WIDTH)
    for i in range(out.shape[1]):
        chroma = RED if i % 2 == row else BLUE
        first, last = column if chroma == RED else 1 - column, BLUE - chroma
        near = tile[i + edge - 2 : i + edge + 3, edge - 2 :]
        for kind in range(2):  # pixels of this colour, then green ones
            for start in range(first if kind == 0 else 1 - first, out.shape[2], 2 * WIDTH):
                n = min(WIDTH, (out.shape[2] - start + 1) // 2)
                put_apart(near[:, start:], n, s)
                straight(s, n, acc)
                if kind == 0:
                    slanted_at_chroma(s, n, acc)
                    choose(n, acc)
                    means_at_chroma(s, n, acc)
                else:
                    slanted_at_green(s, n, acc)
                    choose(n, acc)
                    means_at_green(s, n, acc)
                values(s, n, acc)
                write(acc, start, n, out[GREEN if kind == 0 else chroma, i], out[last, i], chosen[i])


@inner_function
def put_apart(rows, count, s):
    """Samples of five rows: those of even columns, then those of odd ones, of each row."""
    for r in range(5):
        row, even, odd = rows[r], s[2 * r * STRIDE :], s[(2 * r + 1) * STRIDE :]
        for k in range(count + 1):
            even[k], odd[k] = row[2 * k], row[2 * k + 1]
        even[count + 1] = row[2 * count + 2]


@inner_function
def straight(s, n, acc):
    """The gradients to north, east, south and west."""
    for k in range(n):
        above, aside = d(s, k, P8, P18), d(s, k, P12, P14)
        columns, rows = d(s, k, P7, P17) + d(s, k, P9, P19), d(s, k, P7, P9) + d(s, k, P17, P19)
        acc[k + N] = above + d(s, k, P3, P13) + 0.5 * (columns + d(s, k, P2, P12) + d(s, k, P4, P14))
        acc[k + E] = aside + d(s, k, P13, P15) + 0.5 * (rows + d(s, k, P8, P10) + d(s, k, P18, P20))
        acc[k + S] = above + d(s, k, P13, P23) + 0.5 * (columns + d(s, k, P12, P22) + d(s, k, P14, P24))
        acc[k + W] = aside + d(s, k, P11, P13) + 0.5 * (rows + d(s, k, P6, P8) + d(s, k, P16, P18))


@inner_function
def slanted_at_chroma(s, n, acc):
    """The gradients to the corners at red or blue samples."""
    for k in range(n):
        rising, falling = d(s, k, P9, P17), d(s, k, P7, P19)
        up, down = d(s, k, P8, P12) + d(s, k, P14, P18), d(s, k, P8, P14) + d(s, k, P12, P18)
        acc[k + NE] = rising + d(s, k, P5, P13) + 0.5 * (up + d(s, k, P4, P8) + d(s, k, P10, P14))
        acc[k + SE] = falling + d(s, k, P13, P25) + 0.5 * (down + d(s, k, P14, P20) + d(s, k, P18, P24))
        acc[k + NW] = falling + d(s, k, P1, P13) + 0.5 * (down + d(s, k, P2, P8) + d(s, k, P6, P12))
        acc[k + SW] = rising + d(s, k, P13, P21) + 0.5 * (up + d(s, k, P12, P16) + d(s, k, P18, P22))


@inner_function
def slanted_at_green(s, n, acc):
    """The gradients to the corners at green samples."""
    for k in range(n):
        rising, falling = d(s, k, P9, P17), d(s, k, P7, P19)
        acc[k + NE] = rising + d(s, k, P5, P13) + (d(s, k, P4, P12) + d(s, k, P10, P18))
        acc[k + SE] = falling + d(s, k, P13, P25) + (d(s, k, P8, P20) + d(s, k, P12, P24))
        acc[k + NW] = falling + d(s, k, P1, P13) + (d(s, k, P6, P18) + d(s, k, P2, P14))
        acc[k + SW] = rising + d(s, k, P13, P21) + (d(s, k, P14, P22) + d(s, k, P8, P16))


@inner_function
def choose(n, acc):
    """Gradients to 1 for directions in use, else 0; and the choices as bits, 0 where a sample is not finite."""
    for k in range(n):
        least = lesser(lesser(acc[k + N], acc[k + E]), lesser(acc[k + S], acc[k + W]))
        least = lesser(least, lesser(lesser(acc[k + NE], acc[k + SE]), lesser(acc[k + NW], acc[k + SW])))
        most = lesser(lesser(-acc[k + N], -acc[k + E]), lesser(-acc[k + S], -acc[k + W]))
        most = -lesser(most, lesser(lesser(-acc[k + NE], -acc[k + SE]), lesser(-acc[k + NW], -acc[k + SW])))
        total = (acc[k + N] + acc[k + E] + acc[k + S] + acc[k + W]) + (
            acc[k + NE] + acc[k + SE] + acc[k + NW] + acc[k + SW]
        )
        limit = LEAST * least + BETWEEN * (most - least)
        acc[k + N], acc[k + E] = in_use(acc[k + N], limit), in_use(acc[k + E], limit)
        acc[k + S], acc[k + W] = in_use(acc[k + S], limit), in_use(acc[k + W], limit)
        acc[k + NE], acc[k + SE] = in_use(acc[k + NE], limit), in_use(acc[k + SE], limit)
        acc[k + NW], acc[k + SW] = in_use(acc[k + NW], limit), in_use(acc[k + SW], limit)
        bits = acc[k + N] + 2.0 * acc[k + E] + 4.0 * acc[k + S] + 8.0 * acc[k + W]
        bits += 16.0 * acc[k + NE] + 32.0 * acc[k + SE] + 64.0 * acc[k + NW] + 128.0 * acc[k + SW]
        acc[k + CHOSEN] = bits if total < np.inf else 0.0


@inner_function
def means_at_chroma(s, n, acc):
    """Sums over the directions in use of the means of the sample's own colour, green, and the other one."""
    for k in range(n):
        own = 0.5 * (
            acc[k + N] * p(s, k, P3, P13) + acc[k + E] * p(s, k, P13, P15)
            + acc[k + S] * p(s, k, P13, P23) + acc[k + W] * p(s, k, P11, P13)
        )  # fmt: skip
        acc[k + OWN] = own + 0.5 * (
            acc[k + NE] * p(s, k, P5, P13) + acc[k + SE] * p(s, k, P13, P25)
            + acc[k + NW] * p(s, k, P1, P13) + acc[k + SW] * p(s, k, P13, P21)
        )  # fmt: skip
    for k in range(n):
        green = acc[k + N] * s[k + P8] + acc[k + E] * s[k + P14] + acc[k + S] * s[k + P18] + acc[k + W] * s[k + P12]
        green += 0.25 * acc[k + NE] * (p(s, k, P4, P8) + p(s, k, P10, P14))
        green += 0.25 * acc[k + SE] * (p(s, k, P14, P18) + p(s, k, P20, P24))
        green += 0.25 * acc[k + NW] * (p(s, k, P2, P6) + p(s, k, P8, P12))
        acc[k + ONE] = green + 0.25 * acc[k + SW] * (p(s, k, P12, P16) + p(s, k, P18, P22))
    for k in range(n):
        other = 0.5 * (acc[k + N] * p(s, k, P7, P9) + acc[k + E] * p(s, k, P9, P19))
        other += 0.5 * (acc[k + S] * p(s, k, P17, P19) + acc[k + W] * p(s, k, P7, P17))
        acc[k + OTHER] = other + (
            acc[k + NE] * s[k + P9] + acc[k + SE] * s[k + P19] + acc[k + NW] * s[k + P7] + acc[k + SW] * s[k + P17]
        )


@inner_function
def means_at_green(s, n, acc):
    """The same for green, the colour of the neighbours in the row, and that of the neighbours in the column."""
    for k in range(n):
        own = 0.5 * (
            acc[k + N] * p(s, k, P3, P13) + acc[k + E] * p(s, k, P13, P15)
            + acc[k + S] * p(s, k, P13, P23) + acc[k + W] * p(s, k, P11, P13)
        )  # fmt: skip
        acc[k + OWN] = own + (
            acc[k + NE] * s[k + P9] + acc[k + SE] * s[k + P19] + acc[k + NW] * s[k + P7] + acc[k + SW] * s[k + P17]
        )
    for k in range(n):
        aside = 0.25 * acc[k + N] * (p(s, k, P2, P4) + p(s, k, P12, P14))
        aside += 0.25 * acc[k + S] * (p(s, k, P12, P14) + p(s, k, P22, P24))
        aside += acc[k + E] * s[k + P14] + acc[k + W] * s[k + P12]
        aside += 0.5 * (acc[k + NE] * p(s, k, P4, P14) + acc[k + SE] * p(s, k, P14, P24))
        acc[k + ONE] = aside + 0.5 * (acc[k + NW] * p(s, k, P2, P12) + acc[k + SW] * p(s, k, P12, P22))
    for k in range(n):
        above = 0.25 * acc[k + E] * (p(s, k, P8, P10) + p(s, k, P18, P20))
        above += 0.25 * acc[k + W] * (p(s, k, P6, P8) + p(s, k, P16, P18))
        above += acc[k + N] * s[k + P8] + acc[k + S] * s[k + P18]
        above += 0.5 * (acc[k + NE] * p(s, k, P8, P10) + acc[k + SE] * p(s, k, P18, P20))
        acc[k + OTHER] = above + 0.5 * (acc[k + NW] * p(s, k, P6, P8) + acc[k + SW] * p(s, k, P16, P18))


@inner_function
def values(s, n, acc):
    """Sums to values: the sample and the mean difference of a colour from its own."""
    for k in range(n):
        count = (acc[k + N] + acc[k + E] + acc[k + S] + acc[k + W]) + (
            acc[k + NE] + acc[k + SE] + acc[k + NW] + acc[k + SW]
        )
        acc[k + ONE] = s[k + P13] + (acc[k + ONE] - acc[k + OWN]) / count
        acc[k + OTHER] = s[k + P13] + (acc[k + OTHER] - acc[k + OWN]) / count


@inner_function
def write(acc, start, n, one, other, chosen):
    """Write values of two colours where something was chosen, and the choices."""
    for k in range(n):
        j = start + 2 * k
        if acc[k + CHOSEN] > 0.0:
            one[j], other[j] = acc[k + ONE], acc[k + OTHER]
        chosen[j] = np.uint8(acc[k + CHOSEN])


@inner_function
def lesser(a, b):
    """The lesser of two numbers."""
    return a if a < b else b


@inner_function
def d(s, k, a, b):
    """The distance of two samples."""
    return abs(s[k + a] - s[k + b])


@inner_function
def p(s, k, a, b):
    """The sum of two samples."""
    return s[k + a] + s[k + b]


@inner_function
def in_use(gradient, limit):
    """1 for a direction whose gradient is within the limit, else 0."""
    return 1.0 if gradient <= limit else 0.0
