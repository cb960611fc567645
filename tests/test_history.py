"""`header` is what the file says; what verbs did is in `attrs["history"]`, and both reach the product."""

import numpy as np
import pytest
import xarray as xr
from astropy.io import fits

import xccd

TAN = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 10.0, "CRVAL2": 20.0, "CRPIX2": 2.0, "CDELT1": -1e-4,
       "CDELT2": 1e-4}  # fmt: skip
VERBS = {
    "sigma_clip": lambda s: s.ccd.sigma_clip(1, 1),
    "clip_extrema": lambda s: s.ccd.clip_extrema(1, 0),
    "minmax": lambda s: s.ccd.minmax(0, 1e6),
    "mask_where": lambda s: s.ccd.mask_where(np.eye(4, 5)),
    "normalize": lambda s: s.ccd.normalize(scale="median"),
    "align": lambda s: s.ccd.align(),
    "offsets": lambda s: s.ccd.align(offsets=[(0, 0.5 * i) for i in range(6)]),
}


def frames(apart=0.0):
    rng = np.random.default_rng(0)
    return [(rng.normal(100, 5, (4, 5)), TAN | {"CRPIX1": 3.0 + apart * i, "EXPTIME": 1.0 + i}) for i in range(6)]


@pytest.mark.versions(form=("dask", "flagged"))
@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("form", ["numpy", "dask", "deferred", "flagged"])
def test_no_verb_touches_a_header(verb, form):
    opened = xccd.open_dataset if form == "flagged" else xccd.open_stack
    stack = opened(frames(0.5), chunks=None if form == "deferred" else "auto")
    stack = stack.compute() if form == "numpy" else stack
    if form == "flagged" and verb == "normalize":
        return
    made = VERBS[verb](stack)
    assert made.header.values.tolist() == stack.header.values.tolist()
    attrs = (made["data"] if form == "flagged" else made).attrs
    assert attrs["history"].startswith(f"xccd.{verb if verb != 'offsets' else 'align'}(")
    data = made["data"] if form == "flagged" else made
    twice = VERBS[verb](made)
    history = (twice["data"] if form == "flagged" else twice).attrs["history"].split("\n")
    assert (len(history), len({*history})) == (2, 1) or verb == "align"  # frames on one grid stay as they are
    lines = [line for line in data.ccd.header(1)["HISTORY"] if line.startswith("xccd.")]
    assert len(lines) == 1
    image = made.ccd.combine("mean")
    head = (image["data"] if form == "flagged" else image).ccd.header()
    assert [line.split("(")[0] for line in head["HISTORY"] if line.startswith("xccd.")][-1] == "xccd.combine"
    assert ("CTYPE1" in head) == (verb in ("align", "offsets"))  # before, each frame has another


RECIPES = {
    "the rest filled": lambda raw, clipped: clipped.fillna(raw),
    "what was rejected": lambda raw, clipped: raw.where(clipped.ccd.mask),
    "what was kept": lambda raw, clipped: raw.where(~clipped.ccd.mask),
    "a table": lambda raw, clipped: xr.Dataset({"raw": raw, "clipped": clipped})["clipped"],
    "a difference": lambda raw, clipped: raw - clipped,
    "one of both": lambda raw, clipped: xr.where(clipped > 0, clipped, raw),
    "together": lambda raw, clipped: xr.concat([raw, clipped], "frame"),
    "a residual": lambda raw, clipped: clipped - clipped.ccd.combine("median"),
}


@pytest.mark.versions(verb=("sigma_clip",))
@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("verb", ["sigma_clip", "mask_where", "normalize"])
@pytest.mark.parametrize("chunks", ["auto", None])
def test_recipes_keep_header_and_wcs(recipe, verb, chunks):
    if (recipe, verb) == ("together", "normalize"):
        return  # xarray asks for the labels scale and zero in both
    raw = xccd.open_stack(frames(), chunks=chunks)
    made = RECIPES[recipe](raw, VERBS[verb](raw))
    assert made.header.values[:6].tolist() == raw.header.values.tolist()
    assert made.ccd.wcs(2).wcs.crpix.tolist() == [3, 2]
    assert made.ccd.combine("mean").ccd.wcs().wcs.crval.tolist() == [10, 20]


@pytest.mark.versions
def test_a_table_of_frames():
    raw = xccd.open_stack(frames())
    table = xr.Dataset(
        {"median": raw.median(("y", "x")), "rejected": VERBS["sigma_clip"](raw).ccd.mask.mean(("y", "x"))}
    )
    assert table.header.values.tolist() == raw.header.values.tolist()


@pytest.mark.versions
def test_a_master_leaves_its_steps_to_itself():
    """What was done to a bias was not done to the lights that it is subtracted from."""
    raw = xccd.open_stack(frames())
    bias = raw.ccd.clip_extrema(1, 0).ccd.combine("median")
    assert "history" not in bias.attrs
    assert "xccd.clip_extrema" in "".join(bias.ccd.header()["HISTORY"])
    light = raw.ccd.minmax(0, 1e6) - bias
    assert light.attrs["history"] == "xccd.minmax(min=0, max=1000000.0)"
    steps = [s.split("(")[0] for s in light.ccd.combine("mean").ccd.header()["HISTORY"]]
    assert steps == ["xccd.minmax", "xccd.combine"]


@pytest.mark.versions
def test_history_of_others_and_of_files(tmp_path):
    clipped = VERBS["sigma_clip"](xccd.open_stack(frames())).assign_attrs(units="adu")
    clipped.attrs["history"] += "\nncks -v data in.nc out.nc\n"
    first = clipped.ccd.combine("mean").ccd.to_fits(tmp_path / "first.fits")
    steps = list(fits.getheader(first)["HISTORY"])
    assert steps[-2:] == ["ncks -v data in.nc out.nc", "xccd.combine(method='mean')"]
    second = clipped.ccd.combine("mean").ccd.to_fits(tmp_path / "another.fits")
    again = xccd.open_stack([first, second]).ccd.minmax(0, 1e6)
    assert again.attrs["history"].count("xccd.") == 1
    path = again.ccd.combine("sum").ccd.to_fits(tmp_path / "second.fits")
    names = [s.split("(")[0] for s in fits.getheader(path)["HISTORY"] if s.startswith("xccd.")]
    assert names == ["xccd.sigma_clip", "xccd.combine", "xccd.minmax", "xccd.combine"]
    clipped.to_netcdf(tmp_path / "stack.nc")
    with xr.open_dataarray(tmp_path / "stack.nc") as saved:
        assert list(saved.ccd.header(0)["HISTORY"]) == list(clipped.ccd.header(0)["HISTORY"])


@pytest.mark.versions
def test_aligned_frames_that_lost_their_grid():
    aligned = xccd.open_stack(frames(0.5)).ccd.align()
    crop = aligned[2, 1:, 2:]
    expected = aligned.ccd.wcs().wcs.crpix - [2, 1]
    assert crop.ccd.wcs().wcs.crpix.tolist() == pytest.approx(expected)
    assert aligned[:, 1:, 2:].ccd.combine().ccd.wcs().wcs.crpix.tolist() == pytest.approx(expected)
    joined = xr.concat([aligned[:2], aligned[2:]], "frame")
    assert joined.ccd.wcs().wcs.crpix.tolist() == aligned.ccd.wcs().wcs.crpix.tolist()
    other = xccd.open_stack(frames(0.5)).ccd.align(0)
    mixed = aligned[:, :4, :5] - other[:, :4, :5]
    assert "aligned_to" not in mixed.coords
    with pytest.raises(ValueError, match=r"it was aligned, and arithmetic with other frames.* dropped.*'aligned_to'"):
        mixed.ccd.wcs(0)
    assert "CTYPE1" not in mixed.ccd.combine().ccd.header()  # that of the files is not of these pixels


@pytest.mark.versions
def test_a_lost_header_is_not_called_a_file_without_wcs():
    raw = xccd.open_stack(frames())
    other = xccd.open_stack([(a, h | {"OBJECT": "other"}) for a, h in frames()])
    with pytest.raises(ValueError, match=r"has no header. If its file has one, arithmetic with other frames.*'header'"):
        (raw - other).ccd.wcs(0)
    for verb in ("align", "assign_sky_coords"):
        with pytest.raises(ValueError, match=r"no header|no WCS"):
            getattr((raw - other).ccd, verb)()
