"""`find_transforms`: shift, turn, scale and flip of frames, from their stars."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from xccd.compute import progress
from xccd.headers import common
from xccd.headers.pixel_scale import ratios
from xccd.labels.choices import Model, Reference
from xccd.labels.warn import warn
from xccd.messages import called, did_you_mean, is_whole
from xccd.sky import fixed
from xccd.sky.patterns import FIXED, LEAST, Match, match
from xccd.sky.placed import MATCHED, RESIDUAL, firsts
from xccd.sky.similarity import MODELS, Fit, is_mirrored, scale_of, spread, turn_of
from xccd.sky.stars import Stars, places, typical, variances
from xccd.verbs.star_lists import check_reference, names_of, sharpest, stacks_of, star_lists

Array = np.ndarray[Any, Any]
SCALED = 0.05  # largest change of scale that needs no cause
WIDE = (0.8, 1.25), (0.45, 0.8), (1.25, 2.2), (0.25, 0.45), (2.2, 4.0)  # tried when no expected scale fits
ROUGH = 1.0  # pixels: a residual above it is doubtful
UNSURE = 0.1  # pixels: as the standard error of the fit at a corner of the frame


def find_transforms(
    stack: xr.DataArray | xr.Dataset | list[Any], model: Model = "similarity", *, reference: Reference = 0
) -> xr.Dataset:  # fmt: skip
    """Find shift, turn, scale and flip of frames without WCS, for ``align(transforms=...)``. Reads the frames at once.

    Stars are matched by their patterns. No first guess is needed: frames may be turned by any angle (a meridian flip),
    mirrored, or from another camera.

    Parameters
    ----------
    stack : DataArray, Dataset, or a list of these
        Frames (frame, y, x), or the colours of `debayer`, of which the mean counts; a list if shapes differ, as
        `open_frames` returns it. Calibrate them first: what stays at its pixels, as hot pixels do, tells nothing of the
        sky. A Dataset must have one variable with ``frame`` that is not a map.
    model : {"similarity", "affine"}, default: "similarity"
        "similarity" is a shift, a turn, one scale, and a flip if there is one. "affine" also has a shear and two
        scales.
    reference : int or "best", default: 0
        The frame that the others are compared with. "best" is the one with the narrowest stars, among those that have
        at least half as many stars as the median frame.

    Returns
    -------
    Dataset
        On ``frame``: ``matrix`` (frame, axis, term), float64, from a pixel of the frame to the reference, as
        x' = matrix[0] @ (x, y, 1) and y' = matrix[1] @ (x, y, 1), with pixels of the array counted from 0;
        ``residual``, the root mean square of the distances of the matched stars, in pixels of the reference;
        ``stars_matched``, their count; ``rotation`` in degrees, from x towards y; ``scale``; ``mirrored``. ``shape``
        and ``first`` (frame, side) are the size of the frame, and the pixel numbers at which it begins. The attributes
        are ``model`` and ``reference``.

    Raises
    ------
    ValueError
        Frames have fewer than 6 stars in common with the reference, or match it only as chance would; the model or
        the reference does not exist; the Dataset has several stacks.
    TypeError
        ``stack`` is not a stack.
    ImportError
        sep is not installed.

    Warns
    -----
    UserWarning
        The residual of a frame is above 1 pixel; its stars leave a corner unsure by more than 0.1 pixel; its scale
        differs by over 5 % and no keyword (PIXSCALE, SECPIX, XPIXSZ, FOCALLEN, XBINNING) explains it.

    Notes
    -----
    Each pair of bright stars of one frame with each pair of another gives a similarity. The one that puts most stars on
    stars is fitted to all stars by weighted least squares, and fitted again without the stars that are off by more than
    four standard deviations. It counts if fewer than 0.001 as good ones are expected by chance, from the binomial
    distribution of stars that meet a star somewhere.

    Examples
    --------
    >>> import numpy as np
    >>> import xccd
    >>> rng = np.random.default_rng(0)
    >>> x, y, peak = rng.uniform(8, 112, (2, 20)).tolist() + [rng.uniform(200, 2000, 20)]
    >>> v, u = np.mgrid[:120, :120]
    >>> image = sum(p * np.exp(-((u - a) ** 2 + (v - b) ** 2) / 4) for a, b, p in zip(x, y, peak))
    >>> stack = xccd.open_stack([(frame + rng.normal(100, 3, image.shape), {}) for frame in (image, image[::-1, ::-1])])
    >>> found = stack.ccd.find_transforms()
    >>> abs(found.rotation.values).round(1).tolist(), found.matrix[1, :, 2].values.round(0).tolist()
    ([0.0, 180.0], [119.0, 119.0])
    >>> stack.ccd.align(0, transforms=found).shape
    (2, 120, 120)
    """
    if not isinstance(model, str) or model not in MODELS:
        near = did_you_mean(model, MODELS)
        raise ValueError(f"model={called(model)} is unknown: use one of {', '.join(MODELS)}{near}")
    stacks = stacks_of("find_transforms", stack)
    names = names_of(stacks)
    check_reference(reference, len(names))
    every = star_lists(stacks)
    lists = [typical(stars) for stars in every]
    base = sharpest(lists) if isinstance(reference, str) else int(reference) % len(names)
    if len(lists[base]) < LEAST and len(names) > 1:
        raise ValueError(f"reference={reference!r}: {_too_few(names[base], lists[base])}: choose another frame")
    texts = [text for one in stacks for text in (common.texts(one, "frame") or [""] * one.sizes["frame"])]
    shapes = [(one.sizes["y"], one.sizes["x"]) for one in stacks for _ in range(one.sizes["frame"])]
    found = [
        _own(lists[base]) if i == base else _matched(every, i, base, shapes, model, ratios(texts[i], texts[base]))
        for i in progress.over(range(len(names)), "match stars", len(names), "frames")
    ]
    fits = _checked(found, lists, names, base)
    _doubt(fits, names, shapes, base, texts)
    _doubt_still(fits, every, names, base)
    return _dataset(stacks, fits, shapes, model, base)


def _own(stars: Stars) -> Match:
    every = np.arange(len(stars))
    return Match(Fit(np.eye(2, 3), every, every, 0.0, 0.0, places(stars)), 0.0)


def _matched(
    lists: list[Stars], i: int, base: int, shapes: list[tuple[int, int]], model: str, known: list[float]
) -> Match | None:  # fmt: skip
    """The match of a frame to the reference: near the scales that are expected first, then at any."""
    expected = list(dict.fromkeys([*known, 1.0]))
    scales = (*((k * (1 - SCALED), k * (1 + SCALED)) for k in expected), *WIDE)
    one, two = lists[base], lists[i]

    def tried(first: Stars, other: Stars, some: Any) -> Match | None:
        weights, both = (variances(first), variances(other)), (shapes[base], shapes[i])
        return match(places(first), places(other), both, scales=some, model=model, weights=weights)

    found = tried(typical(one), typical(two), scales)
    if found is not None and found.sure and not _is_still(found.fit):
        return found
    first, other = fixed.wide(one), fixed.wide(two)
    for pair in (fixed.moving(one, two, FIXED), (first, typical(two)), (typical(one), other), (first, other)):
        again = tried(*pair, scales[:1])
        if again is not None and again.sure and not _is_still(again.fit):
            return again
    return found


def _is_still(fit: Fit) -> bool:
    """Whether all stars stay at their pixels."""
    return bool(np.abs(fit.matrix - np.eye(2, 3)).max() <= FIXED)


def _too_few(name: str, stars: Stars) -> str:
    return f"{name} shows {len(stars)} star{'' if len(stars) == 1 else 's'}, {LEAST} are needed"


def _checked(found: list[Match | None], lists: list[Stars], names: list[str], base: int) -> list[Fit]:
    """The fits, or a ValueError that names all frames without a match that is sure."""
    lost = [i for i, one in enumerate(found) if i != base and (one is None or not one.sure)]
    if lost:
        reasons = [
            _too_few(names[i], lists[i]) if len(lists[i]) < LEAST else
            f"{names[i]} has no pattern of {LEAST} or more of its {len(lists[i])} stars in common with {names[base]}"
            for i in lost[:3]
        ]  # fmt: skip
        more = f", and {len(lost) - 3} more" if lost[3:] else ""
        raise ValueError(
            f"{'; '.join(reasons)}{more}. Leave {'it' if len(lost) == 1 else 'them'} out, as "
            f"stack.drop_isel(frame={lost}), or take another reference= (the frames must show one field)"
        )
    return [one.fit for one in found if one is not None]


def _doubt(
    fits: list[Fit], names: list[str], shapes: list[tuple[int, int]], base: int, texts: list[str]
) -> None:  # fmt: skip
    """Warn of what may be wrong, and name the frames."""
    rough = [i for i, fit in enumerate(fits) if fit.residual > ROUGH * max(1.0, fit.scale)]
    _say(rough, names, lambda i: (
        f"has a residual of {fits[i].residual:.2g} pixels: the frames differ by more than the model says, "
        "as lenses that distort; try model='affine', or solve their WCS"
    ))  # fmt: skip
    unsure = {i: spread(fit, shapes[i]) for i, fit in enumerate(fits) if i != base}
    wide = [i for i, by in unsure.items() if by > UNSURE * max(1.0, fits[i].scale)]
    _say(wide, names, lambda i: (
        f"is matched by {len(fits[i])} stars that leave a corner unsure by {unsure[i]:.2g} pixels: look at it"
    ))  # fmt: skip
    odd = [
        i for i, fit in enumerate(fits)
        if not any(abs(fit.scale / k - 1) <= SCALED for k in (1.0, *ratios(texts[i], texts[base])))
    ]  # fmt: skip
    _say(odd, names, lambda i: (
        f"is scaled by {fits[i].scale:.4g}, which no keyword explains (PIXSCALE, XPIXSZ, FOCALLEN, XBINNING): if it is "
        "no other camera or telescope, the match is false"
    ))  # fmt: skip


def _doubt_still(fits: list[Fit], every: list[Stars], names: list[str], base: int) -> None:
    """Warn of frames whose stars stay at their pixels and may be hot pixels."""
    one = every[base]
    stay = {i: fixed.still(one, every[i], FIXED) for i, fit in enumerate(fits) if i != base and _is_still(fit)}
    doubts = {i: fixed.doubt_of(one, every[i], *some) for i, some in stay.items() if len(some[0])}
    _say([i for i, doubt in doubts.items() if doubt], names, lambda i: f"may be wrong: {doubts[i]}")


def _say(frames: list[int], names: list[str], text: Any) -> None:
    if frames:
        more = f" (and {len(frames) - 1} more)" if frames[1:] else ""
        warn(f"find_transforms: {names[frames[0]]}{more} {text(frames[0])}")


def _dataset(
    stacks: list[xr.DataArray], fits: list[Fit], shapes: list[tuple[int, int]], model: str, base: int
) -> xr.Dataset:  # fmt: skip
    frame = "frame"
    matrices = np.array([fit.matrix for fit in fits])
    made = xr.Dataset(
        {
            "matrix": ((frame, "axis", "term"), matrices, {"long_name": "from the frame's pixels to the reference's"}),
            "residual": (frame, np.array([fit.residual for fit in fits]), RESIDUAL),
            "stars_matched": (frame, np.array([len(fit) for fit in fits]), MATCHED),
            "rotation": (frame, np.array([turn_of(m) for m in matrices]), {"units": "deg"}),
            "scale": (frame, np.array([scale_of(m) for m in matrices])),
            "mirrored": (frame, np.array([is_mirrored(m) for m in matrices])),
            "shape": ((frame, "side"), np.array(shapes)),
            "first": ((frame, "side"), np.array([first for one in stacks for first in firsts(one)])),
        },
        coords={"axis": ["x", "y"], "term": ["x", "y", "1"], "side": ["y", "x"]},
        attrs={"model": model, "reference": base},
    )
    named = [k for k in ("file", "chip") if all(k in one.coords and one.coords[k].dims == (frame,) for one in stacks)]
    labels = {k: [v for one in stacks for v in one.coords[k].values.tolist()] for k in named}
    return made.assign_coords({k: (frame, np.array(v, object)) for k, v in labels.items()})


def find_named(stack: Any, transforms: Any, to: Any) -> Any:
    """The argument ``transforms`` of `align`, found here if it is the name of a model."""
    if not isinstance(transforms, str):
        return transforms
    model: Any = transforms  # `find_transforms` checks it
    return find_transforms(stack, model, reference=to if is_whole(to) else 0)
