"""Parts of error messages: how a function is called, which name was perhaps meant, a path or text made printable."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from numbers import Integral, Real
from typing import Any, ParamSpec, TypeVar

from xccd.errors import in_tree

P = ParamSpec("P")
R = TypeVar("R")

NEAR = 0.65  # difflib's ratio; names at least this similar are suggested
LONGEST = 60  # characters: no name of ours is longer, and difflib is slow on long texts
# Names of arguments and values in astropy, ccdproc, IRAF and NumPy, and their names here.
ELSEWHERE: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("sigma", "nsigma", "kappa", "thresh", "threshold"), ("low", "high")),
    **dict.fromkeys(("sigma_lower", "sigma_low", "low_thresh", "lsigma", "lower"), ("low", "min")),
    **dict.fromkeys(("sigma_upper", "sigma_high", "high_thresh", "hsigma", "upper"), ("high", "max")),
    **dict.fromkeys(("min_clip", "minimum", "vmin", "lthreshold"), ("min",)),
    **dict.fromkeys(("max_clip", "maximum", "vmax", "hthreshold", "saturation"), ("max",)),
    **dict.fromkeys(("n", "count", "number"), ("nlow", "nhigh", "i")),
    **dict.fromkeys(("cenfunc", "cen_func", "func", "function"), ("center", "method")),
    **dict.fromkeys(("stdfunc", "dev_func"), ("deviation",)),
    **dict.fromkeys(("iters", "niter", "iterations", "max_iter"), ("maxiters",)),
    **dict.fromkeys(("clobber", "force", "exist_ok", "replace"), ("overwrite",)),
    **dict.fromkeys(("axis", "axes", "dimension"), ("dim",)),
    **dict.fromkeys(("file", "filename", "fileobj", "name", "output"), ("path", "files", "file")),
    **dict.fromkeys(("ext", "extension", "extname"), ("hdu",)),
    **dict.fromkeys(("mem_limit", "maxmem"), ("memory",)),
    **dict.fromkeys(("wcs", "grid", "target", "target_wcs"), ("to",)),
    **dict.fromkeys(("frame", "index"), ("i",)),
    "shifts": ("offsets",), "groupby": ("by",), "quantile": ("q",), "percentile": ("q",), "coords": ("position",),
    "average": ("mean",), "avg": ("mean",), "variance": ("var",), "mad": ("mad_std",),
    "stdev": ("std",), "stddev": ("std",),
    **dict.fromkeys(("open", "read", "load"), ("open_stack",)),
    **dict.fromkeys(("save", "write", "writeto"), ("to_fits",)),
    **dict.fromkeys(("clip", "reject"), ("sigma_clip",)), **dict.fromkeys(("reproject", "register"), ("align",)),
    "stack": ("combine",), "crop": ("cutout",), "group_by": ("by",),
    "add": ("sum",), "total": ("sum",), "linear": ("bilinear",), "cubic": ("bicubic",),
}  # fmt: skip


def meant(given: object, known: Iterable[object]) -> list[str]:
    """The known names that were perhaps meant: by the table `ELSEWHERE`, else the one with the most similar letters."""
    if not isinstance(given, str) or not 0 < len(given) <= LONGEST:
        return []
    names = {_letters(name): name for name in map(str, known)}
    by_name = [name for name in ELSEWHERE.get(given.lower(), ()) if _letters(name) in names]
    if by_name:
        return by_name
    from difflib import get_close_matches

    return [names[near] for near in get_close_matches(_letters(given), names, n=1, cutoff=NEAR)]


def _letters(name: str) -> str:
    return name.casefold().replace("_", "").replace("-", "")


def did_you_mean(given: object, known: Iterable[object]) -> str:
    """The end of a message, as "; did you mean 'median'?"; "" if no name is similar."""
    names = meant(given, known)
    return f"; did you mean {' and '.join(map(repr, names))}?" if names else ""


def is_whole(given: object) -> bool:
    """Whether it is an integer of Python or NumPy; True and False are not."""
    return isinstance(given, Integral) and not isinstance(given, bool)


def is_number(given: object) -> bool:
    """Whether it is a real number of Python or NumPy; True and False are not."""
    return isinstance(given, Real) and not isinstance(given, bool)


def called(given: object) -> str:
    """The full name of a function, which differs from any text; the ``repr`` of anything else."""
    if not callable(given):
        return repr(given)
    if isinstance(given, functools.partial):
        return f"partial({called(given.func)})"
    name = getattr(given, "__qualname__", None) or f"{type(given).__qualname__} object"
    *within, own = str(name).split("<locals>.")
    module = getattr(given, "__module__", None)
    bare = within or own.startswith("<") or module in (None, "builtins", "__main__")
    return own if bare else f"{module}.{own}"


def public(function: Callable[P, R], name: str = "") -> Callable[P, R]:
    """The function, with our message for a call that does not fit its arguments, and errors of our own classes."""
    return in_tree(function, lambda args, kwargs: misfit(function, args, kwargs, name))


def public_methods(kind: type) -> None:
    """Wrap the methods of a public class as `public` does, in place."""
    for name, own in list(vars(kind).items()):
        full = kind.__name__ if name == "__init__" else f"{kind.__name__}.{name}"
        if name.startswith("_") and name not in ("__init__", "__getitem__", "__call__"):
            continue
        if inspect.isfunction(own):
            setattr(kind, name, public(own, full))
        elif isinstance(own, classmethod | staticmethod):
            setattr(kind, name, type(own)(in_tree(own.__func__)))
        elif isinstance(own, functools.cached_property):
            own.func = in_tree(own.func)
        elif isinstance(own, property) and own.fget is not None:
            setattr(kind, name, property(in_tree(own.fget), own.fset, own.fdel, own.__doc__))


def not_one_alone(second: str, text: str, unclear: Callable[[Any], bool]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Refuse a single number by position if two are expected and ``unclear(number)``: it could be either."""

    def wrap(verb: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(verb)
        def checked(*args: P.args, **kwargs: P.kwargs) -> R:
            alone = len(args) == 2 and second not in kwargs
            if alone and isinstance(args[1], Real) and unclear(args[1]):
                raise TypeError(text.format(args[1]))
            return verb(*args, **kwargs)

        return checked

    return wrap


def misfit(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], name: str = ""
) -> str | None:  # fmt: skip
    """The message for a call that does not fit the function; None if it fits and the error has another cause."""
    signature, name = inspect.signature(function), f"{name or function.__name__}()"
    parameters = signature.parameters
    subject, *others = parameters
    try:
        signature.bind(*args, **kwargs)
    except TypeError:
        pass
    else:  # such a verb takes its first argument by position only
        named = subject in kwargs and hasattr(function, "__wrapped__")
        return f"{name} takes {subject} first, without its name" if named else None
    placed = [k for k, p in parameters.items() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    unknown = [k for k in kwargs if k not in parameters]
    if unknown:
        names = [one for k in unknown for one in meant(k, others)]
        hint = f": did you mean {' and '.join(f'{k}=' for k in names)}? It takes" if names else ": it takes"
        return f"{name} has no argument {', '.join(map(repr, unknown))}{hint} {', '.join(others) or 'none'}"
    if len(args) > len(placed):
        free = [k for k in parameters if k not in placed and k not in kwargs]
        guess = ", ".join(f"{k}={_short(v)}" for k, v in zip(free, args[len(placed) :], strict=False))
        hint = f", the rest by name: did you mean {guess}?" if guess else ""
        return f"{name} takes {' and '.join(placed[1:]) or 'nothing'} by position{hint}"
    twice = [k for k in placed[: len(args)] if k in kwargs]
    if twice:
        return f"{name} is given {twice[0]} twice, by position and as {twice[0]}={_short(kwargs[twice[0]])}"
    given = {*placed[: len(args)], *kwargs}
    lacking = [k for k, p in parameters.items() if p.default is p.empty and k not in given]
    return f"{name} needs {' and '.join(lacking)}: it takes {', '.join(parameters if subject in lacking else others)}"


def _short(value: object) -> str:
    text = called(value) if callable(value) else repr(value)
    return text if len(text) <= LONGEST and "\n" not in text else "..."


def no_attribute(owner: str, name: str, known: Iterable[str], hint: str = "") -> AttributeError:
    """The error for a missing attribute. ``obj=None`` keeps Python from adding its own suggestion to the traceback."""
    names = sorted(k for k in known if not k.startswith("_"))
    guess = hint or did_you_mean(name, names)
    rest = f"{' There are' if guess.endswith('?') else ': there are'} {', '.join(names)}"
    return AttributeError(f"{owner} has no {name!r}{guess}{rest}", name=name, obj=None)


def explained(module: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """The functions of a package wrapped by `public`, and a ``__getattr__`` whose error lists the package's names.

    The methods of its classes are wrapped in place.
    """
    found: dict[str, Any] = {name: public(module[name]) for name in names if inspect.isfunction(module[name])}
    for name in names:
        if inspect.isclass(module[name]) and not issubclass(module[name], Exception):
            public_methods(module[name])
    for function in found.values():
        function.__module__ = module["__name__"]  # pickle looks it up there

    def __getattr__(name: str) -> Any:  # noqa: N807  (Python's own name for it)
        if name.startswith("_"):
            raise AttributeError(f"module {module['__name__']!r} has no attribute {name!r}")
        raise no_attribute(module["__name__"], name, names)

    return found | {"__getattr__": __getattr__}


def shown(text: object) -> str:
    """A path, or a text from a file, with unprintable characters spelled out.

    A terminal would obey them: escape codes, line ends of any kind, marks that change the direction of writing. Bytes
    that are not text are spelled out too.
    """
    plain = str(text)
    if plain.isprintable():
        return plain
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in plain)


def a_type(value: object) -> str:
    """The name of a value's type behind its article: "a list", "an int"."""
    name = type(value).__name__
    return f"{'an' if name[:1].lower() in 'aeio' else 'a'} {name}"  # not "u": "a uint8"
