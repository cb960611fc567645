"""Compiled code that is damaged is made anew; an engine that cannot be built gives way to NumPy's."""

import functools
import re

import numba
import pytest

from processes import finish, start
from xccd.kernels.compiled import compile as compiled_code
from xccd.kernels.errors import BuildError

compiled = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")

DAMAGES = {"cut": lambda data: data[:100], "empty": lambda data: b"", "garbage": lambda data: bytes(range(256)) * 4}


@pytest.mark.versions
@compiled
@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("files", ["*.nbi", "*.nbc"])
def test_damaged_compiled_code_is_made_anew(tmp_path, monkeypatch, caplog, files, damage):
    """As numba would for a file that is gone; every kind of error of pickle's may come."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))

    def double():
        monkeypatch.setattr(compiled_code, "SOURCES", "of a test")
        return compiled_code.kernel(_doubled)

    assert double()(2.0) == 4
    for path in tmp_path.rglob(files):
        path.write_bytes(DAMAGES[damage](path.read_bytes()))
    assert [double()(3.0), double()(4.0)] == [6, 8]
    (record,) = [r for r in caplog.records if r.name == "xccd"]
    assert re.fullmatch(r"compiled code in .* cannot be read \(\w+\): it is compiled again", record.getMessage())


def _doubled(x):
    return 2 * x


HALF_A_NUMBA = """
import logging
import llvmlite.ir
import numpy as np
import xarray as xr
{removed}
said = []
class Kept(logging.Handler):
    def emit(self, record):
        said.append(record.getMessage())
logging.getLogger("xccd").addHandler(Kept())
import xccd
values = np.random.default_rng(3).normal(100, 5, (7, 5, 8)).astype("f4")
stack = xr.DataArray(values, dims=("frame", "y", "x"))
assert stack.ccd.combine("median").values.tobytes() == np.median(values, 0).tobytes()
xccd.align(stack, offsets=[(0.5 * i, 0) for i in range(7)]).ccd.sigma_clip(1, 1)
try:
    xccd.set_options(engine="numba")
    stack.ccd.combine("median")
except Exception as error:
    print(type(error).__name__)
print(*said, sep="\\n")
"""


REMOVED = (
    "del llvmlite.ir.VectorType",
    "del llvmlite.ir.IntType",
    "del llvmlite.ir.IRBuilder.gep",
    "del llvmlite.ir.Type.as_pointer",
    "from numba.core import cgutils; del cgutils.for_range_slice",
    "from numba.core import cgutils; del cgutils.get_or_insert_function",
    "import numba.extending; del numba.extending.intrinsic",
    "import numba.core.dispatcher as d; del d._DispatcherBase._compile_for_args",
)


@compiled
@pytest.mark.parametrize("removed", REMOVED)
def test_any_damage_to_numba_leaves_numpy(tmp_path, removed):
    out, _ = finish(start(HALF_A_NUMBA.format(removed=removed), NUMBA_CACHE_DIR=str(tmp_path)))
    raised, said = out.splitlines()
    assert raised in ("AttributeError", "ImportError", "BuildError")
    assert re.match(r"numba cannot be (used|imported) \(.*\): NumPy computes instead, several times slower$", said)


WITHOUT_OUR_STEPS = """
import sys
import numpy as np
import xarray as xr
{damage}
import xccd
xccd.set_options(engine="numba")
values = np.random.default_rng(3).normal(100, 5, (7, 5, 8)).astype("f4")
values[0, 0] += 1000
stack = xr.DataArray(values, dims=("frame", "y", "x"))
clipped = stack.ccd.sigma_clip(2, 2).ccd.combine("mean").values
print(int((clipped != stack.ccd.combine("mean").values)[0].all()))
"""


@pytest.mark.versions
@compiled
@pytest.mark.parametrize("damage", ["import numba; numba.__version__ = '99.1.0rc1'", ""])
def test_kernels_compile_without_our_own_steps(tmp_path, damage):
    """A numba without the names that these need compiles all parts again in each caller, as it does by itself."""
    out, _ = finish(start(WITHOUT_OUR_STEPS.format(damage=damage), NUMBA_CACHE_DIR=str(tmp_path)))
    assert out.split() == ["1"]


def without(path):
    """`numba.njit` whose cached dispatchers lack the attribute at the end of ``path``."""
    njit, (*way, name) = numba.njit, path.split(".")

    def other(*args, **options):
        def compiled(function):
            made = njit(*args, **options)(function)
            if options.get("cache"):
                delattr(functools.reduce(getattr, way, made), name)
            return made

        return compiled

    return other


@compiled
@pytest.mark.parametrize("path", ["_cache._cache_file", "_cache._cache_file._source_stamp"])
def test_another_cache_of_numbas_is_not_used(tmp_path, monkeypatch, path):
    """Its code could be that of other sources."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(numba, "njit", without(path))
    assert compiled_code.kernel(_doubled)(2.0) == 4
    assert not list(tmp_path.rglob("*.nb?"))


def loaded_without(name, tmp_path, monkeypatch):
    """What a kernel gives whose code is in the cache, when numba has a name no more."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(compiled_code, "SOURCES", "of a test")
    assert compiled_code.kernel(_doubled)(2.0) == 4
    monkeypatch.delattr(name)
    return compiled_code.kernel(_doubled)(2.0)


@compiled
def test_code_is_loaded_without_numbas_runtime(tmp_path, monkeypatch):
    assert loaded_without("numba.core.runtime.rtsys", tmp_path, monkeypatch) == 4


@compiled
@pytest.mark.parametrize("name", ["_load_overload", "_guard_against_spurious_io_errors"])
def test_a_cache_that_cannot_be_read_is_one_kind_of_error(tmp_path, monkeypatch, name):
    """For which NumPy computes."""
    with pytest.raises(BuildError, match=name):
        loaded_without(f"numba.core.caching.Cache.{name}", tmp_path, monkeypatch)
