"""`keep`: rules as text, ranks, labels, and what is said of frames that are left out."""

import logging

import numpy as np
import pytest
import xarray as xr

import xccd
from test_stats import star_frames
from xccd.verbs.keep import Condition, parsed


def stack_of(*noises, **labels):
    rng = np.random.default_rng(0)
    frames = np.array([rng.normal(500, noise, (40, 50)) for noise in noises])
    stack = xr.DataArray(frames, dims=("frame", "y", "x"))
    return stack.assign_coords({k: ("frame", v) for k, v in labels.items()})


@pytest.mark.parametrize(
    ("text", "conditions"),
    [
        ("fwhm<80%", [("fwhm", "<", 80, True)]),
        (" stars > 20 % ,noise<=12.5", [("stars", ">", 20, True), ("noise", "<=", 12.5, False)]),
        ("background>=-1e3", [("background", ">=", -1000, False)]),
        ("HIERARCH ESO X<3", [("HIERARCH ESO X", "<", 3, False)]),
        ("CCD-TEMP<-10", [("CCD-TEMP", "<", -10, False)]),
        ("fwhm<100%", [("fwhm", "<", 100, True)]),
        ("stars>0%", [("stars", ">", 0, True)]),
    ],
)
def test_rules_are_read(text, conditions):
    assert parsed(text) == tuple(Condition(*c) for c in conditions)
    assert parsed(",".join(map(str, parsed(text)))) == parsed(text)


@pytest.mark.parametrize(
    "text", ["", "fwhm", "fwhm<", "fwhm=3", "fwhm==3", "3<fwhm", "fwhm<<3", "fwhm<3,", ",", "a<b<3"]
)
def test_what_is_no_rule(text):
    with pytest.raises(ValueError, match="is not a name, one of < <= > >=, and a number: as 'fwhm<80%'"):
        parsed(text)


@pytest.mark.parametrize("number", ["x", "nan", "inf", "1e999", "3px"])
def test_what_is_no_number(number):
    with pytest.raises(ValueError, match=f"'{number}' is not a finite number"):
        parsed(f"fwhm<{number}")


@pytest.mark.parametrize(
    ("text", "bounds"),
    [
        ("fwhm<0%", "above 0 and up to 100 %"),
        ("fwhm<=101%", "above 0 and up to 100 %"),
        ("stars>100%", "from 0 to less than 100 %"),
        ("stars>=-1%", "from 0 to less than 100 %"),
    ],
)
def test_what_is_no_share(text, bounds):
    with pytest.raises(ValueError, match=f"leaves no frame or is no share: give {bounds}"):
        parsed(text)


def test_a_rule_is_a_text():
    with pytest.raises(TypeError, match="rule=3 is not a text: write it as 'fwhm<80%'"):
        stack_of(1, 2).ccd.keep(3)


Q = [3.0, 1.0, 2.0, 5.0, 4.0]


@pytest.mark.parametrize(
    ("rule", "left"),
    [
        ("q<3", [1, 2]),
        ("q<=3", [0, 1, 2]),
        ("q>3", [3, 4]),
        ("q>=3", [0, 3, 4]),
        ("q<80%", [0, 1, 2, 4]),
        ("q<=40%", [1, 2]),
        ("q>20%", [0, 2, 3, 4]),
        ("q>=80%", [3]),
        ("q<1%", [1]),
        ("q<100%", [0, 1, 2, 3, 4]),
        ("q<80%, q>1.5", [0, 2, 4]),
        ("q<80%, r>40%", [0, 1, 2]),
        ("equal<20%", [0, 1, 2, 3, 4]),
        ("some<80%", [0, 1, 4]),
        ("some<60%", [0, 1, 4]),
        ("some>60%", [1, 4]),
        ("some>0", [0, 1, 4]),
        ("flag>0", [0, 4]),
    ],
)
def test_which_frames_stay(rule, left):
    labels = {"q": Q, "r": [5, 4, 3, 2, 1], "equal": [7] * 5, "some": [1.0, 2, np.nan, np.nan, 3]}
    stack = stack_of(*[1] * 5, **labels, flag=[True, False, False, False, True])
    kept = stack.ccd.keep(rule)
    xr.testing.assert_equal(kept, stack.isel(frame=left))


def test_measures_what_is_no_label(caplog):
    caplog.set_level(logging.INFO, "xccd")
    stack = stack_of(5, 5, 50, 5)
    kept = stack.ccd.keep("noise<75%")
    np.testing.assert_array_equal(kept.values, stack.values[[0, 1, 3]])
    assert kept.noise.values.tolist() == stack.ccd.stats().noise.values[[0, 1, 3]].tolist()
    assert kept.attrs["history"] == "xccd.keep('noise<75%'): 3 of 4 frames"
    assert caplog.records[0].message.startswith("keep: left out frame 2: noise = ")
    assert caplog.records[0].message.endswith(" is not among the smallest 75 %")


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ("q<2.5", "q = 3, not <2.5"),
        ("q>1.5", "q = 1, not >1.5"),
        ("q<67%", "q = 3 is not among the smallest 67 %"),
        ("q>=33%", "q = 1 is among the smallest 33 %"),
    ],
)
def test_why_a_frame_is_left_out(rule, why, caplog):
    caplog.set_level(logging.INFO, "xccd")
    assert stack_of(1, 1, 1, q=[1.0, 2.0, 3.0]).ccd.keep(rule).sizes["frame"] == 2
    assert [r.message.partition(": ")[2].partition(": ")[2] for r in caplog.records] == [why]


def test_labels_are_used_in_place_of_measurements(monkeypatch):
    monkeypatch.setattr("xccd.verbs.keep.stats", None)
    kept = stack_of(1, 1, 1, noise=[1.0, 2.0, 3.0]).ccd.keep("noise<3")
    assert kept.noise.values.tolist() == [1, 2]


def test_frames_without_stars_are_left_out(caplog):
    caplog.set_level(logging.INFO, "xccd")
    frames = star_frames()
    frames[1] = np.random.default_rng(1).normal(1000, 5, frames[1].shape)
    stack = xccd.open_stack([(frame, {}) for frame in frames])
    kept = stack.ccd.keep("fwhm<100%")
    assert kept.sizes["frame"] == 4
    assert "left out frame 1 (frame-2): fwhm is unknown: no stars to measure" in caplog.text
    assert "left out frame 1 (frame-2)" in caplog.text


def test_what_is_left_is_lazy():
    stack = stack_of(5, 5, 50).chunk({"y": 10})
    kept = stack.ccd.keep("noise<10")
    assert kept.chunks is not None
    assert kept.sizes["frame"] == 2


def test_keywords_of_the_headers():
    stack = xccd.open_stack([(np.zeros((3, 4)), {"AIRMASS": a, "OBJECT": "M 51"}) for a in (1.0, 1.5, 2.5)])
    assert stack.ccd.keep("AIRMASS<2").AIRMASS.values.tolist() == [1.0, 1.5]


@pytest.mark.parametrize("flagged", [True, False])
def test_datasets_and_trees(flagged):
    stack = stack_of(5, 5, 50)
    ds = stack.ccd.to_dataset() if flagged else xr.Dataset({"data": stack})
    kept = ds.ccd.keep("noise<10")
    assert dict(kept.sizes) == {"frame": 2, "y": 40, "x": 50}
    assert kept["data"].attrs["history"] == "xccd.keep('noise<10'): 2 of 3 frames"
    tree = xr.DataTree.from_dict({"/a": ds, "/b": ds.isel(frame=slice(0, 2)), "/c": xr.Dataset(attrs={"k": 1})})
    found = tree.ccd.keep("noise<10")
    assert found["a"].sizes["frame"] == found["b"].sizes["frame"] == 2
    assert found["c"].attrs == {"k": 1}


def test_a_flagged_dataset_is_judged_by_samples_in_use():
    stack = stack_of(1, 1, 1)
    stack[1, 0, 0] = 1e6
    ds = stack.ccd.to_dataset().ccd.minmax(max=1e5)
    assert ds.ccd.keep("max<1000").sizes["frame"] == 3
    assert stack.ccd.keep("max<1000").sizes["frame"] == 2
    assert ds.ccd.keep("saturated<=0").sizes["frame"] == 2


def test_products_say_it(tmp_path):
    stack = xccd.open_stack([(f, {}) for f in stack_of(5, 5, 50).values])
    image = stack.ccd.keep("noise<10").ccd.combine()
    assert "xccd.keep('noise<10'): 2 of 3 frames" in str(image.ccd.header()["HISTORY"])
    assert image.ccd.header()["NCOMBINE"] == 2


def test_many_lines_are_counted(caplog):
    caplog.set_level(logging.INFO, "xccd")
    stack = xr.DataArray(np.zeros((70, 2, 3)), dims=("frame", "y", "x"), coords={"q": ("frame", np.arange(70))})
    stack.ccd.keep("q<10")
    assert len(caplog.records) == 51
    assert caplog.records[-1].message == "keep: left out 10 frames more by 'q<10'"


@pytest.mark.parametrize(
    ("change", "rule", "kind", "message"),
    [
        (lambda s: s, "fwmh<3", ValueError, "rule='fwmh<3': name='fwmh' is no coordinate on 'frame'"),
        (lambda s: s, "noise<0", ValueError, "rule='noise<0' leaves none of 3 frames: noise is .* to "),
        (lambda s: s, "saturated<1", ValueError, r"saturated of these frames is not known: stats\(saturation=...\)"),
        (lambda s: s, "rejected<1", ValueError, r"rejected of these frames is not known: to_dataset\(\), before the"),
        (lambda s: s[0], "noise<1", ValueError, "no dimension 'frame'"),
        (lambda s: xr.Dataset({"a": s[0]}), "noise<1", ValueError, "no variable of this Dataset has the dim"),
        (lambda s: xr.Dataset({"a": s, "b": s}), "noise<1", ValueError, "stats takes one stack, this Dataset has a, b"),
        (lambda s: xr.DataTree(xr.Dataset({"a": s[0]})), "noise<1", ValueError, "no node of this DataTree has a v"),
        (lambda s: s.assign_coords(text=("frame", ["a", "b", "c"])), "text<1", ValueError, "frame 0 has text = 'a', n"),
        (lambda s: s * np.nan, "fwhm<100%", ValueError, "leaves none of 3 frames: fwhm is unknown in all"),
    ],
)  # fmt: skip
def test_errors(change, rule, kind, message):
    with pytest.raises(kind, match=message):
        change(stack_of(5, 5, 5)).ccd.keep(rule)


def test_numpy_arrays_are_no_stacks():
    with pytest.raises(TypeError, match="keep takes a DataArray, a Dataset or a DataTree, not a ndarray"):
        xccd.keep(np.zeros((2, 3, 4)), "noise<1")
