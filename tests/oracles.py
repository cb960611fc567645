"""Slow, obvious twins of the verbs, one pixel at a time, in exact rational arithmetic.

A pixel is a list of N numbers, one per frame; what is not finite is missing. Every comparison
is between fractions, so a sample exactly on a bound is known to be on it. `over_pixels` runs a
twin over the leading axis of an array.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal, localcontext
from fractions import Fraction
from itertools import combinations, pairwise

import numpy as np

MAD_TO_STD = Fraction(1.482602218505602)
EPSILON = Fraction(2.0**-52)


def lacosmic(image, **options):
    """The cosmic rays of one image (y, x) without missing pixels, by astroscrappy itself."""
    import astroscrappy

    return astroscrappy.detect_cosmics(np.asarray(image, np.float32), **options)[0]


def exact(number) -> Fraction:
    """The number as it is stored, as a fraction."""
    return Fraction(number.item() if isinstance(number, np.generic) else number)


def square_root(number: Fraction) -> Fraction:
    """The square root to 60 digits."""
    with localcontext() as context:
        context.prec = 60
        return Fraction((Decimal(number.numerator) / Decimal(number.denominator)).sqrt())


# --- statistics of a list of fractions, none of them missing


def mean(x: list[Fraction]) -> Fraction:
    """The sum over the number."""
    return sum(x, Fraction(0)) / len(x)


def median(x: list[Fraction]) -> Fraction:
    """The middle, or the mean of the two middle ones."""
    return linear_quantile(x, Fraction(1, 2))


def variance(x: list[Fraction], ddof: int = 0) -> Fraction:
    """The mean square distance from the mean; needs more than `ddof` samples."""
    middle = mean(x)
    return sum(((a - middle) ** 2 for a in x), Fraction(0)) / (len(x) - ddof)


def mad_std(x: list[Fraction]) -> Fraction:
    """The median distance from the median, scaled to the deviation of a normal distribution."""
    middle = median(x)
    return MAD_TO_STD * median([abs(a - middle) for a in x])


def lower_median(x: list[Fraction]) -> Fraction:
    """The lower one of the two middle samples of an even number."""
    return sorted(x)[(len(x) - 1) // 2]


def biweight(x: list[Fraction], c: Fraction) -> Fraction:
    """Tukey's location, one step from the median; the median where the MAD is 0 or leaves float64's range."""
    center = median(x)
    distances = sorted(abs(v - center) for v in x)
    mad = median(distances)
    if mad == 0 or distances[len(x) // 2] >= 2**1024:
        return center
    near = [v - center for v in x if abs(v - center) < c * mad]
    weights = [(1 - (d / (c * mad)) ** 2) ** 2 for d in near]
    if not sum(weights):
        return center
    return center + sum(d * w for d, w in zip(near, weights, strict=True)) / sum(weights)


def geometric_mean(x: list[Fraction]) -> Fraction | float:
    """The n-th root of the product, to 60 digits; NaN where a sample is 0 or less."""
    if min(x) <= 0:
        return math.nan
    with localcontext() as context:
        context.prec = 80
        logs = [(Decimal(a.numerator) / Decimal(a.denominator)).ln() for a in x]
        return Fraction((sum(logs) / len(x)).exp())


def half_sample_mode(x: list[Fraction]) -> Fraction:
    """The narrowest half again and again, of equally narrow ones the middle; widths as float64 has them."""
    x = sorted(x)
    while len(x) > 3:
        half = (len(x) + 1) // 2
        widths = [as_float(b - a) for a, b in zip(x, x[half - 1 :], strict=False)]
        narrow = [k for k, width in enumerate(widths) if width == min(widths)]
        first = narrow[(len(narrow) - 1) // 2]
        x = x[first : first + half]
    if len(x) == 3:
        below, above = as_float(x[1] - x[0]), as_float(x[2] - x[1])
        x = x[: 2 if below <= above else 3][0 if below < above else 1 :] if below != above else [x[1]]
    return mean(x)


def as_float(number: Fraction) -> float:
    """The nearest float64; infinite beyond its range."""
    try:
        return float(number)
    except OverflowError:
        return math.inf


def adaptive(x: list[Fraction]) -> Fraction:
    """Stetson's mean: five rounds from the mean, with twice the standard deviation, to 60 digits."""
    if len(x) < 2 or max(x) == min(x):
        return mean(x)
    with localcontext() as context:
        context.prec = 80
        values = [Decimal(a.numerator) / Decimal(a.denominator) for a in x]
        var = variance(x, 1)
        square, center = 4 * Decimal(var.numerator) / Decimal(var.denominator), sum(values) / len(x)
        for _ in range(5):
            weights = [square / (square + (a - center) ** 2) for a in values]
            center = sum(w * a for w, a in zip(weights, values, strict=True)) / sum(weights)
        return Fraction(center)


def linear_quantile(x: list[Fraction], q: Fraction) -> Fraction:
    """NumPy's "linear": at rank q (n - 1), on the straight line between the neighbours."""
    ordered = sorted(x)
    rank = q * (len(x) - 1)
    below = math.floor(rank)
    above = math.ceil(rank)
    return ordered[below] + (rank - below) * (ordered[above] - ordered[below])


def weighted_quantile(x: list[Fraction], w: list[Fraction], q: Fraction) -> Fraction:
    """The least x whose cumulative weight reaches q W; where it equals q W, the mean with the next.

    Equal means within n eps W, as 0.1 + 0.2 is not 0.3.
    """
    pairs = sorted((a, b) for a, b in zip(x, w, strict=True) if b > 0)
    total = sum((b for _, b in pairs), Fraction(0))
    slack = len(pairs) * EPSILON * total
    reached = Fraction(0)
    for (a, b), (following, _) in pairwise(pairs):
        reached += b
        if abs(reached - q * total) <= slack:
            return (a + following) / 2
        if reached > q * total:
            return a
    return pairs[-1][0]


# --- rejection


def clip_passes(
    values: Sequence[float],
    low: float | None = 3,
    high: float | None = 3,
    center: str = "mean",
    deviation: str = "std",
    maxiters: int | None = 1,
    ddof: int = 0,
    floor: float = 0,
    nkeep: int = 0,
    about: str = "mean",
    minimum: int = 0,
) -> Iterator[tuple[dict[int, Fraction], Fraction, set[int]]]:
    """Yield each pass: residuals by frame, squared deviation, the frames that it rejects."""
    kept = {i: exact(x) for i, x in enumerate(values) if math.isfinite(x)}
    done = 0
    while (maxiters is None or done < maxiters) and len(kept) > nkeep:
        x = list(kept.values())
        if not x or (deviation == "std" and len(x) <= ddof) or len(x) < minimum:
            return
        middle = {"mean": mean, "median": median}[center](x)
        origin = middle if about == "center" else mean(x)
        squared = {
            "std": lambda x, origin=origin: sum((a - origin) ** 2 for a in x) / (len(x) - ddof),
            "mad_std": lambda x: mad_std(x) ** 2,
        }
        var = max(squared[deviation](x), exact(floor) ** 2)
        residuals = {i: a - middle for i, a in kept.items()}
        rejected = {i for i, r in residuals.items() if is_outside(r, var, low, high)}
        rejected = put_back(rejected, residuals, nkeep)
        yield residuals, var, rejected
        if not rejected:
            return
        kept = {i: a for i, a in kept.items() if i not in rejected}
        done += 1


def is_outside(r: Fraction, var: Fraction, low: float | None, high: float | None) -> bool:
    """Whether a residual is strictly beyond the bound of its side."""
    if r > 0 and high is not None:
        return r**2 > exact(high) ** 2 * var
    if r < 0 and low is not None:
        return r**2 > exact(low) ** 2 * var
    return False


def put_back(rejected: set[int], residuals: dict[int, Fraction], nkeep: int) -> set[int]:
    """The rejected frames without the nearest ones, which are put back to leave `nkeep`."""
    short = nkeep - (len(residuals) - len(rejected))
    if short <= 0:
        return rejected
    edge = sorted(abs(residuals[i]) for i in rejected)[short - 1]
    return {i for i in rejected if abs(residuals[i]) > edge}


def sigma_clip(
    values: Sequence[float],
    low: float | None = 3,
    high: float | None = 3,
    center: str = "mean",
    deviation: str = "std",
    maxiters: int | None = 1,
    ddof: int = 0,
    floor: float = 0,
    nkeep: int = 0,
    about: str = "mean",
    minimum: int = 0,
) -> list[bool]:
    """True where a sample is missing or rejected by the clip."""
    out = [not math.isfinite(x) for x in values]
    passes = clip_passes(values, low, high, center, deviation, maxiters, ddof, floor, nkeep, about, minimum)
    for _, _, rejected in passes:
        for i in rejected:
            out[i] = True
    return out


def sigma_clip_margin(
    values: Sequence[float],
    low: float | None = 3,
    high: float | None = 3,
    center: str = "mean",
    deviation: str = "std",
    maxiters: int | None = 1,
    ddof: int = 0,
    floor: float = 0,
    nkeep: int = 0,
    about: str = "mean",
    minimum: int = 0,
) -> float:
    """The smallest | |r| - k s | / (|r| + k s) over all passes: how near the clip came to a tie.

    A sample is compared with the bound of its own side, one at the centre with both; where r
    and k s are both 0 the margin is 0. No comparison at all gives inf.
    """
    smallest = math.inf
    passes = clip_passes(values, low, high, center, deviation, maxiters, ddof, floor, nkeep, about, minimum)
    for residuals, var, _ in passes:
        s = square_root(var)
        for r in residuals.values():
            for k in (low if r <= 0 else None, high if r >= 0 else None):
                if k is not None:
                    smallest = min(smallest, relative_distance(abs(r), exact(k), s, var))
    return smallest


def relative_distance(r: Fraction, k: Fraction, s: Fraction, var: Fraction) -> float:
    """|r - k s| / (r + k s), exactly 0 on a tie: the difference comes from the squares."""
    total = r + k * s
    return float(abs(r**2 - k**2 * var) / total**2) if total else 0.0


def clip_extrema(values: Sequence[float], nlow: int = 0, nhigh: int = 0) -> list[bool]:
    """True where a sample is missing, or among the lowest or highest by (value, frame)."""
    ranked = sorted((x, i) for i, x in enumerate(values) if math.isfinite(x))
    if len(ranked) <= nlow + nhigh:
        return [True] * len(values)
    kept = {i for _, i in ranked[nlow : len(ranked) - nhigh]}
    return [i not in kept for i in range(len(values))]


def minmax(values: Sequence[float], min: float | None = None, max: float | None = None) -> list[bool]:
    """True where a sample is missing, below min or above max; the limits themselves stay."""
    out = [not math.isfinite(x) for x in values]
    for i, x in enumerate(values):
        if (min is not None and x < min) or (max is not None and x > max):
            out[i] = True
    return out


# --- combination

WEIGHTED = ("mean", "sum", "median", "quantile")
SIMPLE = {
    "mean": mean,
    "median": median,
    "lower_median": lower_median,
    "sum": sum,
    "min": min,
    "max": max,
    "mad_std": mad_std,
    "geometric_mean": geometric_mean,
    "mode": half_sample_mode,
    "adaptive": adaptive,
    "first": lambda x: x[0],
    "last": lambda x: x[-1],
    "ivar": mean,  # of equal uncertainties
}


def combine(
    values: Sequence[float],
    method: str,
    weights: Sequence[float] | None = None,
    scale: Sequence[float] | None = None,
    q: float | None = None,
    ddof: int = 0,
    c: float = 6.0,
    rescale: bool = False,
) -> Fraction | float:
    """One pixel of the image; NaN where no sample, or no weight, is left."""
    if weights is not None and method not in WEIGHTED:
        raise ValueError(f"{method!r} has no weighted form")
    valid = [i for i, x in enumerate(values) if math.isfinite(x)]
    x = [exact(values[i]) * (1 if scale is None else exact(scale[i])) for i in valid]
    if method == "count":
        return Fraction(len(x))
    if not x:
        return math.nan
    if weights is not None:
        return weighted(x, [exact(weights[i]) for i in valid], method, q)
    if method in ("std", "var"):
        if len(x) <= ddof:
            return math.nan
        var = variance(x, ddof)
        return var if method == "var" else float(square_root(var))
    if method == "quantile":
        return linear_quantile(x, exact(q))
    if method == "biweight":
        return biweight(x, exact(c))
    return SIMPLE[method](x) * (Fraction(len(values), len(x)) if rescale else 1)


def weighted(x: list[Fraction], w: list[Fraction], method: str, q: float | None) -> Fraction | float:
    """The methods that take weights; NaN where they are all zero."""
    if sum(w) == 0:
        return math.nan
    if method == "median":
        return weighted_quantile(x, w, Fraction(1, 2))
    if method == "quantile":
        return weighted_quantile(x, w, exact(q))
    total = sum((a * b for a, b in zip(x, w, strict=True)), Fraction(0))
    return total if method == "sum" else total / sum(w)


def over_pixels(function: Callable, array: np.ndarray, *args, **kwargs) -> np.ndarray:
    """Apply a twin to every pixel, array[:, j, ...].

    A mask comes back in the array's shape, a number as float64 without the leading axis. An
    argument that is an array of the same shape (weights per sample) is cut by pixel as well.
    """

    def cut(thing, pixel):
        same = isinstance(thing, np.ndarray) and thing.shape == array.shape
        return thing[(slice(None), *pixel)].tolist() if same else thing

    results = {}
    for pixel in np.ndindex(array.shape[1:]):
        options = {name: cut(value, pixel) for name, value in kwargs.items()}
        results[pixel] = function(cut(array, pixel), *(cut(a, pixel) for a in args), **options)
    is_mask = any(isinstance(result, list) for result in results.values())
    out = np.empty(array.shape, bool) if is_mask else np.empty(array.shape[1:])
    for pixel, result in results.items():
        if is_mask:
            out[(slice(None), *pixel)] = result
        else:
            out[pixel] = float(result)
    return out


# --- rejection by `reject`: a list of True where a sample is missing or rejected. ``near`` collects how near each
# comparison was to a tie, relative to both sides


def is_more(a: Fraction, b: Fraction, near: list[float] | None) -> bool:
    """Whether a > b; notes how near they are."""
    if near is not None:
        total = abs(a) + abs(b)
        near.append(float(abs(a - b) / total) if total else 0.0)
    return a > b


def beyond(r: Fraction, low: float | None, high: float | None, s: Fraction, near: list[float] | None) -> bool:
    """Whether a residual is strictly more than ``low`` or ``high`` times ``s`` from 0, on its side."""
    k = low if r < 0 else high
    return k is not None and r != 0 and is_more(abs(r), exact(k) * s, near)


def finite(values: Sequence[float]) -> dict[int, Fraction]:
    """The samples that are not missing, by frame."""
    return {i: exact(x) for i, x in enumerate(values) if math.isfinite(x)}


def without(values: Sequence[float], kept: dict[int, Fraction]) -> list[bool]:
    """True for all samples but those that are kept."""
    return [i not in kept for i in range(len(values))]


def percentile(
    values: Sequence[float], low: float | None = 0.2, high: float | None = 0.1, near: list[float] | None = None
) -> list[bool]:
    """Samples further from the median than a part of it; nothing where the median is not above 0."""
    kept = finite(values)
    middle = median(list(kept.values())) if kept else Fraction(0)
    if middle <= 0:
        return without(values, kept)
    return without(values, {i: x for i, x in kept.items() if not beyond(x - middle, low, high, middle, near)})


def linear_fit(
    values: Sequence[float], low: float | None = 5, high: float | None = 2.5, near: list[float] | None = None
) -> list[bool]:
    """Samples far from the least-squares line through (rank, sorted sample), in mean absolute residuals."""
    kept = finite(values)
    while len(kept) >= 5:
        ranked = sorted(kept, key=lambda i: (kept[i], i))
        y = [kept[i] for i in ranked]
        n, rank, level = len(y), Fraction(len(y) - 1, 2), mean(y)
        slope = sum((k - rank) * v for k, v in enumerate(y)) / sum((k - rank) ** 2 for k in range(n))
        residuals = {i: v - level - slope * (k - rank) for k, (i, v) in enumerate(zip(ranked, y, strict=True))}
        s = mean([abs(r) for r in residuals.values()])
        if near is not None and 0 < s < (y[-1] - y[0]) / 10**10:
            near.append(0.0)  # for a kernel the samples are on the line
        rejected = {i for i, r in residuals.items() if s and beyond(r, low, high, s, near)}
        if not rejected:
            break
        kept = {i: x for i, x in kept.items() if i not in rejected}
    return without(values, kept)


def until_stable(
    kept: dict[int, Fraction], least: int, rejected_of: Callable[[dict[int, Fraction], int], set[int]]
) -> dict[int, Fraction]:
    """Pass after pass, while there are enough samples and some are rejected."""
    passes = 0
    while len(kept) >= least:
        rejected = rejected_of(kept, passes)
        if not rejected:
            break
        kept = {i: x for i, x in kept.items() if i not in rejected}
        passes += 1
    return kept


def winsorized(
    values: Sequence[float], low: float | None = 4, high: float | None = 3, floor: float | None = None,
    near: list[float] | None = None,
) -> list[bool]:  # fmt: skip
    """Samples far from the median, in a deviation of samples that are pulled in over and over."""

    def rejected_of(kept: dict[int, Fraction], _: int) -> set[int]:
        x = list(kept.values())
        middle, first = median(x), square_root(variance(x, 1))
        s, t = first, x
        for _ in range(50):
            t = [min(max(a, middle - Fraction(3, 2) * s), middle + Fraction(3, 2) * s) for a in t]
            t = [Fraction(round(a * 10**50), 10**50) for a in t]  # short enough to go on with
            before, s = s, exact(1.134) * square_root(variance(t, 1))
            if not is_more(abs(s - before), exact(5e-4) * before, near if before else None):
                break
        s = max(s, exact(1e-6) * max(abs(middle), first) if floor is None else exact(floor))
        return {i for i, a in kept.items() if s and beyond(a - middle, low, high, s, near)}

    return without(values, until_stable(finite(values), 4, rejected_of))


def percentile_rank(
    values: Sequence[float], low: float | None = 3, high: float | None = 3, pclip: float = -0.5, nkeep: int = 0,
    near: list[float] | None = None,
) -> list[bool]:  # fmt: skip
    """Samples at least as many times as far from the median as the one some ranks away from it."""
    kept = finite(values)
    if len(kept) < max(3, nkeep + 1):
        return without(values, kept)
    x, half = sorted(kept.values()), len(values) // 2
    ranks = int(pclip * half) if abs(pclip) < 1 else int(pclip)
    size = min(max(abs(ranks), 1), half)
    n, middle = len(x), median(x)
    own = (n + 1) // 2 - size if pclip < 0 else n // 2 + 1 + size  # a rank, from 1
    s = abs(x[min(max(own, 1), n) - 1] - middle)

    def is_out(r: Fraction) -> bool:
        k = low if r < 0 else high
        return k is not None and r != 0 and not is_more(exact(k) * s, abs(r), near)

    rejected = {i for i, a in kept.items() if s and is_out(a - middle)}
    rejected = all_but_nearest(rejected, {i: abs(a - middle) for i, a in kept.items()}, nkeep, near)
    return without(values, {i: a for i, a in kept.items() if i not in rejected})


def all_but_nearest(
    rejected: set[int], distances: dict[int, Fraction], nkeep: int, near: list[float] | None
) -> set[int]:  # fmt: skip
    """What a pass rejects after `put_back`; notes how near the first that stays out is to the last that comes back."""
    left = put_back(rejected, distances, nkeep)
    if left != rejected:
        edge = max(distances[i] for i in rejected - left)
        for i in rejected:
            if distances[i] != edge:
                is_more(distances[i], edge, near)
    return left


def trimmed(x: list[Fraction], passes: int = 0) -> Fraction:
    """The mean; in the first pass without the lowest and the highest of three or more."""
    return mean(sorted(x)[1:-1] if passes == 0 and len(x) >= 3 else x)


def by_model(
    values: Sequence[float], low: float | None, high: float | None, center: str,
    square: Callable[[int, Fraction], Fraction], near: list[float] | None, nkeep: int = 0, least: int = 2,
    trims: bool = True,
) -> list[bool]:  # fmt: skip
    """Samples further from the centre than deviations, whose squares follow from the frame and the centre."""

    def rejected_of(kept: dict[int, Fraction], passes: int) -> set[int]:
        x = list(kept.values())
        middle = median(x) if center == "median" else trimmed(x, 0 if trims else passes)
        deviations = {i: square_root(square(i, middle)) for i in kept}
        if near is not None and any(0 < s < (max(x) - min(x)) / 10**12 for s in deviations.values()):
            near.append(0.0)  # where rounding of the centre decides whether there is a deviation
        rejected = {i for i, a in kept.items() if deviations[i] and beyond(a - middle, low, high, deviations[i], near)}
        ratios = {i: abs(a - middle) / (deviations[i] or 1) for i, a in kept.items()}
        for i, j in combinations(rejected if nkeep else [], 2):
            if ratios[i] == ratios[j] and kept[i] != kept[j] and near is not None:
                near.append(0.0)  # only exact arithmetic has them equal
        return all_but_nearest(rejected, ratios, nkeep, near)

    return without(values, until_stable(finite(values), max(least, nkeep + 1), rejected_of))


def noise(
    values: Sequence[float], low: float | None = 3, high: float | None = 3, readnoise: float = 1.0, gain: float = 1.0,
    sensitivity: float = 0.0, center: str = "median", near: list[float] | None = None,
    scale: Sequence[float] | None = None, zero: Sequence[float] | None = None, nkeep: int = 0,
) -> list[bool]:  # fmt: skip
    """The noise model of a CCD; of frames that are ``scale x - zero`` each with its own."""

    def square(i: int, middle: Fraction) -> Fraction:
        f, z = (exact(scale[i]), exact(zero[i])) if scale is not None else (Fraction(1), Fraction(0))
        light = max((middle + z) / f, Fraction(0))
        read = exact(readnoise) / exact(gain)
        return f**2 * (read**2 + light / exact(gain) + (exact(sensitivity) * light) ** 2)

    return by_model(values, low, high, center, square, near, nkeep)


def variance_clip(
    values: Sequence[float], low: float | None = 3, high: float | None = 3, sigma: Sequence[float] = (),
    near: list[float] | None = None,
) -> list[bool]:  # fmt: skip
    """Samples further from the median than their own uncertainties; all are 1 if none are given."""
    return by_model(values, low, high, "median", lambda i, _: exact(sigma[i]) ** 2 if len(sigma) else Fraction(1), near)


def with_equals(kept: dict[int, Fraction], before: dict[int, Fraction]) -> dict[int, Fraction]:
    """The samples that are kept, and those that equal one of them."""
    return {i: x for i, x in before.items() if x in kept.values()}


def worst(kept: dict[int, Fraction], middle: Fraction, near: list[float] | None) -> int:
    """The frame of the sample farthest from the centre; of two the upper one."""
    low, high = min(kept, key=lambda i: kept[i]), max(kept, key=lambda i: kept[i])
    return low if is_more(middle - kept[low], kept[high] - middle, near) else high


def esd(
    values: Sequence[float], max_outliers: float = 0.3, alpha: float = 0.05, near: list[float] | None = None
) -> list[bool]:
    """Rosner's generalised ESD test, with SciPy's quantiles."""
    from scipy import stats

    kept = finite(values)
    rest, taken, last = dict(kept), [], 0
    for i in range(1, math.floor(max_outliers * len(kept) + 1e-9) + 1):
        m, x = len(rest), list(rest.values())
        if m < 3 or variance(x, 1) == 0:
            break
        own = worst(rest, mean(x), near)
        t = exact(stats.t.isf(alpha / (2 * m), m - 2))
        distance = abs(rest.pop(own) - mean(x)) / square_root(variance(x, 1))
        taken.append(own)
        if is_more(distance, (m - 1) * t / square_root((m - 2 + t**2) * m), near):
            last = i
    return without(values, with_equals({i: x for i, x in kept.items() if i not in taken[:last]}, kept))


def chauvenet(
    values: Sequence[float], limit: float = 0.5, robust: bool = False, near: list[float] | None = None
) -> list[bool]:
    """The worst sample while fewer than ``limit`` samples so far out are to be expected."""

    def rejected_of(kept: dict[int, Fraction], _: int) -> set[int]:
        x, n = list(kept.values()), len(kept)
        middle = median(x) if robust else mean(x)
        distances = sorted(abs(a - middle) for a in x)
        s = distances[math.ceil(0.683 * (n - 1))] if robust else square_root(variance(x, 1))
        if s == 0:
            return set()
        own = worst(kept, middle, near)
        expected = n * math.erfc(float(abs(kept[own] - middle) / s) / math.sqrt(2))
        return {own} if is_more(exact(limit), exact(expected), near) else set()

    return without(values, with_equals(until_stable(finite(values), 3, rejected_of), finite(values)))


def swarp(
    values: Sequence[float], low: float | None = 4, high: float | None = 4, amplitude: float = 0.3,
    gain: Sequence[float] | float = 1.0, noise: Sequence[float] | float = 1.0, near: list[float] | None = None,
) -> list[bool]:  # fmt: skip
    """SWarp's test against the noise of each sample and a part of the median; two samples against each other."""
    kept = finite(values)
    n = len(values)
    inverse = [1 / exact(g) for g in (gain if isinstance(gain, Sequence) else [gain] * n)]
    own = [exact(v) ** 2 for v in (noise if isinstance(noise, Sequence) else [noise] * n)]
    middle = median(list(kept.values())) if kept else Fraction(0)
    light = abs(middle)
    squares = {i: own[i] + light * inverse[i] for i in kept}

    def is_out(r: Fraction, distance: Fraction, s: Fraction) -> bool:
        k = low if r < 0 else high
        return k is not None and r != 0 and s != 0 and is_more(distance, exact(k) * s + exact(amplitude) * light, near)

    if len(kept) == 2:
        s, distance = square_root(sum(squares.values(), Fraction(0))), max(kept.values()) - min(kept.values())
        return without(values, {i: x for i, x in kept.items() if not is_out(x - middle, distance, s)})
    if len(kept) < 3:
        return without(values, kept)
    return without(
        values, {i: x for i, x in kept.items() if not is_out(x - middle, abs(x - middle), square_root(squares[i]))}
    )


def extrema_by_share(values: Sequence[float], low: float = 0, high: float = 0) -> list[bool]:
    """`clip_extrema` with counts in proportion to the samples that are there, as IRAF rounds them."""
    n = sum(map(math.isfinite, values))
    return clip_extrema(values, *(math.floor(n * k / len(values) + 0.001) for k in (low, high)))


def average_sigma(
    values: Sequence[float], low: float | None = 3, high: float | None = 3, center: str = "median", a: float = 0.25,
    nkeep: int = 0, near: list[float] | None = None,
) -> list[bool]:  # fmt: skip
    """Samples further from the centre than ``a`` times the root of the light, which is 1 or more."""
    square = lambda _, middle: exact(a) ** 2 * max(Fraction(1), middle)  # noqa: E731
    return by_model(values, low, high, center, square, near, nkeep, 3, trims=False)


def unit_noise(pixels: Sequence[Sequence[float]], center: str = "median") -> float:
    """The noise of unit light that `average_sigma` measures in some pixels."""
    squares, count = Fraction(0), 0
    for values in pixels:
        x = list(finite(values).values())
        if len(x) >= 3:
            middle = median(x) if center == "median" else trimmed(x, 0)
            squares += sum((v - middle) ** 2 for v in x) / max(Fraction(1), middle)
            count += len(x)
    return math.sqrt(squares / (count - 1)) if count > 1 else 0.0
