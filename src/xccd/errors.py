"""The tree of errors: what xccd raises is an `XccdError`, and also Python's own ValueError, TypeError or OSError.

Files raise Python's classes. They become classes of the tree where they leave the package: in public functions
(`messages.public`), and in what xarray and dask call later (`in_tree`). So no file needs to know the tree, and what an
error is within the package is what it always was. Errors of other packages, and of functions of the user, stay as they
are.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dis import opmap
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

RAISE = opmap["RAISE_VARARGS"]  # the instruction of a statement ``raise``


class XccdError(Exception):
    """Any error that xccd raises for an argument, a stack or a file.

    Each is also a ValueError, a TypeError or an OSError, so it may be caught as either. The classes below it are in
    ``xccd.errors``: ``XccdValueError``, ``XccdTypeError``, ``XccdOSError`` and their own kinds, as
    ``XccdFileNotFoundError``, which is a FileNotFoundError, too.

    Errors of other packages are not ours, nor are those of a user's function. A package that is not installed is an
    ImportError, a wrong name behind a dot an AttributeError, as everywhere in Python.

    Examples
    --------
    >>> import xccd
    >>> try:
    ...     xccd.open_stack("nights/1/*.fits")
    ... except xccd.XccdError as error:
    ...     isinstance(error, FileNotFoundError), isinstance(error, OSError)
    (True, True)
    """


class XccdValueError(XccdError, ValueError):
    """A value that cannot be used."""


class XccdTypeError(XccdError, TypeError):
    """A value of a type that cannot be used, or a call that does not fit."""


class XccdOSError(XccdError, OSError):
    """A file that cannot be read or written."""


class XccdIndexError(XccdValueError, IndexError):
    """A frame that there is not."""


class XccdKeyError(XccdValueError, KeyError):
    """A name that there is not."""


class XccdFileNotFoundError(XccdOSError, FileNotFoundError):
    """A file that does not exist."""


class XccdFileExistsError(XccdOSError, FileExistsError):
    """A file that is there already."""


class XccdPermissionError(XccdOSError, PermissionError):
    """A file that may not be read or written."""


class XccdIsADirectoryError(XccdOSError, IsADirectoryError):
    """A folder where a file is meant."""


class XccdNotADirectoryError(XccdOSError, NotADirectoryError):
    """A file where a folder is meant."""


# Python's class, and ours for it. The first of the last four that fits is the ground of any other class.
KINDS: dict[type[Exception], type[XccdError]] = {
    IndexError: XccdIndexError, KeyError: XccdKeyError, FileNotFoundError: XccdFileNotFoundError,
    FileExistsError: XccdFileExistsError, PermissionError: XccdPermissionError,
    IsADirectoryError: XccdIsADirectoryError, NotADirectoryError: XccdNotADirectoryError,
    ValueError: XccdValueError, TypeError: XccdTypeError, OSError: XccdOSError, LookupError: XccdValueError,
}  # fmt: skip
CAUGHT = (ValueError, TypeError, OSError, LookupError)


def kind_of(own: type[Exception]) -> type[XccdError]:
    """The class of the tree for a class of errors: a subclass of both."""
    if own not in KINDS:
        KINDS[own] = _joined(own)
    return KINDS[own]


def _joined(own: type[Exception]) -> type[XccdError]:
    ground = next(KINDS[known] for known in CAUGHT if issubclass(own, known))

    def again(self: Exception) -> tuple[Any, ...]:
        """How it is unpickled: this class has no name in a module."""
        parts: tuple[Any, ...] = tuple(own.__reduce__(self))
        return _made, (own, *parts[1:])

    names = {"__doc__": own.__doc__, "__module__": __name__, "__reduce__": again}
    return type(f"Xccd{own.__name__.removeprefix('Xccd')}", (ground, own), names)


def _made(own: type[Exception], args: tuple[Any, ...], state: dict[str, Any] | None = None) -> Exception:
    made = kind_of(own)(*args)
    made.__dict__.update(state or {})
    return made


def is_raised_here(error: BaseException) -> bool:
    """Whether a statement ``raise`` of this package raised it, not a function that was called."""
    at = error.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    if at is None:
        return False
    code, module = at.tb_frame.f_code.co_code, str(at.tb_frame.f_globals.get("__name__", ""))
    return module.partition(".")[0] == "xccd" and code[at.tb_lasti] == RAISE


def of_tree(error: Exception) -> Exception:
    """The error in the class of the tree, with all that is known of it; the error itself if it is not ours."""
    if isinstance(error, XccdError) or not is_raised_here(error):
        return error
    parts: tuple[Any, ...] = tuple(error.__reduce__())  # with the file names of an OSError, which are not in ``args``
    try:
        made = _made(type(error), *parts[1:])
    except Exception:  # a class of another package with arguments of its own
        return error
    made.__cause__, made.__suppress_context__ = error.__cause__, error.__suppress_context__
    trace = error.__traceback__
    return made.with_traceback(trace.tb_next if trace is not None else None)  # without the frame that raises it again


def in_tree(
    function: Callable[P, R], said: Callable[[tuple[Any, ...], dict[str, Any]], str | None] | None = None
) -> Callable[P, R]:
    """The function, with our errors in the classes of the tree. It costs one Python call.

    ``said(args, kwargs)`` is the message for a call that does not fit the function; None if it fits. A function that
    went through here once is returned as it is.
    """
    known: object = getattr(function, "in_tree_as", None)
    if known is function:  # not a copy of its attributes, as `functools.wraps` makes
        return function

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except CAUGHT as error:
            misfits = said is not None and isinstance(error, TypeError) and not is_raised_here(error)
            text = said(args, kwargs) if said is not None and misfits else None
            found, before = (of_tree(error), error.__context__) if text is None else (XccdTypeError(text), None)
            if found is error:
                raise
        try:
            raise found
        finally:
            # Set by the statement above to what the caller handles now; and no circle of frame and error stays.
            found.__context__ = before
            del found, before

    call.in_tree_as = call  # type: ignore[attr-defined]
    return call
