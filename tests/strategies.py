"""Hypothesis strategies: stacks of frames and the arguments of the verbs."""

from itertools import pairwise

import numpy as np
from hypothesis import strategies as st

FLOATS = ("float32", "float64")
INTEGERS = ("uint8", "int16", "uint16", "int32")
DIRECT = FLOATS + ("int16", "uint16")  # what kernels work on
MISSING = (np.nan, np.inf, -np.inf)

WHOLE = st.integers(-4, 4).map(float)  # many ties
REALS = st.floats(-1e3, 1e3)
OFFSET = st.floats(-1, 1).map(lambda noise: 1e9 + noise)
OUTLIERS = st.sampled_from([1e30, -1e30])
TINY = st.sampled_from([0.0, -0.0, 1e-40, -1e-45, 5e-324])  # both zeros, denormals of either width
WEIGHT = st.integers(0, 3).map(float) | st.just(0.1) | st.floats(1e-3, 1e3)  # of a sample
QUANTILES = st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9, 1.0]) | st.floats(0, 1)
SIDES = st.none() | st.integers(0, 5) | st.just(2.5)  # of a clip; whole numbers lie on these bounds
KINDS = (WHOLE, REALS, OFFSET, WHOLE | TINY, WHOLE | OUTLIERS, REALS | OUTLIERS | TINY)


def whole_counts(dtype: np.dtype) -> st.SearchStrategy[int]:
    """Integers of the type: small ones that tie, any, and the two ends."""
    least, most = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
    return st.integers(0, 5) | st.integers(least, most) | st.sampled_from([least, most])


@st.composite
def stacks(draw, *, dtypes=FLOATS, elements=None, min_frames=1, max_frames=9, max_side=3, missing=True) -> np.ndarray:
    """An array (frame, y, x) of any of the types, in either memory order and byte order.

    `elements` draws the values (WHOLE for ties that floats also decide exactly; default: one of
    KINDS, or whole_counts). With `missing`, floats get holes and wholly missing pixels.
    """
    dtype = np.dtype(draw(st.sampled_from(dtypes)))
    sides = st.integers(1, max_side)
    shape = (draw(st.integers(min_frames, max_frames)), draw(sides), draw(sides))
    size = int(np.prod(shape))
    if elements is None:
        elements = draw(st.sampled_from(KINDS)) if dtype.kind == "f" else whole_counts(dtype)
    values = draw(st.lists(elements, min_size=size, max_size=size))
    array = np.array(values).astype(dtype)
    if missing and dtype.kind == "f":
        punch_holes(draw, array.reshape(shape[0], -1))
    array = np.array(array.reshape(shape), order=draw(st.sampled_from("CF")))
    swapped = draw(st.booleans())
    return array.astype(dtype.newbyteorder()) if swapped else array


@st.composite
def tiles(draw, *, dtypes=DIRECT, **options) -> np.ndarray:
    """As `stacks`, but as kernels take it: (frame, pixel), contiguous and of native byte order."""
    array = draw(stacks(dtypes=dtypes, **options))
    return np.ascontiguousarray(array.reshape(len(array), -1), array.dtype.newbyteorder("="))


def punch_holes(draw, samples: np.ndarray) -> None:
    """Make samples, and whole pixels, of an array (frame, pixel) missing in place."""
    frames, pixels = samples.shape
    places = st.tuples(st.integers(0, frames - 1), st.integers(0, pixels - 1))
    holes = st.dictionaries(places, st.sampled_from(MISSING), max_size=samples.size)
    for place, value in draw(holes).items():
        samples[place] = value
    for pixel in draw(st.sets(st.integers(0, pixels - 1), max_size=2)):
        samples[:, pixel] = draw(st.sampled_from(MISSING))


def thresholds() -> st.SearchStrategy[float | None]:
    """A clip's `low` or `high`: off, whole, 2.5, or any number from 0 to 10."""
    return SIDES | st.floats(0, 10)


def clip_rules(sides: st.SearchStrategy[float | None]) -> st.SearchStrategy[dict[str, object]]:
    """The arguments of a sigma clip, with `low` and `high` drawn from `sides`."""
    return st.fixed_dictionaries(
        {
            "low": sides,
            "high": sides,
            "center": st.sampled_from(["mean", "median"]),
            "deviation": st.sampled_from(["std", "mad_std"]),
            "maxiters": st.sampled_from([1, 2, None]),
            "ddof": st.sampled_from([0, 0, 1, 2]),
            "floor": st.sampled_from([0, 0, 0.29, 2]),
            "nkeep": st.sampled_from([0, 0, 1, 3]),
        }
    )


def chunkings(shape: tuple[int, ...]) -> st.SearchStrategy[tuple[tuple[int, ...], ...]]:
    """Chunk lengths along each axis, as dask spells them: ((2, 1), (3,)) for a shape (3, 3)."""

    def lengths(size: int) -> st.SearchStrategy[tuple[int, ...]]:
        cuts = st.sets(st.integers(1, size - 1)) if size > 1 else st.just(set())
        edges = cuts.map(lambda inner: [0, *sorted(inner), size])
        return edges.map(lambda e: tuple(b - a for a, b in pairwise(e)))

    return st.tuples(*(lengths(size) for size in shape))


def weights_per_frame(n: int) -> st.SearchStrategy[list[float]]:
    """One weight per frame, not all zero: equal ones, or zeros, whole numbers and reals."""
    equal = st.sampled_from([0.1, 1.0, 3.0]).map(lambda weight: [weight] * n)
    return equal | st.lists(WEIGHT, min_size=n, max_size=n).filter(any)


@st.composite
def quadrilaterals(draw):
    """A frame with holes, and the corners of quadrilaterals of any size and turn, either way round."""
    height, width = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    frame = rng.normal(10, 3, (height, width)).astype(draw(st.sampled_from(["f4", "f8"])))
    bad = rng.random((height, width)) < draw(st.sampled_from([0, 0.2]))
    frame[bad] = np.nan
    flags = np.where(bad, rng.choice([1, 2, 16], (height, width)), 0).astype(np.uint8)
    y, x = np.mgrid[:4, :5].astype(float)
    angle, scale = draw(st.sampled_from([0.0, 0.3, np.pi / 2, 2.0, np.pi])), draw(st.sampled_from([0.4, 1.0, 1.7]))
    turn = 1j * angle
    at = (x - 2 + 1j * (y - 1.5) * draw(st.sampled_from([1, -1]))) * scale * np.exp(turn)
    at += complex(*rng.uniform(0, 4, 2)) if draw(st.booleans()) else 1.5 + 1.5j
    at += rng.normal(0, 0.05, at.shape) * scale if draw(st.booleans()) else 0
    return frame, rng.random((height, width)).astype(frame.dtype), flags, np.stack([at.real, at.imag])
