"""How kernels are compiled, and kept on disk."""

import hashlib
import logging
from functools import partial
from pathlib import Path

import numba

from xccd.kernels.errors import BuildError

log = logging.getLogger("xccd")

# What code on disk is of: all that a kernel may call. numba asks for the date of the kernel's file alone, which a copy
# or a new installation changes.
HERE = Path(__file__).parent
CALLED = sorted([*HERE.glob("*.py"), *HERE.parent.glob("*.py")])
SOURCES = hashlib.sha256(b"".join(path.read_bytes() for path in CALLED)).hexdigest()


def kernel(function):
    """Compile for one thread, without the GIL; keep the code on disk where a folder for it can be written."""
    plain = numba.njit(nogil=True, error_model="numpy")
    if numba.config.DISABLE_JIT:
        return plain(function)
    try:
        kept = numba.njit(nogil=True, error_model="numpy", cache=True)(function)
        cache = kept._cache
        cache._cache_file._source_stamp = SOURCES
        cache.load_overload = partial(_load, cache, cache.load_overload)
    except (RuntimeError, AttributeError):  # no folder for the cache can be written, or numba keeps it otherwise
        kept = plain(function)
    if hasattr(kept, "_compile_for_args"):  # what the call asks for
        kept._compile_for_args = partial(_compile, kept._compile_for_args, function.__name__)
    return kept


def _compile(compile_for, name, *arguments, **options):
    """Compiled code for these arguments; whatever numba or LLVM raise on the way becomes one kind of error."""
    try:
        return compile_for(*arguments, **options)
    except Exception as error:
        text = str(error).strip().partition("\n")[0]
        raise BuildError(f"the kernel {name} cannot be compiled, {type(error).__name__}: {text}") from error


def _load(cache, load, signature, target):
    """Code from disk, without all that numba imports to compile: 0.35 s of a process that needs two kernels."""
    try:
        from numba.core.runtime import rtsys

        rtsys.initialize(target)  # what compiled code may call
        guard, read = cache._guard_against_spurious_io_errors, cache._load_overload
    except (ImportError, AttributeError):  # numba has it otherwise
        return load(signature, target)
    try:
        with guard():
            return read(signature, target)
    except Exception as error:  # pickle raises as many kinds as there are ways to damage a file
        path = Path(cache._cache_file._index_path)
        log.warning("compiled code in %s cannot be read (%s): it is made anew", path.parent, type(error).__name__)
        path.unlink(missing_ok=True)  # the list of what is there, to which what is made is added
        return None


# Part of a kernel, called from compiled code alone: without the means to be called from Python it compiles in half
# the time. Parts call no other parts where that can be had, as LLVM works once more on all that is called.
inner_function = numba.njit(  # type: ignore[call-overload]  # options that numba has and its types leave out
    nogil=True, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True
)
