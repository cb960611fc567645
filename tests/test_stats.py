"""`stats`: against plain NumPy, on every kind of array; odd frames; labels; rejected samples."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from astropy.io import fits

import xccd
from xccd.compute import frame_stats
from xccd.compute.frame_stats import stride
from xccd.verbs.stats_table import limit_of, odd_frames, short_names

pytestmark = pytest.mark.filterwarnings("ignore:sigma_clip. low and high can reject nothing")


def clipped_median(v):
    while True:
        middle, deviation = np.median(v), np.std(v)
        kept = v[(v >= middle - 3 * deviation) & (v <= middle + 3 * deviation)]
        if len(kept) == len(v):
            return middle
        v = kept


def oracle(frame, used):
    """The row of a frame (..., y, x), slowly."""
    v = frame.astype(float)
    v[~used] = np.nan
    rows = v.reshape(-1, v.shape[-1])[:: stride(frame.shape)]
    some = rows[np.isfinite(rows)]
    apart = np.abs(2 * rows[:, 2:-2] - rows[:, :-4] - rows[:, 4:])
    apart = apart[np.isfinite(apart)]
    return {
        "mean": np.nanmean(v),
        "median": np.median(some),
        "background": clipped_median(some),
        "noise": 1.4826 / np.sqrt(6) * np.median(apart),
        "min": np.nanmin(v),
        "max": np.nanmax(v),
        "missing": np.mean(~used),
    }


def samples(dtype, shape=(4, 20, 31), seed=3):
    rng = np.random.default_rng(seed)
    x = rng.normal(100, 8, shape)
    x[1, 3:5] += 1000
    if np.dtype(dtype).kind != "f":
        return np.round(x).clip(0, np.iinfo(dtype).max).astype(dtype)
    x[2, 4, 5:9] = [np.nan, np.inf, -np.inf, np.nan]
    return x.astype(dtype)


def stack_of(x, kind):
    dims = ("frame", "z", "y", "x")[: x.ndim] if x.ndim == 4 else ("frame", "y", "x")[: x.ndim]
    if x.ndim == 2:
        dims = ("frame", "x")
    made = xr.DataArray(x, dims=dims)
    chunks = {"frames": 1, "bands": {"frame": -1, dims[1]: 7}, "tiles": {"frame": 3, "x": 5}}
    return made.chunk(chunks[kind]) if kind in chunks else made


@pytest.mark.parametrize("kind", ["numpy", "frames", "bands", "tiles"])
@pytest.mark.parametrize("dtype", ["f4", "f8", ">f4", "u1", "u2", "i2", "i4"])
def test_columns_are_those_of_numpy(kind, dtype):
    x = samples(dtype)
    table = stack_of(x, kind).ccd.stats().compute()
    for i, frame in enumerate(x):
        for name, value in oracle(frame, np.isfinite(frame)).items():
            assert table[name].values[i] == pytest.approx(value, rel=2e-7, abs=1e-12), (name, i)


@pytest.mark.versions
@pytest.mark.parametrize("kind", ["frames", "bands", "tiles"])
@pytest.mark.parametrize("shape", [(4, 40), (4, 20, 31), (3, 2, 20, 31)])
def test_chunks_change_no_bit(kind, shape, monkeypatch):
    monkeypatch.setattr(frame_stats, "SAMPLES", 300)
    monkeypatch.setattr(frame_stats, "PIECE", 64)
    x = np.random.default_rng(1).normal(1e6, 1e3, shape)
    x[0, ..., 3] = np.nan
    xr.testing.assert_identical(stack_of(x, kind).ccd.stats().compute(), stack_of(x, "numpy").ccd.stats())


def test_of_a_large_frame_some_rows_are_sorted(monkeypatch):
    monkeypatch.setattr(frame_stats, "SAMPLES", 100)
    x = samples("f8")
    assert stride(x.shape[1:]) == 7
    table = stack_of(x, "numpy").ccd.stats()
    assert table["median"].values[0] == np.median(x[0, ::7])
    assert table["mean"].values[0] == pytest.approx(x[0].mean(), rel=1e-15)
    assert table.attrs["rows"] == "every 7th for median, background and noise"
    monkeypatch.undo()
    assert stride((512, 512)) == 1
    assert stride((512, 513)) == 3


def test_planes_of_a_cube_count_as_one_frame():
    x = np.random.default_rng(2).normal(9, 1, (2, 3, 8, 9))
    table = stack_of(x, "numpy").ccd.stats()
    assert table["median"].values[0] == np.median(x[0])
    assert table["max"].values.tolist() == [np.max(x[0]), np.max(x[1])]


def test_a_frame_without_samples_has_no_values():
    x = samples("f4")
    x[1] = np.nan
    table = stack_of(x, "numpy").ccd.stats()
    assert all(np.isnan(table[k].values[1]) for k in ("mean", "median", "background", "noise", "min", "max"))
    assert table.missing.values[1] == 1


@pytest.mark.versions
def test_nothing_is_computed_for_a_lazy_stack():
    import dask.array as da

    def fail(block):
        raise AssertionError("computed")

    x = da.map_blocks(fail, da.zeros((6, 8, 9), chunks=(2, 4, 9)), dtype=float, meta=np.empty((0, 0, 0)))
    stack = xr.DataArray(x, dims=("frame", "y", "x"))
    for stars in (False, True):
        table = stack.ccd.stats(stars=stars)
        assert table.chunks["frame"] == (6,)
        with pytest.raises(AssertionError, match="computed"):
            table.compute()


@pytest.mark.versions
@pytest.mark.parametrize("stars", [False, True])
def test_each_block_is_computed_once(stars):
    import dask.array as da

    done = []

    def one(block):
        done.append(block.shape)
        return block + 1.0

    x = da.map_blocks(one, da.ones((6, 8, 9), chunks=(2, 4, 9)), dtype=float, meta=np.empty((0, 0, 0)))
    table = xr.DataArray(x, dims=("frame", "y", "x")).ccd.stats(stars=stars).compute()
    assert len(done) == 6
    assert table["mean"].values.tolist() == [2.0] * 6


@pytest.fixture
def files(tmp_path: Path):
    x = samples("u2", (6, 30, 40))
    for i, frame in enumerate(x):
        fits.writeto(tmp_path / f"a{i}.fits", frame, fits.Header([("SATURATE", 1000.0)]))
    return x, tmp_path


@pytest.mark.parametrize("chunks", ["auto", None])
@pytest.mark.parametrize("stars", [True, False])
def test_stacks_of_files(files, chunks, stars):
    x, folder = files
    stack = xccd.open_stack(folder, chunks=chunks)
    table = stack.ccd.stats(stars=stars).compute()
    assert table.name.values.tolist() == ["a0", "a1", "a2", "a3", "a4", "a5"]
    for name in ("mean", "median", "background", "noise", "min", "max"):
        assert table[name].values[1] == pytest.approx(oracle(x[1], x[1] >= 0)[name], rel=1e-7)
    assert table.saturated.values.tolist() == [np.mean(frame >= 1000) for frame in x]
    loaded = xccd.open_stack(folder, chunks=None).load()
    xr.testing.assert_identical(table, loaded.ccd.stats(stars=stars))


@pytest.mark.parametrize("stars", [True, False])
def test_files_are_read_once_without_dask(files, stars, monkeypatch):
    from xccd.read.reader import StackReader

    _, folder = files
    read = []
    one = StackReader._read
    monkeypatch.setattr(
        StackReader, "_read", lambda self, i, index, out: read.append(out.size) or one(self, i, index, out)
    )
    xccd.open_stack(folder, chunks=None).ccd.stats(stars=stars)
    assert sum(read) == 6 * 30 * 40


@pytest.mark.parametrize("chunks", ["auto", None])
def test_strips_within_a_limit_of_memory(files, chunks):
    _, folder = files
    whole = xccd.open_stack(folder).ccd.stats().compute()
    with xccd.set_options(memory="1 GB", threads=1):
        xr.testing.assert_identical(xccd.open_stack(folder, chunks=chunks).ccd.stats().compute(), whole)
    with pytest.MonkeyPatch.context() as m:
        m.setattr(frame_stats, "STRIP_BYTES", 6 * 40 * 4 * 4)  # less than a frame
        xr.testing.assert_identical(xccd.open_stack(folder, chunks=chunks).ccd.stats().compute(), whole)


@pytest.mark.parametrize("lazy", [False, True])
def test_rejected_samples_of_a_flagged_dataset(lazy):
    x = samples("f8", (8, 20, 31))
    x[0, 0, 0] = 1e4
    x[3, 1, 1] = -1e4
    ds = stack_of(x, "bands" if lazy else "numpy").ccd.to_dataset()
    clipped = ds.ccd.sigma_clip(4, 4, center="median", deviation="mad_std")
    flags = clipped["data_flags"].values
    table = clipped.ccd.stats(flags=True).compute()
    assert table.rejected_low.values.tolist() == [np.count_nonzero(f & 16) for f in flags]
    assert table.rejected_high.values.tolist() == [np.count_nonzero(f & 32) for f in flags]
    assert table.rejected.values.tolist() == [np.count_nonzero(f & 48) / 620 for f in flags]
    assert table.flag_not_finite.values.tolist() == [np.count_nonzero(f & 2) for f in flags]
    assert table["rejected_high"].values[0] >= 1
    for i in range(8):
        assert table["mean"].values[i] == pytest.approx(oracle(x[i], flags[i] == 0)["mean"])
        assert table["missing"].values[i] == pytest.approx(np.mean(flags[i] != 0))


@pytest.mark.parametrize("stars", [False, True])
def test_a_lazy_clip_of_files(files, stars):
    _, folder = files
    made = [
        xccd.open_stack(folder, chunks=chunks)
        .ccd.to_dataset()
        .ccd.sigma_clip(2, 2, center="median")
        .ccd.stats(stars=stars)
        for chunks in ("auto", None)
    ]
    loaded = xccd.open_stack(folder, chunks=None).load().ccd.to_dataset().ccd.sigma_clip(2, 2, center="median")
    for table in made:
        xr.testing.assert_identical(table.compute(), loaded.ccd.stats(stars=stars))
    assert loaded.ccd.stats().rejected.values.max() > 0


def test_samples_near_the_end_of_float64():
    big = np.where(np.arange(400).reshape(1, 20, 20) % 2, 1e308, -1e308)
    table = stack_of(np.concatenate([big, np.full((1, 20, 20), 1e308)]), "numpy").ccd.stats()
    assert table["max"].values.tolist() == [1e308, 1e308]
    assert table["missing"].values.tolist() == [0, 0]
    assert table["background"].values.tolist() == [0, 1e308]
    assert table["noise"].values.tolist() == [0, 0]


def test_a_clip_with_nan_counts_as_missing():
    x = samples("f8", (8, 20, 31))
    x[0, 0, 0] = 1e4
    clipped = stack_of(x, "numpy").ccd.sigma_clip(4, 4, center="median", deviation="mad_std")
    table = clipped.ccd.stats()
    assert "rejected" not in table
    assert table.missing.values[0] == pytest.approx(np.mean(np.isnan(clipped.values[0])))


def test_saturated_samples_of_flags_and_of_numbers():
    x = samples("f8", (3, 20, 31))
    stack = stack_of(x, "numpy")
    assert "saturated" not in stack.ccd.stats()
    found = stack.ccd.stats(saturation=[1000, 1e9, 1000]).saturated.values
    assert found.tolist() == [0, 0, np.mean(x[2] >= 1000)]
    assert stack.ccd.stats(saturation=1000).saturated.values[1] == np.mean(x[1] >= 1000)
    flagged = stack.ccd.to_dataset().ccd.minmax(max=1000)
    assert flagged.ccd.stats().saturated.values[1] == np.mean(x[1] > 1000)


def test_stars_are_those_of_measure_stars():
    stack = stack_of(star_frames(), "numpy")
    table, measured = stack.ccd.stats(stars=True), stack.ccd.measure_stars()
    for name in ("stars", "fwhm", "elongation", "background", "noise", "missing"):
        np.testing.assert_array_equal(table[name].values, measured[name].values)
    lazy = stack.chunk({"frame": -1, "y": 30}).ccd.stats(stars=True).compute()
    xr.testing.assert_identical(lazy, table)


def star_frames(n=5, widths=(1.5,) * 5):
    rng = np.random.default_rng(5)
    v, u = np.mgrid[:100, :120]
    places = rng.uniform(15, 85, (12, 2))
    frames = []
    for width in widths[:n]:
        light = sum(900 * np.exp(-((u - a) ** 2 + (v - b) ** 2) / (2 * width**2)) for a, b in places)
        frames.append(rng.normal(1000, 5, (100, 120)) + light)
    return np.array(frames)


@pytest.mark.versions
def test_labels_do_not_clash_and_select():
    x = star_frames(widths=(1.5, 1.5, 3.0, 1.5, 1.5))
    stack = xccd.open_stack([(frame, {"EXPTIME": 60.0}) for frame in x]).load()
    labelled = stack.assign_coords(stack.ccd.stats(stars=True))
    assert labelled.file.values.tolist() == stack.file.values.tolist()
    assert labelled.odd.values.tolist() == ["", "", "much light, wide stars", "", ""]
    assert labelled.isel(frame=labelled.fwhm < 5).sizes["frame"] == 4
    mean = labelled.ccd.combine(weights="fwhm")
    weights = 1 / labelled.fwhm.values**2
    np.testing.assert_allclose(mean.values, np.average(x, axis=0, weights=weights), rtol=1e-6)


def test_labels_go_into_products_and_files(tmp_path):
    stack = xccd.open_stack([(frame, {"EXPTIME": 60.0}) for frame in star_frames()]).load()
    labelled = stack.assign_coords(stack.ccd.stats(stars=True))
    labelled.ccd.combine().ccd.to_fits(tmp_path / "mean.fits")
    assert fits.getheader(tmp_path / "mean.fits")["NCOMBINE"] == 5


def test_the_table_is_narrow():
    table = stack_of(samples("f4"), "numpy").ccd.stats()
    frame = table.to_dataframe()
    assert list(frame) == ["name", "mean", "median", "background", "noise", "min", "max", "missing", "odd"]
    assert len(repr(frame.round(1)).splitlines()[0]) < 100
    assert table.noise.attrs == {"long_name": "noise from differences along rows"}


def test_units_follow():
    stack = stack_of(samples("f4"), "numpy").assign_attrs(units="adu")
    table = stack.ccd.stats()
    assert table["median"].attrs["units"] == "adu"
    assert table.missing.attrs["units"] == "1"


def test_another_dimension_holds_the_frames():
    stack = stack_of(samples("f8"), "numpy")
    other = stack.rename(frame="time").transpose("y", "time", "x")
    table = other.ccd.stats(dim="time")
    np.testing.assert_array_equal(table["median"].values, stack.ccd.stats()["median"].values)
    assert table["median"].dims == ("time",)


ROW = {"background": [100.0] * 6, "noise": [5.0] * 6, "missing": [0.0] * 6}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"background": 104.9}, ""),
        ({"background": 105.1}, "high background"),
        ({"background": 50.0}, "low background"),
        ({"background": np.nan}, "no samples"),
        ({"noise": 5.4}, ""),
        ({"noise": 5.6}, "high noise"),
        ({"noise": 4.0, "missing": 0.2}, "low noise, many missing"),
    ],
)
def test_odd_frames(changed, said):
    columns = {k: np.array([*v[1:], changed.get(k, v[0])]) for k, v in ROW.items()}
    assert odd_frames(columns) == ["", "", "", "", "", said]


def test_a_trail_is_odd():
    x = np.random.default_rng(0).normal(100, 5, (6, 64, 64))
    x[2, 30:33] += 90
    assert stack_of(x, "numpy").ccd.stats().odd.values.tolist() == ["", "", "much light", "", "", ""]


def test_stars_are_judged_where_most_frames_have_some():
    columns = {"stars": np.array([9, 9, 9, 9, 9, 0]), "fwhm": np.array([3.0, 3, 3, 3, 3, np.nan])}
    assert odd_frames(columns) == [""] * 6
    columns["stars"] = columns["stars"] * 4
    assert odd_frames(columns) == ["", "", "", "", "", "few stars, no stars"]


def test_of_few_frames_none_is_odd():
    columns = {k: np.array([*v[:3], 1e6]) for k, v in ROW.items()}
    assert odd_frames(columns) == [""] * 4
    assert limit_of(5) == 10
    assert limit_of(10**9) == pytest.approx(5)


def test_odd_is_seldom_wrong():
    rng = np.random.default_rng(0)
    wrong = 0
    for _ in range(400):
        columns = {"background": rng.normal(100, 50, 20), "noise": np.full(20, 1.0)}
        wrong += sum(map(bool, odd_frames(columns)))
    assert wrong <= 8000 * 0.002


@pytest.mark.parametrize(
    ("names", "short"),
    [
        (["/a/b/c1.fits", "/a/b/c2.fits"], ["c1", "c2"]),
        (["/a/x/c1.fits", "/a/y/c1.fits"], ["x/c1", "y/c1"]),
        (["a.fits", "a.fits.gz"], ["a.fits", "a.fits.gz"]),
        (["a.fits"], ["a"]),
        (["c.fits[SCI,1]", "c.fits[SCI,2]"], ["c[SCI,1]", "c[SCI,2]"]),
        ([f"night2024-of-the-observatory-r-{i:03}.fits" for i in (9, 10)], ["...009", "...010"]),
        ([f"{'x' * 30}{c}.fits" for c in "ab"], ["...a", "...b"]),
        (["/p/q/.fits", "/p/q/b.fits"], [".fits", "b.fits"]),
    ],
)
def test_short_names(names, short):
    assert short_names(names) == short


@pytest.mark.parametrize(
    ("change", "arguments", "kind", "message"),
    [
        (
            lambda s: s,
            {"flags": True},
            ValueError,
            "flags=True counts flags, and this stack has none: stack.ccd.to_data",
        ),
        (lambda s: s[0], {}, ValueError, "no dimension 'frame'"),
        (lambda s: s[:0], {}, ValueError, "the stack is empty"),
        (lambda s: s, {"saturation": np.nan}, ValueError, "saturation=nan is not a finite number"),
        (lambda s: s, {"saturation": -1}, ValueError, "saturation: -1, give a finite number above 0"),
        (lambda s: s, {"saturation": "SATURAT"}, ValueError, "saturation='SATURAT' is no coordinate on 'frame'"),
        (lambda s: s, {"saturation": [1, 2]}, ValueError, r"saturation has shape \(2,\)"),
        (lambda s: s, {"stars": "yes"}, TypeError, "stars='yes' is not True or False"),
        (lambda s: s, {"flags": 1}, TypeError, "flags=1 is not True or False"),
        (lambda s: s.astype(complex), {}, TypeError, "samples must be real numbers"),
        (lambda s: s.expand_dims(z=2, axis=1), {"stars": True}, ValueError, r"pick one plane, as stack.isel\(z=0\)"),
        (lambda s: s.rename(y="v"), {"stars": True}, ValueError, r"stars=True takes frames \(y, x\), these have"),
        (lambda s: xr.Dataset({"a": s, "b": s}), {}, ValueError, r"this Dataset has a, b: pick one, as ds\['a'\]"),
        (lambda s: xr.Dataset(), {}, ValueError, "stats takes one stack, this Dataset has none"),
        (lambda s: xr.DataTree(xr.Dataset({"a": s})), {}, TypeError, "not a DataTree: pick a variable"),
    ],
)
def test_errors(change, arguments, kind, message):
    with pytest.raises(kind, match=message):
        change(stack_of(samples("f8"), "numpy")).ccd.stats(**arguments)


def test_numpy_arrays_are_no_stacks():
    with pytest.raises(TypeError, match="stats takes a DataArray or a Dataset, not a ndarray"):
        xccd.stats(np.zeros((2, 3, 4)))


def test_stars_need_sep(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "sep", None)
    with pytest.raises(ImportError, match="star lists need sep"):
        stack_of(samples("f8"), "frames").ccd.stats(stars=True)
