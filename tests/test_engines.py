"""Settings and what they choose: the engine, compiled code that is kept, `warm_up`."""

import re

import numba
import numpy as np
import pytest

import xccd
from processes import finish, make, start
from xccd import warm
from xccd.compute import options as settings
from xccd.kernels.compiled import clip, drizzle, extrema, flags, masked, overlap, resample, scatter
from xccd.kernels.compiled import compile as compiled_code
from xccd.kernels.compiled import engine as engine_module
from xccd.kernels.limits import DIRECT
from xccd.kernels.plain import engine as plain
from xccd.kernels.table import METHODS

pytestmark = pytest.mark.usefixtures("fresh_options")
PLAIN = [name for name, row in METHODS.items() if not row.needs]  # methods that take any stack
compiled = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")


def name():
    return settings.engine().NAME


# set_options


@pytest.mark.parametrize("engine", settings.ENGINES)
def test_an_engine_for_a_block_of_code(engine):
    with xccd.set_options(engine=engine):
        assert name() == engine
        with xccd.set_options(engine=None):
            assert name() == "numba"
        assert name() == engine
    assert name() == "numba"


@pytest.mark.parametrize("engine", settings.ENGINES)
def test_an_engine_for_good(engine):
    xccd.set_options(engine=engine)
    assert name() == engine
    xccd.set_options(engine=None)
    assert name() == "numba"


@pytest.mark.parametrize("engine", settings.ENGINES)
def test_the_chosen_engine_computes(monkeypatch, engine):
    asked = []
    for module in (plain, engine_module):
        monkeypatch.setattr(module, "reduce", lambda *args, of=module.NAME: asked.append(of) or 0)
    with xccd.set_options(engine=engine, threads=1):
        make().ccd.combine("median")
    assert asked == [engine]


@pytest.mark.versions
@pytest.mark.parametrize("dtype", ["float32", "uint16"])
def test_engines_give_the_same_pixels(dtype):
    stack = make(dtype=dtype)
    found = []
    for engine in settings.ENGINES:
        with xccd.set_options(engine=engine):
            found.append(stack.ccd.sigma_clip(2, 2).ccd.combine("median").values.tobytes())
    assert found[0] == found[1]


def test_threads_for_a_block_of_code_and_for_good():
    assert settings.threads() == settings.cores()
    with xccd.set_options(threads=5) as entered:
        assert isinstance(entered, xccd.set_options)
        assert settings.threads() == 5
        with xccd.set_options(threads=None):
            assert settings.threads() == settings.cores()
        assert settings.threads() == 5
    assert settings.threads() == settings.cores()
    xccd.set_options(threads=2)
    assert settings.threads() == 2
    xccd.set_options(threads=None)
    assert settings.threads() == settings.cores()


def test_settings_are_independent():
    xccd.set_options(threads=3)
    xccd.set_options(engine="numpy")
    assert (settings.threads(), name()) == (3, "numpy")
    with xccd.set_options(threads=2):
        assert (settings.threads(), name()) == (2, "numpy")
    with xccd.set_options(engine="numba"):
        assert (settings.threads(), name()) == (3, "numba")
    with xccd.set_options(threads=4, engine=None):
        assert (settings.threads(), name()) == (4, "numba")
    assert (settings.threads(), name()) == (3, "numpy")


def test_a_block_of_code_leaves_what_it_did_not_name():
    with xccd.set_options(threads=2):
        xccd.set_options(engine="numpy")
    assert (settings.threads(), name()) == (settings.cores(), "numpy")


def test_settings_are_put_back_after_an_error():
    with pytest.raises(KeyError, match="mine"), xccd.set_options(threads=2, engine="numpy"):
        raise KeyError("mine")
    assert (settings.threads(), name()) == (settings.cores(), "numba")


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        ({"thread": 1}, TypeError, "set_options(thread=...) is unknown: there are threads, engine"),
        ({"b": 1, "a": 2, "threads": 1}, TypeError, "set_options(a, b=...) is unknown: there are threads, engine"),
        ({"engine": "cuda"}, ValueError, "engine='cuda' is unknown: use one of numba, numpy; None: the best there is"),
        ({"engine": True}, ValueError, "engine=True is unknown: use one of numba, numpy"),
        ({"engine": ["numpy"]}, ValueError, "engine=['numpy'] is unknown"),
        ({"threads": 0}, ValueError, "threads=0 is below 1: give 1, 2, ... or None for all"),
        ({"threads": -2}, ValueError, "threads=-2 is below 1"),
        ({"threads": 2.0}, TypeError, "threads=2.0 is not a whole number: give 1, 2, ..."),
        ({"threads": "2"}, TypeError, "threads='2' is not a whole number"),
        ({"threads": True}, TypeError, "threads=True is not a whole number"),
        ({"threads": 2, "engine": "cuda"}, ValueError, "engine='cuda' is unknown"),
    ],
)
def test_unusable_settings_change_nothing(given, kind, message):
    xccd.set_options(threads=7, engine="numpy")
    with pytest.raises(kind, match=f"^{re.escape(message)}"):
        xccd.set_options(**given)
    assert (settings.threads(), name()) == (7, "numpy")


# Without numba

WITHOUT_NUMBA = """
import logging, sys
sys.modules["numba"] = None
import numpy as np
import xarray as xr
import xccd
said = []
logger = logging.getLogger("xccd")
logger.propagate = False
handler = logging.Handler()
handler.emit = said.append
logger.addHandler(handler)
given = np.load(sys.argv[1])
found = {}
for key in given:
    stack = xr.DataArray(given[key], dims=("frame", "y", "x"))
    clipped = stack.ccd.sigma_clip(2, 2.2)
    found[f"{key} clip"] = clipped.values
    for method in sys.argv[3:]:
        found[f"{key} {method}"] = clipped.ccd.combine(method, **({"q": 0.3} if method == "quantile" else {})).values
(record,) = said
assert record.levelno == logging.WARNING
print(record.getMessage())
before = dict(xccd.compute.options._OPTIONS)
try:
    xccd.set_options(engine="numba", threads=2)
except ImportError as error:
    print(error)
assert xccd.compute.options._OPTIONS == before
with xccd.set_options(engine="numpy"):
    stack.ccd.combine("median")
assert len(said) == 1
np.savez(sys.argv[2], **found)
"""


@pytest.mark.versions
def test_without_numba_numpy_computes_the_same(tmp_path):
    given = {dtype: make(dtype=dtype) for dtype in ("float32", "uint16")}
    np.savez(tmp_path / "given.npz", **{dtype: stack.values for dtype, stack in given.items()})
    child = start(WITHOUT_NUMBA, tmp_path / "given.npz", tmp_path / "found.npz", *PLAIN)
    out, err = finish(child)
    said, raised = out.splitlines()
    assert re.match(r"numba cannot be imported \(.*numba.*\): NumPy computes instead, several times slower$", said)
    assert "numba" in raised
    assert err == ""
    with np.load(tmp_path / "found.npz") as found, xccd.set_options(engine="numba"):
        assert len(found) == 2 * (1 + len(PLAIN))
        for dtype, stack in given.items():
            clipped = stack.ccd.sigma_clip(2, 2.2)
            assert found[f"{dtype} clip"].tobytes() == clipped.values.tobytes()
            for method in PLAIN:
                image = clipped.ccd.combine(method, **({"q": 0.3} if method == "quantile" else {})).values
                there = found[f"{dtype} {method}"]
                assert (there.dtype, there.tobytes()) == (image.dtype, image.tobytes()), method


@pytest.mark.parametrize("options", [{"engine": "numba"}, {"threads": 3, "engine": "numba"}])
def test_a_missing_engine_cannot_be_chosen(monkeypatch, options):
    def gone():
        raise ImportError("no numba here")

    monkeypatch.setattr(settings, "_numba", gone)
    xccd.set_options(threads=7)
    with pytest.raises(ImportError, match=r"^no numba here$"):
        xccd.set_options(**options)
    assert settings._OPTIONS == {"threads": 7, "engine": None, "memory": None, "progress": None}


def test_an_engine_that_goes_missing_is_not_replaced_in_silence(monkeypatch, caplog):
    def gone():
        raise ImportError("no numba here")

    xccd.set_options(engine="numba")
    monkeypatch.setattr(settings, "_numba", gone)
    with pytest.raises(ImportError, match=r"^no numba here$"):
        settings.engine()
    assert not caplog.records
    xccd.set_options(engine=None)
    assert [name(), name()] == ["numpy", "numpy"]
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("xccd", "WARNING")
    assert "(no numba here)" in record.getMessage()


# Compiled code is kept

MEDIAN = """
import sys
import numpy as np
import xarray as xr
import xccd
values = np.random.default_rng(3).normal(100, 5, (7, 5, 8)).astype("f4")
image = xr.DataArray(values, dims=("frame", "y", "x")).ccd.combine("median").values
assert image.tobytes() == np.median(values, 0).tobytes()
from xccd.kernels.compiled.ranks import median
print(image.tobytes().hex())
if len(sys.argv) > 1:
    print(sum(median.stats.cache_hits.values()), sum(median.stats.cache_misses.values()))
"""
NO_FOLDER = """
import numba
real, asked = numba.njit, []

def njit(*args, **options):
    if options.get("cache"):
        def refuse(function):
            asked.append(function)
            raise RuntimeError("cannot cache function: no locator available")
        return refuse
    return real(*args, **options)

numba.njit = njit
"""


def outcome(process):
    image, counts = finish(process)[0].split("\n", 1)
    return image, *map(int, counts.split())


@pytest.mark.versions
@compiled
def test_compiled_code_is_kept_and_may_be_made_by_two_at_once(tmp_path):
    both = [start(MEDIAN, "stats", NUMBA_CACHE_DIR=str(tmp_path)) for _ in range(2)]
    results = [outcome(process) for process in both]
    assert all(hits + misses == 1 for _, hits, misses in results)
    assert any(misses for _, _, misses in results)
    assert list(tmp_path.rglob("*.nbi"))
    assert list(tmp_path.rglob("*.nbc"))
    image, hits, misses = outcome(start(MEDIAN, "stats", NUMBA_CACHE_DIR=str(tmp_path)))
    assert (hits, misses) == (1, 0)
    assert {image} == {image for image, _, _ in results}


@compiled
def test_without_a_folder_for_compiled_code(tmp_path):
    code = f"{NO_FOLDER}{MEDIAN}\nassert asked\nassert median.signatures\nassert not median.stats.cache_path"
    finish(start(code, NUMBA_CACHE_DIR=str(tmp_path)))
    assert not list(tmp_path.rglob("*.nb?"))


# warm_up


@compiled
def test_warm_up_compiles_all_kernels():
    xccd.warm_up(["float32"])
    kernels = {id(kernel): kernel for kernel in engine_module.KERNELS.values()}
    for kernel in (
        *kernels.values(),
        clip.sigma_bounds,
        clip.mad_bounds,
        extrema.extrema_bounds,
        masked.masked,
        masked.masked_ties,
        flags.flag,
        scatter.weighted_error,
        resample.resampled,
        overlap.overlapped,
        drizzle.dropped,
    ):
        samples = [getattr(signature[0], "types", signature)[0] for signature in kernel.signatures]
        firsts = [(kind.dtype.name, kind.ndim) for kind in samples]
        assert ("float32", 2) in firsts, kernel.__name__


@pytest.mark.versions
@compiled
def test_after_warm_up_verbs_compile_nothing():
    kernels = set(engine_module.KERNELS.values())
    kernels |= {clip.sigma_bounds, clip.mad_bounds, extrema.extrema_bounds, masked.masked, masked.masked_ties}
    kernels |= {flags.flag, scatter.weighted_error, scatter.error_sums}
    xccd.warm_up([np.float32])
    before = {kernel: len(kernel.signatures) for kernel in kernels}
    with xccd.set_options(engine="numba"):
        fixed, crooked = make(), make()
        fixed.values.flags.writeable = False
        odd = np.frombuffer(bytearray(b"\0" + crooked.values.tobytes()), np.uint8)[1:]  # begins between two samples
        crooked.values = odd.view(np.float32).reshape(crooked.shape)
        assert not crooked.values.flags.aligned
        for stack in (make(), make((1, 1, 1)), make((20, 3, 4))[:, ::-1], fixed, crooked):
            weights = np.linspace(1, 2, stack.sizes["frame"])
            stack.ccd.clip_extrema(0, 0)
            for clipped in (stack, stack.ccd.minmax(1, 1000)):
                for method, row in ((name, METHODS[name]) for name in PLAIN):
                    options = {"q": 0.3} if method == "quantile" else {}
                    clipped.ccd.combine(method, **options)
                    if row.weighted:
                        clipped.ccd.combine(method, weights=weights, **options)
        make().ccd.sigma_clip(2, 2, center="median", deviation="mad_std", maxiters=None).ccd.clip_extrema(1, 1)
        for errors in (None, 2.0):
            flagged = make().ccd.to_dataset(uncertainty=errors).ccd.clip_extrema(1, 1).ccd.sigma_clip(2, 2)
            for weights in (None, np.linspace(1, 2, flagged.sizes["frame"]), make() + 1):
                flagged.ccd.combine_with_maps("mean", weights=weights)
    assert {kernel: len(kernel.signatures) for kernel in kernels} == before


def test_warm_up_does_nothing_harmful_with_numpy():
    with xccd.set_options(engine="numpy"):
        assert xccd.warm_up(["float32"]) is None
        assert xccd.warm_up() is None
        assert xccd.warm_up([]) is None
    assert (settings.threads(), name()) == (settings.cores(), "numba")


@pytest.mark.parametrize(
    ("given", "dtype"),
    [
        (["int64"], "int64"),
        (["float32", "float16"], "float16"),
        ([">f4"], ">f4"),
        ([bool], "bool"),
        (["c8"], "complex64"),
    ],
)
def test_warm_up_of_what_kernels_do_not_know(monkeypatch, given, dtype):
    monkeypatch.setattr(warm, "_run_chain", lambda chain, x: None)
    with pytest.raises(
        ValueError, match=f"^dtypes: {dtype} is none of {', '.join(map(str, DIRECT))}, which others are converted to$"
    ):
        xccd.warm_up(given)


@pytest.mark.parametrize(
    ("given", "dtypes"),
    [((), DIRECT), ((None,), DIRECT), ((["u2", np.float64],), (np.dtype("u2"), np.dtype("f8"))), (([],), ())],
)
def test_dtypes_of_warm_up(monkeypatch, given, dtypes):
    ran = []
    monkeypatch.setattr(warm, "_run_chain", lambda chain, x: ran.append((x.dtype, chain)))
    xccd.warm_up(*given)
    assert tuple(dict.fromkeys(dtype for dtype, _ in ran)) == dtypes
    for dtype in dtypes:
        chains = [chain for of, chain in ran if of == dtype]
        ends = [end for chain in chains for end in chain.ends]
        assert {end.method for end in ends} == set(METHODS)
        assert {end.method for end in ends if end.weighted} == {
            method for method, row in METHODS.items() if row.weighted
        }
        kinds = {type(step).__name__ for chain in chains for step in chain.steps}
        assert kinds == {"Sigma", "Extrema", "Window", "Marked"}


@compiled
def test_compiled_code_is_of_all_the_sources():
    for kernel in engine_module.KERNELS.values():
        assert kernel._cache._cache_file._source_stamp == compiled_code.SOURCES
