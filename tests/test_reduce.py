"""A night reduced: the same as the verbs by hand, nothing done twice, and one failure that stops no other product."""

import json
import logging
import os
import shutil

import numpy as np
import pytest
import xarray as xr
from astropy.io import fits

import xccd
from xccd.night.recipe.recipe import Detector, Light, Output, Recipe
from xccd.read.made_by import recipe_text

pytestmark = pytest.mark.filterwarnings("ignore:reject:UserWarning")
LIGHT = "Made-up_field-r-120s"


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    folder = tmp_path_factory.mktemp("night") / "raw"
    return xccd.simulate_night(folder, shape=(64, 80), nbias=5, ndark=4, nflat=4, nlight=5)


@pytest.fixture(scope="module")
def done(night, tmp_path_factory):
    output = tmp_path_factory.mktemp("done") / "products"
    return output, xccd.reduce(night, output=output)


@pytest.fixture
def copy(night, done, tmp_path):
    """A night and its products of a test's own, with their times."""
    shutil.copytree(night, tmp_path / "raw")
    xccd.reduce(tmp_path / "raw", output=tmp_path / "products")
    return tmp_path / "raw", tmp_path / "products"


def clip(stack):
    if not isinstance(stack, xr.Dataset):
        return stack.ccd.reject("auto", 4, 4)
    if stack.sizes["frame"] >= 4:  # "auto" would go by uncertainties
        return stack.ccd.reject("winsorized", 4, 4)
    return stack.ccd.reject("sigma", 4, 4, center="median", deviation="mad_std", maxiters=None)


def pixels(path, name="PRIMARY"):
    with fits.open(path) as hdus:
        return hdus[name].data.copy()


def status(table):
    return dict(zip(table["product"], table["status"], strict=True))


def test_the_table_says_what_was_made(done):
    output, table = done
    assert list(table) == ["product", "kind", "frames", "status", "why", "path", "seconds"]
    assert table["product"].tolist() == ["bias", "dark-60s", "dark-120s", "flat-g", "flat-r", LIGHT]
    assert table["frames"].tolist() == [5, 4, 4, 4, 4, 5]
    assert set(table["status"]) == {"made"}
    assert table["why"].iloc[4] == "no dark of 1.5 s: the bias alone is subtracted"
    assert all(os.path.exists(path) for path in table["path"])
    assert (output / f"{LIGHT}.png").read_bytes()[:4] == b"\x89PNG"


def test_the_same_as_the_verbs_by_hand(night, done):
    output, _ = done
    tree = xccd.open_tree(night)
    bias = clip(tree["bias"]).ccd.combine("mean")
    ready = tree.ccd.subtract_bias(bias["0/data"])
    dark = clip(ready["dark"]).ccd.combine("mean")
    flat = clip(ready["flat"].ccd.normalize("median")).ccd.combine("mean")
    light = (
        ready["light/r/120/data"]
        .ccd.subtract_dark(dark["120/data"])
        .ccd.flat_correct(flat["r/1.5/data"], min_value=0.01)
    )
    image = clip(light.ccd.normalize(zero="median").ccd.align()).ccd.combine("mean")
    np.testing.assert_array_equal(pixels(output / "masters" / "bias.fits"), bias["0/data"].values)
    np.testing.assert_array_equal(pixels(output / "masters" / "dark-120s.fits"), dark["120/data"].values)
    np.testing.assert_array_equal(pixels(output / "masters" / "flat-r.fits"), flat["r/1.5/data"].values)
    np.testing.assert_array_equal(pixels(output / f"{LIGHT}.fits"), image.values)


def test_the_same_for_spectra(real_frames, tmp_path):
    """kast_blue: an overscan, bias frames that say dark, dome flats that say object."""
    table = xccd.scan(real_frames / "kast_blue")
    table.loc[table.object == "Dome Flat", "kind"] = "flat"
    overscan, trim = "[2049:2080,1:350]", "[1:2048,1:350]"
    recipe = Recipe(detector=Detector(overscan=overscan, trim=trim))
    found = xccd.reduce(table, recipe, output=tmp_path)
    names = ["bias", "flat", "Feige_66-30s", "J1217p3905-1200s"]
    assert len(found) == 4
    assert found["kind"].tolist() == ["bias", "flat", "light", "light"]
    assert set(found["status"]) == {"made"}
    assert found["product"].tolist()[2:] == names[2:]

    def opened(pattern):
        return xccd.open_stack(table[table.file.str.contains(pattern)]).ccd.subtract_overscan(overscan).ccd.trim(trim)

    bias = clip(opened("b2[123]")).ccd.combine("mean")
    flats = opened("b1[123]").ccd.subtract_bias(bias)
    flat = clip(flats.ccd.normalize("median")).ccd.combine("mean").assign_attrs(IMAGETYP="flat")
    light = opened("b27").ccd.subtract_bias(bias).ccd.flat_correct(flat, min_value=0.01).ccd.combine("mean")
    np.testing.assert_array_equal(pixels(found["path"].iloc[0]), bias.values)
    np.testing.assert_array_equal(pixels(found["path"].iloc[1]), flat.values)
    np.testing.assert_array_equal(pixels(found["path"].iloc[3]), light.values)


def test_order_threads_memory_and_dask_change_no_pixel(night, done, tmp_path):
    output, _ = done
    table = xccd.scan(night).sample(frac=1, random_state=3)
    with xccd.set_options(threads=1, memory="64MB"):
        xccd.reduce(table, output=tmp_path / "one")
    for name in (f"{LIGHT}.fits", "masters/flat-r.fits"):
        for extension in ("PRIMARY", "UNCERT", "COUNT", "MASK"):
            one, two = pixels(output / name, extension), pixels(tmp_path / "one" / name, extension)
            np.testing.assert_array_equal(one, two)


def test_nothing_is_done_twice(copy):
    night, output = copy

    def times():
        return {path: path.stat().st_mtime_ns for path in output.rglob("*.*") if path.name != "report.html"}

    before = times()
    again = xccd.reduce(night, output=output)
    assert set(again["status"]) == {"up to date"}
    assert again["why"].iloc[4] == "no dark of 1.5 s: the bias alone is subtracted"
    assert times() == before


def change_frame(night, output):
    path = night / "flat-r-002.fits"
    with fits.open(path, mode="update") as hdus:
        hdus[0].data[3, 4] += 7


def remove_product(night, output):
    (output / "masters" / "flat-r.fits").unlink()


def edit_product(night, output):
    with fits.open(output / "masters" / "flat-r.fits", mode="update") as hdus:
        hdus[0].data[3, 4] *= 2


def lose_state(night, output):
    (output / ".xccd" / "masters" / "flat-r.fits.json").unlink()


def spoil_state(night, output):
    (output / ".xccd" / "masters" / "flat-r.fits.json").write_text('{"product": [1,')


@pytest.mark.parametrize("change", [change_frame, remove_product, edit_product, lose_state, spoil_state])
def test_what_changed_is_made_again_and_all_that_depends_on_it(copy, change):
    night, output = copy
    change(night, output)
    found = status(xccd.reduce(night, output=output))
    assert {name for name, one in found.items() if one == "made"} == {"flat-r", LIGHT}
    assert set(status(xccd.reduce(night, output=output)).values()) == {"up to date"}


def test_another_recipe_makes_what_it_concerns(copy):
    night, output = copy
    found = status(xccd.reduce(night, Recipe(light=Light(method="median")), output=output))
    assert {name for name, one in found.items() if one == "made"} == {LIGHT}
    found = status(xccd.reduce(night, Recipe(output=Output(maps=False)), output=output))
    assert set(found.values()) == {"made"}


def test_a_removed_frame_or_a_mended_table_counts(copy):
    night, output = copy
    table = xccd.scan(night)
    found = status(xccd.reduce(table[~table.file.str.endswith("dark-60s-001.fits")], output=output))
    assert {name for name, one in found.items() if one == "made"} == {"dark-60s"}
    table.loc[table.kind == "light", "object"] = "M 51"
    found = xccd.reduce(table, output=output)
    assert found["product"].iloc[-1] == "M_51-r-120s"
    assert fits.getheader(found["path"].iloc[-1])["OBJECT"] == "M 51"


def test_a_picture_that_is_gone_is_drawn_again(copy):
    night, output = copy
    (output / f"{LIGHT}.png").unlink()
    assert set(status(xccd.reduce(night, output=output)).values()) == {"up to date"}
    assert (output / f"{LIGHT}.png").exists()


def test_without_matplotlib_there_is_a_word(night, tmp_path, monkeypatch, caplog):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    table = xccd.scan(night)
    with caplog.at_level(logging.WARNING, "xccd"):
        found = xccd.reduce(table[table.kind == "light"], output=tmp_path)
    assert set(found["status"]) == {"made"}
    assert any("matplotlib is missing, pip install 'xccd[plot]'" in line for line in caplog.messages)


def test_one_failure_stops_no_other(copy):
    night, output = copy
    shutil.rmtree(output)
    bad = night / "flat-r-002.fits"
    table = xccd.scan(night)
    bad.write_bytes(bad.read_bytes()[:3000])
    found = xccd.reduce(table, output=output)
    assert status(found) == {
        "bias": "made", "dark-60s": "made", "dark-120s": "made", "flat-g": "made", "flat-r": "failed", LIGHT: "failed",
    }  # fmt: skip
    assert "flat-r-002.fits" in found["why"].iloc[4]
    assert found["why"].iloc[5] == "it needs flat-r, which failed"
    assert not (output / "masters" / "flat-r.fits").exists()
    skipped = xccd.reduce(table, output=output, errors="skip")
    assert "flat-r-002.fits cannot be opened and is left out" in skipped["why"].iloc[4]
    assert fits.getheader(output / "masters" / "flat-r.fits")["NCOMBINE"] == 3
    assert status(skipped)[LIGHT] == "made"


def test_frames_with_a_problem_are_left_out(copy):
    night, output = copy
    (night / "flat-r-002.fits").write_bytes(b"no image")
    found = xccd.reduce(night, output=output)
    row = found[found.status == "left out"].iloc[0]
    assert (row["product"], row["frames"]) == ("flat-r-002.fits", 1)
    assert "not a FITS file" in row["why"]
    assert found["frames"].iloc[4] == 3


def test_products_inside_the_night_are_no_frames(night, tmp_path):
    raw = tmp_path / "raw"
    shutil.copytree(night, raw)
    first = xccd.reduce(raw, output=raw / "products", recursive=True)
    again = xccd.reduce(raw, output=raw / "products", recursive=True)
    assert again["product"].tolist() == first["product"].tolist()
    assert set(again["status"]) <= {"up to date", "left out"}
    kinds = xccd.scan(raw / "products", recursive=True)["kind"]
    assert set(kinds) == {"master-bias", "master-dark", "master-flat", "master-light"}


def test_masters_of_another_night_are_used(night, done, tmp_path):
    output, _ = done
    table = xccd.scan([str(path) for path in sorted(night.glob("light*"))] + [str(output / "masters")])
    found = xccd.reduce(table, output=tmp_path)
    made = found[found.status == "made"]
    assert made["product"].tolist() == [LIGHT]
    assert set(found[found.kind != "light"]["status"]) <= {"ready", "left out"}
    np.testing.assert_array_equal(pixels(made["path"].iloc[0]), pixels(output / f"{LIGHT}.fits"))


def test_siril_masters_need_their_scale(night, done, tmp_path):
    output, _ = done
    with fits.open(output / "masters" / "bias.fits") as hdus:
        master = fits.PrimaryHDU(hdus[0].data / np.float32(65535), hdus[0].header)
    master.writeto(tmp_path / "bias_stacked.fits")
    table = xccd.scan([str(path) for path in sorted(night.glob("light*"))] + [str(tmp_path / "bias_stacked.fits")])
    found = xccd.reduce(table, output=tmp_path / "products")
    assert "scale=65535" in found["why"].iloc[-1]
    right = xccd.reduce(table, Recipe(detector=Detector(master_scale=65535)), output=tmp_path / "products")
    assert status(right)[LIGHT] == "made"


def test_a_product_says_what_it_is(done, night):
    output, _ = done
    header = fits.getheader(output / f"{LIGHT}.fits")
    assert header["IMAGETYP"] == "Master Light"
    assert header["BIASCOR"] == "bias.fits"
    assert header["NCOMBINE"] == 5
    assert recipe_text(output / f"{LIGHT}.fits").startswith('command = "xccd reduce"')
    with fits.open(output / f"{LIGHT}.fits") as hdus:
        hdus.verify("exception")
        assert {"UNCERT", "COMMON", "COUNT", "MASK", "REJ_LOW", "REJ_HIGH", "RECIPE"} <= {hdu.name for hdu in hdus}
    assert xccd.open_stack(output / f"{LIGHT}.fits").shape == (1, 64, 80)
    assert "data_uncertainty" in xccd.open_dataset(output / f"{LIGHT}.fits")
    stack = xccd.open_stack(output / "masters" / "flat-r.fits")
    assert stack.ccd.combine("mean").shape == (64, 80)


def test_a_file_that_is_not_ours_stays(night, tmp_path):
    table = xccd.scan(night)
    lights = table[table.kind == "light"]
    path = tmp_path / f"{LIGHT}.fits"
    fits.writeto(path, np.zeros((2, 2)))
    found = xccd.reduce(lights, output=tmp_path)
    assert found["status"].tolist() == ["failed"]
    assert "is there already, and it is no product of reduce: overwrite=True" in found["why"].iloc[0]
    assert fits.getdata(path).shape == (2, 2)
    assert xccd.reduce(lights, output=tmp_path, overwrite=True)["status"].tolist() == ["made"]


def test_calibrated_frames_are_written(copy):
    night, output = copy
    recipe = Recipe(output=Output(frames=True))
    assert status(xccd.reduce(night, recipe, output=output))[LIGHT] == "made"
    files = sorted((output / "calibrated" / LIGHT).iterdir())
    assert [path.name for path in files] == [f"light-r-00{i}.fits" for i in range(1, 6)]
    masters = output / "masters"
    stack = xccd.open_stack(night / "light-r-*.fits").ccd.subtract_bias(masters / "bias.fits")
    stack = stack.ccd.subtract_dark(masters / "dark-120s.fits").ccd.flat_correct(
        masters / "flat-r.fits", min_value=0.01
    )
    np.testing.assert_array_equal(xccd.open_stack(files).values, stack.values)
    assert fits.getheader(files[0])["FLATCOR"] == "flat-r.fits"
    assert status(xccd.reduce(night, recipe, output=output))[LIGHT] == "up to date"
    files[2].unlink()
    assert status(xccd.reduce(night, recipe, output=output))[LIGHT] == "made"
    assert files[2].exists()


def test_what_is_said_is_json(done):
    output, _ = done
    known = json.loads((output / ".xccd" / f"{LIGHT}.fits.json").read_text())
    assert known["state"]["kind"] == "light"


def test_errors(night, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(TypeError, match=r"output=3 is no folder, but an int: give a path"):
        xccd.reduce(night, output=3)
    with pytest.raises(NotADirectoryError, match=r"file' is a file: name a folder"):
        xccd.reduce(night, output=tmp_path / "file")
    with pytest.raises(TypeError, match=r"recipe= is a dict: give an xccd.Recipe"):
        xccd.reduce(night, {"light": {}}, output=tmp_path / "out")
    with pytest.raises(ValueError, match=r"output=.* is the folder of the frames"):
        xccd.reduce(night, output=night)
    with pytest.raises(ValueError, match=r"errors='skp' is unknown: use 'raise' or 'skip'; did you mean 'skip'"):
        xccd.reduce(night, output=tmp_path / "out", errors="skp")
    with pytest.raises(FileNotFoundError, match="does not exist: check the path"):
        xccd.reduce(tmp_path / "nowhere", output=tmp_path / "out")
    assert not (tmp_path / "out").exists()
