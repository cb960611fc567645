"""What frames and products say of their calibration: cards, HISTORY, units, and labels that survive."""

import numpy as np
import pytest
import xarray as xr
from astropy.io import fits

import xccd

CARDS = {
    "BUNIT": "adu", "EXPTIME": 60.0, "GAIN": 1.5, "RDNOISE": 6.0, "IMAGETYP": "Light Frame", "FILTER": "r",
    "BIASSEC": "[5:6,1:4]", "TRIMSEC": "[1:4,1:4]", "OBJECT": "M 51",
}  # fmt: skip


@pytest.fixture
def night(tmp_path):
    rng = np.random.default_rng(2)
    for i in range(3):
        image = xccd.open_image((rng.normal(1500, 9, (4, 6)), CARDS))
        image.ccd.to_fits(tmp_path / f"light-{i}.fits", dtype="uint16")
    for name, level, time in (("bias", 3.0, 0.0), ("dark", 9.0, 60.0), ("flat", 2e4, 1.0)):
        cards = {"BUNIT": "adu", "EXPTIME": time, "IMAGETYP": name} | ({"FILTER": "r"} if name == "flat" else {})
        xccd.open_image((rng.normal(level, 0.1, (4, 4)), cards)).ccd.to_fits(tmp_path / f"{name}.fits")
    return tmp_path


def calibrated(folder, flagged=False):
    stack = xccd.open_stack(folder / "light-*.fits")
    stack = stack.ccd.to_dataset() if flagged else stack
    ready = stack.ccd.subtract_overscan().ccd.trim().ccd.subtract_bias(folder / "bias.fits")
    return ready.ccd.subtract_dark(folder / "dark.fits").ccd.flat_correct(folder / "flat.fits").ccd.gain_correct()


SAID = {
    "OSCANSEC": "[5:6,1:4]", "TRIM": "[1:4,1:4]", "BIASCOR": "bias.fits", "DARKCOR": "dark.fits",
    "FLATCOR": "flat.fits", "GAINCOR": 1.5,
}  # fmt: skip
STEPS = ("subtract_overscan", "trim", "subtract_bias", "subtract_dark", "flat_correct", "gain_correct", "combine")


@pytest.mark.parametrize("flagged", [False, True])
def test_a_product_says_what_was_done(night, flagged):
    made = calibrated(night, flagged).ccd.combine("mean")
    path = made.ccd.to_fits(night / "mean.fits")
    head = fits.getheader(path)
    assert {k: head[k] for k in SAID} == SAID
    assert head.comments["FLATCOR"] == "flat that was divided by"
    assert not {"GAIN", "BIASSEC", "TRIMSEC", "EFFGAIN"} & set(head)
    assert head["BUNIT"] == "electron"
    assert [head[f"IMCMB00{i}"] for i in (1, 2, 3)] == [f"light-{i}.fits" for i in range(3)]
    text = "".join(str(line) for line in head["HISTORY"])
    places = [text.index(f"xccd.{step}(") for step in STEPS]
    assert places == sorted(places)
    assert "xccd.subtract_bias(bias='bias.fits')" in text
    assert "xccd.subtract_dark(dark='dark.fits', scale='EXPTIME')" in text
    again = xccd.open_image(path)
    assert again.attrs["BIASCOR"] == "bias.fits"
    with pytest.warns(UserWarning, match="says that this was done before"):
        again.ccd.subtract_bias(np.zeros((4, 4)))


@pytest.mark.parametrize("flagged", [False, True])
def test_a_frame_says_it_too_and_its_label_header_does_not(night, flagged):
    ready = calibrated(night, flagged)
    frame = ready["data"] if flagged else ready
    for head in (frame.ccd.header(1), frame[1].ccd.header(), frame.ccd.header()):
        assert {k: head[k] for k in SAID} == SAID
        assert (head["GAIN"], head["BUNIT"], head["OBJECT"]) == (1.0, "electron", "M 51")
        assert len(head["HISTORY"]) >= 6
    raw = xccd.open_stack(night / "light-*.fits")
    assert frame.header.values.tolist() == raw.header.values.tolist()
    path = frame[0].ccd.to_fits(night / "one.fits")
    assert fits.getheader(path)["DARKCOR"] == "dark.fits"


def test_a_gain_is_still_known_after_bias_and_dark(night):
    stack = xccd.open_stack(night / "light-*.fits").ccd.trim()
    ready = stack.ccd.subtract_bias(night / "bias.fits").ccd.subtract_dark(night / "dark.fits")
    head = ready.ccd.combine("mean").ccd.header()
    assert head["EFFGAIN"] == pytest.approx(4.5)
    assert head["EFFRDN"] == pytest.approx(6 * np.sqrt(3))
    flat = ready.ccd.flat_correct(night / "flat.fits").ccd.combine("mean").ccd.header()
    assert "EFFGAIN" not in flat


def test_labels_go_through_selection_arithmetic_files_and_concat(night):
    ready = calibrated(night)
    for other in (ready[1:], ready - 1.0, ready.sel(y=slice(1, 2)), xr.concat([ready[:1], ready[1:]], "frame")):
        assert set(other.BIASCOR.values.tolist()) == {"bias.fits"}
    ready.ccd.to_zarr(night / "ready.zarr")
    back = xr.open_zarr(night / "ready.zarr")["data"]
    assert back.BIASCOR.values.tolist() == ["bias.fits"] * 3
    assert back.ccd.combine("mean").ccd.header()["BIASCOR"] == "bias.fits"


def test_frames_of_several_masters_have_no_common_card(night):
    stack = xccd.open_stack(night / "light-*.fits").ccd.trim()
    one = stack[:1].ccd.subtract_bias(night / "bias.fits")
    two = stack[1:].ccd.subtract_bias(xccd.open_image(night / "bias.fits").drop_attrs().drop_encoding())
    both = xr.concat([one, two], "frame", combine_attrs="drop_conflicts")
    assert both.BIASCOR.values.tolist() == ["bias.fits", "<4 x 4 values>", "<4 x 4 values>"]
    assert "BIASCOR" not in both.ccd.combine("mean").ccd.header()
    assert both.ccd.header(0)["BIASCOR"] == "bias.fits"


def test_masters_are_named(night):
    stack = xccd.open_stack(night / "light-*.fits").ccd.trim()
    frames = xccd.open_stack([(np.full((4, 4), float(i)), {}) for i in (1, 2)])
    frames = frames.assign_coords(file=("frame", ["b/bias-1.fits", "b/bias-2.fits"]))
    master = frames.ccd.combine("mean")
    assert stack.ccd.subtract_bias(master).BIASCOR.values[0] == "2 frames, bias-1.fits and so on"
    assert stack.ccd.subtract_bias(xccd.open_image(night / "bias.fits")).BIASCOR.values[0] == "bias.fits"
    assert stack.ccd.subtract_bias(xccd.open_stack(night / "bias.fits")).BIASCOR.values[0] == "bias.fits"


def test_arrays_without_headers(tmp_path):
    stack = xr.DataArray(np.ones((2, 3, 4)), dims=("frame", "y", "x"))
    ready = stack.ccd.subtract_bias(np.zeros((3, 4)))
    made = ready.ccd.combine("mean")
    assert made.ccd.header()["BIASCOR"] == "<3 x 4 values>"
    image = stack[0].ccd.subtract_bias(np.zeros((3, 4)))
    assert image.attrs["BIASCOR"] == "<3 x 4 values>"
    assert image.ccd.header()["BIASCOR"] == "<3 x 4 values>"
