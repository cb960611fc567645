"""From labelled objects to arrays with frames on axis 0 and back: what all verbs share."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Hashable
from contextvars import ContextVar
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

import numpy as np
import xarray as xr

from xccd import _stack
from xccd._chain import Chain
from xccd._deferred import samples, wrapped
from xccd._flags import MAPS, apart, companion, flags_of, with_maps
from xccd._nodes import NODE, map_nodes
from xccd._suggest import did_you_mean
from xccd.fits.files import shown
from xccd.fits.shared import COMBINED, HISTORY, history, scalar
from xccd.kernels.limits import float_dtype

P = ParamSpec("P")
Obj = TypeVar("Obj", xr.DataArray, xr.Dataset, xr.DataTree)


def per_variable(
    verb: Callable[Concatenate[xr.DataArray, P], xr.DataArray],
) -> Callable[Concatenate[Obj, P], Obj]:
    """Let a verb on a DataArray work on each science variable of a Dataset too, and of the nodes of a DataTree.

    A science variable has the dimension that the verb works along, and no other variable names it in its
    ``ancillary_variables``. The rest of the Dataset stays, except what still has a dimension that was combined; of
    a tree, nodes without the dimension.
    """

    @wraps(verb)
    def on_any(obj: Obj, *args: P.args, **kwargs: P.kwargs) -> Obj:
        dim: Hashable = kwargs.get("dim", "frame")

        def on_dataset(ds: xr.Dataset) -> xr.Dataset:
            done: dict[Hashable, xr.DataArray] = {}
            for name in science_variables(ds, dim):
                done |= apart(verb(with_maps(ds, name), *args, **kwargs), name)
            return _in_place_of(ds, done, dim)

        def is_concerned(ds: xr.Dataset) -> bool:
            return any(dim in v.dims for v in ds.data_vars.values())

        if isinstance(obj, xr.DataArray):
            return verb(obj, *args, **kwargs)
        if isinstance(obj, xr.Dataset):
            with _WarningsOnce():
                return on_dataset(obj)
        if isinstance(obj, xr.DataTree):
            with _WarningsOnce():
                return map_nodes(on_dataset, obj, is_concerned, f"a variable with the dimension {dim!r}")
        raise TypeError(
            f"xccd.{verb.__name__} takes an xarray DataArray, Dataset or DataTree, not {type(obj).__name__}: "
            "wrap a NumPy array with xr.DataArray(values, dims=('frame', 'y', 'x'))"
        )

    return cast("Callable[Concatenate[Obj, P], Obj]", on_any)


def _in_place_of(ds: xr.Dataset, done: dict[Hashable, xr.DataArray], dim: Hashable) -> xr.Dataset:
    """``ds`` with its science variables replaced, and the labels that the verb changed."""
    lost = {dim} - {d for new in done.values() for d in new.dims}
    gone = {str(n) for n, v in ds.variables.items() if lost & set(v.dims)} - set(map(str, done))
    labels = _common_labels(done)
    kept = ds.drop_vars([n for n, v in ds.variables.items() if lost & set(v.dims)])
    bare = {name: new.drop_vars([k for k in labels if k in new.coords]) for name, new in done.items()}
    for new in bare.values():
        names = str(new.attrs.get("ancillary_variables", "")).split()
        if gone & set(names):
            rest = {"ancillary_variables": " ".join(n for n in names if n not in gone)}
            new.attrs = {k: v for k, v in (new.attrs | rest).items() if v or k not in rest}
    made = kept.assign_coords(labels | _indexes_anew(kept, done)).assign(
        {name: new.variable for name, new in bare.items()}
    )
    made.encoding = {}  # of the file, as its unlimited dimension, which may be gone
    return made


def _indexes_anew(kept: xr.Dataset, done: dict[Hashable, xr.DataArray]) -> dict[Hashable, xr.Variable]:
    """Pixel numbers of which the verb said something else, as `combine` does of a grid."""
    own = {d: new.coords[d] for new in done.values() for d in new.dims if d in new.coords}
    return {d: c.variable for d, c in own.items() if d in kept.coords and c.attrs != kept.coords[d].attrs}


def _common_labels(done: dict[Hashable, xr.DataArray]) -> dict[Hashable, xr.Variable]:
    """The coordinates of all the variables; a Dataset holds one of each name.

    Numbers must agree. Of header texts the lines stay that all have: BUNIT is written from each variable's own unit.
    """
    labels: dict[Hashable, xr.Variable] = {}
    for name, new in done.items():
        for k in (k for k in new.coords if k not in new.indexes):
            mine, other = new.coords[k].variable, labels.setdefault(k, new.coords[k].variable)
            if mine.dtype.kind in "fiub" and not _same(mine, other):
                raise ValueError(
                    f"the variables of this Dataset need a coordinate {k!r} each, and it holds one: work on one "
                    f"after the other, as ds[{name!r}].ccd"
                )
            if k == COMBINED:
                labels[k] = _common_text(mine, other)
    return labels


def _common_text(one: xr.Variable, other: xr.Variable) -> xr.Variable:
    """What two header texts of products both say."""
    if one.shape or other.shape or one.values.item() == other.values.item():
        return other
    both = set(str(one.values.item()).split("\n"))
    kept = (line for line in str(other.values.item()).split("\n") if line in both)
    return xr.Variable((), scalar("\n".join(kept)))


def _same(a: xr.Variable, b: xr.Variable) -> bool:
    """Whether two labels are equal; lazy ones by name, as nothing is computed now."""
    if _stack.is_lazy(a.data) or _stack.is_lazy(b.data):
        return bool(getattr(a.data, "name", a) == getattr(b.data, "name", b))
    return bool(a.equals(b))


# Each place of the code that warned, with what it said first and the nodes that it said it of.
_SAID: ContextVar[dict[Any, tuple[str, list[str]]] | None] = ContextVar("what this call warns of", default=None)


class _WarningsOnce:
    """One warning for each reason when the block is done, however many variables and nodes have it."""

    def __enter__(self) -> None:
        self.token = _SAID.set({})

    def __exit__(self, kind: Any, *_: object) -> None:
        said = _SAID.get() or {}
        _SAID.reset(self.token)
        for message, nodes in said.values() if kind is None else ():
            first, *more = dict.fromkeys(nodes)
            others = f" (and the like at {len(more)} more)" if more else ""
            warn(f"{message}; at the node {first!r}{others}" if first else message)


def warn(message: str) -> None:
    """Warn at the line of the caller outside this package, once a call however many variables it works on."""
    level, frame = 1, sys._getframe()
    said = _SAID.get()
    if said is not None and frame.f_back:
        said.setdefault((frame.f_back.f_code, frame.f_back.f_lineno), (message, []))[1].append(NODE.get())
        return
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] == "xccd":
        frame, level = frame.f_back, level + 1
    warnings.warn(message, UserWarning, stacklevel=level)


def science_variables(ds: xr.Dataset, dim: Hashable) -> list[Hashable]:
    """The variables with ``dim`` that are not another's ancillary ones."""
    helpers = ancillary(ds)
    found = [n for n, v in ds.data_vars.items() if dim in v.dims and n not in helpers]
    if not found:
        dims = {str(n): v.dims for n, v in ds.data_vars.items()}
        raise ValueError(
            f"no variable of this Dataset has the dimension {dim!r} (variables: {dims}): "
            "name the dimension of the frames with dim=..., or rename it to 'frame'"
            f"{did_you_mean(dim, {d for v in ds.data_vars.values() for d in v.dims})}"
        )
    return found


def ancillary(ds: xr.Dataset) -> set[Hashable]:
    """The variables that others name as their ``ancillary_variables``."""
    return {name for v in ds.data_vars.values() for name in str(v.attrs.get("ancillary_variables", "")).split()}


def not_taken(verb: str, obj: Any, rule: str) -> TypeError:
    """The error for an object that a verb does not take, with a part of it that it does."""
    way = ""
    if isinstance(obj, xr.DataTree):
        parts = ((key, name) for key, node in obj.subtree_with_keys for name in _images(node.to_dataset(inherit=False)))
        where = next(
            (f"[{name!r}]" if key == "." else f"[{key!r}][{name!r}]" for key, name in parts), "[node][variable]"
        )
        way = f": pick a variable, as tree{where}.ccd.{verb}"
    elif isinstance(obj, xr.Dataset):
        way = f": pick a variable, as ds[{next(iter(_images(obj)), 'name')!r}].ccd.{verb}"
    return TypeError(f"{rule} a {type(obj).__name__}{way}")


def _images(ds: xr.Dataset) -> list[Hashable]:
    """The variables that are not another's ancillary ones."""
    helpers = ancillary(ds)
    return [name for name in ds.data_vars if name not in helpers]


def check_stack(stack: xr.DataArray, dim: Hashable) -> int:
    """The number of frames; raises if ``stack`` is not a stack of real numbers along ``dim``."""
    if dim not in stack.dims:
        sizes = dict(stack.sizes)
        hint = f"dim={stack.dims[0]!r}" if stack.dims else "a stack of more than one frame"
        raise ValueError(
            f"this DataArray has no dimension {dim!r}, it has {sizes}: say which one holds the frames, "
            f"{hint}, or rename it to 'frame' (a single image has nothing to clip or combine)"
            f"{did_you_mean(dim, stack.dims)}"
        )
    float_dtype(stack.dtype)
    check_array("the stack", samples(stack))
    n = stack.sizes[dim]
    if n == 0:
        raise ValueError(f"the stack is empty: its dimension {dim!r} has size 0")
    return n


def check_array(argument: str, array: Any) -> None:
    """Raise for arrays that are neither NumPy's nor dask's of plain numbers: units and masks would be lost."""
    if _stack.is_deferred(array):
        return
    held = array._meta if _stack.is_lazy(array) else array
    if type(held) is not np.ndarray:
        kind = f"{type(held).__module__.partition('.')[0]}.{type(held).__name__}"
        of = "a dask array of " if held is not array else ""
        raise TypeError(
            f"{argument} holds {of}{kind}: xccd computes on plain numbers in NumPy and dask arrays. Make them such "
            "with .as_numpy(), keep a unit in attrs['units'], and make what is masked NaN"
        )


def frame_names(stack: xr.DataArray, dim: Hashable) -> list[str]:
    """How messages call the frames: by number, and file where that is known."""
    names = file_names(stack, dim)
    return [f"frame {i} ({shown(names[i])})" if names else f"frame {i}" for i in range(stack.sizes[dim])]


def file_names(stack: xr.DataArray, dim: Hashable, *, chips: bool = True) -> list[str]:
    """Where each frame is from, with the chip where that is known, as "a.fits[SCI,1]"; none without files."""
    file, chip = (stack.coords.get(name) for name in ("file", "chip"))
    if file is None or file.dims != (dim,):
        return []
    names = [str(name) for name in file.values.tolist()]
    if chip is None or chip.dims != (dim,) or not chips:
        return names
    return [f"{name}[{own}]" for name, own in zip(names, chip.values.tolist(), strict=True)]


def frames_first(stack: xr.DataArray, dim: Hashable) -> Any:
    """The data with ``dim`` as axis 0 (a view: no copy)."""
    axis = stack.get_axis_num(dim)
    return samples(stack) if axis == 0 else _moveaxis(stack.data, axis, 0)


def _moveaxis(data: Any, source: Any, target: int) -> Any:
    order = [i for i in range(data.ndim) if i != source]
    order.insert(target, source)
    return data.transpose(order)


def like(stack: xr.DataArray, dim: Hashable, data: Any) -> xr.DataArray:
    """A stack with new samples (frames on axis 0) and everything else as it was."""
    inverse = [0] * data.ndim
    axis = stack.get_axis_num(dim)
    order = [axis, *(i for i in range(data.ndim) if i != axis)]
    for new, old in enumerate(order):
        inverse[old] = new
    return with_samples(stack, wrapped(data) if axis == 0 else data.transpose(inverse))


def with_samples(stack: xr.DataArray, data: Any) -> xr.DataArray:
    """Other samples under the same labels. How the old ones were packed in a file says nothing of these."""
    made = stack.copy(deep=False, data=data)
    made.encoding = {}
    return made


def unflagged(stack: xr.DataArray) -> xr.DataArray:
    """A stack by itself: what has a flag is NaN. One without flags is as it was."""
    flags = flags_of(stack)
    if flags is None:
        return stack
    dtype = float_dtype(stack.dtype)
    (data,) = _stack.chained(Chain(()), samples(stack), flags=samples(flags), dtypes=[dtype])
    (alone, *_) = apart(with_samples(stack, wrapped(data)), stack.name).values()
    names = str(alone.attrs.pop("ancillary_variables", "")).split()
    rest = [k for k in names if k not in (companion(stack.name, kind) for kind in MAPS)]
    return alone.assign_attrs({"ancillary_variables": " ".join(rest)}) if rest else alone


def without_frames(stack: xr.DataArray, dim: Hashable, data: Any) -> xr.DataArray:
    """An image in place of the stack: no coordinate that lay along ``dim`` is left."""
    along = [name for name, c in stack.coords.items() if dim in c.dims]
    image = stack.isel({dim: 0}).drop_vars(along)
    image = with_samples(image, wrapped(data))
    image.attrs = dict(stack.attrs)
    return image


def add_history(stack: xr.DataArray, step: str) -> xr.DataArray:
    """Append ``step`` to the lines of ``attrs["history"]``, which headers get as HISTORY.

    An attribute, as a label that differs between a stack and its clip would be dropped by arithmetic of the two.
    """
    return stack.assign_attrs({HISTORY: "\n".join([*history(stack), step])})


def step_text(verb: str, **arguments: Any) -> str:
    """A call as text for HISTORY: functions by name, arrays by shape."""
    shown = (f"{k}={_shown(v)}" for k, v in arguments.items() if v is not None)
    return f"xccd.{verb}({', '.join(shown)})"


def _shown(value: Any) -> str:
    if callable(value):
        return str(getattr(value, "__name__", type(value).__name__))
    shape = getattr(value, "shape", ())
    if shape:
        return f"<{' x '.join(map(str, shape))} values>"
    if isinstance(value, (list, tuple)) and len(value) > 6:
        return f"<{len(value)} values>"
    return repr(value.item() if hasattr(value, "item") else value)
