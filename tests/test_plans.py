"""Chains of verbs on dask input: run together from where they began, files as they are stored, the same bits."""

import dask
import numpy as np
import pytest
import xarray as xr
from astropy.io import fits

import xccd
from xccd.compute import notes
from xccd.read.images import pixels

CHAINS = {
    "median": lambda s: s.ccd.combine("median"),
    "clip": lambda s: s.ccd.sigma_clip(1.5, 2, center="median", maxiters=None),
    "clip, mean": lambda s: s.ccd.sigma_clip(1.5, 2, maxiters=None).ccd.combine("mean"),
    "clip, weighted": lambda s: s.ccd.sigma_clip(1.5, 2).ccd.combine("mean", weights=np.arange(1.0, 10)),
    "clip, scaled sum": lambda s: s.ccd.sigma_clip(1.5, 2).ccd.combine("sum", scale=np.arange(1.0, 10)),
    "clip twice, std": lambda s: (
        s.ccd.sigma_clip(2, 2).ccd.sigma_clip(2, 2, deviation="mad_std", nkeep=1).ccd.combine("std")
    ),
    "cut, clip, count": lambda s: s.ccd.minmax(90, 112.5).ccd.sigma_clip(2, 2).ccd.count(),
    "ties, quantile": lambda s: s.ccd.clip_extrema(2, 3).ccd.combine("quantile", q=0.3),
    "ties, clip, mean": lambda s: s.ccd.clip_extrema(1, 1).ccd.sigma_clip(1, 1).ccd.combine("mean"),
    "clip, normalize, mean": lambda s: s.ccd.sigma_clip(2, 2).ccd.normalize("median").ccd.combine("mean"),
    "clip, arithmetic, mean": lambda s: (s.ccd.sigma_clip(2, 2) * 2 + 1).ccd.combine("mean"),
    "clip, cut out, mean": lambda s: s.ccd.sigma_clip(2, 2)[:, 3:11, 2:9].ccd.combine("mean"),
}


def never(*args, **kwargs):
    """A dask scheduler for what must stay lazy."""
    raise AssertionError("computed early")


@pytest.fixture
def folder(tmp_path):
    """Nine frames of each way to store numbers, some with what an integer cannot be."""
    rng = np.random.default_rng(4)
    counts = rng.normal(100, 8, (9, 13, 11)).round()
    counts[2, 4] = 180
    for name in ("u1", "i2", "u2", "i4", "f4", "f8", "i8"):
        (tmp_path / name).mkdir()
        for k, frame in enumerate(counts.astype(name)):
            fits.PrimaryHDU(frame).writeto(tmp_path / name / f"{k}.fits")
    cards = {
        "scaled": ("i2", "BSCALE", 0.5), "blank": ("i2", "BLANK", 97), "shifted": ("i2", "BZERO", 1000),
        "shifted float": ("f4", "BZERO", 0.5), "shifted bytes": ("u1", "BZERO", 100),
        "signed bytes": ("u1", "BZERO", -128),
    }  # fmt: skip
    for name, (dtype, card, value) in cards.items():
        (tmp_path / name).mkdir()
        for k, frame in enumerate(counts.astype(dtype)):
            hdu = fits.PrimaryHDU(frame)
            hdu.writeto(tmp_path / name / f"{k}.fits")
            with open(tmp_path / name / f"{k}.fits", "r+b") as file:
                head = file.read(2880)
                file.seek(head.index(b"END     "))
                file.write(f"{card:<8}= {value:>20}".ljust(80).encode() + b"END".ljust(80))
    return tmp_path


PLAIN = ("u1", "i2", "u2", "i4", "f4", "f8", "i8")
STORED = (*PLAIN, "scaled", "blank", "shifted", "shifted float", "shifted bytes")


@pytest.mark.parametrize("chain", CHAINS)
def test_files_give_the_same_bits(folder, chain):
    for name in STORED:
        expected = CHAINS[chain](xccd.open_stack(folder / name, chunks=None))
        with dask.config.set(scheduler=never):
            lazy = CHAINS[chain](xccd.open_stack(folder / name, chunks={"y": 4}))
        with dask.config.set(scheduler="sync"):
            np.testing.assert_array_equal(lazy.values, expected.values, strict=True)


@pytest.mark.parametrize("dtype", ["native", "float64"])
def test_other_dtypes_give_the_same_bits(folder, dtype):
    for name in STORED:
        for chain in ("median", "clip", "clip, mean", "ties, clip, mean"):
            expected = CHAINS[chain](xccd.open_stack(folder / name, chunks=None, dtype=dtype))
            lazy = CHAINS[chain](xccd.open_stack(folder / name, chunks={"y": 4}, dtype=dtype))
            np.testing.assert_array_equal(lazy.values, expected.values, strict=True)


def plan_of(stack):
    """What a stack's samples are made from, and by how many steps."""
    source, steps, _ = notes.noted(stack.data, notes.PLAN) or (None, (), ())
    return None if source is None else source.dtype.str, len(steps)


@pytest.mark.versions
def test_what_is_read_is_what_is_stored(folder):
    plans = {name: plan_of(xccd.open_stack(folder / name)) for name in (*STORED, "signed bytes")}
    assert plans == {
        "u1": ("|u1", 0), "i2": (">i2", 0), "u2": (">i2", 1), "i4": (">i4", 0), "f4": (">f4", 0), "f8": (">f8", 0),
        "i8": (None, 0), "scaled": (None, 0), "blank": (None, 0), "shifted": (None, 0), "shifted float": (None, 0),
        "shifted bytes": (None, 0), "signed bytes": (None, 0),
    }  # fmt: skip
    mixed = xccd.open_stack([folder / "u2" / "0.fits", folder / "i2" / "1.fits"])
    assert plan_of(mixed) == (None, 0)
    assert plan_of(xccd.open_stack(folder / "f8", dtype="float32")) == (None, 0)  # rounded first


@pytest.mark.versions
def test_a_chain_is_one_task_a_band(folder):
    stack = xccd.open_stack(folder / "u2", chunks={"y": 5})
    clipped = stack.ccd.sigma_clip(2, 2).ccd.sigma_clip(2, 2)
    assert plan_of(clipped) == (">i2", 3)
    image = clipped.ccd.combine("mean")
    layers = [name for name in image.data.dask.layers if name.startswith("_run")]
    assert len(layers) == 1
    assert clipped.data.name not in image.data.dask.layers


@pytest.mark.versions
def test_two_images_of_one_clip_read_each_band_once(folder, monkeypatch):
    reads = []
    read = pixels.FilePixels.read
    monkeypatch.setattr(pixels.FilePixels, "read", lambda *a: (reads.append(a[0].path), read(*a))[1])
    clipped = xccd.open_stack(folder / "u2", chunks={"y": 5}).ccd.sigma_clip(2, 2)
    dask.compute(clipped.ccd.combine("mean").data, clipped.ccd.count().data, scheduler="sync")
    assert len(reads) == 9 * 3


@pytest.mark.versions
def test_what_is_in_memory_is_not_made_again(folder):
    stack = xccd.open_stack(folder / "f4", chunks={"y": 5})
    clipped = stack.ccd.sigma_clip(2, 2)
    kept = clipped.persist(scheduler="sync")
    assert plan_of(kept) == (None, 0)
    for path in (folder / "f4").iterdir():
        path.unlink()
    image = kept.ccd.combine("mean").compute(scheduler="sync")
    assert image.notnull().all()


@pytest.mark.versions
def test_a_plan_starts_with_frames_together():
    values = np.random.default_rng(5).normal(size=(9, 6, 7))
    split = xr.DataArray(values, dims=("frame", "y", "x")).chunk(frame=2, y=3)
    clipped = split.ccd.sigma_clip(1, 1)
    source, steps, _ = notes.noted(clipped.data, notes.PLAN)
    assert (source.numblocks[0], len(steps)) == (1, 1)
    expected = xr.DataArray(values, dims=("frame", "y", "x")).ccd.sigma_clip(1, 1).ccd.combine("median")
    np.testing.assert_array_equal(clipped.ccd.combine("median"), expected, strict=True)


@pytest.mark.parametrize("dtype", ["u2", "i2", "f4", "f8"])
@pytest.mark.parametrize("level", [100, 0, -100])
def test_sums_that_a_clip_leaves_are_those_of_the_samples(dtype, level):
    """Sums of whole numbers, or of one sign and like size, come with the clip; others from the samples again."""
    values = np.random.default_rng(6).normal(level, 8, (9, 6, 7))
    values[3, 2] *= 3
    values = np.abs(values) if dtype == "u2" else values
    stack = xr.DataArray(values.astype(dtype), dims=("frame", "y", "x"))
    if dtype[0] == "f":
        stack.values[2:5, 1, 1], stack.values[:, 0, 0] = np.nan, np.inf
    clipped = stack.ccd.sigma_clip(1.2, 1.5, center="median", maxiters=None)
    lazy = stack.chunk(y=3).ccd.sigma_clip(1.2, 1.5, center="median", maxiters=None)
    for method in ("mean", "sum"):
        np.testing.assert_array_equal(lazy.ccd.combine(method), clipped.ccd.combine(method), strict=True)
