"""VNG: colours of a raw colour frame from the directions in which it changes least, as `gradients` says.

Samples of a row are named by it, a to e from above, at j to j + 4: position 13 is c[j + 2].
"""

import numpy as np

from xccd.kernels.compiled.compile import inner_function, kernel
from xccd.kernels.gradients import BETWEEN, LEAST

RED, GREEN, BLUE = 0, 1, 2


@kernel
def vng(tile, edge, row, column, out, chosen):
    """Replace values of ``out`` (3, rows, columns) where all 25 samples around a pixel are there.

    ``chosen`` (rows, columns) gets the directions: bit k for direction k; 0 where nothing was replaced. The others are
    as for `debayer.bilinear`.
    """
    for i in range(out.shape[1]):
        chroma = RED if i % 2 == row else BLUE
        first = column if chroma == RED else 1 - column
        near = tile[i + edge - 2 : i + edge + 3, edge - 2 : edge + 2 + out.shape[2]]
        at_chroma(near, first, out[GREEN, i], out[BLUE - chroma, i], chosen[i])
        at_green(near, 1 - first, out[chroma, i], out[BLUE - chroma, i], chosen[i])


@inner_function
def at_chroma(t, first, out_one, out_other, chosen):
    """Every second pixel of a row, from ``first``: red or blue."""
    a, b, c, d, e = t[0], t[1], t[2], t[3], t[4]
    for j in range(first, chosen.size, 2):
        n, ea, s, w = straight(a, b, c, d, e, j)
        rising = apart(b[j + 2], c[j + 1]) + apart(c[j + 3], d[j + 2])
        falling = apart(b[j + 2], c[j + 3]) + apart(c[j + 1], d[j + 2])
        ne, se, nw, sw = slanted(a, b, c, d, e, j)
        ne += 0.5 * (rising + apart(a[j + 3], b[j + 2]) + apart(b[j + 4], c[j + 3]))
        se += 0.5 * (falling + apart(c[j + 3], d[j + 4]) + apart(d[j + 2], e[j + 3]))
        nw += 0.5 * (falling + apart(a[j + 1], b[j + 2]) + apart(b[j], c[j + 1]))
        sw += 0.5 * (rising + apart(c[j + 1], d[j]) + apart(d[j + 2], e[j + 1]))
        limit, total = limit_of(n, ea, s, w, ne, se, nw, sw)
        n, ea, s, w = in_use(n, limit), in_use(ea, limit), in_use(s, limit), in_use(w, limit)
        ne, se, nw, sw = in_use(ne, limit), in_use(se, limit), in_use(nw, limit), in_use(sw, limit)
        x = np.float64(c[j + 2])
        own = 0.5 * (n * plus(a[j + 2], x) + ea * plus(x, c[j + 4]) + s * plus(x, e[j + 2]) + w * plus(c[j], x))
        own += 0.5 * (ne * plus(a[j + 4], x) + se * plus(x, e[j + 4]) + nw * plus(a[j], x) + sw * plus(x, e[j]))
        green = n * b[j + 2] + ea * c[j + 3] + s * d[j + 2] + w * c[j + 1]
        green += 0.25 * ne * (plus(a[j + 3], b[j + 2]) + plus(b[j + 4], c[j + 3]))
        green += 0.25 * se * (plus(c[j + 3], d[j + 2]) + plus(d[j + 4], e[j + 3]))
        green += 0.25 * nw * (plus(a[j + 1], b[j]) + plus(b[j + 2], c[j + 1]))
        green += 0.25 * sw * (plus(c[j + 1], d[j]) + plus(d[j + 2], e[j + 1]))
        other = 0.5 * (n * plus(b[j + 1], b[j + 3]) + ea * plus(b[j + 3], d[j + 3]))
        other += 0.5 * (s * plus(d[j + 1], d[j + 3]) + w * plus(b[j + 1], d[j + 1]))
        other += ne * b[j + 3] + se * d[j + 3] + nw * b[j + 1] + sw * d[j + 1]
        count, is_whole = (n + ea + s + w) + (ne + se + nw + sw), total < np.inf
        out_one[j] = x + (green - own) / count if is_whole else out_one[j]
        out_other[j] = x + (other - own) / count if is_whole else out_other[j]
        bits = (n + 2 * ea + 4 * s + 8 * w) + (16 * ne + 32 * se + 64 * nw + 128 * sw)
        chosen[j] = np.uint8(bits) if is_whole else np.uint8(0)


@inner_function
def at_green(t, first, out_one, out_other, chosen):
    """Every second pixel of a row, from ``first``: green."""
    a, b, c, d, e = t[0], t[1], t[2], t[3], t[4]
    for j in range(first, chosen.size, 2):
        n, ea, s, w = straight(a, b, c, d, e, j)
        ne, se, nw, sw = slanted(a, b, c, d, e, j)
        ne += apart(a[j + 3], c[j + 1]) + apart(b[j + 4], d[j + 2])
        se += apart(b[j + 2], d[j + 4]) + apart(c[j + 1], e[j + 3])
        nw += apart(b[j], d[j + 2]) + apart(a[j + 1], c[j + 3])
        sw += apart(c[j + 3], e[j + 1]) + apart(b[j + 2], d[j])
        limit, total = limit_of(n, ea, s, w, ne, se, nw, sw)
        n, ea, s, w = in_use(n, limit), in_use(ea, limit), in_use(s, limit), in_use(w, limit)
        ne, se, nw, sw = in_use(ne, limit), in_use(se, limit), in_use(nw, limit), in_use(sw, limit)
        x = np.float64(c[j + 2])
        own = 0.5 * (n * plus(a[j + 2], x) + ea * plus(x, c[j + 4]) + s * plus(x, e[j + 2]) + w * plus(c[j], x))
        own += ne * b[j + 3] + se * d[j + 3] + nw * b[j + 1] + sw * d[j + 1]
        aside = 0.25 * n * (plus(a[j + 1], a[j + 3]) + plus(c[j + 1], c[j + 3]))
        aside += 0.25 * s * (plus(c[j + 1], c[j + 3]) + plus(e[j + 1], e[j + 3]))
        aside += ea * c[j + 3] + w * c[j + 1]
        aside += 0.5 * (ne * plus(a[j + 3], c[j + 3]) + se * plus(c[j + 3], e[j + 3]))
        aside += 0.5 * (nw * plus(a[j + 1], c[j + 1]) + sw * plus(c[j + 1], e[j + 1]))
        above = 0.25 * ea * (plus(b[j + 2], b[j + 4]) + plus(d[j + 2], d[j + 4]))
        above += 0.25 * w * (plus(b[j], b[j + 2]) + plus(d[j], d[j + 2]))
        above += n * b[j + 2] + s * d[j + 2]
        above += 0.5 * (ne * plus(b[j + 2], b[j + 4]) + se * plus(d[j + 2], d[j + 4]))
        above += 0.5 * (nw * plus(b[j], b[j + 2]) + sw * plus(d[j], d[j + 2]))
        count, is_whole = (n + ea + s + w) + (ne + se + nw + sw), total < np.inf
        out_one[j] = x + (aside - own) / count if is_whole else out_one[j]
        out_other[j] = x + (above - own) / count if is_whole else out_other[j]
        bits = (n + 2 * ea + 4 * s + 8 * w) + (16 * ne + 32 * se + 64 * nw + 128 * sw)
        chosen[j] = np.uint8(bits) if is_whole else np.uint8(0)


@inner_function
def straight(a, b, c, d, e, j):
    """The gradients to north, east, south and west."""
    x, above, aside = c[j + 2], apart(b[j + 2], d[j + 2]), apart(c[j + 1], c[j + 3])
    columns = apart(b[j + 1], d[j + 1]) + apart(b[j + 3], d[j + 3])
    rows = apart(b[j + 1], b[j + 3]) + apart(d[j + 1], d[j + 3])
    return (
        above + apart(a[j + 2], x) + 0.5 * (columns + apart(a[j + 1], c[j + 1]) + apart(a[j + 3], c[j + 3])),
        aside + apart(x, c[j + 4]) + 0.5 * (rows + apart(b[j + 2], b[j + 4]) + apart(d[j + 2], d[j + 4])),
        above + apart(x, e[j + 2]) + 0.5 * (columns + apart(c[j + 1], e[j + 1]) + apart(c[j + 3], e[j + 3])),
        aside + apart(c[j], x) + 0.5 * (rows + apart(b[j], b[j + 2]) + apart(d[j], d[j + 2])),
    )


@inner_function
def slanted(a, b, c, d, e, j):
    """What the gradients to NE, SE, NW and SW have in common at all samples."""
    x, rising, falling = c[j + 2], apart(b[j + 3], d[j + 1]), apart(b[j + 1], d[j + 3])
    return (
        rising + apart(a[j + 4], x),
        falling + apart(x, e[j + 4]),
        falling + apart(a[j], x),
        rising + apart(x, e[j]),
    )


@inner_function
def limit_of(n, e, s, w, ne, se, nw, sw):
    """The threshold for gradients, and their sum, which is not finite if a sample is not."""
    least = lesser(lesser(lesser(n, e), lesser(s, w)), lesser(lesser(ne, se), lesser(nw, sw)))
    most = -lesser(lesser(lesser(-n, -e), lesser(-s, -w)), lesser(lesser(-ne, -se), lesser(-nw, -sw)))
    return LEAST * least + BETWEEN * (most - least), (n + e + s + w) + (ne + se + nw + sw)


@inner_function
def lesser(a, b):
    return a if a < b else b


@inner_function
def apart(a, b):
    return abs(np.float64(a) - np.float64(b))


@inner_function
def plus(a, b):
    return np.float64(a) + np.float64(b)


@inner_function
def in_use(gradient, limit):
    return 1.0 if gradient <= limit else 0.0
