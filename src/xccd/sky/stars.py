"""The stars of an image: detection that hot pixels, cosmic rays, trails and gradients do not lead."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

import numpy as np

from xccd.sky import star_fit

Array = np.ndarray[Any, Any]
MESH = 32  # pixels: a piece of the map of the sky; 64 does not follow a gradient that bends
SHARP = 6.0  # times the noise: pixels above it are asked whether their neighbours have light, too
SHARE = 0.2  # of its light, which the third brightest neighbour of a pixel of a star has (0.38 at fwhm = 1.6)
PASSES = 5  # a thick track is peeled from its edges
NARROWEST, WIDEST = 1.1, 20.0  # pixels; a hot pixel has less, a knot of a nebula more
ROUND = 1.8  # times the median elongation: more is a trail, a track or two stars
SIZES = 0.6, 1.6  # times the median width: the rest are cosmic rays and galaxies
MOST_TYPICAL = 60  # the brightest stars so many say what stars look like
MISFIT = 0.2  # of the peak, above the noise
COLOURED = 0.5  # times the noise, between levels of pixels of a 2 x 2: a colour camera, or uneven columns
SMOOTHED = 0.8  # of the noise, as the threshold sees it, is left by means over neighbours
FLOOR = 0.02  # pixels: what a centroid is off by however bright the star
NOISE = 1.4826 / np.sqrt(6)  # from the median of |2 x(i) - x(i-2) - x(i+2)| to a standard deviation


@dataclass(frozen=True, eq=False)
class Stars:
    """The stars of an image, brightest first: arrays of float64, one value for each star."""

    x: Array  # pixels from 0, at centres of pixels
    y: Array
    flux: Array  # above the sky, in a circle of 1.5 times the median fwhm
    peak: Array  # of the profile, above the sky
    fwhm: Array  # pixels, as the image shows it: the size of the pixel is in it
    elongation: Array
    snr: Array  # against the noise of the sky, or what the fit leaves if that is more

    def __len__(self) -> int:
        """Count the stars."""
        return len(self.x)

    def __getitem__(self, which: Any) -> Stars:
        """Take some of them, by a slice, a mask or indices."""
        return Stars(*(getattr(self, field.name)[which] for field in fields(self)))

    def moved(self, dy: float, dx: float) -> Stars:
        """Move them by rows and columns."""
        return replace(self, x=self.x + dx, y=self.y + dy)

    def joined(self, other: Stars) -> Stars:
        """Join two lists, brightest first."""
        both = Stars(*(np.concatenate([getattr(s, field.name) for s in (self, other)]) for field in fields(self)))
        return both[np.argsort(-both.flux, kind="stable")]


class Sky(NamedTuple):
    """An image minus its sky, without what is no light of the sky, and the noise of each pixel."""

    image: Array  # float32; masked and sharp pixels are filled from their neighbours
    bad: Array  # bool: masked or sharp
    noise: Array  # float32
    level: float  # the median of the sky


def find_stars(
    image: Array, bad: Array | None = None, *, threshold: float = 4.0, most: int = 500, every: bool = False
) -> Stars:
    """Find and measure the stars of an image.

    Parameters
    ----------
    image : ndarray (y, x)
        Real numbers. Samples that are not finite are masked.
    bad : ndarray of bool (y, x), optional
        True where a pixel is masked, too.
    threshold : float, default: 4
        In units of the noise, after a filter of the size of a star: the faintest light that counts.
    most : int, default: 500
        The brightest so many are measured and returned.
    every : bool, default: False
        Return all that is like a profile, of any width; `typical` then leaves out what is no star. Clusters of hot
        pixels may be more than the stars, and decide what is typical: compare frames first.

    Returns
    -------
    Stars
        An image without stars gives a list without entries.

    Raises
    ------
    ImportError
        sep is not installed.

    Notes
    -----
    sep, the library of Source Extractor (Bertin and Arnouts 1996, A&AS 117, 393), measures the sky on a mesh and finds
    islands of light. Before that, pixels are left out whose light the neighbours do not share: hot pixels and cosmic
    rays. Each island is then fitted by a Moffat profile. What is much longer, smaller or larger than most, or not like
    a star, is left out.
    """
    sky = flat_sky(image, bad)
    sources, islands = _extracted(sky, threshold)
    if not len(sources):
        return Stars(*(np.zeros(0) for _ in fields(Stars)))
    order = np.argsort(-sources["flux"])[:most]
    found = _measured(sky, sources[order], order + 1, islands)
    found = found[np.argsort(-found.flux, kind="stable")]
    return found if every else typical(found)


def typical(stars: Stars) -> Stars:
    """Those as wide and as round as most of the brightest."""
    return stars[_as_most(stars.fwhm, stars.elongation, np.ones(len(stars), bool))]


def places(stars: Stars) -> Array:
    """Where the stars are, as complex numbers x + iy."""
    return np.asarray(stars.x + 1j * stars.y)


def variances(stars: Stars) -> Array:
    """The variance of a place along one axis: of the profile's noise (fwhm / 2.355 / snr), and what fits leave."""
    return np.asarray((stars.fwhm / 2.355 / np.maximum(stars.snr, 1)) ** 2 + FLOOR**2)


def flat_sky(image: Array, bad: Array | None = None) -> Sky:
    """Take the sky away from an image, and the pixels that are no light of the sky."""
    sep = needs_sep()
    flat, masked, level = centred(image, bad)
    rough = noise_level(flat, masked)
    coloured = evened(flat, masked, rough)
    sharp = masked | sharp_pixels(flat, masked, rough)
    if sharp.all() or not rough > 0:
        return Sky(np.zeros_like(flat), sharp, np.full_like(flat, np.inf), level)
    height, width = flat.shape
    background = sep.Background(flat, mask=sharp, bw=min(MESH, width), bh=min(MESH, height))
    flat -= background.back()
    noise = np.maximum(background.rms(), 0.3 * rough)
    masked |= sharp_pixels(flat, masked, noise)  # what a gradient has hidden
    level += float(background.globalback)
    if coloured:
        return Sky(smoothed(filled(flat, masked)), masked, noise * np.float32(SMOOTHED), level)
    return Sky(filled(flat, masked), masked, noise, level)


def centred(image: Array, bad: Array | None) -> tuple[Array, Array, float]:
    """The image minus its median as float32, 0 where masked; where it is masked; and the median."""
    masked = ~np.isfinite(image)
    if bad is not None:
        masked |= bad
    level = float(np.median(image[~masked])) if not masked.all() else 0.0
    with np.errstate(over="ignore", invalid="ignore"):
        flat = np.where(masked, 0, np.asarray(image, np.float64) - level).astype(np.float32)
    masked |= ~np.isfinite(flat)
    flat[masked] = 0
    return flat, masked, level


def evened(flat: Array, masked: Array, noise: float) -> bool:
    """Take the colours of a mosaic away from the sky of an image, in place; whether there are any.

    The levels of the four pixels of each 2 x 2 tell. What they have in common with other images stays.
    """
    parts = [(slice(j, None, 2), slice(i, None, 2)) for j in (0, 1) for i in (0, 1)]
    each = [flat[part][~masked[part]] for part in parts]
    least = min(some.size for some in each)
    if not least:
        return False
    levels = [float(np.median(some)) for some in each]
    if max(levels) - min(levels) <= noise * (COLOURED + 6 / np.sqrt(least)):
        return False
    for part, level in zip(parts, levels, strict=True):
        flat[part] -= np.where(masked[part], 0, np.float32(level))
    return True


def smoothed(image: Array) -> Array:
    """The image with means over neighbours in which each of the four colours of a mosaic has an equal share."""
    for axis in (0, 1):
        image = np.moveaxis(image, axis, 0)
        wide = np.concatenate([image[:1], image, image[-1:]])
        image = np.moveaxis((wide[:-2] + 2 * wide[1:-1] + wide[2:]) / 4, 0, axis)
    return np.ascontiguousarray(image)


def noise_of(image: Array) -> float:
    """The noise of an image from differences along rows, which shading and stars do not raise; NaN without samples.

    1.4826 / sqrt(6) times the median of |2 x(i) - x(i-2) - x(i+2)|, without pixels that are not finite.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        apart = np.abs(2 * image[:, 2:-2] - image[:, :-4] - image[:, 4:])
        if image.dtype.itemsize < 8 and (apart == np.inf).any():  # perhaps not of infinite samples
            return noise_of(image.astype(np.float64))
    apart = apart[np.isfinite(apart)]
    return NOISE * float(np.median(apart)) if apart.size else float("nan")


def needs_sep() -> Any:
    """The package that finds stars; raises ImportError if it is missing."""
    try:
        import sep
    except ImportError as error:
        raise ImportError("star lists need sep: pip install 'xccd[offsets]' or conda install sep") from error
    return sep


def noise_level(flat: Array, masked: Array) -> float:
    """The standard deviation of the noise of an image without its sky; 0 if all pixels are masked."""
    found = noise_of(np.where(masked, np.nan, flat))
    return found if found > 0 else float(np.std(flat[~masked])) if not masked.all() else 0.0


def sharp_pixels(flat: Array, masked: Array, noise: Array | float) -> Array:
    """Where a pixel has light that its neighbours do not share: True for hot pixels and tracks of cosmic rays."""
    height, width = flat.shape
    light = np.zeros((height + 2, width + 2), np.float32)
    light[1:-1, 1:-1] = np.where(masked, 0, flat)
    y, x = np.nonzero((flat > SHARP * noise) & ~masked)
    around = np.array([(j, i) for j in (0, 1, 2) for i in (0, 1, 2) if (j, i) != (1, 1)]).T
    found = np.zeros(flat.shape, bool)
    for _ in range(PASSES):
        near = light[y[:, None] + around[0], x[:, None] + around[1]]
        alone = np.partition(near, -3, axis=1)[:, -3] < SHARE * light[y + 1, x + 1]
        if not alone.any():
            break
        found[y[alone], x[alone]] = True
        light[y[alone] + 1, x[alone] + 1] = 0
        y, x = y[~alone], x[~alone]
    return found


def filled(flat: Array, bad: Array) -> Array:
    """The image with the median of the good neighbours in place of bad pixels, 0 where there is none."""
    padded = np.pad(np.where(bad, np.nan, flat), 1, constant_values=np.nan)
    y, x = np.nonzero(bad)
    near = np.stack([padded[y + j, x + i] for j in range(3) for i in range(3)], axis=-1)
    near.sort(axis=-1)  # NaN last
    count, pick = np.isfinite(near).sum(-1), np.arange(len(y))
    middle = 0.5 * (near[pick, np.maximum(count - 1, 0) // 2] + near[pick, count // 2])
    flat = flat.copy()
    flat[y, x] = np.where(count > 1, middle, 0)
    return flat


def _extracted(sky: Sky, threshold: float) -> tuple[Any, Array]:
    """The islands of light, by sep, and the map of their numbers, counted from 1."""
    sep = needs_sep()
    if not np.isfinite(sky.noise).all():
        return np.zeros(0), np.zeros(sky.image.shape, np.int32)
    if sep.get_extract_pixstack() < sky.image.size:
        sep.set_extract_pixstack(sky.image.size)
    options: dict[str, Any] = {"err": sky.noise, "minarea": 3, "clean": False, "segmentation_map": True}
    options["filter_kernel"] = _KERNEL
    try:
        sources, islands = sep.extract(sky.image, threshold, **options)
    except Exception as error:  # sep has no class of its own
        if "deblending" not in str(error):
            raise
        sources, islands = sep.extract(sky.image, threshold, deblend_cont=1.0, **options)
    return sources, islands


_OFFSETS = np.arange(-2, 3) ** 2
_KERNEL = np.exp(-(_OFFSETS[:, None] + _OFFSETS) / 2.0)  # a Gaussian of fwhm 2.4


def _measured(sky: Sky, sources: Any, numbers: Array, islands: Array) -> Stars:
    """The stars among the islands."""
    width = np.nan_to_num(np.sqrt(sources["a"] * sources["b"]))  # sep gives NaN for light that is nearly cancelled
    guess = float(np.clip(2.355 * np.median(width), 1.5, 15))
    tail = star_fit.TAIL
    for _ in range(2):  # the second time with the width and the wings of the first
        radius = int(np.clip(np.ceil(1.8 * guess), 4, 25))
        at = np.stack([sources["x"], sources["y"]], axis=1)
        corner = np.round(at).astype(int) - radius
        images, weights = _cut(sky, corner, 2 * radius + 1, numbers, islands)
        p = star_fit.fit(images, weights, at - corner, guess, tail)
        x, y = p.x + corner[:, 0], p.y + corner[:, 1]
        noise = _at(sky.noise, x, y)
        good = _like_profiles(p, np.hypot(x - at[:, 0], y - at[:, 1]) < guess, p.peak / noise)
        brightest = np.flatnonzero(_as_most(p.fwhm, p.elongation, good))[:MOST_TYPICAL]
        if not brightest.size:
            return Stars(*(np.zeros(0) for _ in fields(Stars)))
        guess = float(np.median(p.fwhm[brightest]))
        tail = float(np.median(p.tail[brightest])), 0.3 * star_fit.TAIL[1]
    x, y, noise = x[good], y[good], noise[good]
    flux, _, _ = needs_sep().sum_circle(sky.image, x, y, 1.5 * guess)
    area = np.pi * p.fwhm[good] ** 2 / (2 * np.log(2))  # of the noise in the flux of a Gaussian fitted to it
    noise = np.maximum(noise, p.misfit[good] * p.peak[good])  # what is no profile makes the centre uncertain, too
    snr = p.peak[good] / noise * np.sqrt(area) / 2
    return Stars(x, y, np.asarray(flux, float), p.peak[good], p.fwhm[good], p.elongation[good], snr)


def _cut(sky: Sky, corner: Array, size: int, numbers: Array, islands: Array) -> tuple[Array, Array]:
    """Small images from given corners (x, y), and their weights: 0 outside, where bad, and on other islands."""
    height, width = sky.image.shape
    y = corner[:, 1, None, None] + np.arange(size)[:, None]
    x = corner[:, 0, None, None] + np.arange(size)
    inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
    y, x = np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)
    other = (islands[y, x] != 0) & (islands[y, x] != numbers[:, None, None])
    return sky.image[y, x], np.where(inside & ~sky.bad[y, x] & ~other, 1 / sky.noise[y, x], 0)


def _at(image: Array, x: Array, y: Array) -> Array:
    """The pixels at positions, the nearest one outside of the image."""
    height, width = image.shape
    row, column = (np.nan_to_num(v).round().astype(int) for v in (y, x))
    return np.asarray(image[np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)], np.float64)


def _like_profiles(p: star_fit.Profiles, near: Array, snr: Array) -> Array:
    """Which islands are like a profile."""
    with np.errstate(invalid="ignore"):
        return np.asarray(near & (p.fwhm > NARROWEST) & (p.fwhm < WIDEST) & (p.misfit < MISFIT + 1.5 / snr) & (snr > 2))


def _as_most(fwhm: Array, elongation: Array, good: Array) -> Array:
    """Which of the good profiles are as wide and as round as most of the brightest; they come brightest first."""
    brightest = np.flatnonzero(good)[:MOST_TYPICAL]
    if not brightest.size:
        return good
    width, long = (np.median(v[brightest]) for v in (fwhm, elongation))
    with np.errstate(invalid="ignore"):
        fits = (fwhm > SIZES[0] * width) & (fwhm < SIZES[1] * width) & (elongation < ROUND * long)
    return np.asarray(good & fits)
