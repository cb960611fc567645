"""A dask without one of the names that it may change: the same pixels, and never another stack's."""

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr

import xccd
from fits_files import write
from xccd.compute import arrays, dask_joint, notes

# Each name that `dask_joint` looks for.
NAMES = (
    "get_scheduler", "__self__", "scheduler_info", "get", "get_sync", "name", "dask", "dependencies", "optimize",
)  # fmt: skip


@pytest.fixture
def files(tmp_path):
    rng = np.random.default_rng(5)
    frames = rng.normal(1000, 20, (9, 14, 11)).astype("u2")
    frames[3, 5:9] = 60000
    return [write(tmp_path / f"{i}.fits", frame, {"EXPTIME": float(i + 1)}) for i, frame in enumerate(frames)]


@pytest.fixture(params=NAMES)
def gone(request, monkeypatch):
    """Dask without a name, as the package sees it: dask itself could not work without most of them."""
    find, seen = dask_joint.find, set()

    def other(owner, name):
        seen.add(name)
        return None if name == request.param else find(owner, name)

    monkeypatch.setattr(dask_joint, "find", other)
    return request.param, seen


def clipped(stack):
    return stack.ccd.sigma_clip(2, 2, maxiters=None)


def level(frame):
    return float(np.nanmedian(frame))


def products(stack):
    yield clipped(stack).ccd.combine("mean", weights="EXPTIME")
    yield clipped(stack)[2:].ccd.combine("median")
    yield stack.ccd.combine("mean", scale=level)
    flagged = stack.ccd.to_dataset().ccd.sigma_clip(2, 2)
    yield flagged.ccd.combine("mean").data


def test_every_name_is_looked_for(gone, files, tmp_path):
    """So the list of names above is that of the file."""
    stack = xccd.open_stack(files, chunks={"y": 5})
    clipped(stack[1:]).ccd.combine("mean", scale=level).ccd.to_fits(tmp_path / "image.fits")
    name, seen = gone
    assert name in seen <= set(NAMES)


@pytest.mark.parametrize("scheduler", ["threads", "sync"])
def test_the_same_pixels(gone, files, tmp_path, scheduler):
    expected = list(products(xccd.open_stack(files, chunks=None)))
    with dask.config.set(scheduler=scheduler):
        found = list(products(xccd.open_stack(files, chunks={"y": 5})))
        for image, right in zip(found, expected, strict=True):
            np.testing.assert_array_equal(image.values, right.values, strict=True)
        path = found[0].ccd.to_fits(tmp_path / "image.fits")
    np.testing.assert_array_equal(xccd.open_image(path).values, expected[0].values)


def test_a_write_to_an_array_is_seen(gone):
    """The note of a clip is not used for samples that were written since, whatever is known of the array."""
    values = np.random.default_rng(2).normal(100, 5, (7, 6, 5)).astype("f4")
    lazy = clipped(_stack(da.from_array(values, chunks=(-1, 3, -1))))
    lazy.data[2] = 500.0
    now = clipped(_stack(values)).values
    now[2] = 500.0
    expected = _stack(now).ccd.combine("mean").values
    np.testing.assert_array_equal(lazy.ccd.combine("mean").values, expected)


def _stack(values):
    return xr.DataArray(values, dims=("frame", "y", "x"))


def test_names_of_layers_are_not_needed(monkeypatch, files):
    """Without them the origin of a selection is unknown; the pixels are the same."""
    expected = clipped(xccd.open_stack(files, chunks=None)[1:]).ccd.combine("mean").values
    monkeypatch.setattr(dask_joint, "SELECTING", ())
    stack = xccd.open_stack(files, chunks={"y": 5})[1:]
    assert notes.origin_of_samples(stack.data) == ""
    np.testing.assert_array_equal(clipped(stack).ccd.combine("mean").values, expected)


def test_an_array_without_room_for_notes():
    class Full:
        __slots__ = ("name",)

    array = Full()
    array.name = "full"
    notes.note(array, notes.PLAN, 1)
    assert notes.noted(array, notes.PLAN) is None


def test_slices_of_blocks_are_dasks():
    x = da.zeros((5, 6, 7), chunks=((2, 3), 4, (1, 1, 5)))
    assert arrays.block_slices(x) == list(da.core.slices_from_chunks(x.chunks))
    assert arrays.block_slices(da.zeros(())) == [()]
