"""`keyword`: any keyword of the headers by its name."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import xccd

CARDS = [
    {"EXPTIME": 30.0, "FILTER": "r", "DOMETEMP": 11.5, "READOUT": 2, "OPEN": True, "NOTE": "cloud"},
    {"EXPTIME": 60.0, "FILTER": "r", "DOMETEMP": 11.5, "READOUT": 2, "OPEN": True, "SEEING": 1.5},
]


def opened(**kwargs):
    return xccd.open_stack([(np.ones((2, 3)), cards) for cards in CARDS], **kwargs)


@pytest.mark.parametrize(
    ("name", "values", "kind"),
    [
        ("EXPTIME", [30.0, 60.0], "f"),
        ("exptime", [30.0, 60.0], "f"),
        ("EXPOSURE", None, ""),
        ("FILTER", ["r", "r"], "O"),
        ("DOMETEMP", [11.5, 11.5], "f"),
        ("READOUT", [2, 2], "i"),
        ("OPEN", [1, 1], "i"),
        ("NOTE", ["cloud", ""], "O"),
        ("SEEING", [np.nan, 1.5], "f"),
        (" dometemp ", [11.5, 11.5], "f"),
    ],
)
def test_a_value_for_each_frame(name, values, kind):
    stack = opened()
    if values is None:
        with pytest.raises(ValueError, match=r"name='EXPOSURE' is in no header.*The headers have .*DOMETEMP"):
            stack.ccd.keyword(name)
        return
    found = stack.ccd.keyword(name)
    assert (found.name, found.dims, found.dtype.kind) == (name.strip().upper(), ("frame",), kind)
    np.testing.assert_array_equal(found.values, values)
    assert not found.coords  # a label that is assigned would bring its own file names with it
    again = stack.assign_coords(X=found)
    np.testing.assert_array_equal(again.X.values, values)
    assert again.file.values.tolist() == stack.file.values.tolist()


def test_it_groups_and_selects():
    stack = opened()
    assert stack.groupby(stack.ccd.keyword("READOUT")).mean().sizes["READOUT"] == 1
    assert stack.isel(frame=(stack.ccd.keyword("SEEING") > 1).values).EXPTIME.values.tolist() == [60.0]


def test_of_a_frame_an_image_and_a_dataset():
    stack = opened()
    assert stack[1].ccd.keyword("SEEING").item() == 1.5
    assert stack[0].ccd.keyword("NOTE").item() == "cloud"
    image = stack.ccd.combine()
    assert (image.ccd.keyword("NCOMBINE").item(), image.ccd.keyword("DOMETEMP").item()) == (2, 11.5)
    ds = stack.ccd.to_dataset()
    np.testing.assert_array_equal(ds.ccd.keyword("SEEING").values, [np.nan, 1.5])
    assert xccd.keyword(opened(keep_headers=False).to_dataset(name="data"), "READOUT").values.tolist() == [2, 2]
    assert stack.rename(frame="time").ccd.keyword("READOUT", dim="time").dims == ("time",)


def test_without_headers_labels_and_attributes_tell():
    stack = opened(keep_headers=False)
    assert stack.ccd.keyword("READOUT").values.tolist() == [2, 2]
    assert stack.ccd.keyword("NOTE").values.tolist() == ["cloud", ""]
    with pytest.raises(
        ValueError, match=r"'READUOT' is no label and no attribute; did you mean 'READOUT'\? There are no"
    ):
        stack.ccd.keyword("READUOT")


def test_a_frame_that_cannot_be_opened_has_no_value(tmp_path: Path):
    stack = xccd.open_stack([(np.ones((2, 3)), CARDS[0]), tmp_path / "lost.fits"], errors="nan")
    np.testing.assert_array_equal(stack.ccd.keyword("DOMETEMP").values, [11.5, np.nan])
    assert stack.ccd.keyword("NOTE").values.tolist() == ["cloud", ""]


def test_a_label_that_was_assigned_comes_first_and_stays_lazy():
    stack = opened()
    stack = stack.assign_coords(level=stack.mean(("y", "x")))
    assert stack.ccd.keyword("level").chunks is not None
    assert stack.assign_coords(night="one").ccd.keyword("night").values.tolist() == ["one", "one"]


def test_long_names():
    stack = xccd.open_stack([(np.ones((2, 3)), {"HIERARCH ESO DET NAME": f"chip {i}"}) for i in (1, 2)])
    for name in ("ESO DET NAME", "HIERARCH ESO DET NAME", "eso det  name", "ESO_DET_NAME"):
        assert stack.ccd.keyword(name).values.tolist() == ["chip 1", "chip 2"]


def test_cards_that_no_longer_hold():
    cards = {"BIASSEC": "[1:2,1:4]", "TRIMSEC": "[3:6,1:4]"}
    trimmed = xccd.open_stack([(np.ones((4, 6)), cards)] * 2).ccd.trim()
    with pytest.raises(
        ValueError, match=r"'TRIMSEC': the files have it, and it no longer holds after the step that TRIM"
    ):
        trimmed.ccd.keyword("TRIMSEC")


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("REDOUT", ValueError, r"name='REDOUT' is in no header, no label and no attribute; did you mean 'READOUT'\?"),
        ("header", ValueError, r"name='header' is no keyword: header\(i\) gives"),
        ("HISTORY", ValueError, "name='HISTORY': such cards have no value; header"),
        ("", ValueError, "name='' is empty"),
        (3, TypeError, "takes the name of a keyword, as 'AIRMASS', not an int: name=3"),
        (["A"], TypeError, "not a list"),
    ],
)
def test_what_is_refused(name, error, message):
    with pytest.raises(error, match=message):
        opened().ccd.keyword(name)


def test_the_dimension_of_the_frames():
    stack = opened().rename(frame="time")
    assert stack.ccd.keyword("READOUT", dim="time").values.tolist() == [2, 2]
    with pytest.raises(ValueError, match="dim='tim': the dimensions are time, y, x; did you mean 'time'"):
        stack.ccd.keyword("READOUT", dim="tim")
    with pytest.raises(ValueError, match=r"name='EXPTIME': this label is along 'time': .* say dim='time'"):
        stack.ccd.keyword("EXPTIME")


def test_objects_that_are_refused():
    with pytest.raises(TypeError, match=r"belongs to a DataArray or a Dataset, not to a DataTree: pick a variable"):
        xr.DataTree.from_dict({"a": opened().to_dataset(name="data")}).ccd.keyword("FILTER")
    with pytest.raises(TypeError, match="not to a ndarray"):
        xccd.keyword(np.ones(3), "FILTER")
