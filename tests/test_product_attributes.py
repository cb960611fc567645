"""A product's attributes and cards are of its frames alone, whatever arithmetic brought."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import xccd

pytestmark = pytest.mark.versions

LIGHT = {"OBJECT": "M 51", "TELESCOP": "here", "EXPTIME": 30.0, "GAIN": 1.5, "BUNIT": "adu"}
OTHER = {"OBJECT": "bias", "INSTRUME": "another", "OBSERVER": "nobody", "HIERARCH ESO DET ID": 7, "EXPTIME": 0.0}
STRANGE = {"INSTRUME", "OBSERVER", "ESO_DET_ID", "ESO DET ID"}


def lights(**options: Any) -> xr.DataArray:
    return xccd.open_stack([(np.full((2, 3), 100.0 + i), LIGHT | {"SEQ": i}) for i in range(3)], **options)


def opened(tmp_path: Path) -> xr.DataArray:
    return xccd.open_image((np.ones((2, 3)), OTHER))


def combined(tmp_path: Path) -> xr.DataArray:
    return xccd.open_stack([(np.ones((2, 3)), OTHER)] * 4).ccd.combine().compute()


def written(tmp_path: Path) -> xr.DataArray:
    return xccd.open_image(combined(tmp_path).ccd.to_fits(tmp_path / "bias.fits"))


MASTERS = [opened, combined, written]
ARITHMETIC = {
    "minus": lambda s, m: s - m,
    "over": lambda s, m: s / m,
    "both": lambda s, m: (s - m) / m.assign_attrs(FILTERID="r"),
    "where": lambda s, m: s.where(m > 0),
    "xr.where": lambda s, m: xr.where(m > 0, s, np.nan, keep_attrs=True),
    "before a verb": lambda s, m: (s - m).ccd.minmax(-1, 1e6).ccd.normalize(scale="median"),
    "in place": lambda s, m: _minus(s.copy(), m),
}


def _minus(stack: xr.DataArray, image: xr.DataArray) -> xr.DataArray:
    stack -= image
    return stack


@pytest.mark.parametrize("master", MASTERS)
@pytest.mark.parametrize("name", ARITHMETIC)
def test_nothing_of_another_image_is_in_a_product(tmp_path: Path, name: str, master: Any) -> None:
    other = master(tmp_path)
    for options in ({}, {"keep_headers": False}, {"chunks": None}):
        image = ARITHMETIC[name](lights(**options), other).ccd.combine()
        header = image.ccd.header()
        assert not (STRANGE | {"FILTERID"}) & {*image.attrs, *header}
        assert (header["OBJECT"], image.attrs["OBJECT"], header["NCOMBINE"]) == ("M 51", "M 51", 3)
        assert image.attrs["EXPTIME"] == 30


def test_what_all_frames_share_is_in_the_attributes() -> None:
    image = lights().ccd.combine()
    assert image.attrs == {
        "OBJECT": "M 51", "TELESCOP": "here", "GAIN": 1.5, "NCOMBINE": 3, "EXPTIME": 30, "EXPTOTAL": 90,
        "EFFGAIN": 4.5, "units": "adu",
    }  # fmt: skip
    again = lights(keep_headers=False).ccd.combine()
    assert again.attrs == image.attrs
    for one in (image, again):
        assert {k: one.ccd.header()[k] for k in image.attrs if k != "units"} == {
            k: v for k, v in image.attrs.items() if k != "units"
        }


def test_attributes_of_other_software_stay() -> None:
    stack = lights().assign_attrs(note="mine", grid_mapping="crs", TABLE=[1, 2], Conventions="CF-1.11")
    for one in (stack, stack - 1, stack.ccd.minmax(0, 1e5)):
        attrs = one.ccd.combine().attrs
        assert [attrs[k] for k in ("note", "grid_mapping", "TABLE", "Conventions")] == [
            "mine", "crs", [1, 2], "CF-1.11"
        ]  # fmt: skip
    assert "OBSERVER" not in stack.assign_attrs(OBSERVER="me").ccd.combine().attrs  # no frame says so


def test_without_headers_labels_say_what_all_frames_share() -> None:
    stack = lights(keep_headers=False) - opened(Path())
    image = stack.ccd.combine()
    assert image.attrs == {"OBJECT": "M 51", "NCOMBINE": 3, "EXPTIME": 30, "EXPTOTAL": 90, "units": "adu"}
    lost = lights() - lights().assign_coords(header=("frame", ["", "", ""])).assign_attrs(OBSERVER="nobody")
    assert "header" not in lost.coords
    assert not {"OBSERVER", "TELESCOP"} & set(lost.ccd.combine().attrs)


def test_a_stack_that_was_made_by_hand_has_its_attributes() -> None:
    stack = xr.DataArray(np.ones((3, 2, 2)), dims=("frame", "y", "x"), attrs={"AIRMASS": 1.5, "NCOMBINE": 7})
    for one in (stack, stack.ccd.minmax(0, 2), stack * 2):
        attrs = one.ccd.combine().attrs
        assert (attrs["AIRMASS"], attrs["NCOMBINE"]) == (1.5, 3)


def test_labels_that_wait_are_not_computed() -> None:
    def computed(block: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        raise AssertionError("a block was computed")

    stack = lights(keep_headers=False)
    stack = stack.copy(data=stack.data.map_blocks(computed, dtype=stack.dtype, meta=np.empty((0, 0, 0))))
    names = ("SEEING", "EXPTIME", "DATE-OBS", "DATE-END", "NCOMBINE", "IMAGETYP", "FILTER", "scale")
    stack = stack.assign_coords({k: stack.mean(("y", "x")) for k in names})
    header = stack.ccd.combine().ccd.header()
    assert not {"SEEING", "EXPTIME", "EXPTOTAL", "DATE-END"} & set(header)


def test_a_product_is_read_without_a_warning(tmp_path: Path) -> None:
    from astropy.nddata import CCDData

    stack = xccd.open_stack([(np.ones((2, 3)), LIGHT | {"DATE-OBS": f"2024-03-0{i + 1}T01:00:00"}) for i in range(3)])
    ccd = CCDData.read(stack.ccd.combine().ccd.to_fits(tmp_path / "a.fits"))  # warnings are errors here
    assert ccd.header["DATE-AVG"] == "2024-03-02T01:00:15.000"


def test_variables_of_one_dataset_share_what_holds_for_all() -> None:
    ds = lights().to_dataset(name="raw").assign(twice=lights() * 2)
    product = ds.ccd.combine()
    for name in ("raw", "twice"):
        header = product[name].ccd.header()
        assert (header["NCOMBINE"], header["OBJECT"], header["BUNIT"]) == (3, "M 51", "adu")
        assert not {"GAIN", "EFFGAIN"} & set(header)
    assert (product.raw.attrs["EFFGAIN"], "EFFGAIN" in product.twice.attrs) == (4.5, False)


def test_a_label_of_ones_own_is_no_factor_that_was_applied() -> None:
    stack = lights().assign_coords(scale=("frame", [1.0, 2.0, 3.0]), scaled_exposure=("frame", [1.0, 2.0, 3.0]))
    attrs = stack.ccd.combine().attrs
    assert (attrs["EXPTIME"], attrs["EFFGAIN"]) == (30, 4.5)
    assert stack.ccd.combine(scale="scale").attrs["EXPTIME"] == 60


@pytest.mark.parametrize("opened", [True, False])
def test_a_master_says_nothing_of_frames_made_by_hand(tmp_path: Path, opened: bool) -> None:
    """A stack without labels less a master has the master's header text as a label, as masters put together have."""
    raw = xccd.open_stack(
        [(np.full((4, 5), 1000.0 + i), {"OBJECT": "bias", "EXPTIME": 0.0}) for i in range(3)], chunks=None
    )
    master = raw.ccd.combine("mean")
    if opened:
        master = xccd.open_image(master.ccd.to_fits(tmp_path / "bias.fits"))
    lights = xr.DataArray(np.random.default_rng(0).normal(1100, 5, (4, 4, 5)), dims=("frame", "y", "x"))
    image = (lights - master.load()).ccd.combine("mean")
    assert image.attrs["NCOMBINE"] == 4
    assert not {"OBJECT", "EXPTIME", "EXPTOTAL"} & set(image.attrs)
    assert "OBJECT" not in image.ccd.header()
    both = xr.concat([master, master], "frame").ccd.combine("mean")
    assert (both.attrs["NCOMBINE"], both.attrs["OBJECT"]) == (6, "bias")
