"""How kernels are compiled and cached on disk.

Private names of numba are here only, in `pipeline`, and in `vectors` and `streams` for LLVM code. If one is gone,
kernels work without what it gives: no cache on disk, a slower load. A numba that `pipeline` was not tried with takes
longer to compile. If a kernel cannot be
compiled, `BuildError` is raised, and `compute.options.with_engine` computes with NumPy and logs one line.
"""

import functools
import gc
import hashlib
import logging
from pathlib import Path

import numba

from xccd.kernels.errors import BuildError

TRIED = ((0, 62), (0, 68))  # the first and the last version of numba that `pipeline` was tried with
OF_KERNELS: dict[str, type] = {}
OF_PARTS: dict[str, type] = {}
if TRIED[0] <= tuple(map(int, numba.__version__.split(".")[:2])) <= TRIED[1]:
    from xccd.kernels.compiled.pipeline import OF_KERNELS, OF_PARTS

log = logging.getLogger("xccd")

IS_OFF = bool(getattr(numba.config, "DISABLE_JIT", False))  # kernels then run as Python, for tests
# The cache is valid for these sources: all that a kernel may call. numba itself compares the date of the kernel's own
# file. A copy or a new installation changes that date, and a change in a called file does not.
HERE = Path(__file__).parent
CALLED = sorted([*HERE.glob("*.py"), *HERE.parent.glob("*.py")])
SOURCES = hashlib.sha256(b"".join(path.read_bytes() for path in CALLED)).hexdigest()


def kernel(function):
    """Compile for one thread, without the GIL. The code is cached on disk if a folder for it can be written."""
    options = {"nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True} | OF_KERNELS
    plain = numba.njit(**options)
    if IS_OFF:
        return plain(function)
    try:
        compiled = numba.njit(**options, cache=True)(function)
        _stamp(compiled._cache)
    except (RuntimeError, AttributeError):  # no folder can be written, or numba has another kind of cache
        compiled = plain(function)
    return _with_one_error(compiled, function)


def _stamp(cache):
    """Make a cache valid for `SOURCES`; AttributeError if numba would not compare them.

    Without this check the assignment would succeed and do nothing, and old code could be loaded.
    """
    file = cache._cache_file
    file._source_stamp  # noqa: B018
    file._source_stamp = SOURCES
    cache.load_overload = functools.partial(_load, cache, cache.load_overload)


def _with_one_error(compiled, function):
    """The kernel, with any error of its compilation as a `BuildError`."""
    name = function.__name__
    if hasattr(compiled, "_compile_for_args"):  # called for new types only, so a call costs nothing more
        compiled._compile_for_args = functools.partial(_compile, compiled._compile_for_args, name)
        return compiled
    # the slow way: every call passes here
    return compiled if compiled is function else functools.wraps(function)(functools.partial(_compile, compiled, name))


def _compile(compile_for, name, *arguments, **options):
    """The result of ``compile_for``; whatever numba or LLVM raise becomes one kind of error."""
    collects = gc.isenabled()
    gc.disable()  # numba makes some 100 000 objects, most of which stay: to search them takes an eighth of the time
    try:
        return compile_for(*arguments, **options)
    except Exception as error:
        text = str(error).strip().partition("\n")[0]
        raise BuildError(f"the kernel {name} cannot be compiled, {type(error).__name__}: {text}") from error
    finally:
        if collects:
            gc.enable()


def _load(cache, load, signature, target):
    """Code from the cache, or None. numba's own ``load`` also imports its compiler: 0.35 s for two kernels."""
    try:
        from numba.core.runtime import rtsys

        rtsys.initialize(target)  # compiled code calls this runtime
        guard, read = cache._guard_against_spurious_io_errors, cache._load_overload
    except (ImportError, AttributeError):  # renamed in this numba
        return load(signature, target)
    try:
        with guard():
            return read(signature, target)
    except Exception as error:  # a damaged file makes pickle raise errors of any kind
        path = Path(cache._cache_file._index_path)
        log.warning("compiled code in %s cannot be read (%s): it is compiled again", path.parent, type(error).__name__)
        path.unlink(missing_ok=True)  # numba adds the new code to this list of files, so it must be readable
        return None


# Part of a kernel, called from compiled code only. Without wrappers for calls from Python it compiles in half the
# time.
inner_function = numba.njit(  # type: ignore[call-overload]  # numba's types lack these two options
    nogil=True, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True, **OF_PARTS
)
