"""Trees: masters are found by pixels, filter and exposure time, the log says which, and other nodes stay."""

import logging

import numpy as np
import pytest
import xarray as xr

import xccd


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    folder = tmp_path_factory.mktemp("night") / "raw"
    return xccd.simulate_night(folder, shape=(32, 40), nbias=3, ndark=3, nflat=3, nlight=3)


def masters_of(tree, bias):
    ready = tree.ccd.subtract_bias(bias)
    return ready, ready.ccd.combine("median").load()


@pytest.mark.filterwarnings("ignore:combine")
def test_a_night_in_six_lines(night, caplog):
    """The same as step by step, on each node."""
    tree = xccd.open_tree(night)
    bias = tree["bias"].ccd.combine("median")
    ready, masters = masters_of(tree, bias)
    with caplog.at_level(logging.INFO, "xccd"):
        done = ready.ccd.subtract_dark(masters).ccd.flat_correct(masters)
    lights = done["light/r/120/data"]
    assert set(lights.DARKCOR.values) == {"3 frames, dark-120s-001.fits and so on"}
    assert set(done["flat/r/1.5/data"].DARKCOR.values) == {"3 frames, dark-60s-001.fits and so on"}
    assert "FLATCOR" not in done["flat/r/1.5/data"].coords
    assert "DARKCOR" not in done["dark/60/data"].coords
    assert "BIASCOR" not in done["bias/0/data"].coords
    said = "dark: the frames of the node 'light/r/120' go with the master at the node 'dark/120' (EXPTIME = 120)"
    assert said in caplog.messages
    assert any("flat:" in line and "'flat/r/1.5' (FILTER = r)" in line for line in caplog.messages)
    raw = tree["light/r/120/data"]
    one = raw.ccd.subtract_bias(bias).ccd.subtract_dark(masters["dark/120/data"])
    one = one.ccd.flat_correct(masters["flat/r/1.5/data"])
    np.testing.assert_array_equal(lights.values, one.values)
    alone = raw.ccd.subtract_bias(bias).ccd.subtract_dark(masters).ccd.flat_correct(masters)
    np.testing.assert_array_equal(lights.values, alone.values)


def image(kind, shape=(2, 3), **cards):
    return xccd.open_image((np.ones(shape), {"IMAGETYP": kind} | cards)).to_dataset()


def test_what_is_not_found_is_said():
    stack = xccd.open_stack([(np.ones((2, 3)), {"IMAGETYP": "light", "FILTER": "r", "EXPTIME": 9.0})] * 2)
    tree = xr.DataTree.from_dict({"flat/g": image("flat", FILTER="g"), "flat/i": image("flat", FILTER="i")})
    with pytest.raises(ValueError, match="flat=: the frames are of the filter 'r', the flats of the tree of g, i"):
        stack.ccd.flat_correct(tree)
    with pytest.raises(ValueError, match=r"dark=: no node of the tree is a dark by IMAGETYP; its nodes are"):
        stack.ccd.subtract_dark(tree)
    two = xr.DataTree.from_dict({"a": image("flat", FILTER="r"), "b": image("flat", FILTER="r")})
    with pytest.raises(ValueError, match="flat=: the nodes 'a', 'b' of the tree go with these frames alike"):
        stack.ccd.flat_correct(two)
    other = xr.DataTree.from_dict({"a": image("bias", (4, 4)), "b": image("bias", (3, 3))})
    with pytest.raises(ValueError, match="bias=: no master of the tree has the pixels and the binning of the frames"):
        stack.ccd.subtract_bias(other)
    raw = xr.DataTree.from_dict({"raw": stack.assign_coords(IMAGETYP=("frame", ["bias"] * 2)).to_dataset()})
    with pytest.raises(ValueError, match=r"bias=: the nodes raw of the tree are stacks, not masters: combine them"):
        stack.ccd.subtract_bias(raw)
    with pytest.raises(ValueError, match="no node of this DataTree has an image that is no bias"):
        raw.ccd.subtract_bias(np.ones((2, 3)))
    both = xccd.open_stack([(np.ones((2, 3)), {"IMAGETYP": "light", "FILTER": f}) for f in "gr"])
    with pytest.raises(ValueError, match=r"flat=: the frames are of several filters \(g, r\)"):
        both.ccd.flat_correct(tree)


def test_a_dark_of_the_nearest_time_and_a_bias_of_the_same_gain():
    stack = xccd.open_stack([(np.ones((2, 3)), {"EXPTIME": 50.0, "GAIN": 2.0})])
    darks = {f"dark/{t}": image("dark", EXPTIME=t, BIASCOR="b") for t in (10.0, 60.0, 300.0)}
    found = stack.ccd.subtract_dark(xr.DataTree.from_dict(darks))
    np.testing.assert_allclose(found.values, 1 - 50 / 60, rtol=1e-12)
    biases = {f"bias/{g}": image("bias", GAIN=g) * g for g in (1.0, 2.0)}
    for path, ds in biases.items():
        biases[path] = ds.map(lambda a, p=path: a.assign_attrs(IMAGETYP="bias", GAIN=float(p[5:])))
    assert stack.ccd.subtract_bias(xr.DataTree.from_dict(biases)).values[0, 0, 0] == -1.0


@pytest.mark.filterwarnings("ignore:combine")
def test_errors_name_the_node(night):
    tree = xccd.open_tree(night)
    with pytest.raises(ValueError, match="is of the filter") as caught:
        tree.ccd.flat_correct(tree["flat/g"].ccd.combine("mean")[next(iter(tree["flat/g"].children))]["data"])
    assert any("light/r/120" in note for note in caught.value.__notes__)
