"""`stats` after a clip: rejected samples of lazy stacks whose mask is NaN, and beside the original; how it prints."""

import pickle

import numpy as np
import pytest
import xarray as xr

import xccd
from xccd.compute import arrays
from xccd.read.files import local
from xccd.verbs.stats_printed import StatsTable

CLIP = {"low": 3, "high": 3, "center": "median", "deviation": "mad_std"}


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    return xccd.simulate_night(tmp_path_factory.mktemp("stats"), shape=(90, 64), nbias=5, ndark=0, nflat=0, nlight=8)


def counted(clipped, stack):
    """Rejected samples of each frame, by their side of the median of what is left."""
    x, left = stack.values.astype(float), clipped.values.astype(float)
    out = np.isfinite(x) & ~np.isfinite(left)
    low = x < np.nanmedian(left, axis=0)
    axes = tuple(range(1, x.ndim))
    return (out & low).sum(axes).tolist(), (out & ~low).sum(axes).tolist()


CHAINS = {
    "clip": lambda s, _: (s, s.ccd.sigma_clip(**CLIP)),
    "calibrated": lambda s, bias: (s.ccd.subtract_bias(bias), s.ccd.subtract_bias(bias).ccd.sigma_clip(**CLIP)),
    "two clips": lambda s, _: (s, s.ccd.sigma_clip(**CLIP).ccd.clip_extrema(1, 1)),
    "winsorized": lambda s, _: (s, s.ccd.reject("winsorized")),
    "linear fit": lambda s, _: (s, s.ccd.reject("linear_fit")),
    "normalized": lambda s, _: (s.ccd.normalize(zero="median"), s.ccd.normalize(zero="median").ccd.sigma_clip(**CLIP)),
}


@pytest.mark.parametrize("chunks", [None, "auto", {"y": 20, "frame": 3}])
@pytest.mark.parametrize("name", CHAINS)
def test_a_lazy_clip_knows_what_it_rejected(name, chunks, night) -> None:
    bias = xccd.open_stack(f"{night}/bias-*.fits").ccd.combine().load()
    stack, clipped = CHAINS[name](xccd.open_stack(f"{night}/light-r-*.fits", chunks=chunks), bias)
    table = clipped.ccd.stats()
    if chunks is not None:
        assert all(arrays.is_dask(table[k].data) for k in table if k != "name")
    table = table.compute()
    low, high = counted(clipped.copy(), stack.copy())
    by_median = name not in ("winsorized", "linear fit", "two clips")  # others have other sides
    if by_median:
        assert table.rejected_low.values.tolist() == low
    assert (table.rejected_low + table.rejected_high).values.tolist() == np.add(low, high).tolist()
    assert sum(low) + sum(high) > 0
    np.testing.assert_array_equal(table.rejected, (table.rejected_low + table.rejected_high) / (90 * 64))
    # all other columns are those of the clipped stack in memory
    plain = clipped.copy().load().ccd.stats()
    assert "rejected" not in plain
    for column in set(plain) - {"odd"}:
        np.testing.assert_array_equal(table[column], plain[column])
    beside = clipped.copy().load().ccd.stats(original=stack).compute()
    for column in set(table) - (set() if by_median else {"rejected_low", "rejected_high"}):
        np.testing.assert_array_equal(beside[column], table[column])


def test_flags_and_a_chain_say_the_same(night) -> None:
    stack = xccd.open_stack(f"{night}/light-r-*.fits", chunks=None)
    chain = stack.ccd.minmax(max=5000).ccd.sigma_clip(**CLIP).ccd.stats(flags=True)
    flags = stack.ccd.to_dataset().ccd.minmax(max=5000).ccd.sigma_clip(**CLIP).ccd.stats(flags=True)
    xr.testing.assert_equal(chain, flags)
    assert chain.flag_above_maximum.values.sum() > 0


@pytest.mark.parametrize("chunks", [None, "auto"])
def test_files_are_read_once(chunks, night, monkeypatch) -> None:
    clipped = xccd.open_stack(f"{night}/light-r-*.fits", chunks=chunks).ccd.sigma_clip(**CLIP)
    read, fill = [0], local.LocalFile.fill

    def count(self, view, start):
        read[0] += len(view)
        fill(self, view, start)

    monkeypatch.setattr(local.LocalFile, "fill", count)
    clipped.ccd.stats().compute()
    assert read[0] == 8 * 90 * 64 * 2


def test_the_frames_that_lost_least_are_kept(night) -> None:
    clipped = xccd.open_stack(f"{night}/light-r-*.fits", chunks=None).ccd.sigma_clip(**CLIP)
    table = clipped.ccd.stats()
    kept = clipped.ccd.keep("rejected<50%")
    assert kept.sizes["frame"] == 4
    assert kept.rejected.max() <= np.sort(table.rejected.values)[4]
    labelled = clipped.assign_coords(clipped.ccd.stats())
    assert labelled.isel(frame=labelled.rejected < table.rejected.max()).sizes["frame"] == 7
    assert labelled.ccd.combine(weights="noise").shape == (90, 64)


def stack_of(count=6):
    x = np.random.default_rng(1).normal(100, 3, (count, 20, 30))
    x[3] += 50
    return xr.DataArray(x, dims=("frame", "y", "x"), attrs={"units": "adu"})


def test_beside_the_original_a_pixel_may_lose_all() -> None:
    stack = stack_of()
    clipped = stack.copy()
    clipped[:, 2, 3] = np.nan
    stack[0, 0, 0] = np.inf
    table = clipped.ccd.stats(original=stack)
    assert (table.rejected_low + table.rejected_high).values.tolist() == [1] * 6
    assert table.rejected_high.values[3] == 1


def test_it_prints_as_a_table() -> None:
    table = stack_of().ccd.stats()
    lines = repr(table).splitlines()
    assert lines[0].split() == ["frame", *list(table)[:7], "missing", "%", "odd"]
    assert len(lines) == 7
    assert lines[4].split()[1] == "3"
    assert lines[4].endswith("high background")
    assert max(map(len, lines)) < 100
    assert "<td>high background</td>" in table._repr_html_()
    assert isinstance(table[["name", "odd"]], StatsTable)
    assert repr(table[["name", "odd"]]).splitlines()[0] == "frame  name  odd"
    for other in (pickle.loads(pickle.dumps(table)), table.copy(deep=True), table.compute()):
        assert repr(other) == repr(table)
    assert repr(stack_of().chunk().ccd.stats()).startswith("<xarray.")
    assert repr(table.isel(frame=0)).startswith("<xarray.")
    assert "StatsTable" in repr(table[[]])
    assert table.sizes == {"frame": 6}


def test_of_many_frames_the_odd_ones_are_printed() -> None:
    x = np.random.default_rng(1).normal(100, 3, (100, 8, 9))
    x[90] += 100
    table = xr.DataArray(x, dims=("frame", "y", "x")).ccd.stats()
    text = repr(table)
    assert len(text.splitlines()) == 42
    assert "high background" in text
    assert text.endswith("and 60 more frames")
    assert "and 60 more frames" in table._repr_html_()


def test_names_are_safe_in_html() -> None:
    table = stack_of().assign_coords(file=("frame", [f"<i>{i}" for i in range(6)])).ccd.stats()
    assert "<i>" not in table._repr_html_()
    assert "&lt;i&gt;0" in table._repr_html_()


def test_numbers_of_any_size_and_nan_print() -> None:
    stack = stack_of() * 1e-9
    stack[2] = np.nan
    text = repr(stack.ccd.stats())
    assert " 1.0" in text or "e-07" in text
    assert text.splitlines()[3].split()[2] == "-"


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda s: s.ccd.stats(original=3), TypeError, "original= is int: give the stack before the clip"),
        (lambda s: s.ccd.stats(original=s[1:]), ValueError, "original= has .*: give the same frames"),
        (lambda s: s.ccd.to_dataset().ccd.stats(original=s), ValueError, "goes with a stack whose mask is NaN"),
        (lambda s: s.ccd.stats(flags=True), ValueError, "flags=True counts flags, and this stack has none"),
    ],
)
def test_errors(call, kind, message) -> None:
    with pytest.raises(kind, match=message):
        call(stack_of())
