"""`normalize` of cubes: each plane as an image by itself, or one level a frame for all planes."""

import dask
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import xccd
from mosaic_fields import Field, tiles
from xccd.compute import arrays
from xccd.read.reader import Files
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


@pytest.mark.parametrize("most", [1, 3 * 26 * 30 * 4, 1 << 30])
def test_each_sample_is_read_once_for_its_level(monkeypatch, most: int) -> None:
    """By some planes of a frame, or by some frames."""
    monkeypatch.setattr(arrays, "GROUP_BYTES", most)
    check_planes(chunked(cubes(4, 5), {"frame": 2}), scale="mode", zero="mean")
    seen = []
    level = chunked(cubes(4, 5), {"y": 7}).ccd.normalize(lambda plane: seen.append(plane.shape) or plane.max())
    dask.compute(level.data, level.scale.data)
    assert seen == [(26, 30)] * 20
    level = chunked(cubes(4, 5), {"z": 1}).ccd.normalize(lambda plane: seen.append(plane.shape) or plane.max())
    level.isel(z=3).compute()
    assert len(seen) == 24  # no other plane is looked at


@pytest.mark.parametrize("how", [{"scale": "median"}, {"zero": "overlap"}, {"zero": "plane", "to": "mean"}], ids=str)
def test_files_without_dask_stay_lazy(tmp_path, monkeypatch, how: dict) -> None:
    for k, cube in enumerate(cubes(2, 3, (1100, 20))):
        cube.ccd.to_fits(tmp_path / f"{k}.fits")
    asked = []
    block = Files.block
    monkeypatch.setattr(Files, "block", lambda self, box, made: asked.append(box) or block(self, box, made))
    level = xccd.open_stack(tmp_path, chunks=None).ccd.normalize(**how)
    assert all(box[0].stop - box[0].start == 1 and box[1].stop - box[1].start <= 512 for box in asked)
    assert sum(box[1].stop - box[1].start for box in asked) == (0 if "scale" in how else 3 * 1100)  # not the image
    np.testing.assert_array_equal(level, xccd.open_stack(tmp_path).ccd.normalize(**how))


def test_one_level_for_all_planes() -> None:
    stack = cubes()
    level = stack.ccd.normalize("median", each_plane=False)
    assert level.scale.dims == level.zero.dims == ("frame",)
    middle = stack.median(("z", "y", "x"))
    np.testing.assert_allclose(level.scale, middle[0] / middle, rtol=1e-6)
    assert level.attrs["history"] == "xccd.normalize(scale='median', to='first', each_plane=False)"
    green = stack.ccd.normalize("median", each_plane=False, region={"z": 1})
    np.testing.assert_array_equal(green.scale, stack[:, 1].ccd.normalize("median").scale)
    whole = stack.ccd.normalize(zero=lambda cube: cube.sizes["z"], each_plane=False, to=0)
    assert whole.zero.values.tolist() == [3, 3, 3]
    for wrong in ({"scale": "overlap"}, {"zero": "plane"}):
        with pytest.raises(
            ValueError, match=r"this stack has .*: cubes need the dimensions 'y' and 'x', and each_plane"
        ):
            stack.ccd.normalize(**wrong, each_plane=False)


def test_levels_that_are_known_are_those_of_all_planes() -> None:
    """Factors have the dimension of the planes only if they may differ between them."""
    stack = cubes()
    for how in ({"scale": "EXPTIME"}, {"zero": [1, 2, 3]}, {"scale": xr.DataArray([1, 2, 3.0], dims="frame")}):
        assert check_planes(stack, **how).scale.dims == ("frame",)
    level = check_planes(stack, scale="EXPTIME", zero="median")
    assert (level.scale.dims, level.zero.dims) == (("frame",), ("frame", "z"))
    files = xr.DataArray(np.arange(1.0, 10).reshape(3, 3), dims=("frame", "z"), coords={"file": stack.file[::-1]})
    assert stack.ccd.normalize(files).scale[:, 0].values.tolist() == [1, 7 / 4, 7]
    named = stack.assign_coords(level=(("z", "frame"), files.values.T)).ccd.normalize("level")
    assert named.scale[:, 0].values.tolist() == [1, 1 / 4, 1 / 7]


def test_more_dimensions_and_other_names() -> None:
    five = xr.concat([cubes(), 2 * cubes()], "stokes").transpose("frame", "stokes", "z", "y", "x")
    for how in ({"scale": "mean"}, {"zero": "plane"}, {"scale": "mode", "zero": "overlap"}):
        for stack in (five, chunked(five, {"z": 2}), five.transpose("y", "stokes", "x", "z", "frame")):
            level = stack.ccd.normalize(**how)
            assert set(level.zero.dims) == {"frame", "stokes", "z"}
            for i in range(2):
                alone = stack.isel(stokes=i).ccd.normalize(**how)
                np.testing.assert_array_equal(level.isel(stokes=i), alone)
                np.testing.assert_array_equal(level.zero.isel(stokes=i), alone.zero)
        other = cubes().rename(frame="time", z="colour").ccd.normalize(**how, dim="time")
        np.testing.assert_array_equal(other, cubes().ccd.normalize(**how))
        assert other.zero.dims == ("time", "colour")
    lines = cubes().rename(y="slit")  # no images: which dimension has the planes is not known
    assert lines.ccd.normalize("median").scale.dims == ("frame",)
    assert cubes()[:, :0].ccd.normalize([1, 2, 3]).sizes["z"] == 0


@pytest.mark.parametrize("chunks", [None, {"z": 2}], ids=str)
def test_messages_name_the_plane(chunks: dict | None) -> None:
    bad = cubes()
    bad[1, 2] = np.nan
    bad = chunked(bad.rename(z="colour").assign_coords(colour=list("RGB")), chunks)
    for how, message in {
        "scale": ("median", r"scale: frame 1 \(1\.fits\) at colour='B' has the level nan, which must be a positive"),
        "zero": ("plane", r"zero='plane': frame 1 \(1\.fits\) at colour='B' has too few good pixels"),
    }.items():
        with pytest.raises(ValueError, match=message[1]):
            bad.ccd.normalize(**{how: message[0]}).compute()
    days = bad.assign_coords(colour=np.arange("2020-01-01", "2020-01-04", dtype="M8[D]"))
    with pytest.raises(ValueError, match=r"at colour=2020-01-03T00:00:00[.0]* has the level nan"):
        days.ccd.normalize("mean").compute()
    with pytest.raises(
        ValueError, match=r"frame 1 \(1\.fits\) at z=2 has fewer than 500 good pixels in common with fra"
    ):
        bad.drop_vars("colour").rename(colour="z").ccd.normalize(zero="overlap").compute()


def test_wrong_arguments() -> None:
    stack = cubes().assign_coords(z=[1, 2, 3])
    with pytest.raises(
        ValueError, match=r"region=\{'z': 1\} selects among the planes along 'z', .*use each_plane=False"
    ):
        stack.ccd.normalize("median", region={"z": 1})
    table = xr.DataArray(np.ones((3, 3)), dims=("frame", "z"))
    with pytest.raises(ValueError, match=r"scale and the stack differ in their coordinate 'z' .*: cut both alike"):
        stack.ccd.normalize(table.assign_coords(z=[2, 3, 4]))
    with pytest.raises(ValueError, match=r"scale has \{'frame': 3, 'z': 2\}, the stack .*dimensions must be among"):
        stack.ccd.normalize(table[:, :2])
    for wrong in (table[0], table.expand_dims(y=26)):
        with pytest.raises(ValueError, match=r"give one level for each of the 3 frames"):
            stack.ccd.normalize(wrong)
    with pytest.raises(ValueError, match=r"region has dtype bool and sizes .*'z': 2.*: give a boolean image of"):
        stack.ccd.normalize("mean", region=np.ones((2, 26, 30), bool))


def test_regions_of_planes() -> None:
    stack, where = cubes(), np.arange(26)[:, None] + np.arange(30) > 20
    each = np.stack([where, ~where, where])
    check = check_planes(stack, scale="mean", region=where)
    np.testing.assert_array_equal(check.scale[:, 0], stack.ccd.normalize("mean", region=each).scale[:, 0])
    own = stack[:, 1].ccd.normalize("mean", region=~where)
    np.testing.assert_array_equal(stack.ccd.normalize("mean", region=each)[:, 1], own)
    last = stack.transpose("frame", "y", "x", "z")
    region = (slice(3, 20), slice(2, 9))
    np.testing.assert_array_equal(
        check_planes(last, scale="mean", region=region).scale, stack.ccd.normalize("mean", region=region).scale
    )


@pytest.mark.parametrize("chunks", [None, {"z": 2, "x": 11}], ids=str)
def test_the_factors_say_what_was_done_since_the_start(chunks: dict | None) -> None:
    stack = chunked(cubes(dtype="f8"), chunks)
    level = stack.ccd.normalize("median").ccd.normalize(zero="plane").ccd.normalize([1, 2, 3])
    level = level.ccd.normalize(scale="mean", zero="mode").ccd.normalize(zero="median", each_plane=False)
    assert level.dims == stack.dims
    zero = level.zero + level.zero_y * level.y + level.zero_x * level.x
    np.testing.assert_allclose(stack * level.scale - zero, level, rtol=1e-12, atol=1e-9)
    rows = stack.ccd.normalize("median").mean("x").ccd.normalize(scale=[1, 2, 4])
    np.testing.assert_allclose(stack.mean("x") * rows.scale - rows.zero, rows, rtol=1e-12)


def test_datasets_and_trees() -> None:
    stack = cubes()
    ds = xr.Dataset({"a": stack, "b": 2 * stack})
    np.testing.assert_array_equal(ds.ccd.normalize("median").b, ds.b.ccd.normalize("median"))
    with pytest.raises(ValueError, match=r"need a coordinate 'scale' each"):
        xr.Dataset({"a": stack, "b": stack**2}).ccd.normalize("median")
    tree = xr.DataTree.from_dict({"/r": xr.Dataset({"data": stack}), "/v": xr.Dataset({"data": stack[:, 1]})})
    level = tree.ccd.normalize("median")
    assert (level["r/data"].scale.dims, level["v/data"].scale.dims) == (("frame", "z"), ("frame",))
    np.testing.assert_array_equal(level["r/data"][:, 1], level["v/data"])
    flagged = stack.ccd.to_dataset().ccd.to_stack().ccd.normalize(zero="overlap")
    np.testing.assert_array_equal(flagged, stack.ccd.normalize(zero="overlap"))


@pytest.mark.parametrize("chunks", ["auto", None], ids=str)
def test_cards_of_products_hold_for_all_planes(tmp_path, chunks: str | None) -> None:
    """EXPTIME is that of the common level; a gain is not known, as each plane has another."""
    for k, cube in enumerate(cubes(dtype="u2")):
        cards = {"EXPTIME": 10.0 * (k + 1), "GAIN": 2.0, "RDNOISE": 3.0, "BUNIT": "adu"}
        cube.drop_vars(["EXPTIME", "file"]).assign_attrs(cards).ccd.to_fits(tmp_path / f"{k}.fits")
    stack = xccd.open_stack(tmp_path, chunks=chunks)
    made = {}
    for name, how in {
        "scale": {"scale": "median"},
        "zero": {"zero": "median"},
        "to": {"scale": "mean", "to": 1},
    }.items():
        level = stack.ccd.normalize(**how)
        made[name] = level.ccd.combine("mean").ccd.header()
        plane = level.compute()[:, 1].ccd.combine("mean").ccd.header()
        assert made[name].get("EXPTIME") == plane.get("EXPTIME")
    assert made["scale"]["EXPTIME"] == 10
    assert (made["zero"]["EXPTIME"], made["zero"]["EFFGAIN"]) == (20, 6)
    assert not {"EFFGAIN", "EFFRDN", "GAIN"} & {*made["scale"], *made["to"]}
    assert "EXPTIME" not in made["to"]
