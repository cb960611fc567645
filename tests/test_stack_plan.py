"""`plan` of a stack: the bytes that will be read, and what else is told, before anything is computed."""

import gzip

import numpy as np
import pytest
import xarray as xr
from astropy.io import fits

import xccd
from xccd.compute import arrays
from xccd.compute.dask_joint import tasks_of
from xccd.labels.lazy import array_of
from xccd.verbs.stack_plan import size

pytestmark = pytest.mark.filterwarnings("ignore:sigma_clip. low and high can reject nothing")


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    return xccd.simulate_night(tmp_path_factory.mktemp("plan"), shape=(150, 64), nbias=5, ndark=0, nflat=0, nlight=6)


CLIP = {"center": "median", "deviation": "mad_std"}
CHAINS = {
    "stack": lambda s, _: s,
    "clip and mean": lambda s, _: s.ccd.sigma_clip(**CLIP).ccd.combine(),
    "masked": lambda s, _: s.ccd.sigma_clip(**CLIP),
    "calibrated": lambda s, bias: s.ccd.subtract_bias(bias).ccd.sigma_clip(**CLIP).ccd.combine(),
    "arithmetic": lambda s, bias: (s - bias).ccd.sigma_clip(**CLIP).ccd.combine(),
    "flags": lambda s, _: s.ccd.to_dataset().ccd.sigma_clip(**CLIP),
    "maps": lambda s, _: s.ccd.to_dataset().ccd.sigma_clip(**CLIP).ccd.combine(),
    "grown": lambda s, bias: s.ccd.to_dataset().ccd.subtract_bias(bias).ccd.sigma_clip(**CLIP).ccd.grow(1),
    "part": lambda s, _: s[1:4, 20:70, 5:30].ccd.sigma_clip(**CLIP),
    "strided": lambda s, _: s[:, ::3],
    "some frames": lambda s, _: s[[0, 4], 10:20],
    "aligned": lambda s, _: s.ccd.align(xccd.Grid.of(s[0, 20:70])).ccd.combine(),
    "normalized": lambda s, _: s.ccd.normalize(zero=[1.0, 2, 3, 4, 5, 6]).ccd.combine("median"),
}


@pytest.mark.parametrize("chunks", [None, "auto", {"y": 60}, {"frame": 2}])
@pytest.mark.parametrize("name", CHAINS)
def test_bytes_to_read_are_exact(name, chunks, night, read) -> None:
    bias = xccd.open_stack(f"{night}/bias-*.fits").ccd.combine().load()
    lazy = CHAINS[name](xccd.open_stack(f"{night}/light-r-*.fits", chunks=chunks), bias)
    read[0] = 0
    plan = lazy.ccd.plan()
    assert read[0] == 0
    held = array_of(lazy["data"] if isinstance(lazy, xr.Dataset) else lazy)
    was_lazy = arrays.is_lazy(held) or name == "strided"
    lazy.load()
    assert plan.read == read[0]
    assert plan.exact
    assert (plan.kind != "memory") == was_lazy
    assert plan.result == (lazy.nbytes if isinstance(lazy, xr.DataArray) else sum(v.nbytes for v in lazy.values()))
    assert plan.files == (6 if read[0] else 0) or name in ("part", "some frames")
    assert not read[0] or (plan.tasks >= 1 and plan.memory >= plan.result and plan.rows <= 150)
    assert lazy.ccd.plan().kind == "memory"  # it is loaded


def test_compressed_files_are_about_right(tmp_path, read) -> None:
    x = np.random.default_rng(0).integers(0, 50, (3, 64, 64)).astype(np.int16)
    for i, frame in enumerate(x):
        hdus = fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(frame, name="SCI")])
        hdus.writeto(tmp_path / f"{i}.fits.fz")
        fits.PrimaryHDU(frame).writeto(tmp_path / f"{i}.fits")
        (tmp_path / f"{i}.fits.gz").write_bytes(gzip.compress((tmp_path / f"{i}.fits").read_bytes()))
    for pattern in ("*.fz", "*.gz"):
        stack = xccd.open_stack(tmp_path / pattern, chunks=None)
        plan = stack.ccd.plan()
        read[0] = 0
        stack.load()
        assert not plan.exact
        assert 0.7 < plan.read / read[0] < 1.4
        assert "about" in str(plan).splitlines()[1]


def test_frames_in_memory_need_no_file() -> None:
    frames = [(np.full((8, 9), float(i)), {}) for i in range(4)]
    plan = xccd.open_stack(frames, chunks=None).ccd.sigma_clip(1, 1).ccd.combine().ccd.plan()
    assert (plan.read, plan.files, plan.exact, plan.kind) == (0, 0, True, "deferred")
    assert plan.result == 8 * 9 * 8


def test_it_prints_in_some_lines(night) -> None:
    image = xccd.open_stack(f"{night}/light-r-*.fits", chunks=None).ccd.combine()
    with xccd.set_options(memory="200 MB", threads=2):
        lines = str(image.ccd.plan()).splitlines()
    assert lines[0] == "y 150, x 64, float32: computed by the threads of xccd when it is used (chunks=None)"
    assert lines[1] == "  reads   115 kB of 6 files"
    assert lines[2].endswith("threads 2")
    assert lines[3].endswith("at the peak, the limit for bands is 200 MB")
    assert lines[4] == "  result  38.4 kB"
    assert repr(image.ccd.plan()) == str(image.ccd.plan())
    assert image.ccd.plan()._repr_html_().startswith("<pre>y 150")
    assert str(image.load().ccd.plan()).splitlines()[0].endswith("in memory: nothing is left to compute")
    with pytest.raises(AttributeError):
        image.ccd.plan().read = 3


def test_the_function_and_the_method_are_one(night) -> None:
    image = xccd.open_stack(f"{night}/light-r-*.fits").ccd.combine()
    assert xccd.plan(image) == image.ccd.plan()
    assert image.ccd.plan().limit is None


@pytest.mark.parametrize("shape", [(0, 3, 4), (3, 0, 4), (3, 4, 0), (3,), ()])
def test_odd_shapes(shape) -> None:
    dims = ("frame", "y", "x")[: len(shape)]
    for x in (np.zeros(shape), xr.DataArray(np.zeros(shape), dims=dims).chunk().data):
        plan = xr.DataArray(x, dims=dims).ccd.plan()
        assert plan.read == 0
        assert str(plan)


def test_a_sum_of_dask_has_no_rows() -> None:
    plan = xr.DataArray(np.ones(5), dims="frame").chunk().sum().ccd.plan()
    assert (plan.rows, plan.read, plan.chunks) == (0, 0, 1)


def test_an_unknown_graph_is_not_exact(monkeypatch, night) -> None:
    monkeypatch.setattr("xccd.verbs.stack_plan.tasks_of", lambda arrays: None)
    plan = xccd.open_stack(f"{night}/light-r-*.fits").ccd.plan()
    assert not plan.exact
    monkeypatch.setattr("xccd.compute.dask_joint.find", lambda owner, name: None)
    assert tasks_of([]) is None


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (1000, "1 kB"), (1_572_864, "1.57 MB"), (2.5e9, "2.5 GB"), (4e12, "4000 GB")],
)
def test_sizes(count, text) -> None:
    assert size(count) == text


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: xr.Dataset().ccd.plan(), ValueError, "plan: this Dataset has no variable to compute"),
        (
            lambda: xr.DataTree().ccd.plan(),
            TypeError,
            "plan takes a DataArray, a Dataset or the table of a night, not a",
        ),
        (lambda: xr.DataArray(1.0).ccd.plan(xccd.Recipe()), ValueError, "recipe= is given with a stack: a recipe goes"),
        (lambda: xccd.plan(np.zeros(3)), TypeError, "not a table of frames"),
    ],
)
def test_errors(call, kind, message) -> None:
    with pytest.raises(kind, match=message):
        call()
