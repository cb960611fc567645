"""Shifts between images of any scene: correlation of what overlaps, without single bright pixels."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from xccd.sky.stars import centred, evened, filled, noise_level, sharp_pixels, smoothed

Array = np.ndarray[Any, Any]
LARGEST = 1024  # pixels along an axis, in the search for the peak: larger frames are binned
OVERLAP = 0.15  # of a frame: shifts with less in common are not tried
SMOOTH, SMOOTH_SHARE = 16.0, 32.0  # pixels, and the part of a frame: what is wider is no detail
TIMES = 5.0  # the error that was measured over the one of white noise
TRIES = 4  # each on a better overlap
BRIGHT = 5.0  # times the noise: light above it counts by its logarithm
LOBE = 6  # pixels around a peak, of the search, in which there is no second one


class Peak(NamedTuple):
    """The shift of best correlation."""

    offset: Array  # y, x
    error: float  # pixels, by the noise
    rival: float  # the second peak over the first


def check_installed() -> None:
    """Raise if scikit-image, or SciPy, which comes with it, is not installed."""
    try:
        import skimage.registration  # noqa: F401
    except ImportError as error:
        lacking = "method='phase' needs scikit-image: pip install 'xccd[offsets]' or conda install scikit-image"
        raise ImportError(lacking) from error


def cleaned(frame: Array) -> Array:
    """A frame without hot pixels, cosmic rays and what is smooth, in units of its noise; NaN where masked.

    Bright light is compressed: a trail, or one bright star, does not decide.
    """
    from scipy.ndimage import gaussian_filter

    flat, masked, _ = centred(frame, None)
    noise = noise_level(flat, masked)
    coloured = evened(flat, masked, noise)
    bad = masked | sharp_pixels(flat, masked, noise)
    flat = filled(flat, bad)
    flat = smoothed(flat) if coloured else flat
    flat -= gaussian_filter(flat, max(SMOOTH, max(flat.shape) / SMOOTH_SHARE))
    return np.where(masked, np.nan, np.arcsinh(flat / (BRIGHT * noise)) if noise > 0 else flat)


def shift_between(reference: Array, frame: Array, precision: int) -> Peak:
    """The offset of a frame from another, both `cleaned`, to 1 / ``precision`` pixel."""
    step = -(-max(frame.shape) // LARGEST)
    found = _search(_binned(reference, step), _binned(frame, step))
    offset = found.offset * step
    for _ in range(TRIES):
        whole = np.round(offset)
        one, other = _fast(*overlap(reference, frame, whole))
        if min(one.shape) < 2:
            return found._replace(offset=whole)
        rest = _fine(one, other, precision)
        offset = whole + rest
        if np.abs(rest).max() <= 0.5:
            break
    if np.abs(offset - found.offset * step).max() > LOBE * step:  # another peak
        return found._replace(offset=offset, rival=1.0)
    return found._replace(offset=offset, error=_error(one, other))


def overlap(reference: Array, frame: Array, offset: Array) -> tuple[Array, Array]:
    """The parts of both frames that overlap after a shift by whole pixels."""
    dy, dx = (round(float(v)) for v in offset)
    rows, columns = frame.shape
    height, width = max(0, rows - abs(dy)), max(0, columns - abs(dx))
    y, x = max(0, dy), max(0, dx)
    return reference[y : y + height, x : x + width], frame[y - dy : y - dy + height, x - dx : x - dx + width]


def _binned(image: Array, step: int) -> Array:
    """Means of squares of ``step`` pixels without masked ones; the rest at the edges is left out."""
    if step == 1:
        return image
    rows, columns = (n // step for n in image.shape)
    cut = image[: rows * step, : columns * step].reshape(rows, step, columns, step)
    count = np.isfinite(cut).sum((1, 3))
    return np.where(count > 0, np.nansum(cut, axis=(1, 3)) / np.maximum(count, 1), np.nan)


def _search(reference: Array, frame: Array) -> Peak:
    """The best whole shift by normalised correlation of good pixels: Padfield 2012, IEEE TIP 21, 2706."""
    from scipy import fft

    height, width = frame.shape
    size = [fft.next_fast_len(2 * n, real=True) for n in (height, width)]
    good = [np.isfinite(image) for image in (reference, frame)]
    (m1, f1, q1), (m2, f2, q2) = (
        [fft.rfft2(a, size) for a in (ok.astype(np.float64), filled, filled**2)]
        for ok, filled in ((ok, np.where(ok, image, 0.0)) for ok, image in zip(good, (reference, frame), strict=True))
    )

    def together(one: Array, other: Array) -> Array:
        return np.asarray(fft.irfft2(one * other.conj(), size))

    count = np.maximum(together(m1, m2).round(), 0)
    enough = count > OVERLAP * max(1, min(int(np.count_nonzero(ok)) for ok in good))
    n = np.maximum(count, 1)
    s1, s2 = together(f1, m2), together(m1, f2)
    spread = [np.maximum(together(q, m) - s * s / n, 0) for q, m, s in ((q1, m2, s1), (m1, q2, s2))]
    scale = np.sqrt(spread[0] * spread[1])
    usable = enough & (scale > 1e-9 * scale.max(initial=0))
    level = np.divide(together(f1, f2) - s1 * s2 / n, scale, out=np.zeros(n.shape), where=usable)
    score = level * np.sqrt(n / n.max())  # little overlap correlates by chance
    peak = np.unravel_index(score.argmax(), score.shape)
    return Peak(_signed(peak, score.shape), float("inf"), _rival(score, peak))


def _signed(peak: Any, shape: tuple[int, ...]) -> Array:
    return np.array([i - n if i > n // 2 else i for i, n in zip(peak, shape, strict=True)], np.float64)


def _rival(score: Array, peak: Any) -> float:
    """The second highest peak, at some distance, over the highest."""
    from scipy.ndimage import maximum_filter

    if not score[peak] > 0:
        return 1.0
    others = np.where(score >= maximum_filter(score, 2 * LOBE + 1, mode="wrap"), score, 0)
    others[peak] = 0
    return float(others.max() / score[peak])


def _fine(one: Array, other: Array, precision: int) -> Array:
    """The rest of the shift, of images that overlap, by an upsampled correlation: windows of both show one scene."""
    from skimage.registration import phase_cross_correlation

    # Not normalised: that would weight noise, and pixels masked in both, as much as stars.
    one, other = _windowed(one, other)
    if not (one.any() and other.any()):  # constant images show no shift
        return np.zeros(2)
    found, _, _ = phase_cross_correlation(one, other, upsample_factor=precision, normalization=None)
    return np.asarray(found, np.float64)


def _windowed(*images: Array) -> list[Array]:
    """The images with edges that fade out, as these do not match; 0 where masked."""
    rows, columns = (np.hanning(n + 2)[1:-1] for n in images[0].shape)
    return [np.where(np.isfinite(image), image, 0) * rows[:, None] * columns for image in images]


def _fast(*images: Array) -> list[Array]:
    """The images without a few rows and columns at their ends: the length of a Fourier transform decides its time."""
    from scipy.fft import next_fast_len

    rows, columns = (next((k for k in range(n, 0, -1) if next_fast_len(k) == k), n) for n in images[0].shape)
    return [image[:rows, :columns] for image in images]


def _error(one: Array, other: Array) -> float:
    """The error of the shift, along the worse axis: noise times the slopes of both images, over what slopes share.

    The correlation's slope at its peak is noise, its curvature is the sum of the products of slopes: noise in both
    images is independent and drops out of it. Noise of neighbours is not independent in these images, and the window is
    not even: measured on scenes of many kinds, the error is three to six times as large.
    """
    one, other = _windowed(one, other)
    noise = float(np.mean((one - other) ** 2)) / 2
    errors = []
    for axis in (0, 1):
        a, b = np.gradient(one, axis=axis), np.gradient(other, axis=axis)
        shared = float((a * b).sum())
        errors.append(np.sqrt(noise * float((a * a + b * b).sum())) / shared if shared > 0 else np.inf)
    return TIMES * float(max(errors))
