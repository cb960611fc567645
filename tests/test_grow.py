"""`grow` and `large_structures`: rejections widened in y and x, within their frame."""

import dask
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import xccd
from fits_files import write
from xccd.verbs.grow import grown, grown_if_large

DIMS = ("frame", "y", "x")


def grown_twin(seeds, radius):
    """By distances between all pixels."""
    places = np.argwhere(np.ones(seeds.shape, bool))
    found = [any(((place - seed) ** 2).sum() <= radius**2 for seed in np.argwhere(seeds)) for place in places]
    return np.array(found, bool).reshape(seeds.shape)


def large_twin(seeds, radius, least, gap):
    """By spreading from each seed."""
    todo, large = set(map(tuple, np.argwhere(seeds).tolist())), np.zeros(seeds.shape, bool)
    while todo:
        structure = [todo.pop()]
        for y, x in structure:
            near = {p for p in todo if (p[0] - y) ** 2 + (p[1] - x) ** 2 <= gap**2}
            todo -= near
            structure += near
        for place in structure if len(structure) >= least else ():
            large[place] = True
    return grown_twin(large, radius)


masks = st.integers(0, 2**32).map(lambda seed: np.random.default_rng(seed).random((9, 11)) < 0.08)


@settings(max_examples=60, deadline=None)
@given(masks, st.sampled_from([0, 0.5, 1, 1.4, 1.5, 2, 2.3, 3, 5**0.5, 12, 1e9]))
def test_a_disc_about_each_seed(seeds, radius):
    np.testing.assert_array_equal(grown(seeds, radius), grown_twin(seeds, radius))


@pytest.mark.parametrize(("radius", "pixels"), [(0, 1), (1, 5), (1.5, 9), (2, 13)])
def test_pixels_of_a_disc(radius, pixels):
    seeds = np.zeros((9, 9), bool)
    seeds[4, 4] = True
    assert grown(seeds, radius).sum() == pixels


@pytest.mark.parametrize("chunks", [None, {"y": 2}])
def test_a_radius_beyond_the_image_takes_no_more_memory(chunks):
    stack = xr.DataArray(np.ones((2, 5, 6)), dims=DIMS)
    clipped = stack.copy()
    clipped[0, 2, 2] = np.nan
    if chunks:
        stack, clipped = stack.chunk(chunks), clipped.chunk(chunks)
    for radius in (1e9, 1e200):
        missing = clipped.ccd.grow(radius, original=stack).isnull()
        assert missing[0].all()
        assert not missing[1].any()


@settings(max_examples=60, deadline=None)
@given(masks, st.sampled_from([0, 1, 2]), st.integers(1, 6), st.sampled_from([1, 1.5, 2, 3]))
def test_large_structures_are_those_of_many_seeds(seeds, radius, least, gap):
    np.testing.assert_array_equal(grown_if_large(seeds, radius, least, gap), large_twin(seeds, radius, least, gap))


def night():
    """Frames with a trail, cosmic rays, a masked pixel, and one that is too bright."""
    rng = np.random.default_rng(3)
    x = rng.normal(100, 5, (9, 40, 50)).astype("f4")
    for i in range(40):
        x[4, i, i : i + 2] = 300
    for k, y, z in zip(rng.integers(0, 9, 30), rng.integers(0, 40, 30), rng.integers(0, 50, 30), strict=True):
        x[k, y, z] = 500
    x[2, 5:8, 5:8], x[3, 20, 20] = np.nan, 1e6
    return x


CHUNKS = [None, {"frame": 3, "y": 7, "x": 50}, {"frame": -1, "y": 3, "x": 25}, {"y": 40, "x": 13}]
VERBS = [("grow", {"radius": 1.5}), ("grow", {"radius": 3}), ("large_structures", {"radius": 2, "least": 30})]


def expected(flags, verb, radius, least=30):
    out = flags.copy()
    for image in out:
        seeds = (image & 48) != 0
        more = grown(seeds, radius) if verb == "grow" else grown_if_large(seeds, radius, least, 1.5)
        image[(image == 0) & more] = 64
    return out


@pytest.mark.parametrize("chunks", CHUNKS)
@pytest.mark.parametrize(("verb", "options"), VERBS)
def test_flags_and_nan_agree_whatever_the_chunks(verb, options, chunks):
    stack = xr.DataArray(night(), dims=DIMS)
    stack = stack.chunk(chunks) if chunks else stack
    limited = stack.ccd.minmax(max=1e5)
    rule = {"center": "median", "deviation": "mad_std"}
    ds = stack.ccd.to_dataset().ccd.minmax(max=1e5).ccd.sigma_clip(5, 5, **rule)
    clipped = limited.ccd.sigma_clip(5, 5, **rule)
    flagged = getattr(ds.ccd, verb)(**options)
    np.testing.assert_array_equal(flagged.data_flags, expected(ds.data_flags.values, verb, options["radius"]))
    assert (flagged.data_flags.values == 64).any()
    assert flagged.data_flags.chunks == ds.data_flags.chunks
    plain = getattr(clipped.ccd, verb)(original=limited, **options)
    np.testing.assert_array_equal(plain, stack.where(flagged.data_flags == 0))
    assert plain.dtype == stack.dtype
    for method in ("mean", "median"):
        np.testing.assert_array_equal(flagged.ccd.combine(method).data, plain.ccd.combine(method))
    assert f"xccd.{verb}(" in plain.attrs["history"]


@pytest.mark.parametrize(("verb", "options"), VERBS)
def test_deferred_and_other_orders_of_axes(tmp_path, verb, options):
    for k, frame in enumerate(night()):
        write(tmp_path / f"{k}.fits", frame)
    rule = {"center": "median", "deviation": "mad_std"}
    with xccd.set_options(threads=2):
        ds = xccd.open_dataset(tmp_path / "*.fits", chunks=None).ccd.sigma_clip(5, 5, **rule)
        flagged = getattr(ds.ccd, verb)(**options)
        answer = expected(ds.data_flags.values, verb, options["radius"])
        np.testing.assert_array_equal(flagged.data_flags.isel(y=slice(7, 31), x=slice(3, 9)), answer[:, 7:31, 3:9])
        np.testing.assert_array_equal(flagged.data_flags, answer)
    turned = ds.load().transpose("y", "x", "frame")
    found = getattr(turned.ccd, verb)(**options).data_flags
    np.testing.assert_array_equal(found.transpose(*DIMS), answer)
    cube = ds.expand_dims(z=2, axis=1)
    cube = cube.assign(data_flags=cube.data_flags.copy()).chunk(y=9)
    found = getattr(cube.ccd, verb)(**options).data_flags
    np.testing.assert_array_equal(found[:, 1], answer)


def test_on_lazy_input_nothing_is_computed():
    def forbidden(*_, **__):
        raise AssertionError("computed")

    ds = xr.DataArray(night(), dims=DIMS).chunk(y=9).ccd.to_dataset().ccd.clip_extrema(0, 1)
    with dask.config.set(scheduler=forbidden):
        ds.ccd.grow(2).ccd.large_structures(2, least=5).ccd.combine("mean")


def test_on_a_tree():
    stack = xr.DataArray(night(), dims=DIMS)
    ds = stack.ccd.to_dataset().ccd.clip_extrema(0, 1)
    tree = xr.DataTree.from_dict({"r": ds, "empty": xr.Dataset()}).ccd.grow(1)
    np.testing.assert_array_equal(tree["r/data_flags"], ds.ccd.grow(1).data_flags)


FLAGGED = xr.DataArray(np.ones((3, 4, 5)), dims=DIMS).ccd.to_dataset()
WRONG = [
    (lambda: FLAGGED.ccd.grow(-1), ValueError, "radius=-1 is not a finite number of 0 or more pixels"),
    (lambda: FLAGGED.ccd.grow(np.nan), ValueError, "radius=nan is not a finite number"),
    (lambda: FLAGGED.ccd.grow("2"), ValueError, "radius='2' is not a finite number"),
    (lambda: FLAGGED.ccd.large_structures(2, gap=0.5), ValueError, "gap=0.5 is not a finite number of 1 or more"),
    (lambda: FLAGGED.ccd.large_structures(2, least=0), ValueError, "least=0 is not a whole number of 1 or more"),
    (lambda: FLAGGED.data.drop_attrs().ccd.grow(1), ValueError, "does not say what was rejected.*give original="),
    (lambda: FLAGGED.data.ccd.grow(1, original=FLAGGED.data[0]), ValueError, r"original= has .*give the same frames"),
    (lambda: FLAGGED.data.ccd.grow(1, original=FLAGGED.data[:, :2]), ValueError, r"original has .*, the stack"),
    (lambda: FLAGGED.isel(x=0).ccd.grow(1), ValueError, "no dimension 'x': neighbours are along y and x"),
    (lambda: FLAGGED.data[0].ccd.grow(1), ValueError, "no dimension 'frame'"),
]


@pytest.mark.parametrize(("call", "kind", "message"), WRONG)
def test_errors(call, kind, message):
    with pytest.raises(kind, match=message):
        call()
