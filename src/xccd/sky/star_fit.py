"""Profiles of stars: an elliptical Moffat profile fitted to many small images at once."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]
STEPS = 40  # at most; a star of 3 pixels takes about 8
ODD = 6.0, 0.25  # times the noise, and the share of the profile: brighter pixels are not of the star
CLOSE = 1e-5  # the change of the sum of squares, relative, at which a fit ends
TAIL = 0.25, 0.25  # what is known of 1 / beta before any fit, and how well: from a Gaussian (0) to a Moffat of beta 2
LEAST_TAIL, MOST_TAIL = 1e-3, 0.8


class Profiles(NamedTuple):
    """Fitted profiles, one value for each star; a fit that failed is NaN."""

    x: Array
    y: Array
    peak: Array
    fwhm: Array  # geometric mean of both axes
    elongation: Array  # long axis over short axis
    tail: Array  # 1 / beta
    misfit: Array  # root mean square of the residuals, in units of the peak


@np.errstate(all="ignore")  # a step too far is not taken
def fit(images: Array, weights: Array, at: Array, fwhm: float, tail: tuple[float, float] = TAIL) -> Profiles:
    """Fit peak (1 + k q)^(-1/k) + level, with q a quadratic form of the distance from the centre, k = 1 / beta.

    Levenberg-Marquardt on all stars at once, each with its own damping. The prior on k keeps faint stars from wings
    that their noise suggests. Pixels much brighter than the profile, as of a cosmic ray, are left out of a second fit.
    Formula: Moffat 1969, A&A 3, 455, for an ellipse; k to 0 is a Gaussian.

    Parameters
    ----------
    images, weights : ndarray (star, y, x)
        Small images around each star, minus the sky, and the inverse of the noise; 0 leaves a pixel out.
    at : ndarray (star, 2)
        The first guess of the centre, x and y, in pixels of the small image.
    fwhm : float
        The first guess of the width, in pixels.
    tail : (float, float)
        The prior of k: its mean and its standard deviation.
    """
    n, height, width = images.shape
    z, w = (a.reshape(n, -1).astype(float) for a in (images, weights))
    z = np.where(w > 0, z, 0.0)
    y, x = (axis.ravel().astype(float) for axis in np.mgrid[:height, :width])
    p, rest = _least_squares(x, y, z, w, at, fwhm, tail)
    profile = z * w - rest - p[:, 7:] * w  # in units of the noise, as the residuals are
    odd = rest > ODD[0] + ODD[1] * np.abs(profile)
    again = np.flatnonzero(odd.any(axis=1))
    if again.size:
        w[again] = np.where(odd[again], 0, w[again])
        z[again] = np.where(odd[again], 0, z[again])
        p[again], rest[again] = _least_squares(x, y, z[again], w[again], at[again], fwhm, tail)
    return _profiles(p, rest, w)


def _least_squares(
    x: Array, y: Array, z: Array, w: Array, at: Array, fwhm: float, tail: tuple[float, float]
) -> tuple[Array, Array]:
    """The parameters of each star, and the weighted residuals of its pixels."""
    n, scale = len(z), 2 * np.sqrt(np.log(2)) / fwhm  # of a Gaussian exp(-q)
    first = np.max(np.where(w > 0, z, -np.inf), axis=1, initial=-np.inf)
    one = np.ones(n)
    p = np.stack([np.where(np.isfinite(first), first, 1), at[:, 0], at[:, 1], one * scale, 0 * one, one * scale,
                  one * tail[0], 0 * one], axis=1)  # fmt: skip
    damping, (cost, slopes, rest) = np.full(n, 1e-2), _state(p, x, y, z, w, tail)
    now = np.arange(n)  # those that still move
    for _ in range(STEPS):
        across = slopes[now].transpose(0, 2, 1)
        normal, gradient = across @ slopes[now], (across @ rest[now][..., None])[..., 0]
        diagonal = np.einsum("nii->ni", normal)
        diagonal += damping[now, None] * diagonal + 1e-12 * (1 + diagonal.max(1, keepdims=True))
        step = np.linalg.solve(normal, gradient[..., None])[..., 0]
        new = p[now] + np.where(np.isfinite(step), step, 0)
        new[:, 6] = np.clip(new[:, 6], LEAST_TAIL, MOST_TAIL)
        new_cost, new_slopes, new_rest = _state(new, x, y, z[now], w[now], tail)
        better = new_cost <= cost[now]
        done = np.abs(new_cost - cost[now]) <= CLOSE * cost[now]
        damping[now] = np.clip(np.where(better, damping[now] / 5, damping[now] * 8), 1e-8, 1e8)
        use = now[better]
        p[use], cost[use], slopes[use], rest[use] = (v[better] for v in (new, new_cost, new_slopes, new_rest))
        now = now[~done]
        if not now.size:
            break
    return p, rest[:, :-1]


def _state(p: Array, x: Array, y: Array, z: Array, w: Array, tail: tuple[float, float]) -> tuple[Array, Array, Array]:
    """Half the sum of squares, the derivatives of the model, and the weighted residuals, with the prior as a pixel."""
    peak, cx, cy, a, b, c, k, level = (v[:, None] for v in p.T)
    u, v = x - cx, y - cy
    s, t = a * u + b * v, c * v
    q = np.minimum(s * s + t * t, 1e6)
    base = 1 + k * q
    log = np.log(base)
    shape = np.exp(-log / k)
    by_q = -peak * shape / base
    by_s, by_t = by_q * 2 * s, by_q * 2 * t
    by_k = peak * shape * (log / k**2 - q / (k * base))
    slopes = np.stack([shape, -by_s * a, -by_s * b - by_t * c, by_s * u, by_s * v, by_t * v, by_k,
                       np.ones_like(shape)], axis=-1) * w[..., None]  # fmt: skip
    rest = (z - peak * shape - level) * w
    prior = np.zeros((len(p), 1, 8))
    prior[:, 0, 6] = 1 / tail[1]
    rest = np.concatenate([rest, (tail[0] - k) / tail[1]], axis=1)
    cost = 0.5 * np.einsum("ni,ni->n", rest, rest)
    return np.where(np.isfinite(cost), cost, np.inf), np.concatenate([slopes, prior], axis=1), rest


def _profiles(p: Array, rest: Array, w: Array) -> Profiles:
    peak, x, y, a, b, c, k, _ = p.T
    half = (2**k - 1) / k  # q at half of the peak
    trace, root = a * a + b * b + c * c, np.abs(a * c)  # of the quadratic form: trace, and square root of determinant
    gap = np.sqrt(np.maximum(trace**2 / 4 - root**2, 0))
    with np.errstate(divide="ignore", invalid="ignore"):
        fwhm = 2 * np.sqrt(half / root)
        elongation = np.sqrt((trace / 2 + gap) / (trace / 2 - gap))
        used = np.count_nonzero(w, axis=1)
        misfit = np.sqrt(np.einsum("ni,ni->n", rest, rest) / used) / (peak * w.max(axis=1))
    failed = ~(np.isfinite(p).all(1) & (peak > 0) & np.isfinite(fwhm) & np.isfinite(elongation))
    return Profiles(*(np.where(failed, np.nan, v) for v in (x, y, peak, fwhm, elongation, k, misfit)))
