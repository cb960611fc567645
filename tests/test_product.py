"""The header of a combined image, and the whole chain from raw frames to a file."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from astropy.io import fits

import xccd
from fits_files import write

CAMERA = {"GAIN": 1.5, "RDNOISE": 4.0, "OBJECT": "M 51", "BUNIT": "adu"}
TIMES = ("2024-03-01T00:00:00", "2024-03-01T02:00:00", "2024-03-01T01:00:00")
EXPTIMES = (10.0, 30.0, 20.0)
WCS = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 10.0, "CRVAL2": 20.0, "CRPIX1": 1.0, "CRPIX2": 1.0,
       "CDELT1": -1e-3, "CDELT2": 1e-3}  # fmt: skip
MJD = 60370.0  # of 2024-03-01


def headers(**more: Any) -> list[dict[str, Any]]:
    return [CAMERA | {"EXPTIME": t, "DATE-OBS": d} | more for t, d in zip(EXPTIMES, TIMES, strict=True)]


def stack_of(cards: list[Any], **options: Any) -> xr.DataArray:
    return xccd.open_stack([(np.full((3, 4), 100.0 + i), h) for i, h in enumerate(cards)], **options)


def test_exposure_and_times() -> None:
    header = stack_of(headers()).ccd.combine("mean").ccd.header()
    assert header["NCOMBINE"] == 3
    assert header["EXPTIME"] == 20
    assert header["EXPTOTAL"] == 60
    assert header["DATE-OBS"] == "2024-03-01T00:00:00.000"
    assert header["DATE-END"] == "2024-03-01T02:00:30.000"
    mids, light = np.array([5, 7215, 3610.0]), EXPTIMES
    assert header["MJD-AVG"] == pytest.approx(MJD + np.average(mids, weights=light) / 86400, abs=1e-7)
    assert header.comments["NCOMBINE"] == "number of frames combined"


METHODS = {"mean": 20, "median": 20, "sum": 60, "min": 20, "max": 20, "std": 20, "var": 20, "count": 20}


@pytest.mark.parametrize("method", METHODS)
def test_exptime_is_the_mean_or_for_a_sum_the_total(method: str) -> None:
    header = stack_of(headers()).ccd.combine(method).ccd.header()
    assert header["EXPTIME"] == METHODS[method]
    assert header["EXPTOTAL"] == 60


@pytest.mark.parametrize("method", ["mean", "median"])
@pytest.mark.parametrize("weights", ["EXPTIME", [*EXPTIMES], lambda frame: float(frame.EXPTIME)])
def test_weights_count_in_exptime_and_in_the_mean_time(method: str, weights: Any) -> None:
    header = stack_of(headers(), chunks=None).ccd.combine(method, weights=weights).ccd.header()
    assert header["EXPTIME"] == pytest.approx((100 + 900 + 400) / 60)
    mids, light = np.array([5, 7215, 3610.0]), np.array(EXPTIMES) ** 2
    assert header["MJD-AVG"] == pytest.approx(MJD + np.average(mids, weights=light) / 86400, abs=1e-7)


def test_weights_per_pixel_leave_what_all_frames_share() -> None:
    stack = stack_of(headers())
    header = stack.ccd.combine(weights=xr.ones_like(stack)).ccd.header()
    assert header["EXPTOTAL"] == 60
    assert not {"EXPTIME", "MJD-AVG", "DATE-AVG", "EFFGAIN"} & set(header)
    equal = stack_of(headers(**{"EXPTIME": 30.0, "DATE-OBS": TIMES[0]}))
    header = equal.ccd.combine(weights=xr.ones_like(equal)).ccd.header()
    assert (header["EXPTIME"], header["DATE-AVG"]) == (30, "2024-03-01T00:00:15.000")
    assert "EXPTIME" not in equal.ccd.combine("sum", weights=xr.ones_like(equal)).ccd.header()


EFFECTIVE = {
    "mean": ({}, {}, True),
    "weighted median": ({"method": "median", "weights": "EXPTIME"}, {}, False),
    "weighted sum": ({"method": "sum", "weights": "EXPTIME"}, {}, False),
    "max": ({"method": "max"}, {}, False),
    "scaled": ({"scale": "EXPTIME"}, {}, False),
    "no gain": ({}, {"GAIN": None, "RDNOISE": None}, False),
}


@pytest.mark.parametrize("name", EFFECTIVE)
def test_effective_gain_and_noise_of_a_plain_mean(name: str) -> None:
    options, cards, has = EFFECTIVE[name]
    header = stack_of(headers(**cards)).ccd.combine(**options).ccd.header()
    assert ("EFFGAIN" in header, "EFFRDN" in header) == (has, has)
    if has:
        assert (header["EFFGAIN"], header["EFFRDN"]) == (4.5, 4 * 3**0.5)
        assert (header["GAIN"], header["RDNOISE"]) == (1.5, 4)  # the camera's stay


def test_the_noise_equation_holds_for_a_mean() -> None:
    """Variance of a mean of N frames in data units, from EFFGAIN and EFFRDN as from GAIN and RDNOISE of one."""
    n, gain, noise, level = 3, CAMERA["GAIN"], CAMERA["RDNOISE"], 1000.0
    header = stack_of(headers()).ccd.combine().ccd.header()
    one = level / gain + (noise / gain) ** 2
    assert level / header["EFFGAIN"] + (header["EFFRDN"] / header["EFFGAIN"]) ** 2 == pytest.approx(one / n)


def test_cameras_that_differ_have_no_effective_gain() -> None:
    cards = headers()
    cards[1]["GAIN"] = 2.0
    header = stack_of(cards).ccd.combine().ccd.header()
    assert not {"EFFGAIN", "GAIN", "EFFRDN"} & set(header)


def test_what_all_frames_share_stays_and_the_rest_goes() -> None:
    cards = [h | {"SEQ": i, "SITE": "here"} for i, h in enumerate(headers())]
    image = stack_of(cards).ccd.combine()
    header = image.ccd.header()
    assert header["SITE"] == "here"
    assert "SEQ" not in header
    assert set(image.coords) == {"y", "x", "image_header"}
    assert image.attrs["NCOMBINE"] == 3


UNITS = {"mean": "adu", "sum": "adu", "std": "adu", "var": "adu**2", "count": None}


@pytest.mark.parametrize("method", UNITS)
def test_the_unit_is_that_of_the_method(method: str) -> None:
    image = stack_of(headers()).ccd.combine(method)
    assert image.ccd.header().get("BUNIT") == UNITS[method]
    assert image.attrs.get("units") == UNITS[method]


def test_a_unit_that_is_a_product() -> None:
    assert stack_of(headers(BUNIT="adu/s")).ccd.combine("var").ccd.header()["BUNIT"] == "(adu/s)**2"


@pytest.mark.versions
@pytest.mark.parametrize("count", [3, 999, 1000, 1005])
def test_all_inputs_are_listed(tmp_path: Path, count: int) -> None:
    frames = [(np.zeros((1, 1), "f4"), {"FILENAME": f"a-{i}.fits"}) for i in range(count)]
    image = xccd.open_stack(frames, chunks=None).ccd.combine()
    path = image.ccd.to_fits(tmp_path / "out.fits")
    header = image.ccd.header()
    assert [header[f"IMCMB{i:03d}"] for i in (1, min(count, 999))] == ["a-0.fits", f"a-{min(count, 999) - 1}.fits"]
    assert len([k for k in header if k.startswith("IMCMB")]) == min(count, 999)
    with fits.open(path) as hdus:
        assert len(hdus) == (2 if count > 999 else 1)
        if count > 999:
            assert hdus["FRAMES"].data["FILE"].tolist() == [f"a-{i}.fits" for i in range(count)]
            assert hdus[0].header["EXTEND"] is True
    assert xccd.open_stack(path).sizes["frame"] == 1


@pytest.mark.parametrize("same", [True, False])
def test_the_wcs_stays_where_the_frames_share_it(same: bool) -> None:
    cards = headers(**WCS)
    if not same:
        cards[1] = cards[1] | {"CRVAL1": 10.1}
    image = stack_of(cards).ccd.combine()
    assert ("CTYPE1" in image.ccd.header()) == same
    if same:
        np.testing.assert_allclose(
            image[1:, 2:].ccd.wcs().wcs_pix2world(0, 0, 0), [10 - 2e-3 / np.cos(np.pi / 9), 20.001], atol=1e-6
        )


@pytest.mark.versions
def test_one_wcs_written_in_two_ways_is_one() -> None:
    other = {k: v for k, v in WCS.items() if not k.startswith("CDELT")} | {"CD1_1": -0.001, "CD2_2": 0.001}
    image = stack_of([headers(**WCS)[0], headers()[1] | other]).ccd.combine()
    assert image.ccd.wcs().wcs.crval.tolist() == [10, 20]


def test_one_wcs_of_real_frames_is_one(real_frames: Path) -> None:
    stack = xccd.open_stack(real_frames / "decam_i" / "OBS04*.fits")
    assert len({tuple(stack.ccd.header(i).cards["C*"]) for i in range(5)}) > 1  # in other words
    ours = stack.ccd.combine("median").ccd.wcs().all_pix2world([[0, 0], [200, 100]], 0)
    np.testing.assert_allclose(ours, stack.ccd.wcs(0).all_pix2world([[0, 0], [200, 100]], 0), rtol=0, atol=1e-9)


def test_each_step_is_one_history_even_if_done_twice() -> None:
    stack = stack_of(headers())
    clipped = stack.ccd.minmax(0, 1e6).ccd.minmax(0, 1e6)
    long = {"center": "median", "deviation": "mad_std", "maxiters": None, "nkeep": 1}
    clipped = clipped.ccd.sigma_clip(3.123456789, 4.0, **long).ccd.sigma_clip(3.5, 4.0, **long)
    text = "".join(clipped.ccd.combine("median").ccd.header()["HISTORY"])
    assert text.count("xccd.") == 5
    assert text.count("deviation='mad_std'") == 2
    assert text.endswith("xccd.combine(method='median')")
    assert list(clipped.ccd.header(1)["HISTORY"]) == list(clipped.ccd.header(2)["HISTORY"])


@pytest.mark.versions
@pytest.mark.filterwarnings("ignore:files=.* is given twice")
def test_history_of_others_stays_before_ours(tmp_path: Path) -> None:
    card = fits.Header()
    card.add_history("older software")
    path = write(tmp_path / "a.fits", np.zeros((2, 2)), card)
    first = xccd.open_stack([path, path]).ccd.combine().ccd.to_fits(tmp_path / "b.fits")
    second = xccd.open_stack([first, first]).ccd.combine("sum").ccd.header()
    assert list(second["HISTORY"]) == ["older software", "xccd.combine(method='mean')", "xccd.combine(method='sum')"]
    assert [second["IMCMB001"], second["IMCMB002"]] == ["b.fits", "b.fits"]


# Where there is little to say


def test_a_stack_without_any_header(tmp_path: Path) -> None:
    stack = xr.DataArray(
        np.ones((3, 2, 2)), dims=("frame", "y", "x"), attrs={"units": "µJy", "note": "mine", "AIRMASS": 1.5}
    )
    image = stack.ccd.minmax(0, 2).ccd.combine()
    header = fits.getheader(image.ccd.to_fits(tmp_path / "a.fits"))
    assert (header["NCOMBINE"], header["BUNIT"], header["AIRMASS"]) == (3, "uJy", 1.5)
    assert "xccd.combine(method='mean')" in list(header["HISTORY"])
    assert "EXPTIME" not in header


def test_without_kept_headers_the_labels_are_used(tmp_path: Path) -> None:
    stack = stack_of(headers(SITE="here"), keep_headers=False)
    header = fits.getheader(stack.ccd.combine().ccd.to_fits(tmp_path / "a.fits"))
    assert [header[k] for k in ("NCOMBINE", "EXPTIME", "EXPTOTAL", "SITE", "EFFGAIN")] == [3, 20, 60, "here", 4.5]
    assert header["DATE-END"] == "2024-03-01T02:00:30.000"
    assert header["IMCMB003"] == "frame-3"


def test_a_stack_of_one_frame() -> None:
    header = stack_of(headers(**WCS)[:1]).ccd.combine("median").ccd.header()
    assert (header["NCOMBINE"], header["EXPTIME"], header["IMCMB001"]) == (1, 10, "frame-1")
    assert "CTYPE1" in header


@pytest.mark.parametrize("missing", ["EXPTIME", "DATE-OBS"])
def test_what_one_frame_lacks_the_product_lacks(missing: str) -> None:
    cards = headers()
    del cards[1][missing]
    header = stack_of(cards).ccd.combine().ccd.header()
    assert missing not in header
    assert ("EXPTOTAL" in header) == (missing != "EXPTIME")


def test_date_end_of_a_file_wins() -> None:
    cards = headers()
    cards[1]["DATE-END"] = "2024-03-01T03:00:00"
    assert stack_of(cards).ccd.combine().ccd.header()["DATE-END"] == "2024-03-01T03:00:00.000"


def test_a_product_of_products_keeps_no_stale_card() -> None:
    first, second = stack_of(headers()).ccd.combine(), stack_of(headers(OBJECT="M 31")).ccd.combine("sum")
    both = xr.concat([first, second], "frame", coords="all", compat="equals", join="exact").ccd.combine("sum")
    header = both.ccd.header()
    assert header["NCOMBINE"] == 6
    assert header.count("NCOMBINE") == header.count("EXPTIME") == 1
    assert len([k for k in header if k.startswith("IMCMB")]) == 6
    assert (header["EXPTIME"], header["EXPTOTAL"]) == (80, 120)


# The long chain


def raw_night(folder: Path) -> None:
    random = np.random.default_rng(3)

    def expose(name: str, level: float, noise: float, cards: dict[str, Any]) -> None:
        write(folder / f"{name}.fits", random.normal(level, noise, (8, 9)).astype("u2"), cards)

    for i in range(3):
        expose(f"bias-{i}", 1000, 5, {"EXPTIME": 0.0, "IMAGETYP": "bias"})
        expose(f"flat-{i}", 21000, 100, {"EXPTIME": 5.0, "IMAGETYP": "flat"})
    for i, band in enumerate("rgrg"):
        own = {"FILTER": band, "SEQ": i, "DATE-OBS": f"2024-03-01T0{i}:00:00", "NOTE": f"n{i}"}
        expose(f"light-{i}", 3000, 50, CAMERA | {"EXPTIME": 60.0} | own)


@pytest.mark.versions
@pytest.mark.parametrize("chunks", ["auto", None, {"y": 3, "frame": 1}], ids=str)
def test_the_long_chain(tmp_path: Path, chunks: Any) -> None:
    raw_night(tmp_path)
    bias = xccd.open_stack(tmp_path / "bias-*.fits", chunks=chunks).ccd.clip_extrema(1, 0).ccd.combine()
    flat = (xccd.open_stack(tmp_path / "flat-*.fits", chunks=chunks) - bias).ccd.combine("median")
    files = [str(tmp_path / f"light-{i}.fits") for i in range(4)]
    groups = [xccd.open_stack(some, chunks=chunks) for some in (files[:2], files[2:])]
    both = xr.concat([(group - bias) / flat for group in groups], "frame")
    clipped = both.groupby("FILTER").map(lambda group: group.ccd.clip_extrema(nlow=0, nhigh=1))
    done = clipped.ccd.minmax(-1, 10)
    for i in range(4):
        header = done.ccd.header(i)
        assert [header[k] for k in ("SEQ", "NOTE", "EXPTIME", "OBJECT")] == [i, f"n{i}", 60, "M 51"]
        assert len(header["HISTORY"]) == 2
    with pytest.warns(UserWarning, match=r"differ in FILTER \(r, g\)"):
        image = done.ccd.combine("mean", weights="EXPTIME")
    path = image.ccd.to_fits(tmp_path / "light.fits")
    header = fits.getheader(path)
    assert [header[f"IMCMB{i + 1:03d}"] for i in range(4)] == [f"light-{i}.fits" for i in range(4)]
    assert "".join(header["HISTORY"]).count("xccd.") == 3
    assert [t.split("(")[0] for t in header["HISTORY"]] == ["xccd.clip_extrema", "xccd.minmax", "xccd.combine"]
    assert (header["NCOMBINE"], header["EXPTIME"], header["EXPTOTAL"]) == (4, 60, 240)
    raw = np.stack([fits.getdata(f) for f in files]).astype("f8")
    lower = np.stack([raw[::2].min(axis=0), raw[1::2].min(axis=0)])  # of each filter's pair
    np.testing.assert_allclose(fits.getdata(path), ((lower - bias.values) / flat.values).mean(axis=0), rtol=1e-5)
