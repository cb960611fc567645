"""`plan`: which products a night gives, of which frames and masters."""

import json
import math
import os

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import xccd
from xccd import Recipe
from xccd.night.plan.exposures import alike, clusters
from xccd.night.plan.names import safe
from xccd.night.plan.nights import UNKNOWN, name_of, nights_of
from xccd.night.plan.ready_masters import bias_is_off, check_unit_range

DAY, HOUR = pd.Timedelta(1, "D"), pd.Timedelta(1, "h")
FIRST = pd.Timestamp("2024-03-09T21:00")


def rows(n, kind, start=FIRST, **columns):
    """Rows of a table as `scan` makes it."""
    name = f"{kind}-{columns.get('filter', '')}-{columns.get('exposure', 0)}-{start:%d%H}"
    base = {
        "file": [f"{name}-{i}.fits" for i in range(n)],
        "hdu": 0,
        "kind": kind,
        "words": kind,
        "filter": "",
        "exposure": 0.0,
        "date": [start + i * pd.Timedelta(1, "min") for i in range(n)],
        "object": "",
        "binning": "1x1",
        "gain": 1.5,
        "temperature": -10.0,
        "unit": "adu",
        "shape": "50x60",
        "size": 1000,
        "problem": "",
    }
    return pd.DataFrame(base | columns)


def table_of(*some):
    return pd.concat(some, ignore_index=True)


def night(start=FIRST, **common):
    """A night with darks of 60 and 120 s, flats in g and r, and lights of two objects."""
    return table_of(
        rows(5, "bias", start - 2 * HOUR, **common),
        rows(5, "dark", start + 9 * HOUR, exposure=60.0, **common),
        rows(5, "dark", start + 10 * HOUR, exposure=120.0, **common),
        rows(5, "flat", start - 1 * HOUR, filter="g", exposure=2.0, **common),
        rows(5, "flat", start - 1.5 * HOUR, filter="r", exposure=1.5, **common),
        rows(4, "light", start, filter="r", exposure=120.0, object="M 51", **common),
        rows(4, "light", start + HOUR, filter="g", exposure=60.0, object="NGC 7000", **common),
    )


def jobs_of(table, recipe=None):
    return {job.name: job for job in xccd.plan(table, recipe).jobs}


def masters_of(job):
    return {kind: master.name for kind, master in job.masters.items()}


@pytest.mark.versions
def test_a_simulated_night(tmp_path):
    folder = xccd.simulate_night(tmp_path / "n", shape=(64, 64), nbias=3, ndark=3, nflat=4, nlight=5)
    table = xccd.scan(folder)
    plan = xccd.plan(table)
    assert [(job.name, job.kind, len(job.frames), masters_of(job)) for job in plan.jobs] == [
        ("bias", "bias", 3, {}),
        ("dark-60s", "dark", 3, {"bias": "bias"}),
        ("dark-120s", "dark", 3, {"bias": "bias"}),
        ("flat-g", "flat", 4, {"bias": "bias"}),
        ("flat-r", "flat", 4, {"bias": "bias"}),
        ("Made-up_field-r-120s", "light", 5, {"bias": "bias", "dark": "dark-120s", "flat": "flat-r"}),
    ]
    assert plan.jobs[-1].notes == ()
    assert plan.jobs[4].notes == ("no dark of 1.5 s: the bias alone is subtracted",)
    assert plan.left_out.empty
    assert list(plan.left_out.columns) == [*table.columns, "why"]
    assert [job.path for job in plan.jobs][::5] == ["masters/bias.fits", "Made-up_field-r-120s.fits"]
    pd.testing.assert_frame_equal(plan.jobs[-1].frames, table[table.kind == "light"])


def test_no_frame_is_opened():
    plan = xccd.plan(night())  # its files do not exist
    assert len(plan.jobs) == 7


# --- exposures


def test_exposures_within_5_percent_are_one_group():
    table = table_of(
        rows(1, "dark", exposure=119.9), rows(1, "dark", exposure=120.0), rows(1, "dark", exposure=126.0),
        rows(1, "dark", exposure=126.1),
    )  # fmt: skip
    assert [sorted(job.frames.exposure) for job in xccd.plan(table).jobs] == [[119.9, 120.0], [126.0, 126.1]]


def test_a_chain_of_exposures_is_not_one_group():
    assert clusters(np.array([100.0, 104, 108, 112]), 0.05).tolist() == [100, 100, 108, 108]
    assert clusters(np.array([115.0] + [120.0] * 20 + [121.0]), 0.05).tolist() == [115] + [120] * 21


@given(st.lists(st.floats(0, 1e4) | st.just(math.nan), max_size=30), st.floats(0, 0.5), st.randoms())
def test_clusters(times, tolerance, random):
    times = np.array(times)
    found = clusters(times, tolerance)
    assert (np.isnan(found) == np.isnan(times)).all()
    for name in set(found[~np.isnan(found)].tolist()):
        own = times[found == name]
        assert name in own
        assert all(alike(a, b, tolerance) for a in (own.min(),) for b in own)
    order = random.sample(range(len(times)), len(times))
    np.testing.assert_array_equal(clusters(times[order], tolerance), found[order])


def test_other_tolerances():
    table = table_of(rows(2, "dark", exposure=100.0), rows(2, "dark", exposure=110.0))
    assert len(xccd.plan(table).jobs) == 2
    assert len(xccd.plan(table, Recipe(exposure_tolerance=0.1)).jobs) == 1
    assert len(xccd.plan(table, Recipe(exposure_tolerance=0)).jobs) == 2


# --- bias and dark


def test_a_dark_of_another_exposure_is_scaled():
    table = night()
    table = table[~((table.kind == "dark") & (table.exposure == 120))]
    job = jobs_of(table)["M_51-r-120s"]
    assert (masters_of(job), job.scale_dark) == ({"bias": "bias", "dark": "dark-60s", "flat": "flat-r"}, True)
    assert job.notes == ("the dark of 60 s is scaled to 120 s",)
    job = jobs_of(table, Recipe(dark={"scale": False}))["M_51-r-120s"]
    assert masters_of(job) == {"bias": "bias", "flat": "flat-r"}
    assert job.notes == ("no dark of 120 s: that of 60 s is not scaled, as the recipe says [dark] scale = false",)


def test_without_bias_a_dark_is_taken_as_it_is_or_not_at_all():
    table = night()
    jobs = jobs_of(table[table.kind != "bias"])
    light = jobs["M_51-r-120s"]
    assert (masters_of(light), light.scale_dark) == ({"dark": "dark-120s", "flat": "flat-r"}, False)
    assert light.notes == ("the dark holds the bias, which is subtracted with it",)
    assert "no bias frames: no bias is subtracted" in jobs["flat-r"].notes
    assert "no dark of 1.5 s: that of 60 s holds its bias" in jobs["flat-r"].notes
    light = jobs_of(table[(table.kind != "bias") & (table.exposure != 120) | (table.kind == "light")])["M_51-r-120s"]
    assert masters_of(light) == {"flat": "flat-r"}
    assert any("cannot be scaled: bias frames are needed" in note for note in light.notes)


def test_flats_get_a_dark_of_their_exposure():
    table = table_of(night(), rows(3, "dark", FIRST, exposure=1.5))
    jobs = jobs_of(table)
    assert masters_of(jobs["flat-r"]) == {"bias": "bias", "dark": "dark-1.5s"}
    assert masters_of(jobs["flat-g"]) == {"bias": "bias"}
    without = jobs_of(table[table.kind != "bias"])["flat-r"]
    assert (masters_of(without), without.scale_dark) == ({"dark": "dark-1.5s"}, False)


def test_flats_of_several_exposures_have_parts():
    table = table_of(
        rows(3, "bias"), rows(3, "dark", exposure=2.0), rows(3, "flat", filter="r", exposure=2.0),
        rows(3, "flat", filter="r", exposure=8.0), rows(2, "light", filter="r", object="x", exposure=60.0),
    )  # fmt: skip
    jobs = jobs_of(table)
    flat = jobs["flat-r"]
    found = [(sorted(set(p.frames.exposure)), masters_of(p)) for p in flat.parts]
    assert found == [([2.0], {"bias": "bias", "dark": "dark-2s"}), ([8.0], {"bias": "bias"})]
    assert masters_of(flat) == {"bias": "bias"}
    assert flat.needs == (jobs["bias"], jobs["dark-2s"])
    assert masters_of(jobs["x-r-60s"])["flat"] == "flat-r"


def test_what_is_missing_is_said():
    table = night()
    light = jobs_of(table[table.kind == "light"])["M_51-r-120s"]
    assert light.notes == (
        "no bias frames: no bias is subtracted",
        "no darks: no dark is subtracted",
        "no flats: the frames are not divided by one",
    )
    light = jobs_of(table[table["filter"] != "r"].pipe(table_of, rows(3, "light", filter="z", object="a")))["a-z-0s"]
    assert "no flat of filter 'z', those there are of 'g': the frames are not divided by one" in light.notes
    other = table_of(table, rows(3, "light", shape="20x20", exposure=120.0, object="small"))
    notes = jobs_of(other)["small-120s"].notes
    assert notes[0] == "no bias frames that fit (shape 50x60, not 20x20): no bias is subtracted"


def test_a_dark_without_exposure_is_a_bias():
    jobs = jobs_of(table_of(rows(3, "dark", exposure=0.0), rows(3, "light", object="x", exposure=5.0)))
    assert masters_of(jobs["x-5s"]) == {"bias": "bias"}
    assert jobs["bias"].notes == ("3 frames say dark and have an exposure of 0 s: they are taken as biases",)


def test_an_exposure_that_is_not_known_has_no_dark():
    table = night()
    table.loc[table.object == "M 51", "exposure"] = np.nan
    light = jobs_of(table)["M_51-r"]
    assert masters_of(light) == {"bias": "bias", "flat": "flat-r"}
    assert "no dark is subtracted: the exposure time of the frames is not known" in light.notes


# --- detectors, temperatures


@pytest.mark.parametrize(
    ("column", "value", "name"),
    [
        ("shape", "25x30", "bias-25x30"), ("binning", "2x2", "bias-bin2x2"), ("gain", 3.0, "bias-gain3"),
        ("unit", "electron/s", "bias-electron_per_s"), ("READMODE", "fast", "bias-fast"),
    ],
)  # fmt: skip
def test_frames_are_of_one_detector(column, value, name):
    table = table_of(night(READMODE="slow"), night(READMODE="slow").assign(**{column: value}))
    table["file"] = [f"{i}.fits" for i in range(len(table))]
    jobs = jobs_of(table)
    assert name in jobs
    assert len(jobs) == 14
    for job in jobs.values():
        for frames in (job.frames, *(master.frames for master in job.needs)):
            assert set(frames[column]) == set(job.frames[column])


def test_a_gain_that_differs_in_its_fourth_digit_is_one():
    assert len(xccd.plan(rows(2, "bias", gain=[1.5001, 1.5002])).jobs) == 1


def test_spellings_of_a_unit_are_one():
    assert len(xccd.plan(rows(3, "bias", unit=["adu", "ADU", "counts"])).jobs) == 1


def test_a_setting_that_is_not_told_fits_any():
    table = night()
    table.loc[table.kind == "bias", "gain"] = np.nan
    assert "bias" in masters_of(jobs_of(table)["M_51-r-120s"])
    table = table_of(table, rows(3, "bias", FIRST + HOUR))
    assert masters_of(jobs_of(table)["M_51-r-120s"])["bias"] == "bias-gain1.5"


def test_a_choice_among_masters_of_settings_that_are_not_told_is_said():
    table = night()
    table = table_of(table, rows(3, "bias", FIRST + HOUR, gain=3.0))
    table.loc[table.kind == "light", "gain"] = np.nan
    notes = jobs_of(table)["M_51-r-120s"].notes
    assert "the bias is one of several that may fit: gain is not told of it or of the frames" in notes
    assert not any("the flat is one of several" in note for note in notes)


def test_a_bias_of_another_mode_is_none():
    table = night(READMODE="slow")
    table.loc[table.kind == "light", "READMODE"] = "fast"
    notes = jobs_of(table)["M_51-r-120s"].notes
    assert "no bias frames that fit (other settings): no bias is subtracted" in notes


def test_darks_without_exposure_are_not_scaled():
    table = night()
    table.loc[table.kind == "dark", "exposure"] = np.nan
    light = jobs_of(table)["M_51-r-120s"]
    assert "no dark of 120 s: the exposure time of the darks is not known" in light.notes


def test_chips_of_one_file_have_masters_of_their_own():
    table = night()
    table = table_of(*(table.assign(hdu=hdu) for hdu in (1, 2)))
    jobs = jobs_of(table)
    assert masters_of(jobs["M_51-r-120s-chip2"]) == {
        "bias": "bias-chip2", "dark": "dark-120s-chip2", "flat": "flat-r-chip2"
    }  # fmt: skip
    assert set(jobs["bias-chip1"].frames.hdu) == {1}
    ready = rows(1, "master-bias", file="m.fits")  # of which chip is not known
    table = table_of(table[table.kind != "bias"], ready)
    assert jobs_of(table)["dark-120s-chip1"].notes == (
        "no bias frames that fit (chip 0, not 1): no bias is subtracted",
    )


def test_the_nearest_temperature_is_taken_and_said():
    table = night()
    warm, cold = (table[table.kind == "dark"].assign(temperature=t) for t in (-5.0, -20.0))
    for some, name in ((warm, "w"), (cold, "c")):
        some["file"] = name + some["file"]
    jobs = jobs_of(table_of(table[table.kind != "dark"], warm, cold))
    assert masters_of(jobs["M_51-r-120s"])["dark"] == "dark-120s-minus5deg"
    assert "the dark is of -5 degrees, the frames of -10" in jobs["M_51-r-120s"].notes


def test_a_camera_that_drifts_has_one_dark():
    drift = rows(10, "dark", exposure=60.0, temperature=np.arange(10.0, 20.0))
    (job,) = xccd.plan(drift).jobs
    assert "the temperature of its frames runs from 10 to 19 degrees" in job.notes


# --- nights


def test_masters_of_the_nearest_night_are_taken():
    days = [night(FIRST + i * DAY) for i in (0, 1, 4)]
    for i, some in enumerate(days):
        some["file"] = f"{i}/" + some["file"]
        some["object"] = some["object"].where(some["object"] == "", f"M {i}")
    days[1] = days[1][days[1].kind.isin(["light", "bias"])]
    jobs = jobs_of(table_of(*days))
    assert masters_of(jobs["M_1-r-120s"]) == {
        "bias": "bias-2024-03-10", "dark": "dark-120s-2024-03-09", "flat": "flat-r-2024-03-09"
    }  # fmt: skip
    assert "the flat is of the night 2024-03-09, frames of 2024-03-10" in jobs["M_1-r-120s"].notes
    assert masters_of(jobs["M_2-r-120s"])["flat"] == "flat-r-2024-03-13"


def test_an_object_of_two_nights_is_one_image_of_two_parts():
    one, two = night(), night(FIRST + DAY)
    jobs = jobs_of(table_of(one, two))
    light = jobs["M_51-r-120s"]
    assert len(light.frames) == 8
    assert [masters_of(part)["flat"] for part in light.parts] == ["flat-r-2024-03-09", "flat-r-2024-03-10"]
    assert [len(part.frames) for part in light.pieces] == [4, 4]
    assert light.masters == {}
    assert len(light.needs) == 6
    assert "its frames go with 2 sets of masters, as they differ in night or exposure" in light.notes
    by_night = jobs_of(table_of(one, two), Recipe(light={"by": ["object", "night"]}))
    assert {"M_51-2024-03-09-120s", "M_51-2024-03-10-120s"} < by_night.keys()


def test_frames_of_two_nights_with_the_same_masters_are_no_parts():
    table = table_of(night(), rows(3, "light", FIRST + DAY, filter="r", exposure=120.0, object="M 51"))
    light = jobs_of(table)["M_51-r-120s"]
    assert (len(light.frames), light.parts) == (7, ())
    assert "the flat is of the night 2024-03-09, frames of 2024-03-10" in light.notes


@pytest.mark.parametrize("longitude", range(0, 24, 3))
def test_a_night_is_from_noon_to_noon_everywhere(longitude):
    local = pd.to_datetime(["2024-03-09T17:00", "2024-03-09T21:00", "2024-03-10T05:00", "2024-03-10T09:00"])
    dates = pd.DatetimeIndex([d + i * DAY - longitude * HOUR for i in range(3) for d in local]).to_numpy()
    lights = np.array([False, True, True, False] * 3)
    assert [len(set(some)) for some in np.split(nights_of(dates, lights), 3)] == [1, 1, 1]
    assert len(set(nights_of(dates, lights))) == 3


def test_frames_without_a_date():
    dates = np.array(["2024-03-09T21:00", "NaT"], "datetime64[ns]")
    assert len(set(nights_of(dates, np.array([True, True])))) == 1
    dates = np.array(["2024-03-09T21:00", "2024-03-10T21:00", "NaT"], "datetime64[ns]")
    found = nights_of(dates, np.ones(3, bool))
    assert found[2] == UNKNOWN
    assert [name_of(n) for n in found] == ["2024-03-09", "2024-03-10", ""]
    table = night()
    table["date"] = pd.NaT
    assert masters_of(jobs_of(table)["M_51-r-120s"]) == {"bias": "bias", "dark": "dark-120s", "flat": "flat-r"}


# --- masters that are there


def with_ready(*ready):
    table = night()
    return table_of(table, *ready)


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        ("x.fits", "master-flat"), ("master-flat-r.fits", "flat"), ("MasterFlat_r.fits", "flat"),
        ("a/superflat.fits", "flat"), ("flat_r_stacked.fit", "flat"), ("x.fits", "Master Flat"),
    ],
)  # fmt: skip
def test_a_master_is_never_a_raw_frame(file, kind):
    ready = rows(1, kind, filter="r", file=file)
    plan = xccd.plan(with_ready(ready))
    (why,) = plan.left_out.why
    assert why.startswith("it is a master")
    assert why.endswith("and no frames need it: there are raw frames for one, or none that fit")
    assert ("by the name of its file ([kinds] in the recipe says otherwise)" in why) == (file != "x.fits")
    table = with_ready(ready)
    job = jobs_of(table[~((table.kind == "flat") & (table["filter"] == "r")) | (table.file == file)])["M_51-r-120s"]
    assert job.masters["flat"].ready == file
    assert f"the flat is the ready master {file}" in job.notes
    assert len(job.masters["flat"].frames) == 1


@pytest.mark.parametrize("file", ["headmaster-001.fits", "mastery.fits", "super-nova.fits", "flat-r-1.fits"])
def test_names_that_are_no_masters(file):
    assert xccd.plan(rows(1, "flat", filter="r", file=file)).left_out.empty


def test_a_ready_dark_of_the_exposure_comes_before_a_raw_one_of_another():
    ready = rows(1, "master-dark", exposure=120.0, file="m.fits", BIASCOR="bias.fits")
    table = with_ready(ready)
    assert masters_of(jobs_of(table)["M_51-r-120s"])["dark"] == "dark-120s"
    table = table[~((table.kind == "dark") & (table.exposure == 120))]
    light = jobs_of(table)["M_51-r-120s"]
    assert light.masters["dark"].ready == "m.fits"
    assert light.scale_dark  # the column tells that its bias is off
    table["BIASCOR"] = ""
    light = jobs_of(table)["M_51-r-120s"]
    assert (set(light.masters), light.scale_dark) == ({"dark", "flat"}, False)


@pytest.mark.parametrize(("column", "value"), [("FLATCOR", "flat.fits"), ("CALSTAT", "BDF"), ("GAINCOR", 1.5)])
def test_a_calibrated_frame_is_no_raw_one(column, value):
    table = night()
    table[column] = np.nan
    table[column] = table[column].astype(object)
    table.loc[table.object == "M 51", column] = value
    plan = xccd.plan(table)
    assert set(plan.left_out.object) == {"M 51"}
    assert set(plan.left_out.why) == {
        f"it is calibrated already: its header has {column}; xccd combine stacks such frames"
    }


def test_a_ready_dark_with_its_bias_is_taken_as_it_is(tmp_path):
    image = xr.DataArray(np.zeros((50, 60), np.float32), dims=("y", "x"))
    files = {}
    for name, cards in {"with": {}, "without": {"BIASCOR": "bias.fits"}}.items():
        files[name] = str(
            image.assign_attrs(IMAGETYP="master-dark", EXPTIME=120.0, **cards).ccd.to_fits(tmp_path / f"{name}.fits")
        )
    assert (bias_is_off(files["with"], 0), bias_is_off(files["without"], None)) == (False, True)
    assert not bias_is_off("no such file.fits", 0)
    table = night()
    table = table[table.kind != "dark"]
    light = jobs_of(table_of(table, rows(1, "master-dark", exposure=120.0, file=files["with"])))["M_51-r-120s"]
    assert (set(light.masters), light.scale_dark) == ({"dark", "flat"}, False)
    light = jobs_of(table_of(table, rows(1, "master-dark", exposure=120.0, file=files["without"])))["M_51-r-120s"]
    assert (set(light.masters), light.scale_dark) == ({"bias", "dark", "flat"}, True)
    light = jobs_of(
        table_of(table[table.kind != "bias"], rows(1, "master-dark", exposure=120.0, file=files["without"]))
    )["M_51-r-120s"]
    assert set(light.masters) == {"flat"}
    assert any("the bias of that of 120 s is subtracted, and there is none for the frames" in n for n in light.notes)


def test_a_master_within_0_to_1_beside_whole_counts():
    frames = xr.DataArray(np.array([[[1000, 65535]]], "u2"), dims=("frame", "y", "x"))
    siril = xr.DataArray(np.array([[0.0152, 0.0153]], np.float32), dims=("y", "x"))
    message = r"m.fits lies within 0.0152 to 0.0153, .* whole counts up to 65535: .*scale=65535: \[detector\]"
    with pytest.raises(ValueError, match=message):
        check_unit_range(siril, frames, "m.fits")
    with pytest.raises(ValueError, match="master_scale = 65535"):
        check_unit_range(siril, frames[0].astype(float))
    check_unit_range(siril * 65535, frames)
    check_unit_range(siril - 0.0153, frames)  # a dark less its bias has samples below 0
    check_unit_range(siril, frames / 65535.0)
    check_unit_range(siril * np.nan, frames)


def test_products_are_not_made_again_of_products(tmp_path):
    folder = xccd.simulate_night(tmp_path / "n", shape=(64, 64), nbias=3, ndark=0, nflat=0, nlight=2)
    for kind in ("bias", "light"):
        xccd.open_stack(folder / f"{kind}-*.fits").ccd.combine("mean").ccd.to_fits(folder / f"{kind}.fits")
    plan = xccd.plan(xccd.scan(folder))
    assert [(job.name, len(job.frames)) for job in plan.jobs] == [("bias", 3), ("Made-up_field-r-120s", 2)]
    assert dict(zip(plan.left_out.file.map(os.path.basename), plan.left_out.why, strict=True)) == {
        "bias.fits": "it is a master, and no frames need it: there are raw frames for one, or none that fit",
        "light.fits": "it is a master-light, which is combined already",
    }


# --- what is left out, and kinds


@pytest.mark.parametrize(
    ("columns", "why"),
    [
        ({"problem": "truncated"}, "it cannot be opened: truncated"),
        ({"kind": ""}, "its header does not say what kind of frame it is: mend the table"),
        ({"kind": "focus"}, "its kind is 'focus', none of bias, dark, flat, light: if it is one, mend the table"),
        ({"kind": "flatt"}, "its kind is 'flatt', none of bias, dark, flat, light; did you mean 'flat'?"),
        ({"kind": "arc"}, "its kind is 'arc', none of"),
        ({"shape": "3x50x60"}, "it is no image of two axes, but 3x50x60"),
        ({"shape": ""}, "its shape is not known"),
        ({"shape": "10x10"}, "it is the only image of 10x10 pixels"),
        ({"exposure": -1.0}, "its exposure time is -1 s"),
        ({"exposure": np.inf}, "its exposure time is inf s"),
        ({"file": "bias--0-0919-0.fits"}, "the table has it twice"),
        ({"file": "./bias--0-0919-0.fits"}, "the table has it twice"),
        ({"file": "bias--0-0919-0.wht.fits"}, "by its name it is a map of the image that is beside it"),
    ],
)
def test_what_is_left_out_has_a_reason(columns, why):
    table = table_of(night(), rows(1, **{"kind": "light"} | columns))
    out = xccd.plan(table).left_out
    assert len(out) == 1
    assert out.why.iloc[0].startswith(why)


def test_kinds_may_be_edited_by_any_of_their_words():
    table = night()
    table.loc[table.kind == "bias", "kind"] = "Zero"
    table.loc[table.kind == "flat", "kind"] = "sky flat"
    assert masters_of(jobs_of(table)["M_51-r-120s"]) == {"bias": "bias", "dark": "dark-120s", "flat": "flat-r"}


def test_kinds_of_the_recipe():
    table = table_of(
        rows(3, "light", object="Dome Flat", filter="r"), rows(3, "light", FIRST + HOUR, object="x", filter="r"),
        rows(2, "odd", words="Bias-ish"), rows(1, "light", file="a/focus-1.fits"),
    )  # fmt: skip
    notes = jobs_of(table)["Dome_Flat-r-0s"].notes
    assert any("reads like a flat" in n and 'flat = ["Dome Flat"]' in n for n in notes)
    recipe = Recipe(kinds={"flat": ["dome flat*"], "bias": ["bias-*"], "ignore": ["focus*"]})
    plan = xccd.plan(table, recipe)
    assert [(job.name, len(job.frames)) for job in plan.jobs] == [("bias", 2), ("flat-r", 3), ("x-r-0s", 3)]
    assert plan.left_out.why.tolist() == ["the recipe says so: [kinds] ignore"]
    plan = xccd.plan(table, Recipe(kinds={"flat": ["dome*"], "bias": ["*flat"]}))
    assert "the recipe names it under [kinds] as bias and as flat" in plan.left_out.why.tolist()
    folders = rows(4, "light", file=["n/flats/a.fits", "flats/b.fits", "n/skyflats/c.fits", "n/flats-d.fits"])
    assert len(xccd.plan(folders, Recipe(kinds={"flat": ["Flats/*"]})).jobs[0].frames) == 2
    named = rows(2, "flat", file=["master-a.fits", "master-b.fits"])
    assert len(xccd.plan(named, Recipe(kinds={"flat": ["master*"]})).jobs[0].frames) == 2


def test_what_a_note_says_to_write_in_the_recipe_is_right():
    table = rows(3, "light", object="[dome] flat")
    (note,) = (n for n in xccd.plan(table).jobs[0].notes if "reads like" in n)
    recipe = Recipe.from_text("[kinds]\n" + note.rpartition("[kinds]: ")[2])
    assert xccd.plan(table, recipe).jobs[0].kind == "flat"


def test_one_and_two_frames_are_noted():
    assert xccd.plan(rows(1, "bias")).jobs[0].notes == ("1 frame: nothing can be rejected",)
    assert xccd.plan(rows(2, "bias")).jobs[0].notes == ("2 frames: a clip cannot tell which of the two is wrong",)
    assert xccd.plan(rows(3, "bias")).jobs[0].notes == ()


# --- names


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("M 51", "M_51-r-1s"), ("../../etc/passwd", "etc_passwd-r-1s"), ("", "no_name-r-1s"),
        ("ζ Oph", "ζ_Oph-r-1s"), ("a/b\\c:d*e?f", "a_b_c_d_e_f-r-1s"), ("con", "con-r-1s"), (".hidden", "hidden-r-1s"),
        ("x\n\x1b[31m", "x_31m-r-1s"), ("*", "no_name-r-1s"), ("3C 273+", "3C_273+-r-1s"),
    ],
)  # fmt: skip
def test_names_are_safe(name, expected):
    (job,) = xccd.plan(rows(3, "light", object=name, filter="r", exposure=1.0)).jobs
    assert job.name == expected
    assert os.path.basename(job.path) == job.path


def test_names_differ_where_products_do():
    pairs = [("M 51", "r"), ("M_51", "r"), ("m 51", "R"), ("bias", ""), ("n" * 300, "r")]
    some = [
        rows(3, "light", object=name, filter=f, exposure=0.5, file=[f"{i}{k}.fits" for k in "abc"])
        for i, (name, f) in enumerate(pairs)
    ]
    names = [job.name for job in xccd.plan(table_of(rows(3, "bias"), *some)).jobs]
    assert len({name.casefold() for name in names}) == len(names) == 6
    assert max(len(name.encode()) for name in names) < 220
    assert {"bias", "bias-0.5s", "M_51-r-0.5s", "M_51-r-0.5s-2", "m_51-R-0.5s-3"} < set(names)


@given(st.text(max_size=300))
def test_a_part_of_a_name_has_no_separator(text):
    found = safe(text)
    assert not set(found) & set('/\\:*?"<>|\0\n ')


def test_names_of_devices_are_avoided():
    (job,) = xccd.plan(rows(3, "light", object="con", exposure=np.nan)).jobs
    assert job.name == "_con"


def test_objects_of_nearly_one_name_are_said():
    table = table_of(*(rows(3, "light", object=name, filter="r", exposure=1.0) for name in ("M51", "m 51", "M 52")))
    table["file"] = [f"{i}.fits" for i in range(len(table))]
    jobs = jobs_of(table)
    assert "its name 'M51 r' is nearly that of 'm 51 r': if they are one, mend the table" in jobs["M51-r-1s"].notes
    assert not any("nearly" in note for note in jobs["M_52-r-1s"].notes)
    r_and_R = table_of(*(rows(3, "light", object="x", filter=f, file=[f"{f}{i}.fits" for i in "abc"]) for f in "rR"))
    assert len(xccd.plan(r_and_R).jobs) == 2


def test_an_image_for_each_value_of_a_column():
    table = table_of(night(), night(FIRST + 5 * HOUR)).assign(EPOCH=lambda t: np.arange(len(t)) % 2 + 0.5)
    table["file"] = [f"{i}.fits" for i in range(len(table))]
    table.loc[table.object == "M 51", "EPOCH"] = np.nan
    assert {"0.5-60s", "no_name-120s"} < jobs_of(table, Recipe(light={"by": ["EPOCH"]})).keys()
    table["EPOCH"] = 0.5
    assert "0.5-120s" in jobs_of(table, Recipe(light={"by": ["EPOCH"]}))
    assert len([j for j in xccd.plan(table, Recipe(light={"by": []})).jobs if j.kind == "light"]) == 2
    with pytest.raises(ValueError, match=r"light.by: the table has no column 'objct'.*did you mean 'object'\?"):
        xccd.plan(table, Recipe(light={"by": ["objct"]}))


# --- wrong tables


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda t: "raw/", TypeError, r"table is a str, not a table of frames: give that of xccd.scan"),
        (lambda t: t.drop(columns=["kind", "date"]), ValueError, r"no column 'kind', 'date': take that of xccd.scan"),
        (lambda t: t.assign(exposure="long"), ValueError, r"'long' in its column 'exposure': give a number, or NaN"),
        (
            lambda t: t.assign(date="yesterday"),
            ValueError,
            r"'yesterday' in its column 'date', which is no date",
        ),
        (lambda t: t.assign(file=5), TypeError, r"5 in its column 'file', an int: give paths as texts"),
        (lambda t: pd.concat([t, t[["kind"]]], axis=1), ValueError, r"has the column 'kind' twice"),
    ],
)
def test_a_table_that_cannot_be(change, error, message):
    with pytest.raises(error, match=message):
        xccd.plan(change(night()))


def test_a_recipe_that_is_none():
    with pytest.raises(TypeError, match=r"recipe='night.toml' is no recipe: give xccd.Recipe\(\) or Recipe.from_file"):
        xccd.plan(night(), "night.toml")


@pytest.mark.versions
def test_tables_as_users_leave_them():
    whole = xccd.plan(night())
    fewer = night()[["file", "kind", "filter", "exposure", "date", "object", "shape"]]
    assert [j.name for j in xccd.plan(fewer).jobs] == [j.name for j in whole.jobs]
    text = night().astype(object).where(lambda t: t != "", None)
    text["date"] = text["date"].astype(str)
    text["exposure"] = text["exposure"].astype(str)
    assert [j.name for j in xccd.plan(text).jobs] == [j.name for j in whole.jobs]
    categories = night().astype({"kind": "category", "filter": "category", "shape": "string"})
    categories.index = pd.Index([0] * len(categories))
    assert [j.name for j in xccd.plan(categories).jobs] == [j.name for j in whole.jobs]
    zoned = night().assign(date=lambda t: t.date.dt.tz_localize("UTC"))
    assert [j.name for j in xccd.plan(zoned).jobs] == [j.name for j in whole.jobs]
    empty = xccd.plan(night().iloc[:0])
    assert empty.jobs == ()
    assert str(empty).startswith("0 products of 0 frames")


def test_the_table_is_not_changed():
    table = night()
    before = table.copy(deep=True)
    xccd.plan(table, Recipe(kinds={"flat": ["*"]}))
    pd.testing.assert_frame_equal(table, before)


# --- any table


@st.composite
def tables(draw):
    n = draw(st.integers(0, 25))
    one = {
        "kind": st.sampled_from(["bias", "dark", "flat", "light", "light", "master-flat", "master-bias", "focus", ""]),
        "filter": st.sampled_from(["", "g", "r"]),
        "exposure": st.sampled_from([0.0, 1.0, 1.04, 1.08, 60.0, 119.9, 120.0, math.nan]),
        "object": st.sampled_from(["", "M 51", "m_51", "x"]),
        "shape": st.sampled_from(["50x60", "50x60", "25x30"]),
        "binning": st.sampled_from(["", "1x1", "2x2"]),
        "gain": st.sampled_from([math.nan, 1.0, 2.0]),
        "temperature": st.sampled_from([math.nan, -10.0, -9.0, -20.0]),
        "day": st.sampled_from([0, 0, 1, 5, None]),
    }
    columns = {name: draw(st.lists(values, min_size=n, max_size=n)) for name, values in one.items()}
    days = columns.pop("day")
    date = [pd.NaT if day is None else FIRST + day * DAY + (i % 10) * HOUR for i, day in enumerate(days)]
    numbers = ("exposure", "gain", "temperature")
    found = {name: np.array(v, float if name in numbers else object) for name, v in columns.items()}
    found["date"] = pd.to_datetime(pd.Series(date, dtype="datetime64[ns]"))
    return pd.DataFrame({"file": [f"f{i}.fits" for i in range(n)], "hdu": 0, "problem": "", "size": 10} | found)


RECIPES = st.sampled_from([Recipe(), Recipe(dark={"scale": False}), Recipe(light={"by": ["night"]})])


def same_or_unknown(a, b):
    return a == b or a in ("", None) or b in ("", None) or a != a or b != b


def is_known_same(frames, master, column):
    return all(same_or_unknown(a, b) for a in set(frames[column]) for b in set(master[column]))


@settings(max_examples=40, deadline=None)
@given(tables(), RECIPES, st.randoms())
def test_any_table(table, recipe, random):
    plan = xccd.plan(table, recipe)
    rows = [i for job in plan.jobs for i in job.frames.index] + list(plan.left_out.index)
    assert sorted(rows) == list(range(len(table)))  # each row in one product, or left out
    assert all(plan.left_out.why != "")
    seen = []
    for job in plan.jobs:
        assert all(master in seen for master in job.needs)  # masters come first
        seen.append(job)
        assert sorted(i for p in job.pieces for i in p.frames.index) == sorted(job.frames.index)
        for part in job.pieces:
            for kind, master in part.masters.items():
                assert master.kind == kind
                assert set(master.frames["shape"]) == set(part.frames["shape"])
                assert is_known_same(part.frames, master.frames, "gain")
                assert is_known_same(part.frames, master.frames, "binning")
                if kind == "flat":
                    assert is_known_same(part.frames, master.frames, "filter")
            if "bias" in part.masters and "dark" in part.masters and not part.masters["dark"].ready:
                assert "bias" in part.masters["dark"].masters  # else it would be subtracted twice
            if "dark" in part.masters and "bias" not in part.masters:
                assert not part.scale_dark
    names = [job.name.casefold() for job in plan.jobs]
    assert len(set(names)) == len(names)
    order = random.sample(range(len(table)), len(table))
    again = xccd.plan(table.iloc[order], recipe)
    assert str(again) == str(plan)
    assert again.to_dict() == plan.to_dict()


# --- the text


def test_the_plan_as_a_text_and_as_json():
    table = table_of(night(), rows(1, "focus"), rows(1, "master-light", file="a\x1b.fits"))
    plan = xccd.plan(table)
    text = str(plan)
    assert text.startswith("7 products of 33 frames, 33 kB to read, up to ")
    assert "M_51-r-120s.fits: 4 lights, 120s, 4.0 kB to read, 909 kB of memory" in text
    assert "└── masters/bias.fits, masters/dark-120s.fits, masters/flat-r.fits" in text
    assert "├── note: " not in text.split("M_51")[1].split("\n\n")[0]
    assert "left out: 2 frames" in text
    assert "\x1b" not in text
    assert repr(plan) == text
    assert repr(plan.jobs[0]) == "<Job bias: bias, 5 frame(s)>"
    found = json.loads(json.dumps(plan.to_dict()))
    assert [p["name"] for p in found["products"]] == [job.name for job in plan.jobs]
    last = next(p for p in found["products"] if p["name"] == "M_51-r-120s")
    assert last["parts"][0]["masters"] == {"bias": "bias", "dark": "dark-120s", "flat": "flat-r"}
    assert (last["path"], last["bytes"], len(last["frames"])) == ("M_51-r-120s.fits", 4000, 4)
    assert [row["file"] for row in found["left_out"]] == ["a\x1b.fits", "focus--0-0921-0.fits"]


def test_the_memory_has_a_limit():
    table = rows(1000, "bias", shape="4000x4000")
    (job,) = xccd.plan(table).jobs
    from xccd.night.plan.plan_text import bands_at_a_time, memory_of

    with xccd.set_options(memory="100 MB", threads=4):
        assert memory_of(job, bands_at_a_time()) == 16_000_000 * 48 + 10**8
    with xccd.set_options(memory="1 GB", threads=4):
        assert memory_of(job, bands_at_a_time()) == 16_000_000 * 48 + 4 * (48 << 20)


def test_a_file_of_chips_is_read_once():
    table = table_of(*(rows(3, "bias", size=500).assign(hdu=hdu) for hdu in (1, 2)))
    assert [p["bytes"] for p in xccd.plan(table).to_dict()["products"]] == [1500, 1500]
    # one chip of a file is left out: the other one stays with its like
    (one, two) = xccd.plan(table.iloc[:-1]).to_dict()["products"]
    assert (one["name"], len(one["frames"]), two["name"], len(two["frames"])) == ("bias-chip1", 3, "bias-chip2", 2)
    assert xccd.plan(table.drop(columns="size")).to_dict()["products"][0]["bytes"] == 0


# --- real frames


def test_kast_blue(real_frames):
    table = xccd.scan(real_frames / "kast_blue")
    assert "Dome_Flat-15s" in jobs_of(table)
    table.loc[table.object == "Dome Flat", "kind"] = "flat"
    jobs = jobs_of(table)
    assert list(jobs) == ["bias", "flat", "Feige_66-30s", "J1217p3905-1200s"]
    assert masters_of(jobs["J1217p3905-1200s"]) == {"bias": "bias", "flat": "flat"}
    by_recipe = jobs_of(xccd.scan(real_frames / "kast_blue"), Recipe(kinds={"flat": ["Dome Flat"]}))
    assert list(by_recipe) == list(jobs)


def test_decam(real_frames):
    table = xccd.scan(real_frames / "decam_i")
    assert set(xccd.plan(table).left_out.why.str[:45]) == {"its header does not say what kind of frame it"}
    jobs = jobs_of(table, Recipe(kinds={"light": ["OBS*"]}))
    assert [len(job.frames) for job in jobs.values()] == [5, 5]  # two fields of two gains


def test_bok(real_frames):
    plan = xccd.plan(xccd.scan(real_frames / "bok_90prime"))
    assert len(plan.jobs) == 10
    assert plan.left_out.file.str.endswith(".wht.fits").all()
    assert len(plan.left_out) == 10
