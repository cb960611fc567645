"""Slow, obvious twins of `debayer`: one pixel of one frame at a time, as the papers write it."""

import math

import numpy as np

N, E, S, W = "N", "E", "S", "W"


class Frame:
    """A raw frame of which samples may be missing (NaN), and its pattern."""

    def __init__(self, image, pattern):
        self.image, self.pattern = np.asarray(image, float), pattern

    def at(self, y, x):
        inside = 0 <= y < self.image.shape[0] and 0 <= x < self.image.shape[1]
        return self.image[y, x] if inside else math.nan

    def colour(self, y, x):
        return self.pattern[2 * (y % 2) + x % 2]


def bilinear(image, pattern):
    """Red, green and blue (3, y, x): the mean of the samples of a colour in the 3 x 3 around a pixel, or its own."""
    frame = Frame(image, pattern)
    out = np.full((3, *frame.image.shape), np.nan)
    for c, y, x in np.ndindex(out.shape):
        if frame.colour(y, x) == "RGB"[c]:
            near = [frame.at(y, x)]
        else:
            around = [(y + i, x + j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
            near = [frame.at(*p) for p in around if frame.colour(*p) == "RGB"[c]]
        there = [v for v in near if math.isfinite(v)]
        out[c, y, x] = math.fsum(there) / len(there) if there else math.nan
    return out


def superpixel(image, pattern):
    frame = Frame(image, pattern)
    rows, columns = (n // 2 for n in frame.image.shape)
    out = np.full((3, rows, columns), np.nan)
    for c, y, x in np.ndindex(out.shape):
        block = [(2 * y + i, 2 * x + j) for i in (0, 1) for j in (0, 1)]
        there = [v for p in block if frame.colour(*p) == "RGB"[c] and math.isfinite(v := frame.at(*p))]
        out[c, y, x] = math.fsum(there) / len(there) if there else math.nan
    return out


def vng(image, pattern):
    """Chang, Cheung and Pang (1999), with their numbers 1 to 25 for the samples around one."""
    frame, out = Frame(image, pattern), bilinear(image, pattern)
    for y, x in np.ndindex(frame.image.shape):
        v = {1 + 5 * (i + 2) + j + 2: frame.at(y + i, x + j) for i in range(-2, 3) for j in range(-2, 3)}
        if all(map(math.isfinite, v.values())):
            own = frame.colour(y, x)
            found = _at_green(v) if own == "G" else _at_chroma(v)
            names = (frame.colour(y, x + 1), frame.colour(y + 1, x)) if own == "G" else ("G", {"R": "B", "B": "R"}[own])
            for name, value in zip(names, found, strict=True):
                out["RGB".index(name), y, x] = value
    return out


def _chosen(gradients):
    least, most = min(gradients.values()), max(gradients.values())
    return [k for k, g in gradients.items() if g <= 1.5 * least + 0.5 * (most - least)]


def _straight(v):
    def d(a, b):
        return abs(v[a] - v[b])

    return {
        N: d(8, 18) + d(3, 13) + d(7, 17) / 2 + d(9, 19) / 2 + d(2, 12) / 2 + d(4, 14) / 2,
        E: d(14, 12) + d(15, 13) + d(9, 7) / 2 + d(19, 17) / 2 + d(10, 8) / 2 + d(20, 18) / 2,
        S: d(18, 8) + d(23, 13) + d(19, 9) / 2 + d(17, 7) / 2 + d(24, 14) / 2 + d(22, 12) / 2,
        W: d(12, 14) + d(11, 13) + d(17, 19) / 2 + d(7, 9) / 2 + d(16, 18) / 2 + d(6, 8) / 2,
    }


def _value(v, chosen, means):
    """v13 and the mean difference of another colour from its own: means has (own, one, other) of each direction."""
    own, one, other = (sum(np.mean([v[k] for k in means[d][i]]) for d in chosen) for i in range(3))
    return v[13] + (one - own) / len(chosen), v[13] + (other - own) / len(chosen)


def _at_chroma(v):
    def d(a, b):
        return abs(v[a] - v[b])

    gradients = _straight(v) | {
        "NE": d(9, 17) + d(5, 13) + d(8, 12) / 2 + d(14, 18) / 2 + d(4, 8) / 2 + d(10, 14) / 2,
        "SE": d(19, 7) + d(25, 13) + d(14, 8) / 2 + d(18, 12) / 2 + d(20, 14) / 2 + d(24, 18) / 2,
        "NW": d(7, 19) + d(1, 13) + d(12, 18) / 2 + d(8, 14) / 2 + d(6, 12) / 2 + d(2, 8) / 2,
        "SW": d(17, 9) + d(21, 13) + d(18, 14) / 2 + d(12, 8) / 2 + d(22, 18) / 2 + d(16, 12) / 2,
    }
    means = {
        N: ((3, 13), (8,), (7, 9)), E: ((13, 15), (14,), (9, 19)),
        S: ((13, 23), (18,), (17, 19)), W: ((11, 13), (12,), (7, 17)),
        "NE": ((5, 13), (4, 8, 10, 14), (9,)), "SE": ((13, 25), (14, 18, 20, 24), (19,)),
        "NW": ((1, 13), (2, 6, 8, 12), (7,)), "SW": ((13, 21), (12, 16, 18, 22), (17,)),
    }  # fmt: skip
    return _value(v, _chosen(gradients), means)


def _at_green(v):
    def d(a, b):
        return abs(v[a] - v[b])

    gradients = _straight(v) | {
        "NE": d(9, 17) + d(5, 13) + d(4, 12) + d(10, 18), "SE": d(19, 7) + d(25, 13) + d(20, 8) + d(24, 12),
        "NW": d(7, 19) + d(1, 13) + d(6, 18) + d(2, 14), "SW": d(17, 9) + d(21, 13) + d(22, 14) + d(16, 8),
    }  # fmt: skip
    means = {
        N: ((3, 13), (2, 4, 12, 14), (8,)), E: ((13, 15), (14,), (8, 10, 18, 20)),
        S: ((13, 23), (12, 14, 22, 24), (18,)), W: ((11, 13), (12,), (6, 8, 16, 18)),
        "NE": ((9,), (4, 14), (8, 10)), "SE": ((19,), (14, 24), (18, 20)),
        "NW": ((7,), (2, 12), (6, 8)), "SW": ((17,), (12, 22), (16, 18)),
    }  # fmt: skip
    return _value(v, _chosen(gradients), means)
