"""What is written into a stack counts in all that is made of it afterwards, and in nothing that was made before."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import xccd
from xccd.compute import notes
from xccd.labels.lazy import array_of

SHAPE = (5, 4, 6)
FORMS = {"auto": "auto", "bands": {"y": 2}, "frames cut": {"frame": 2}, "deferred": None}
CLIPS = {
    "sigma": lambda s: s.ccd.sigma_clip(1, 1),
    "median": lambda s: s.ccd.sigma_clip(1.2, 1, center="median", maxiters=None),
    "extrema": lambda s: s.ccd.clip_extrema(1, 0),
    "levels": lambda s: s.ccd.minmax(10, 60),
    "mask": lambda s: s.ccd.mask_where(np.arange(24).reshape(4, 6) % 5 == 0),
}
ENDS = {
    "mean": lambda s: s.ccd.combine("mean"),
    "median": lambda s: s.ccd.combine("median"),
    "count": lambda s: s.ccd.count(),
    "weighted": lambda s: s.ccd.combine("mean", weights=[1.0, 2, 3, 4, 5]),
    "clip, sum": lambda s: s.ccd.clip_extrema(0, 1).ccd.combine("sum"),
    "mask": lambda s: s.ccd.mask,
    "aligned": lambda s: s.ccd.align(offsets=[(i, -i) for i in range(5)]),
}
parts = [st.tuples(st.integers(0, n - 1), st.integers(1, n)).map(lambda p: slice(p[0], p[0] + p[1])) for n in SHAPE]
places = st.tuples(*(part | st.integers(0, n - 1) for part, n in zip(parts, SHAPE, strict=True)))
steps = st.lists(
    st.sampled_from(list(CLIPS)) | st.tuples(places, st.sampled_from([np.nan, 0.0, 40.0, 1e4])), min_size=2, max_size=5
)


def frames(seed=0):
    rng = np.random.default_rng(seed)
    return [(rng.integers(0, 70, SHAPE[1:]).astype("uint16"), {"EXPTIME": 1.0 + i}) for i in range(SHAPE[0])]


def written(obj, place, value):
    """The caller writes into the object itself."""
    if isinstance(obj, xr.DataArray):
        obj[place] = value
    elif np.isnan(value):
        obj["data_flags"][place] = 1
    else:
        obj["data"][place] = int(value)
    return obj


def after(obj, some):
    """All objects on the way, each as it is in the end."""
    seen = [obj]
    for step in some:
        if isinstance(step, str):
            seen.append(CLIPS[step](seen[-1]))
        else:
            written(seen[-1], *step)
    return seen


@pytest.mark.filterwarnings("ignore:.*can reject nothing.*|.*leaves nothing.*:UserWarning")
@settings(max_examples=25, deadline=None)
@given(form=st.sampled_from(list(FORMS)), flagged=st.booleans(), some=steps, end=st.sampled_from(list(ENDS)))
def test_writes_between_verbs(form, flagged, some, end):
    opened = xccd.open_dataset if flagged else xccd.open_stack
    lazy = opened(frames(), chunks=FORMS[form])
    here = opened(frames(), chunks="auto").compute()
    for ours, twin in zip(after(lazy, some), after(here, some), strict=True):
        found, expected = ENDS[end](ours), ENDS[end](twin)
        xr.testing.assert_allclose(found.compute().drop_attrs(), expected.drop_attrs(), rtol=1e-14, atol=0)


@pytest.mark.versions
@pytest.mark.parametrize("chunks", ["auto", None])
def test_ways_to_write(chunks):
    def opened():
        return xccd.open_stack(frames(), chunks=chunks)

    whole = xccd.open_stack(frames()).compute()
    by_label, by_mask, clipped, loaded = opened(), opened(), opened().ccd.minmax(max=1e6), opened()
    by_label.loc[{"y": 2, "frame": slice(1, 3)}] = np.nan
    assert by_label.ccd.count().values[2].tolist() == [3] * 6
    by_mask.data[by_mask.data > 30] = np.nan
    assert by_mask.ccd.combine("max").max() <= 30
    clipped[3] = 1e4
    assert clipped.ccd.combine("max").min() == 1e4
    loaded.load()[0] = -5
    assert loaded.ccd.combine("min").max() == -5
    xr.testing.assert_equal(opened().ccd.combine(), whole.ccd.combine())


@pytest.mark.versions
@pytest.mark.parametrize("chunks", [{"y": 2}, None])
def test_what_waits_keeps_what_it_was_given(chunks):
    """A weight, mask or level that the caller changes afterwards is as it was when it was given."""
    stack = xccd.open_stack(frames(), chunks=chunks)
    weights, bad, flags = np.arange(1.0, 6), np.zeros(SHAPE, bool), np.zeros(SHAPE, np.uint8)
    ds = stack.ccd.to_dataset(mask=bad).assign(data_flags=(stack.dims, flags))
    lazy = [
        stack.ccd.combine("mean", weights=weights),
        stack.ccd.mask_where(bad),
        ds.ccd.sigma_clip(1, 1).data_flags,
        ds.ccd.combine("mean").data,
        stack.ccd.normalize(scale=weights),
    ]
    now = [x.compute() for x in xr.Dataset({str(i): x.variable for i, x in enumerate(lazy)}).data_vars.values()]
    weights[:], bad[:], flags[:] = 7, True, 1
    for x, expected in zip(lazy, now, strict=True):
        np.testing.assert_array_equal(x.values, expected.values)


@pytest.mark.versions
def test_origins():
    """Samples of files are told from others, whatever form they have."""
    for chunks in ("auto", {"y": 2}, None):
        stack = xccd.open_stack(frames(), chunks=chunks)
        clipped = stack.ccd.sigma_clip(1, 1).ccd.mask_where(np.zeros(SHAPE[1:]))
        some = clipped[1:4, 1:, :3] if chunks is not None else clipped[1:4]
        for known in (stack, clipped, some):
            assert notes.origin_of_samples(array_of(known)) == notes.READ
        for unknown in (stack * 1.5, clipped - stack[0], stack + 0, np.sqrt(stack), stack.where(stack > 3)):
            assert notes.origin_of_samples(array_of(unknown)) == ""
        stack[0] = stack[1] * 2
        assert notes.origin_of_samples(array_of(stack)) == ""
        assert notes.origin_of_samples(array_of(clipped)) == notes.READ


@pytest.mark.versions
def test_the_origin_of_what_was_loaded():
    stack = xccd.open_stack(frames(), chunks=None)
    stack.load()
    assert notes.origin_of_samples(array_of(stack)) == notes.READ
    assert notes.origin_of_samples(array_of(stack.ccd.minmax(0, 9)[:, 1:])) == notes.READ
    stack *= 2
    assert notes.origin_of_samples(array_of(stack)) == ""
