"""What a product says of its frames where these are products, unequal, weighted or scaled."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import xccd
from xccd.write.product_cards import error_of_median

CAMERA = {"EXPTIME": 10.0, "GAIN": 1.5, "RDNOISE": 4.0, "BUNIT": "adu"}
DAY = "2024-03-09"


def frames(n: int = 3, level: float = 100.0, **more: Any) -> xr.DataArray:
    return xccd.open_stack([(np.full((2, 3), level + i), CAMERA | more) for i in range(n)])


def night(*exposures: float, **more: Any) -> xr.DataArray:
    """Exposures that begin at 20:00, 21:00 and so on."""
    cards = [{"EXPTIME": e, "DATE-OBS": f"{DAY}T{20 + i}:00:00"} | more for i, e in enumerate(exposures)]
    return xccd.open_stack([(np.full((2, 3), 100.0 * e), c) for e, c in zip(exposures, cards, strict=True)])


def made(obj: xr.DataArray, *keywords: str) -> list[Any]:
    header = obj.ccd.header()
    return [header.get(k) for k in keywords]


def in_memory(folder: Path, images: list[xr.DataArray]) -> xr.DataArray:
    return xr.concat(images, "frame", coords="all", compat="equals", join="exact")


def as_xarray_does(folder: Path, images: list[xr.DataArray]) -> xr.DataArray:
    return xr.concat(images, "frame")


def from_files(folder: Path, images: list[xr.DataArray]) -> xr.DataArray:
    return xccd.open_stack([image.ccd.to_fits(folder / f"{i}.fits") for i, image in enumerate(images)])


def without_headers(folder: Path, images: list[xr.DataArray]) -> xr.DataArray:
    paths = [image.ccd.to_fits(folder / f"{i}.fits") for i, image in enumerate(images)]
    return xccd.open_stack(paths, keep_headers=False)


AGAIN = {"in memory": in_memory, "xr.concat": as_xarray_does, "files": from_files, "no headers": without_headers}


@pytest.mark.parametrize("again", AGAIN)
@pytest.mark.parametrize("same", [True, False])
def test_numbers_and_times_add_up(tmp_path: Path, again: str, same: bool) -> None:
    masters = [frames().ccd.combine(), frames(3 if same else 5).ccd.combine()]
    stack = AGAIN[again](tmp_path, masters)
    n = 6 if same else 8
    assert made(stack.ccd.combine(), "NCOMBINE", "EXPTIME", "EXPTOTAL") == [n, 10, 10 * n]
    assert made(stack.ccd.combine("sum"), "NCOMBINE", "EXPTIME", "EXPTOTAL") == [n, 20, 10 * n]


@pytest.mark.parametrize("again", ["files", "no headers"])
def test_two_masters_of_three_frames_each(tmp_path: Path, again: str) -> None:
    stack = AGAIN[again](tmp_path, [frames().ccd.combine(), frames().ccd.combine()])
    header = stack.ccd.combine().ccd.header()
    assert (header["EFFGAIN"], round(header["EFFRDN"], 2)) == (9, 9.80)
    assert (header["GAIN"], header["RDNOISE"]) == (1.5, 4)  # the camera's


def test_three_levels_are_as_good_as_one(tmp_path: Path) -> None:
    """12 frames at once, or as means of 2, of these means of 3, of these the mean of 2: the same in all numbers."""
    all_at_once = frames(12).ccd.combine()
    pairs = [frames(2).ccd.combine() for _ in range(6)]
    groups = [from_files(_new(tmp_path / f"g{i}"), pairs[3 * i : 3 * i + 3]).ccd.combine() for i in range(2)]
    last = from_files(_new(tmp_path / "last"), groups).ccd.combine()
    keywords = ("NCOMBINE", "EXPTIME", "EXPTOTAL", "EFFGAIN", "EFFRDN")
    np.testing.assert_allclose(made(last, *keywords), made(all_at_once, *keywords), rtol=1e-12)


def _new(folder: Path) -> Path:
    folder.mkdir()
    return folder


UNKNOWN = {
    "EXPTOTAL": ({"NCOMBINE": 3}, {"EXPTOTAL", "EFFGAIN", "EFFRDN"}),
    "EFFGAIN": ({"NCOMBINE": 3, "EXPTOTAL": 30.0}, {"EFFGAIN", "EFFRDN"}),
    "EFFRDN": ({"NCOMBINE": 3, "EXPTOTAL": 30.0, "EFFGAIN": 4.5}, {"EFFRDN"}),
    "one frame": ({"NCOMBINE": 1}, set()),
    "no number": ({"NCOMBINE": "many"}, set()),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_a_product_does_not_say_is_not_known(name: str) -> None:
    cards, lacking = UNKNOWN[name]
    header = frames(2, **cards).ccd.combine().ccd.header()
    assert {"EXPTOTAL", "EFFGAIN", "EFFRDN"} - set(header) == lacking
    assert header["NCOMBINE"] == 2 * (cards["NCOMBINE"] if cards["NCOMBINE"] in (1, 3) else 1)


def test_raw_frames_beside_a_master(tmp_path: Path) -> None:
    stack = from_files(tmp_path, [frames(3).ccd.combine(), frames(1).ccd.combine()])
    assert made(stack.ccd.combine(weights=[3, 1]), "NCOMBINE", "EXPTOTAL", "EFFGAIN") == [4, 40, 6]
    assert made(stack.ccd.combine(weights=[3, 1]), "EFFRDN")[0] == pytest.approx(4 * 4**0.5)


def test_trees_and_datasets(tmp_path: Path) -> None:
    masters = [frames().ccd.combine(), frames().ccd.combine()]
    paths = [m.ccd.to_fits(tmp_path / f"{i}.fits") for i, m in enumerate(masters)]
    tree = xccd.open_tree(paths, by="EXPTIME").ccd.combine()
    images = [tree["10"]["data"], xccd.open_dataset(paths).ccd.minmax(0, 1e5).ccd.combine()["data"]]
    for image in images:
        assert made(image, "NCOMBINE", "EXPTOTAL", "EFFGAIN") == [6, 60, 9]


# Gain and noise


def simulated(n: int, electrons: float, gain: float, noise: float, size: int = 40_000) -> np.ndarray[Any, Any]:
    random = np.random.default_rng(5)
    return (random.poisson(electrons, (n, 1, size)) + random.normal(0, noise, (n, 1, size))) / gain


HOW = {
    "mean": ("mean", {}),
    "median": ("median", {}),
    "sum": ("sum", {}),
    "weighted": ("mean", {"weights": [1, 2, 3, 1, 2]}),
}


@pytest.mark.parametrize("name", HOW)
def test_the_noise_equation_holds(name: str) -> None:
    """The variance that EFFGAIN and EFFRDN claim is that of the product's pixels."""
    method, options = HOW[name]
    values = simulated(5, 400.0, 1.5, 10.0)
    stack = xccd.open_stack([(v, {"GAIN": 1.5, "RDNOISE": 10.0}) for v in values])
    image = stack.ccd.combine(method, **options)
    gain, noise = made(image, "EFFGAIN", "EFFRDN")
    claimed = float(image.mean()) / gain + (noise / gain) ** 2
    assert claimed == pytest.approx(float(image.var()), rel=0.03)


def test_the_noise_equation_holds_after_levels() -> None:
    """Frames of one scene, of other exposures: f S is equal. Factors that wait are not computed for a header."""
    electrons = np.array([300.0, 600.0, 1200.0])
    pixels = [simulated(1, e, 1.5, 10.0)[0] for e in electrons]
    scene = [(v, {"GAIN": 1.5, "RDNOISE": 10.0, "EXPTIME": e}) for v, e in zip(pixels, electrons, strict=True)]
    image = xccd.open_stack(scene, chunks=None).ccd.normalize(scale="mean").ccd.combine(weights="EXPTIME")
    gain, noise = made(image, "EFFGAIN", "EFFRDN")
    claimed = float(image.mean()) / gain + (noise / gain) ** 2
    assert claimed == pytest.approx(float(image.var()), rel=0.03)
    for lazy in (xccd.open_stack(scene).ccd.normalize(scale="mean"), xccd.open_stack(scene, chunks=None) / 1):
        assert not {"EFFGAIN", "EFFRDN", "GAIN"} & set(lazy.ccd.combine().ccd.header())


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 10, 30])
def test_the_error_of_a_median(n: int) -> None:
    random = np.random.default_rng(n)
    medians = np.median(random.normal(size=(200_000 // n + 1000, n)), axis=1)
    assert error_of_median(n) == pytest.approx(medians.std() * math.sqrt(n), rel=0.02)


def test_two_medians_of_fifteen(tmp_path: Path) -> None:
    masters = [frames(15).ccd.combine("median") for _ in range(2)]
    assert made(from_files(tmp_path, masters).ccd.combine(), "EFFGAIN")[0] == pytest.approx(29.5, abs=0.1)


ARITHMETIC = {
    "flats": lambda s: s / s.median(("y", "x")),
    "a gain": lambda s: (s * 1.5).assign_attrs(units="electron"),
    "a root": np.sqrt,
    "an image": lambda s: s - s[0].drop_vars([k for k, c in s.coords.items() if "frame" in c.dims]),
    "a scale of its own": lambda s: s.ccd.normalize(scale=[1.0, 2.0, 3.0]),
    "arithmetic before levels": lambda s: (s / 2).ccd.normalize(scale="mean"),
    "clips after arithmetic": lambda s: (s / 2).ccd.minmax(0, 1e5).ccd.sigma_clip(1, 1),
    "in place": lambda s: _doubled(s.copy()),
}


def _doubled(stack: xr.DataArray) -> xr.DataArray:
    stack *= 2
    return stack


@pytest.mark.parametrize("name", ARITHMETIC)
def test_a_gain_does_not_outlive_arithmetic(name: str) -> None:
    stack = frames(EGAIN=1.5, READNOIS=4.0)
    image = ARITHMETIC[name](stack).ccd.combine()
    gone = {"EFFGAIN", "EFFRDN", "GAIN", "EGAIN", "RDNOISE", "READNOIS"}
    assert not gone & set(image.ccd.header())
    assert not gone & set(image.attrs)
    assert stack.ccd.combine().attrs["EFFGAIN"] == 4.5


def test_clips_keep_the_gain() -> None:
    for stack in (frames(), xccd.open_stack([(np.ones((2, 3)), CAMERA)] * 3, chunks=None)):
        image = stack.ccd.minmax(0, 1e5).ccd.sigma_clip(3, 3, center="median", deviation="mad_std").ccd.combine()
        assert made(image, "EFFGAIN", "GAIN") == [4.5, 1.5]


SETTINGS = {
    "EGAIN": ({"GAIN": 100, "EGAIN": 0.25}, 1.0),
    "a large EGAIN": ({"GAIN": 5, "EGAIN": 25.0}, 100.0),
    "a setting": ({"GAIN": 100}, None),
    "a gain": ({"GAIN": 20.0}, 80.0),
    "EGAIN is not known": ({"GAIN": 2.0, "EGAIN": 0.0}, 8.0),
    "electrons": ({"GAIN": 2.0, "BUNIT": "electron"}, None),
    "electrons, said": ({"GAIN": 1.0, "BUNIT": "e-"}, 4.0),
    "per second": ({"GAIN": 2.0, "BUNIT": "adu/s"}, None),
    "counts": ({"GAIN": 2.0, "BUNIT": "Counts"}, 8.0),
    "negative": ({"GAIN": -2.0}, None),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_which_number_is_the_gain(name: str) -> None:
    cards, expected = SETTINGS[name]
    stack = xccd.open_stack([(np.ones((2, 3)), {"BUNIT": "adu"} | cards)] * 4)
    assert made(stack.ccd.combine(), "EFFGAIN") == [expected]


# Times


def test_the_middle_of_unequal_exposures() -> None:
    stack = night(10.0, 600.0)
    for image in (stack.ccd.combine("sum"), stack.ccd.combine(), stack.ccd.combine("median")):
        assert made(image, "MJD-AVG", "DATE-AVG") == [60378.87773319, f"{DAY}T21:03:56.148"]
    header = stack.ccd.combine().ccd.header()
    assert (header["DATE-OBS"], header["DATE-END"]) == (f"{DAY}T20:00:00.000", f"{DAY}T21:10:00.000")
    assert (header["MJD-OBS"], header["MJD-END"]) == (60378.83333333, 60378.88194444)


MIDDLES = np.array([5.0, 3600 + 300.0])  # of 10 and 600 s at 20:00 and 21:00, in seconds after 20:00
SHARES = {
    "counts": ({}, {}, None, [10, 600], 305),
    "counts, weighted": ({}, {"weights": [3, 1]}, None, [30, 600], 157.5),
    "counts, scaled": ({}, {"scale": [60, 1]}, None, [600, 600], 600),
    "per second": ({"BUNIT": "adu/s"}, {}, None, [1, 1], 305),
    "per second, weighted": ({"BUNIT": "e-/s"}, {"weights": "EXPTIME"}, None, [10, 600], (100 + 360_000) / 610),
    "flux": ({"BUNIT": "mJy"}, {}, None, [1, 1], 305),
    "to the first": ({}, {}, {"scale": "mean"}, [1, 1], 10),
    "to the mean": ({}, {}, {"scale": "mean", "to": "mean"}, [1, 1], 305),
    "to a value": ({}, {}, {"scale": "mean", "to": 1.0}, [1, 1], None),
    "to the first, weighted": ({}, {"weights": [3, 1]}, {"scale": "mean"}, [3, 1], 10),
    "to the first, scaled": ({}, {"scale": [2, 4]}, {"scale": "mean"}, [2, 4], 30),
    "by a keyword": ({}, {}, {"scale": "EXPTIME"}, [1, 1], 10),
    "shifted": ({}, {}, {"zero": "mean"}, [10, 600], 305),
}


@pytest.mark.parametrize("name", SHARES)
@pytest.mark.parametrize("chunks", ["auto", None])
def test_light_and_exposure(name: str, chunks: Any) -> None:
    cards, options, level, shares, exposure = SHARES[name]
    stack = night(10.0, 600.0, **cards)
    stack = stack.compute() if chunks is None else stack
    stack = stack if level is None else stack.ccd.normalize(**level)
    found, time = made(stack.ccd.combine(**options), "MJD-AVG", "EXPTIME")
    expected = 60378 + 20 / 24 + np.average(MIDDLES, weights=shares) / 86400
    assert found == pytest.approx(expected, abs=2e-8)
    assert time == (None if exposure is None else pytest.approx(exposure))
    total = made(stack.ccd.combine("sum", **options), "EXPTIME")[0]
    known = "weights" not in options and exposure is not None
    assert total == (pytest.approx(2 * exposure) if known else total)


def test_a_sum_after_levels_shows_the_reference_twice() -> None:
    image = night(10.0, 600.0).ccd.normalize(scale="mean").ccd.combine("sum")
    assert made(image, "EXPTIME", "EXPTOTAL") == [20, 610]


def test_the_reference_frame_may_go() -> None:
    level = night(10.0, 600.0, 30.0).ccd.normalize(scale="mean")
    assert made(level[1:].ccd.combine(), "EXPTIME", "EXPTOTAL") == [10, 630]
    again = level[1:].ccd.normalize(scale="median").ccd.normalize(zero="mean")
    assert made(again.ccd.combine(), "EXPTIME") == [10]
    both = xr.concat([level, night(50.0).ccd.normalize(scale="mean")], "frame")
    assert made(both.ccd.combine(), "EXPTIME") == [(3 * 10 + 50) / 4]


def test_nothing_is_computed_for_a_header() -> None:
    def computed(block: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        raise AssertionError("a block was computed")

    stack = night(10.0, 600.0)
    stack = stack.copy(data=stack.data.map_blocks(computed, dtype=stack.dtype, meta=np.empty((0, 0, 0))))
    stack = stack.assign_coords(LEVEL=stack.mean(("y", "x")))
    image = stack.ccd.normalize(scale="median").ccd.combine(weights=lambda frame: 1.0)
    assert made(image, "EXPTIME", "EXPTOTAL", "MJD-AVG") == [10, 610, None]
    assert made(stack.ccd.combine(scale="LEVEL"), "EXPTIME", "EXPTOTAL", "MJD-AVG") == [None, 610, None]


def test_the_middle_of_a_product_is_that_of_its_light(tmp_path: Path) -> None:
    first, second = night(10.0, 600.0).ccd.combine(), night(100.0).ccd.combine()
    image = from_files(tmp_path, [first, second]).ccd.combine()
    mjd = [made(one, "MJD-AVG")[0] for one in (first, second)]
    assert made(image, "MJD-AVG")[0] == pytest.approx(np.average(mjd, weights=[305, 100]), abs=2e-8)
    assert made(image, "DATE-OBS", "DATE-END") == [f"{DAY}T20:00:00.000", f"{DAY}T21:10:00.000"]


def test_date_end_tells_the_middle() -> None:
    image = night(10.0, **{"DATE-END": f"{DAY}T20:10:00"}).ccd.combine()
    assert made(image, "DATE-AVG", "DATE-END") == [f"{DAY}T20:05:00.000", f"{DAY}T20:10:00.000"]
    image = night(10.0, **{"DATE-END": DAY}).ccd.combine()
    assert made(image, "DATE-AVG", "DATE-END") == [f"{DAY}T20:00:05.000", f"{DAY}T20:00:10.000"]


DAYS = {
    "equal": (["2024-03-09", "2024-03-09"], "2024-03-09"),
    "in its own way": (["09/03/98", "09/03/98"], "09/03/98"),
    "two days": (["2024-03-10", "2024-03-09"], "2024-03-09"),
    "one has a time": (["2024-03-09T01:00:00", "2024-03-10"], "2024-03-09"),
    "one is unknown": (["2024-03-09", "yesterday"], None),
    "none is known": (["yesterday", "yesterday"], None),
}


@pytest.mark.parametrize("name", DAYS)
def test_a_day_without_a_time_is_written_as_it_was(name: str) -> None:
    dates, expected = DAYS[name]
    stack = xccd.open_stack([(np.ones((2, 3)), {"EXPTIME": 60.0, "DATE-OBS": d, "UT": "noon"}) for d in dates])
    found = made(stack.ccd.combine(), "DATE-OBS", "DATE-END", "MJD-AVG", "DATE-AVG", "MJD-OBS", "UT")
    assert found == [expected, None, None, None, None, None]


def test_a_day_beside_mjd_obs() -> None:
    cards = {"DATE-OBS": DAY, "MJD-OBS": 60378.875, "EXPTIME": 60.0}
    image = xccd.open_stack([(np.ones((2, 3)), cards)] * 2).ccd.combine()
    assert made(image, "DATE-OBS", "DATE-END", "MJD-AVG") == [
        f"{DAY}T21:00:00.000", f"{DAY}T21:01:00.000", 60378.87534722
    ]  # fmt: skip


def test_two_time_scales_have_no_common_time() -> None:
    cards = [{"EXPTIME": 1.0, "DATE-OBS": f"{DAY}T01:00:00", "TIMESYS": scale} for scale in ("UTC", "TT")]
    image = xccd.open_stack([(np.ones((2, 3)), c) for c in cards]).ccd.combine()
    assert made(image, "MJD-AVG", "DATE-END") == [None, None]
    image = xccd.open_stack([(np.ones((2, 3)), cards[1])] * 2).ccd.combine()
    assert made(image, "DATE-AVG", "TIMESYS") == [f"{DAY}T01:00:00.500", "TT"]
