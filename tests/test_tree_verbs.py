"""`.ccd` on trees: every verb over all nodes, errors and warnings that name one, a file for each, and round trips."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from astropy.io import fits

import xccd

pytestmark = pytest.mark.versions


def leaves(tree: xr.DataTree) -> list[str]:
    return [node.path.lstrip("/") for node in tree.leaves]


def flats() -> xr.DataTree:
    cards = ({"IMAGETYP": "flat", "FILTER": f, "CRPIX1": 9.0} for f in "grgr")
    return xccd.open_tree([(np.full((2, 3), float(i)), c) for i, c in enumerate(cards)], chunks=None)


def stacks(n: int = 4) -> xr.DataTree:
    rng = np.random.default_rng(5)
    files = [(rng.normal(10, 1, (3, 4)), {"FILTER": f, "EXPTIME": 1.0 + i}) for i in range(n) for f in "gr"]
    return xccd.open_tree(files, by="FILTER", chunks=None)


@pytest.mark.parametrize(
    ("name", "args", "kwargs"),
    [
        ("sigma_clip", (1, 1), {"center": "median"}),
        ("clip_extrema", (1,), {"nhigh": 1}),
        ("minmax", (9,), {"max": 11}),
        ("normalize", ("mean",), {"to": 3}),
        ("combine", ("mean",), {"weights": "EXPTIME"}),
        ("count", (), {}),
    ],
)
def test_a_verb_is_done_at_every_node(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    tree = stacks()
    done = getattr(tree.ccd, name)(*args, **kwargs)
    xr.testing.assert_identical(getattr(xccd, name)(tree, *args, **kwargs), done)
    for path in "gr":
        expected = getattr(tree[path].to_dataset().ccd, name)(*args, **kwargs)
        xr.testing.assert_identical(done[path].to_dataset(), expected)
    xr.testing.assert_identical(tree, stacks())


def test_the_mask_of_a_tree() -> None:
    tree = stacks()
    tree["image"] = xr.DataTree(xr.Dataset({"data": ("y", [1.0, np.nan])}))
    mask = tree.ccd.minmax(max=10).ccd.mask
    for path in "gr":
        np.testing.assert_array_equal(mask[path]["data"], tree[path]["data"] > 10)
    assert mask["image"]["data"].values.tolist() == [False, True]


def test_nodes_without_frames_stay_as_they_are() -> None:
    tree = stacks()
    tree.name, tree.attrs["night"] = "march", 9
    tree["old/master"] = xr.DataTree(xr.Dataset({"data": (("y", "x"), np.ones((3, 4)))}, attrs={"by": "hand"}))
    tree["g/made"] = xr.DataTree(xr.Dataset({"level": 5.0}))
    done = tree.ccd.combine()
    assert (done.name, done.attrs) == ("march", {"night": 9})
    xr.testing.assert_identical(done["old/master"].to_dataset(), tree["old/master"].to_dataset())
    assert done["g/made"]["level"] == 5
    assert done["g"]["data"].dims == ("y", "x")
    assert list(done.children) == list(tree.children)


def test_a_subtree_and_inherited_pixel_numbers() -> None:
    whole = flats()
    part = whole["flat"].ccd.combine("max")
    assert (part.name, leaves(part)) == ("flat", ["g", "r"])
    xr.testing.assert_identical(part["g"]["data"], whole.ccd.combine("max")["flat/g"]["data"])
    parent = xr.DataTree(xr.Dataset(coords={"x": [5, 6, 7]}))
    parent["a"] = xr.DataTree(whole["flat/g"].to_dataset().drop_vars("x"))
    image = parent.ccd.combine()["a"]["data"]
    assert image.x.values.tolist() == [5, 6, 7]
    assert image.ccd.header()["LTV1"] == -5


def test_another_dimension_and_several_variables() -> None:
    ds = xr.Dataset({"a": ("time", [1.0, 2, 9]), "b": ("time", [4.0, 4, 4]), "c": ("frame", [1.0])})
    image = xr.DataTree.from_dict({"/n": ds}).ccd.combine("max", dim="time")["n"]
    assert (image["a"], image["b"]) == (9, 4)
    assert image["c"].dims == ("frame",)


def test_errors_name_the_node() -> None:
    tree = stacks()
    with pytest.raises(ValueError, match=r"(?s)weights has shape .*at the node 'g' of the tree"):
        tree.ccd.combine(weights=[1, 2])
    with pytest.raises(ValueError, match=r"(?s)method='meen' is unknown.*at the node 'g'"):
        tree.ccd.combine("meen")
    with pytest.raises(
        ValueError, match=r"no node of this DataTree has a variable with the dimension 'frame': its nodes"
    ):
        tree.ccd.combine().ccd.combine()
    with pytest.raises(ValueError, match=r"no node of this DataTree has a variable: its nodes are \."):
        _ = xr.DataTree().ccd.mask
    for verb in (xccd.header, xccd.wcs):
        with pytest.raises(TypeError, match="a DataArray, not to a DataTree: pick a variable"):
            verb(tree)


def test_one_warning_for_a_tree() -> None:
    tree = stacks(4)
    tree["few"] = xr.DataTree(tree["g"].to_dataset().isel(frame=slice(3)).assign(other=tree["g"]["data"][:3]))
    with pytest.warns(UserWarning, match=r"with 4 frame\(s\).*at the node 'g' \(and the like at 2 more\)") as record:
        tree.ccd.sigma_clip(3, 3)
    assert [Path(w.filename).name for w in record] == ["test_tree_verbs.py"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning, match="leaves nothing of 3"):
            tree.ccd.clip_extrema(2, 1)
    with pytest.warns(UserWarning, match="leaves nothing of 3.*at the node 'few'$"):
        tree.ccd.clip_extrema(2, 1)


# Out


def test_to_fits_writes_a_file_for_each_node(tmp_path: Path) -> None:
    night = xccd.simulate_night(tmp_path / "night", shape=(48, 40), nbias=3, ndark=2, nflat=2, nlight=2)
    masters = xccd.open_tree(night).ccd.combine("median")
    kinds = ["bias/0", "dark/60", "dark/120", "flat/g/2", "flat/r/1.5", "light/r/120"]
    paths = masters.ccd.to_fits(tmp_path, header={"OBSERVER": "me"})
    assert [p.name for p in paths] == [f"{path.replace('/', '-')}.fits" for path in kinds]
    for path, file in zip(kinds, paths, strict=True):
        alone = masters[path]["data"].ccd.to_fits(tmp_path / "alone.fits", header={"OBSERVER": "me"}, overwrite=True)
        assert file.read_bytes() == alone.read_bytes()
    again = masters["flat"].ccd.to_fits(tmp_path, overwrite=True)
    assert [p.name for p in again] == ["flat-g-2.fits", "flat-r-1.5.fits"]
    assert xccd.to_fits(masters["bias/0"], tmp_path)[0].name == "0.fits"
    assert xccd.to_fits(xr.DataTree(masters["bias/0"].to_dataset()), tmp_path)[0].name == "root.fits"


def test_to_fits_checks_everything_before_it_writes(tmp_path: Path) -> None:
    tree = stacks().ccd.combine()
    (tmp_path / "r.fits").touch()
    with pytest.raises(FileExistsError, match=r"(?s)r\.fits' is there already.*at the node 'r'"):
        tree.ccd.to_fits(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"there is no folder"):
        tree.ccd.to_fits(tmp_path / "none")
    with pytest.raises(ValueError, match=r"header=\{'NAXIS': \.\.\.\}"):
        tree.ccd.to_fits(tmp_path, overwrite=True, header={"NAXIS": 3})
    tree["z"] = tree["r"].to_dataset().astype("c8")
    with pytest.raises(TypeError, match=r"(?s)dtype complex64 cannot be written.*at the node 'z'"):
        tree.ccd.to_fits(tmp_path, overwrite=True)
    tree["z"] = tree["r"].to_dataset().assign(more=tree["r"]["data"])
    with pytest.raises(ValueError, match=r"(?s)the variables data, more, .* ds\[\['data'\]\].*at the node 'z'"):
        tree.ccd.to_fits(tmp_path, overwrite=True)
    same = xr.DataTree.from_dict({"a-b": tree["r"].to_dataset(), "a/b": tree["r"].to_dataset()})
    with pytest.raises(ValueError, match=r"several nodes of this tree would go to '.*a-b\.fits': rename"):
        same.ccd.to_fits(tmp_path)
    with pytest.raises(ValueError, match="to_fits: no node of this DataTree has a variable"):
        xr.DataTree().ccd.to_fits(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["r.fits"]
    assert (tmp_path / "r.fits").stat().st_size == 0


def test_a_variable_that_helps_another_is_an_extension(tmp_path: Path) -> None:
    image = stacks().ccd.combine()["g"].to_dataset()
    image["noise"] = image["data"] * 0
    image["data"].attrs["ancillary_variables"] = "noise"
    (path,) = xr.DataTree.from_dict({"g": image}).ccd.to_fits(tmp_path)
    np.testing.assert_array_equal(fits.getdata(path), image["data"])
    np.testing.assert_array_equal(fits.getdata(path, "NOISE"), image["noise"])


def odd_tree() -> xr.DataTree:
    names = iter(["Hδ/N II", "r band", "..", "__x", "-3", "x" * 300])
    cards = {"FILTER": "r", "CTYPE1": "RA---TAN", "DATE-OBS": "2024-01-01"}
    files = [(np.full((2, 3), float(i)), cards) for i in range(6)]
    return xccd.open_tree(files, by=["FILTER", lambda _: next(names)])


def through_netcdf(tree: xr.DataTree, folder: Path) -> xr.DataTree:
    tree.to_netcdf(folder / "tree.nc", engine="netcdf4")
    with xr.open_datatree(folder / "tree.nc", engine="netcdf4") as again:
        return again.load()


def through_zarr(tree: xr.DataTree, folder: Path) -> xr.DataTree:
    tree.to_zarr(folder / "tree.zarr", zarr_format=3, consolidated=False)
    return xr.open_datatree(folder / "tree.zarr", engine="zarr", consolidated=False, chunks={})


@pytest.mark.parametrize("through", [through_netcdf, through_zarr])
@pytest.mark.parametrize("make", [stacks, odd_tree])
def test_round_trips(tmp_path: Path, make: Any, through: Any) -> None:
    tree = make()
    again = through(tree, tmp_path)
    assert set(leaves(again)) == set(leaves(tree))
    for path in leaves(tree):
        xr.testing.assert_identical(again[path]["data"].compute(), tree[path]["data"].compute())
        image, other = (t.ccd.minmax(0, 11).ccd.combine()[path]["data"].compute() for t in (tree, again))
        xr.testing.assert_identical(image, other)
        assert again[path]["data"].ccd.header(0).tostring() == tree[path]["data"].ccd.header(0).tostring()
    combined = tree.ccd.combine()
    (tmp_path / "more").mkdir()
    back = through(combined, tmp_path / "more")
    first = leaves(tree)[0]
    assert back[first]["data"].ccd.header().tostring() == combined[first]["data"].ccd.header().tostring()
