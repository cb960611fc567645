"""Products that a label tells apart, and the nodes of a tree, in one file: each with its own name, header and maps."""

from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import xarray as xr
from astropy.io import fits
from astropy.nddata import CCDData

import xccd

KINDS = [("B", 50.0, "adu"), ("V", 30.0, "adu"), ("V", 40.0, "adu")]
SHAPE = (2, 3)


def frames(kinds: Any = KINDS, **more: Any) -> list[Any]:
    return [(np.full(SHAPE, t, "f4"), {"FILTER": f, "EXPTIME": t, "BUNIT": unit, **more}) for f, t, unit in kinds]


def by_filter(chunks: object = "auto", flagged: bool = False) -> Any:
    stack = xccd.open_stack(frames(), chunks=chunks)
    return (stack.ccd.to_dataset() if flagged else stack).groupby("FILTER").map(lambda g: g.ccd.combine("mean"))


RUNS = [(chunks, scheduler) for chunks in (None, "auto", {"y": 1}) for scheduler in ("sync", "threads")]


@pytest.mark.parametrize(("chunks", "scheduler"), RUNS, ids=str)
def test_each_filter_has_its_numbers(tmp_path: Path, chunks: object, scheduler: str) -> None:
    with dask.config.set(scheduler=scheduler, num_workers=2):
        path = by_filter(chunks).ccd.to_fits(tmp_path / "a.fits")
    with fits.open(path) as hdus:
        hdus.verify("exception")
        assert [(hdu.name, hdu.ver) for hdu in hdus] == [("PRIMARY", 1), ("B", 1), ("V", 2)]
        assert [hdus[k].header["EXPTIME"] for k in ("B", "V")] == [50.0, 35.0]
        assert [hdus[k].header["NCOMBINE"] for k in ("B", "V")] == [1, 2]
        assert hdus["V"].header["IMCMB002"] == "frame-3"
    v = xccd.open_image(path, hdu="V")
    assert (v.values == 35).all()
    assert v.attrs["EXPTIME"] == 35.0
    assert v.ccd.header()["FILTER"] == "V"
    assert CCDData.read(path, hdu="V").unit == "adu"


@pytest.mark.versions
@pytest.mark.parametrize("name", ["a.fits", "a.fits.fz"])
def test_the_maps_of_each(tmp_path: Path, name: str) -> None:
    path = by_filter(flagged=True).ccd.to_fits(tmp_path / name, checksum=True)
    with fits.open(path, checksum=True) as hdus:
        names = [(hdu.name, hdu.ver) for hdu in hdus[1:]]
    assert names == [("B", 1), ("UNCERT", 1), ("COUNT", 1), ("V", 2), ("UNCERT", 2), ("COUNT", 2)]
    back = xccd.open_dataset(path, hdu="V")
    np.testing.assert_array_equal(back.data_uncertainty.values[0], np.full(SHAPE, 5.0))
    assert np.isnan(xccd.open_dataset(path, hdu="B").data_uncertainty.values).all()
    assert fits.getdata(path, ("COUNT", 2)).tolist() == [[2] * 3] * 2


def test_two_keywords(tmp_path: Path) -> None:
    """Pairs of values that no frame has are no products."""
    two = xccd.open_stack(frames()).groupby(["FILTER", "EXPTIME"]).map(lambda g: g.ccd.combine("mean"))
    assert two.sizes["EXPTIME"] * two.sizes["FILTER"] == 6
    path = two.ccd.to_fits(tmp_path / "a.fits", dtype="uint16")  # without the NaN of those that are not there
    with fits.open(path) as hdus:
        assert [hdu.name for hdu in hdus[1:]] == ["B_EXPTIME_50", "V_EXPTIME_30", "V_EXPTIME_40"]
        assert [hdu.data[0, 0] for hdu in hdus[1:]] == [50, 30, 40]
        assert [hdu.header["EXPTIME"] for hdu in hdus[1:]] == [50, 30, 40]


def test_products_that_were_concatenated(tmp_path: Path) -> None:
    images = [xccd.open_stack(frames([k])).ccd.combine() for k in (("B", 50.0, "adu"), ("V", 30.0, "electron"))]
    path = xr.concat(images, "night").ccd.to_fits(tmp_path / "a.fits")
    with fits.open(path) as hdus:
        assert [(hdu.name, hdu.ver) for hdu in hdus[1:]] == [("night", 1), ("night", 2)]
        assert [hdu.header["EXPTIME"] for hdu in hdus[1:]] == [50, 30]
        assert [hdu.header["BUNIT"] for hdu in hdus[1:]] == ["adu", "electron"]  # xarray keeps the first one's
    assert (xccd.open_image(path, hdu=("night", 2)).values == 30).all()
    nights = xr.DataArray(np.array(["2026-01-01", "2026-01-02"], "M8[ns]"), dims="night", name="night")
    path = xr.concat(images, nights).ccd.to_fits(tmp_path / "b.fits", header={"OBSERVER": "A. Person"})
    with fits.open(path) as hdus:
        assert [hdu.name for hdu in hdus[1:]] == ["2026-01-01", "2026-01-02"]
        assert [hdu.header["OBSERVER"] for hdu in hdus[1:]] == ["A. Person"] * 2


def test_without_headers_nothing_is_said_that_holds_for_the_first_alone(tmp_path: Path) -> None:
    product = by_filter().drop_vars("image_header")
    assert product.attrs["EXPTIME"] == 50
    with fits.open(product.ccd.to_fits(tmp_path / "a.fits")) as hdus:
        assert [hdu.header["FILTER"] for hdu in hdus[1:]] == ["B", "V"]
        assert all("EXPTIME" not in hdu.header and hdu.header["BUNIT"] == "adu" for hdu in hdus[1:])


@pytest.mark.parametrize(
    ("label", "name"), [("MASK", "FILTER_MASK"), ("Sloan r/2", "Sloan r-2"), ("H\u03b1", "H\\u03b1"), ("", "FILTER")]
)
def test_names(tmp_path: Path, label: str, name: str) -> None:
    product = by_filter().assign_coords(FILTER=["B", label])
    path = product.ccd.to_fits(tmp_path / "a.fits")
    assert fits.getheader(path, 2)["EXTNAME"] == name
    assert (xccd.open_image(path, hdu=name).values == 35).all()


def test_what_stays_a_cube(tmp_path: Path) -> None:
    """Stacks, cubes, and dimensions of other software whose labels are numbers."""
    cubes = {
        "stack": xccd.open_stack(frames()),
        "cube": xr.DataArray(np.zeros((2, *SHAPE)), dims=("z", "y", "x")),
        "waves": xr.DataArray(np.zeros((2, *SHAPE)), dims=("wave", "y", "x"), coords={"wave": [1.0, 2.0]}),
    }
    for name, cube in cubes.items():
        with fits.open(cube.ccd.to_fits(tmp_path / f"{name}.fits")) as hdus:
            assert len(hdus) == 1
            assert hdus[0].data.shape == cube.shape


def test_lists_of_very_many_inputs(tmp_path: Path) -> None:
    many = xccd.open_stack([(np.zeros((1, 2), "f4"), {"FILTER": "V" if i else "B"}) for i in range(1002)])
    path = many.groupby("FILTER").map(lambda g: g.ccd.combine("mean")).ccd.to_fits(tmp_path / "a.fits")
    with fits.open(path) as hdus:
        assert [(hdu.name, hdu.ver) for hdu in hdus[1:]] == [("B", 1), ("V", 2), ("FRAMES", 2)]
        assert len(hdus["FRAMES"].data) == 1001


def tree() -> xr.DataTree:
    chips = {f"ccd{i}": xccd.open_dataset(frames(CHIP=i)).isel(x=slice(0, i)) for i in (1, 2)}
    return xr.DataTree.from_dict(chips)


@pytest.mark.versions
@pytest.mark.filterwarnings("ignore:combine. the frames differ in FILTER:UserWarning")
@pytest.mark.parametrize("chunks", [None, "auto"])
def test_a_tree_as_one_file(tmp_path: Path, chunks: object) -> None:
    """Chips of differing shapes, each beside its maps."""
    chips = {f"ccd{i}": xccd.open_dataset(frames(CHIP=i), chunks=chunks).isel(x=slice(0, i)) for i in (1, 2)}
    masters = xr.DataTree.from_dict(chips).ccd.combine("mean")
    path = masters.ccd.to_fits(tmp_path / "a.fits", single=True)
    assert path == tmp_path / "a.fits"
    with fits.open(path) as hdus:
        hdus.verify("exception")
        names = [(hdu.name, hdu.ver) for hdu in hdus[1:]]
        assert [hdus[name].header["CHIP"] for name in ("CCD1", "CCD2")] == [1, 2]
    assert names == [("ccd1", 1), ("UNCERT", 1), ("COUNT", 1), ("ccd2", 2), ("UNCERT", 2), ("COUNT", 2)]
    for i in (1, 2):
        back = xccd.open_dataset(path, hdu=f"ccd{i}")
        np.testing.assert_array_equal(back.data.values[0], masters[f"ccd{i}/data"].values)
        np.testing.assert_array_equal(back.data_uncertainty.values[0], masters[f"ccd{i}/data_uncertainty"].values)
    assert [p.name for p in masters.ccd.to_fits(tmp_path)] == ["ccd1.fits", "ccd2.fits"]


def test_nodes_that_hold_products_by_filter(tmp_path: Path) -> None:
    nodes = xr.DataTree.from_dict({"flat/1": by_filter(flagged=True), "mask": by_filter(flagged=True)})
    with fits.open(nodes.ccd.to_fits(tmp_path / "a.fits", single=True)) as hdus:
        names = [hdu.name for hdu in hdus[1:] if hdu.name not in ("UNCERT", "COUNT")]
        assert names == ["mask-B", "mask-V", "flat-1-B", "flat-1-V"]
        assert [hdus[name].header["EXPTIME"] for name in ("FLAT-1-B", "FLAT-1-V")] == [50, 35]
    for path in nodes.ccd.to_fits(tmp_path):
        assert xccd.open_image(path, hdu="V").attrs["EXPTIME"] == 35
    (tmp_path / "b").mkdir()
    with pytest.raises(IsADirectoryError, match="b' is a folder: name the file in it"):
        nodes.ccd.to_fits(tmp_path / "b", single=True)


def test_a_stack_of_chips(tmp_path: Path) -> None:
    """A label on frame, and one extension for each chip."""
    stack = xccd.open_stack(frames()).assign_coords(chip=("frame", ["im1", "im2", "im2"]))
    path = stack.groupby("chip").map(lambda g: g.ccd.combine("mean")).ccd.to_fits(tmp_path / "a.fits")
    assert xccd.open_image(path, hdu="im2").attrs["NCOMBINE"] == 2


@pytest.mark.filterwarnings("ignore:combine. the frames differ in FILTER:UserWarning")
def test_maps_have_their_attributes_by_name() -> None:
    """Whatever maps a method has."""
    ds = xccd.open_dataset(frames())
    for method in ("mean", "max", "count", lambda values, axis: values.max(axis)):
        image = ds.ccd.combine(method)
        for name, words in (("data_count", "number of samples"), ("data_uncertainty", "standard error")):
            assert name not in image or words in image[name].attrs["long_name"]
        assert "data_uncertainty" not in image or image.data_uncertainty.attrs["units"] == "adu"
