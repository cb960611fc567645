"""The accessor binds the public functions and adds nothing; every public name explains itself."""

import ast
import inspect
import pydoc
import re

import numpy as np
import pytest
import xarray as xr

import xccd
from xccd.accessor import CCDAccessor

BOUND = [name for name in vars(CCDAccessor) if not name.startswith("_")]
PUBLIC = [name for name in xccd.__all__ if not name.startswith("__")]
VERBS = ("clip_extrema", "combine", "count", "mask", "minmax", "normalize", "sigma_clip")


def of_accessor(name):
    """The function behind a method or a property."""
    bound = vars(CCDAccessor)[name]
    return bound.fget if isinstance(bound, property) else bound


def test_every_verb_is_bound():
    assert set(VERBS) <= set(BOUND)
    assert set(BOUND) <= set(PUBLIC)


def test_a_method_is_bound_once():
    """Bound twice, `keep` was given its own result in place of the stack."""
    lines = re.findall(r"^    (\w+) = ", inspect.getsource(CCDAccessor), re.MULTILINE)
    assert len(lines) == len(set(lines)) > 40


@pytest.mark.parametrize("name", BOUND)
def test_a_method_is_its_function(name):
    function, method = getattr(xccd, name), of_accessor(name)
    _, *own = inspect.signature(function).parameters.values()
    _, *bound = inspect.signature(method).parameters.values()
    assert bound == own
    assert inspect.signature(method).return_annotation == inspect.signature(function).return_annotation
    assert inspect.getdoc(vars(CCDAccessor)[name]) == inspect.getdoc(function)
    assert (method.__name__, method.__qualname__) == (name, f"CCDAccessor.{name}")


@pytest.mark.versions
@pytest.mark.parametrize("name", sorted(set(BOUND) - {"mask"}))
def test_help(name):
    stack = xr.DataArray([1.0, 2.0], dims="frame")
    method = getattr(stack.ccd, name)
    text = pydoc.render_doc(method, renderer=pydoc.plaintext)
    assert inspect.getdoc(getattr(xccd, name)).splitlines()[0] in text
    _, *own = inspect.signature(getattr(xccd, name)).parameters
    assert list(inspect.signature(method).parameters) == own
    assert name in dir(stack.ccd)


@pytest.mark.versions
@pytest.mark.parametrize(
    ("name", "args", "kwargs"),
    [
        ("sigma_clip", (1, 1), {"center": "median"}),
        ("clip_extrema", (1,), {"nhigh": 1}),
        ("minmax", (2,), {"max": 5}),
        ("normalize", ("mean",), {"to": 3}),
        ("combine", ("quantile",), {"q": 0.3}),
        ("count", (), {}),
    ],
)
def test_methods_do_what_functions_do(name, args, kwargs):
    stack = xr.DataArray(np.arange(1.0, 9).reshape(4, 2), dims=("frame", "x"), name="data")
    for obj in (stack, stack.to_dataset()):
        expected = getattr(xccd, name)(obj, *args, **kwargs)
        xr.testing.assert_identical(getattr(obj.ccd, name)(*args, **kwargs), expected)
        assert type(expected) is type(obj)
    xr.testing.assert_identical(stack.ccd.mask, xccd.mask(stack))


@pytest.mark.versions
def test_the_accessor_has_no_state():
    stack = xr.DataArray([1.0, 2, 30], dims="frame")
    accessor = stack.ccd
    accessor.combine(weights=[1, 2, 3])
    accessor.minmax(max=5)
    assert vars(accessor) == {"_obj": stack}
    assert vars(accessor)["_obj"] is stack


@pytest.mark.parametrize("name", VERBS)
def test_only_the_first_arguments_go_by_position(name):
    kinds = {p.name: p.kind for p in inspect.signature(getattr(xccd, name)).parameters.values()}
    by_position = {k for k, kind in kinds.items() if kind is inspect.Parameter.POSITIONAL_OR_KEYWORD}
    allowed = {"stack", "method", "low", "high", "nlow", "nhigh", "min", "max", "scale", "zero"}
    keyword_only = {"scale"} if name == "combine" else set()
    assert by_position <= allowed - keyword_only


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_has_an_example(name):
    text = inspect.getdoc(getattr(xccd, name))
    summary, _, rest = text.partition("\n\n")
    assert summary.endswith(".")
    assert "Examples\n--------\n>>> " in rest


@pytest.mark.parametrize("name", VERBS)
def test_docstrings_name_every_parameter(name):
    text = inspect.getdoc(getattr(xccd, name))
    section = text.split("Parameters\n----------\n")[1].split("\n\n")[0]
    described = [n for line in section.splitlines() if line[0] != " " for n in line.split(" : ")[0].split(", ")]
    assert described == list(inspect.signature(getattr(xccd, name)).parameters)


def test_no_method_is_given_twice() -> None:
    """The second `_bind` in the class would bind the method of the first, and no call of it would work."""
    (owner,) = ast.parse(inspect.getsource(CCDAccessor)).body
    assert isinstance(owner, ast.ClassDef)
    names = [ast.unparse(line.targets[0]) for line in owner.body if isinstance(line, ast.Assign)]
    assert len(names) > 30
    assert sorted(set(names)) == sorted(names)
