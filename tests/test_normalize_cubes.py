"""`normalize` of cubes: each plane as an image by itself, or one level a frame for all planes."""

import dask
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from mosaic_fields import Field, tiles
from xccd.verbs import levels

FACTORS = ("scale", "zero", "zero_y", "zero_x")


GAINS = np.array([[1, 1.3], [1, 0.6], [1, 0.9]])


@pytest.fixture(scope="module")
def colours() -> xr.DataArray:
    """Two aligned frames in three colours, each with a gain of its own."""
    field = Field.random((300, 420), 90, seed=3)
    planes = [tiles(field, (1, 2), (300, 300), gains=own).ccd.align(field.grid).load() for own in GAINS]
    z = xr.Variable("z", list("RGB"))
    return xr.concat(planes, z, coords="minimal", compat="override", join="override").transpose("frame", "z", "y", "x")


def never(*args, **kwargs):
    """A dask scheduler for what must stay lazy."""
    raise AssertionError("computed early")


def brightest(plane: xr.DataArray) -> float:
    """A level of a user; the label of the plane is there."""
    return float(plane.max()) + len(str(plane["z"].item() if "z" in plane.coords else ""))


def cubes(frames: int = 3, planes: int = 3, shape: tuple[int, int] = (26, 30), dtype: str = "f4") -> xr.DataArray:
    rng = np.random.default_rng(frames + planes)
    level = rng.uniform(50, 500, (frames, planes, 1, 1))
    values = rng.normal(level, level / 30, (frames, planes, *shape)).astype(dtype)
    if values.dtype.kind == "f":
        values[rng.random(values.shape) < 0.05] = np.nan
    labels = {"EXPTIME": ("frame", np.arange(1.0, frames + 1)), "file": ("frame", [f"{i}.fits" for i in range(frames)])}
    return xr.DataArray(values, dims=("frame", "z", "y", "x"), coords=labels)


def check_planes(stack: xr.DataArray, **how) -> xr.DataArray:
    """Each plane of the normalised cubes has the bits of that plane alone."""
    with dask.config.set(scheduler=never):
        level = stack.ccd.normalize(**how)
    for k in range(stack.sizes["z"]):
        own = {key: v.isel(z=k) if isinstance(v, xr.DataArray) and "z" in v.dims else v for key, v in how.items()}
        alone, plane = stack.isel(z=k).compute().ccd.normalize(**own), level.isel(z=k)
        np.testing.assert_array_equal(plane, alone)
        assert set(FACTORS) & set(plane.coords) == set(FACTORS) & set(alone.coords)
        for name in set(FACTORS) & set(alone.coords):
            np.testing.assert_array_equal(plane[name], alone[name])
        assert plane.dtype == alone.dtype
    assert (level.dims, level.name, type(level.variable._data)) == (stack.dims, stack.name, type(stack.variable._data))
    return level


LEVELS = [*levels.LEVELS, brightest]
ORDERS = [("frame", "z", "y", "x"), ("y", "x", "frame", "z"), ("z", "frame", "x", "y"), ("frame", "y", "x", "z")]
CHUNKS = [None, {}, {"frame": 1}, {"z": 1, "y": 9}, {"frame": 2, "z": 2, "x": 11}]
REGIONS = [None, {"y": slice(1, 25), "x": slice(2, 29)}, "[2:28,1:24]"]


def chunked(stack: xr.DataArray, chunks: dict | None) -> xr.DataArray:
    return stack if chunks is None else stack.copy(data=stack.variable.chunk(chunks).data)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_each_plane_is_normalised_as_alone(data: st.DataObject) -> None:
    def one(of: list):
        return of[data.draw(st.integers(0, len(of) - 1))]

    frames, planes = one([1, 2, 3]), one([1, 3, 4])
    stack = cubes(frames, planes, dtype=one(["f4", "f8", "u2", ">f4"])).transpose(*one(ORDERS))
    stack = chunked(stack.assign_coords(one([{}, {"z": list("RGBL")[:planes]}])), one(CHUNKS))
    table = xr.DataArray(np.random.default_rng(1).uniform(1, 2, (planes, frames)), dims=("z", "frame"))
    own = [*LEVELS, "EXPTIME", table, list(range(1, frames + 1))]
    how = {"scale": one([None, *own]), "zero": one([*own, "overlap", "plane"]), "to": one(["first", "mean"])}
    check_planes(stack, **{k: v for k, v in how.items() if v is not None}, region=one(REGIONS))


@pytest.mark.parametrize("chunks", [None, {"y": 100, "z": 2}, {"frame": 1}], ids=str)
@pytest.mark.parametrize("degree", [0, 1])
def test_gains_of_sources_in_each_plane(colours: xr.DataArray, chunks: dict | None, degree: int) -> None:
    level = check_planes(chunked(colours, chunks), scale="overlap", zero="overlap", degree=degree)
    np.testing.assert_allclose(1 / level.scale.transpose("z", "frame"), GAINS, rtol=0.01)
    assert level.scale.dims == level.zero.dims == ("frame", "z")
