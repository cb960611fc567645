"""The keywords of a product, computed from those of its frames and the way they were combined."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from xccd.headers import times, units
from xccd.write.product_inputs import Inputs, Numbers

EQUAL = 1e-9  # days, or a relative difference, within which frames agree


class How(NamedTuple):
    """The method; weights and factors, None unless they are one known number for each frame."""

    method: str
    weights: Numbers | None
    factors: Numbers | None

    def of_frames(self, used: list[int]) -> How:
        """The same for some of the frames."""
        return How(self.method, *(None if v is None else v[used] for v in (self.weights, self.factors)))


def made(frames: Inputs, how: How, unit: str) -> dict[str, Any]:
    """The known keywords and their values; ``unit`` is that of the samples."""
    return {
        "NCOMBINE": int(frames.count.sum()),
        **_exposure(frames, how),
        **_dates(frames),
        **_middle(frames, how, units.per_time(unit)),
        **(_noise_cards(frames, how, units.spelled(unit)) if frames.origin else {}),
    }


def _exposure(frames: Inputs, how: How) -> dict[str, Any]:
    """EXPTIME, the exposure time whose light the product shows, and EXPTOTAL, the sum of exposure times."""
    found: dict[str, Any] = {}
    light = None if how.factors is None else how.factors * frames.light
    if light is not None and (time := _combined(light, how)) is not None and time >= 0:
        found["EXPTIME"] = time
    total = float(frames.total.sum())
    return found | ({"EXPTOTAL": total} if math.isfinite(total) else {})


def _combined(values: Numbers, how: How) -> float | None:
    """A number of each frame, summed or averaged as the samples were; None if it is unknown."""
    if not np.isfinite(values).all():
        return None
    if how.weights is None:
        return float(values[0]) if how.method != "sum" and _agree(values) else None
    if how.method == "sum":
        return float((how.weights * values).sum())
    return float(np.average(values, weights=how.weights))


def _agree(values: Numbers) -> bool:
    return bool(np.ptp(values) <= EQUAL * np.abs(values).max())


def _dates(frames: Inputs) -> dict[str, Any]:
    """DATE-OBS and DATE-END: the earliest start and the latest end; only a day if a time is unknown."""
    if np.isnat(frames.start).any():
        return {} if np.isnat(frames.day).any() else {"DATE-OBS": frames.written_day()}
    dates = {"OBS": frames.start.min()} | ({} if np.isnat(frames.end).any() else {"END": frames.end.max()})
    found: dict[str, Any] = {}
    for name, instant in dates.items():
        found |= _instant(name, instant, float(times.mjd(instant)))
    return found


def _middle(frames: Inputs, how: How, per_time: bool) -> dict[str, Any]:
    """DATE-AVG and MJD-AVG: the mean time of the light in the product."""
    middles = frames.middle
    if not np.isfinite(middles).all():
        return {}
    shares = _shares(frames, how, per_time)
    if np.ptp(middles) <= EQUAL:  # then the weights play no role
        mjd = float(middles[0])
    elif shares is None:
        return {}
    else:
        mjd = float(np.average(middles, weights=shares))
    return _instant("AVG", times.at_mjd(mjd) + np.timedelta64(500, "us"), mjd)  # + 0.5 ms: rounds to the nearest ms


def _shares(frames: Inputs, how: How, per_time: bool) -> Numbers | None:
    """The weight of each frame's light in the product; None if it is unknown."""
    if how.weights is None or how.factors is None:
        return None
    given = how.weights * how.factors
    if frames.levelled and (per_time or np.isnan(frames.light).all()):
        light: Numbers | None = np.ones(frames.size)
    else:
        light = frames.scale if per_time else frames.light
    if light is None or not np.isfinite(light).all():
        return None
    shares = given * light if light.any() else given  # bias frames show no light
    return shares if (shares >= 0).all() and shares.any() else None


def _instant(name: str, instant: np.datetime64, mjd: float) -> dict[str, Any]:
    """An instant as DATE-name and MJD-name."""
    # 8 decimals of a day are 0.9 ms, as many as DATE-OBS shows
    return {f"DATE-{name}": str(np.datetime_as_string(instant, "ms")), f"MJD-{name}": round(mjd, 8)}


def _noise_cards(frames: Inputs, how: How, unit: str) -> dict[str, float]:
    """EFFGAIN and EFFRDN: gain and readout noise for which the CCD noise equation holds for the product.

    They assume that all frames have the same level, by themselves or after their factors. {} if they are unknown.
    """
    g, f, w = frames.gain, frames.scale, how.weights
    if f is None or w is None or how.factors is None or (how.factors != 1).any():
        return {}
    if not (np.isfinite(g) & (g > 0)).all() or not (unit in units.CAMERA or (g == 1).all()):
        return {}
    found = NOISE[how.method](g, frames.noise, f, w) if how.method in NOISE else None
    return {k: v for k, v in zip(("EFFGAIN", "EFFRDN"), found or (), strict=False) if math.isfinite(v) and v >= 0}


def _of_mean(g: Numbers, r: Numbers, f: Numbers, w: Numbers) -> tuple[float, float]:
    if (g == g[0]).all() and (f == 1).all() and (r == r[0]).all():  # the general formula, without its rounding
        number = float(w.sum() ** 2 / (w**2).sum())
        return number * float(g[0]), math.sqrt(number) * float(r[0])
    gain = float(w.sum() ** 2 / (w**2 * f / g).sum())
    return gain, gain * float(np.sqrt(((w * f * r / g) ** 2).sum()) / w.sum())


def _of_median(g: Numbers, r: Numbers, f: Numbers, w: Numbers) -> tuple[float, float] | None:
    """For equal frames: the error of a median is that of the mean times a factor that depends on the count."""
    if not (_agree(g) and (f == 1).all() and _agree(w)):
        return None
    n = g.size
    wider = error_of_median(n)
    return n * float(g[0]) / wider**2, math.sqrt(n) * float(r[0]) / wider if _agree(r) else math.nan


def _of_sum(g: Numbers, r: Numbers, f: Numbers, w: Numbers) -> tuple[float, float] | None:
    if not (_agree(g) and (f == 1).all() and (w == 1).all()):
        return None
    return float(g[0]), float(np.sqrt((r**2).sum()))


NOISE = {"mean": _of_mean, "median": _of_median, "sum": _of_sum}


def error_of_median(n: int) -> float:
    """Standard error of the median of n normal samples over that of the mean; to 0.8 % at n = 3, 0.3 % above."""
    if n <= 2:  # it is the mean
        return 1.0
    a = 0.45 if n % 2 else 1.27 + 0.14 * (1 - 4 / n)
    return math.sqrt(math.pi * n / (2 * (n + a)))
