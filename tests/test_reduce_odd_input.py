"""`reduce` and `scan` of odd nights, tables, folders and recipes: refused with a way out, or done with a word."""

import os

import numpy as np
import pytest
from astropy.io import fits

import xccd
from xccd import Recipe

LEVELS = {"bias": 500, "dark": 520, "flat": 20000, "light": 1500}


def write(path, kind, i, *, chips=0, exposure=10.0, **cards):
    rng = np.random.default_rng(i)
    header = fits.Header({"IMAGETYP": kind, "EXPTIME": exposure, "DATE-OBS": f"2024-03-09T21:0{i}:00", "GAIN": 1.5,
                          "RDNOISE": 7.0, **cards})  # fmt: skip
    if kind in ("flat", "light"):
        header["FILTER"] = "r"
    images = [rng.normal(LEVELS[kind], 5, (24, 32)).astype("u2") for _ in range(max(1, chips))]
    if chips:
        first = fits.PrimaryHDU(header=header)
        fits.HDUList([first, *(fits.ImageHDU(d, name=f"CH{k}") for k, d in enumerate(images))]).writeto(path)
    else:
        fits.PrimaryHDU(images[0], header).writeto(path)


def night(folder, **how):
    folder.mkdir()
    times = {"bias": 0.0, "dark": 10.0, "flat": 2.0, "light": 10.0}
    for kind, time in times.items():
        for i in range(3):
            write(folder / f"{kind}{i}.fits", kind, i, exposure=time, **how)
    return folder


@pytest.fixture
def raw(tmp_path):
    return night(tmp_path / "raw")


def statuses(table):
    return dict(zip(table["product"], table["status"], strict=True))


def why(table, product):
    return table.loc[table["product"] == product, "why"].item()


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ({"light": {"keep": "FHWM<80%"}}, r"light.keep='FHWM<80%': no frame has FHWM .*light0.*did you mean 'fwhm'\?"),
        ({"light": {"keep": "EXPTME>1"}}, r"no frame has EXPTME in its header, .* did you mean 'EXPTIME'\?"),
        ({"light": {"weights": "NOPE*noise"}}, r"light.weights='NOPE\*noise': no frame has NOPE .*: check the name"),
        ({"detector": {"gain": "EGAIM"}}, r"detector.gain='EGAIM': no frame has EGAIM"),
        ({"detector": {"trim": "TRIMSAC"}}, r"detector.trim='TRIMSAC': no frame has TRIMSAC"),
        ({"detector": {"saturation": "SATLEVEL"}}, r"detector.saturation='SATLEVEL': no frame has SATLEVEL"),
    ],
)
def test_unknown_keywords_are_found_before_any_work(raw, tmp_path, recipe, message):
    with pytest.raises(ValueError, match=message):
        xccd.reduce(raw, Recipe(**recipe), output=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_known_keywords_go_through(raw, tmp_path):
    recipe = Recipe(light={"keep": "EXPTIME>1, noise<100%", "weights": "GAIN"}, detector={"gain": "GAIN"})
    assert set(xccd.reduce(raw, recipe, output=tmp_path / "out")["status"]) == {"made"}


def test_weights_by_stars_are_measured(tmp_path):
    folder = xccd.simulate_night(tmp_path / "raw", shape=(160, 160), nbias=3, ndark=3, nflat=3, nlight=3)
    done = xccd.reduce(folder, Recipe(light={"weights": "fwhm"}, flat={"reject": ""}), output=tmp_path / "out")
    assert done["status"].tolist() == ["made"] * 6


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"overwrite": "no"}, TypeError, "overwrite='no' is a str: give True or False"),
        ({"recursive": 1}, TypeError, "recursive=1 is an int: give True or False"),
        ({"progress": 3}, TypeError, "progress=3 is an int: give a function of four arguments"),
        ({"output": "a\0b"}, ValueError, "holds a null byte: name a folder"),
        ({"output": "RAW/bias0.fits/x"}, OSError, "output='.*bias0.fits/x': Not a directory; name a folder that can"),
        ({"output": "RAW/" + "x" * 300}, OSError, "output='.*': File name too long; name a folder that can be made"),
        ({"output": "RAW/link"}, OSError, "output='.*link' is a link to nowhere: name a folder for the products"),
    ],
)
def test_arguments_are_named(raw, tmp_path, given, error, message):
    (raw / "link").symlink_to("nowhere")
    given = {k: v.replace("RAW", str(raw)) if isinstance(v, str) else v for k, v in given.items()}
    with pytest.raises(error, match=message):
        xccd.reduce(raw, **{"output": tmp_path / "out", **given})


def test_what_is_no_table_and_no_files(raw, tmp_path):
    table = xccd.scan(raw)
    with pytest.raises(ValueError, match="frames= is a table without rows: give one row to each frame"):
        xccd.reduce(table[:0], output=tmp_path / "out")
    with pytest.raises(TypeError, match=r"frames= is a Series: give the table of xccd\.scan, a folder, or a list"):
        xccd.reduce(table["file"], output=tmp_path / "out")
    with pytest.raises(ValueError, match=r"hdu='all' goes with files: a table has its own column"):
        xccd.reduce(table, hdu="all", output=tmp_path / "out")


def test_no_product_replaces_a_frame(raw, tmp_path):
    (tmp_path / "out" / "masters").mkdir(parents=True)
    os.rename(raw / "light0.fits", tmp_path / "out" / "masters" / "bias.fits")
    table = xccd.scan([raw, tmp_path / "out" / "masters" / "bias.fits"])
    with pytest.raises(ValueError, match=r"the product 'masters/bias.fits' would replace a frame of that name"):
        xccd.reduce(table, output=tmp_path / "out", overwrite=True)


def test_one_file_by_two_names_counts_once(raw, tmp_path):
    (raw / "light8.fits").symlink_to("light0.fits")
    os.link(raw / "light1.fits", raw / "light9.fits")
    table = xccd.scan(raw)
    for one in (table, table.assign(hdu=np.nan)):
        plan = xccd.plan(one)
        assert len(plan.jobs[-1].frames) == 3
        assert plan.left_out["why"].tolist() == [
            "it is light0.fits under another name, by a link", "it is light1.fits under another name, by a link",
        ]  # fmt: skip


def test_hdus_that_are_not_told(raw, tmp_path):
    table = xccd.scan(raw)
    done = xccd.reduce(table.assign(hdu=np.nan), output=tmp_path / "out")
    assert set(done["status"]) == {"made"}
    plan = xccd.plan(table.assign(hdu=[0.5, np.nan] + [0] * (len(table) - 2)))
    assert plan.left_out["why"].tolist() == [f"its hdu is {n}: give the number of its image" for n in ("0.5", "nan")]


def test_flats_of_which_some_have_a_dark(raw, tmp_path):
    for i in (4, 5):
        write(raw / f"flat{i}.fits", "flat", i, exposure=10.0)
    done = xccd.reduce(raw, output=tmp_path / "out")
    assert statuses(done)["flat-r"] == "made"
    assert "its frames go with 2 sets of masters" in why(done, "flat-r")
    assert "DARKCOR" not in fits.getheader(tmp_path / "out" / "masters" / "flat-r.fits")


def test_chips_are_told_of_and_reduced(tmp_path, caplog):
    raw = night(tmp_path / "raw", chips=2)
    done = xccd.reduce(raw, output=tmp_path / "out")
    assert (
        "bias0.fits has more images than the one that is listed, and likewise 11 more file(s): hdu='all' "
        in caplog.text
    )
    assert len(done) == 4
    done = xccd.reduce(raw, hdu="all", output=tmp_path / "all")
    assert set(done["status"]) == {"made"}
    assert {name.rpartition("-")[2] for name in done["product"]} == {"chip1", "chip2"}


@pytest.mark.filterwarnings("ignore:.*leaves nothing of:UserWarning")
def test_a_product_without_a_value_is_not_written(raw, tmp_path):
    done = xccd.reduce(raw, Recipe(light={"reject": "extrema 2 2"}), output=tmp_path / "out")
    assert done["status"].tolist()[-1] == "failed"
    assert "no pixel of it has a value, so it is not written: light.reject='extrema 2 2'" in done["why"].tolist()[-1]
    assert not list((tmp_path / "out").glob("*.fits"))


def test_cards_that_some_frames_have(raw, tmp_path):
    for i, path in enumerate(sorted(raw.iterdir())):
        if i % 3:
            fits.setval(path, "BIASSEC", value="[30:32,1:24]")
        fits.setval(path, "SATURATE", value="high")
    done = xccd.reduce(raw, output=tmp_path / "out")
    assert set(done["status"]) == {"made"}
    assert "not all frames have BIASSEC: no overscan is done; [detector] overscan" in why(done, "bias")
    assert "SATURATE = 'high' is no number: no sample is taken as saturated" in why(done, "bias")


def test_a_note_is_given_once_for_all_frames(raw, tmp_path):
    for path in raw.iterdir():
        fits.setval(path, "GAIN", value="1.5 e-/ADU")
    done = xccd.reduce(raw, output=tmp_path / "out")
    assert done["why"].tolist()[-1].count("errors are those of the scatter") == 1


def test_a_filter_in_other_letters(raw, tmp_path):
    table = xccd.scan(raw)
    table.loc[table["kind"].isin(["flat", "light"]), "filter"] = "Hö"
    done = xccd.reduce(table, output=tmp_path / "out")
    assert set(done["status"]) == {"made"}
    assert "flat-Hö" in done["product"].tolist()


def test_keep_of_what_no_frame_tells(raw, tmp_path):
    done = xccd.reduce(raw, Recipe(light={"keep": "saturated<1%"}), output=tmp_path / "out")
    assert "saturated of these frames is not known: give detector.saturation" in done["why"].tolist()[-1]


def test_scan_of_odd_requests(raw, caplog):
    assert list(xccd.scan(raw, keywords=["GAIN", " gain "]).columns).count("GAIN") == 1
    odd = os.fsencode(raw) + b"/l\xff.fits"
    try:
        os.link(raw / "light0.fits", odd)
    except OSError:
        pytest.skip("this file system takes names in UTF-8 only")
    assert len(xccd.scan(raw)) == 12
    assert "l\\udcff.fits is left out: its name is no text in UTF-8, rename it" in caplog.text
    with pytest.raises(OSError, match="cannot be in a table: its name is no text in UTF-8"):
        xccd.scan(os.fsdecode(odd))
