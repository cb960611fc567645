"""The tree of errors: what users catch, what stays as it is, and that nothing is lost on the way."""

import io
import pickle
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import astropy.units as u
import dask
import numpy as np
import pytest
import xarray as xr

import xccd
from xccd import errors
from xccd.errors import XccdError


@pytest.fixture
def stack() -> xr.DataArray:
    frames = [(np.arange(12.0, dtype="f4").reshape(3, 4) + i, {"EXPTIME": 30.0}) for i in range(4)]
    return xccd.open_stack(frames)


# What is called, with Python's class of its error. ``s`` is the stack, ``p`` a folder with the text file "text.fits".
WRONG = {
    "xccd.open_stack('lost.fits')": FileNotFoundError,
    "xccd.open_stack(p / '*.fit')": FileNotFoundError,
    "xccd.open_stack(p / 'text.fits')": OSError,
    "xccd.open_stack([])": ValueError,
    "xccd.open_stack(3)": TypeError,
    "xccd.open_stack(p / 'text.fits', hud=1)": TypeError,
    "xccd.open_dataset(p / 'lost.fits')": FileNotFoundError,
    "xccd.open_image('lost.fits')": FileNotFoundError,
    "xccd.open_tree(p)": OSError,
    "xccd.open_frames('lost.fits', errors='skp')": ValueError,
    "xccd.scan(p / 'lost')": FileNotFoundError,
    "xccd.scan(p, keywords='EXPTIME')": TypeError,
    "xr.open_dataset(p / 'text.fits', engine='xccd')": OSError,
    "xccd.combine(np.ones((3, 4, 4)))": TypeError,
    "s.ccd.combine('medain')": ValueError,
    "s.ccd.combine('mean', 'EXPTIME')": TypeError,
    "s.ccd.combine(weights=[1, 2])": ValueError,
    "s.ccd.combine('quantile')": ValueError,
    "s.ccd.combine(dim='time')": ValueError,
    "s.ccd.sigma_clip(-1, 3)": ValueError,
    "s.ccd.sigma_clip(sigma=3)": TypeError,
    "s.ccd.minmax(60000)": TypeError,
    "s.ccd.reject('sgima')": ValueError,
    "s.ccd.normalize()": ValueError,
    "s.ccd.align(method='spline')": ValueError,
    "s.ccd.header(99)": IndexError,
    "s.ccd.to_fits(p / 'text.fits')": FileExistsError,
    "s.ccd.to_fits(p / 'no' / 'a.fits')": FileNotFoundError,
    "s.ccd.to_fits(p / 'b.fits', progress=3)": TypeError,
    "s.ccd.keep('fhwm<3')": ValueError,
    "s.ccd.subtract_bias(3)": TypeError,
    "xccd.from_ccddata(3)": TypeError,
    "xccd.reduce(p, output=p)": ValueError,
    "xccd.reduce('lost', output=p / 'out')": FileNotFoundError,
    "xccd.plan(3)": TypeError,
    "xccd.Recipe(lihgt={})": ValueError,
    "xccd.Recipe(light={'metod': 'mean'})": ValueError,
    "xccd.Recipe().replace(light=3)": TypeError,
    "xccd.LiveStack(lwo=3)": TypeError,
    "xccd.LiveStack.load(p / 'lost')": FileNotFoundError,
    "xccd.LiveStack().add('lost.fits')": FileNotFoundError,
    "xccd.Grid.of(3)": TypeError,
    "xccd.set_options(thread=3)": TypeError,
    "xccd.set_options(threads=0)": ValueError,
    "xccd.set_options(progress='yes')": TypeError,
    "xccd.show_versions(3)": TypeError,
    "xccd.show_versions(io.BytesIO())": TypeError,
    "s.ccd.to_fits(None)": TypeError,
    "s.ccd.to_zarr(3)": TypeError,
    "xccd.simulate_night(p / 'night', nlight=-1)": ValueError,
    "xccd.register_rejection('sigma', np.abs)": ValueError,
    "xccd.warm_up(3)": ValueError,
}


@pytest.mark.parametrize(("call", "kind"), WRONG.items(), ids=list(WRONG))
def test_wrong_calls_are_caught_both_ways(
    call: str, kind: type[Exception], stack: xr.DataArray, tmp_path: Path
) -> None:  # fmt: skip
    (tmp_path / "text.fits").write_text("no image\n" * 400)
    names = {"s": stack, "p": tmp_path, "np": np, "xr": xr, "xccd": xccd, "io": io}
    with pytest.raises(XccdError, match=r".") as caught:
        eval(call, names)
    error = caught.value
    assert isinstance(error, kind)
    assert isinstance(error, ValueError | TypeError | OSError)
    assert str(error)
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again)) == (type(error), str(error))


def test_the_tree_is_small() -> None:
    named = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, Exception)]
    assert {one.__bases__[0] for one in named} == {
        Exception, XccdError, errors.XccdValueError, errors.XccdOSError,
    }  # fmt: skip
    for one in named:
        assert one is XccdError or issubclass(one, ValueError | TypeError | OSError)
        assert one.__name__ == "XccdError" or issubclass(one, XccdError)
        assert one.__doc__


# --- errors of others


def fails(values: Any, axis: int) -> Any:
    raise ValueError("the user's own")


def fails_in_numpy(values: Any, axis: int) -> Any:
    return np.reshape(values, (3, 1))


def text_as_number(values: Any, axis: int) -> Any:
    return int("x")


@pytest.mark.parametrize("function", [fails, fails_in_numpy, text_as_number])
def test_errors_of_a_users_function_are_not_ours(function: Callable[..., Any], stack: xr.DataArray) -> None:
    for one in (stack, stack.chunk()):
        with pytest.raises(ValueError, match=r"own|reshape|literal") as caught:
            one.ccd.combine(function).compute()
        assert not isinstance(caught.value, XccdError)


def test_errors_of_python_and_of_packages_are_not_ours(stack: xr.DataArray) -> None:
    with pytest.raises(AttributeError, match=r"\.ccd has no 'nothing'") as caught:
        _ = stack.ccd.nothing
    assert not isinstance(caught.value, XccdError)
    with pytest.raises(ValueError, match="could not convert") as failed:
        errors.in_tree(float)("no number")
    assert type(failed.value) is ValueError


def test_an_error_passed_through_stays_that_of_its_package() -> None:
    def passed() -> None:
        try:
            np.zeros(3).reshape(2, 2)
        except ValueError:
            raise

    with pytest.raises(ValueError, match="reshape") as caught:
        errors.in_tree(passed)()
    assert type(caught.value) is ValueError


# --- nothing is lost


def raised(error: Exception, *, cause: Exception | None = None) -> Callable[[], None]:
    """A function of a module of the package that raises."""
    names: dict[str, Any] = {"__name__": "xccd.tried", "error": error, "cause": cause}
    how = "raise error from cause" if cause is not None else "raise error"
    exec(f"def tried():\n    try:\n        {{}}['x']\n    except KeyError:\n        {how}", names)
    return errors.in_tree(names["tried"])


def test_what_an_error_knows_is_kept() -> None:
    cause = RuntimeError("why")
    one = OSError(28, "No space left", "a.fits")
    one.add_note("a note")
    one.place = 7  # type: ignore[attr-defined]
    with pytest.raises(errors.XccdOSError, match="No space left") as caught:
        raised(one, cause=cause)()
    found: Any = caught.value
    assert (found.errno, found.strerror, found.filename, found.place) == (28, "No space left", "a.fits", 7)
    assert found.__notes__ == ["a note"]
    assert found.__cause__ is cause
    assert found.__suppress_context__
    assert [entry.name for entry in traceback.extract_tb(found.__traceback__)][-1] == "tried"
    again = pickle.loads(pickle.dumps(found))
    assert (again.errno, again.filename, again.place) == (28, "a.fits", 7)


def test_the_context_is_that_of_the_error_itself() -> None:
    """Also if it is raised while the caller handles another one."""
    try:
        raise RuntimeError("the caller's")
    except RuntimeError:
        with pytest.raises(XccdError, match="ours") as caught:
            raised(ValueError("ours"))()
    assert isinstance(caught.value.__context__, KeyError)


@pytest.mark.parametrize(
    ("own", "kind"),
    [
        (ValueError("a"), errors.XccdValueError),
        (TypeError("a"), errors.XccdTypeError),
        (FileNotFoundError(2, "gone", "a"), errors.XccdFileNotFoundError),
        (KeyError("a"), errors.XccdKeyError),
        (u.UnitConversionError("a"), errors.XccdValueError),
        (BlockingIOError(11, "busy"), errors.XccdOSError),
        (UnicodeDecodeError("ascii", b"\xff", 0, 1, "why"), errors.XccdValueError),
    ],
    ids=repr,
)
def test_each_class_stays_what_it_was(own: Exception, kind: type[XccdError]) -> None:
    with pytest.raises(XccdError, match=r".") as caught:
        raised(own)()
    found = caught.value
    assert isinstance(found, kind)
    assert isinstance(found, type(own))
    assert str(found) == str(own)
    again = pickle.loads(pickle.dumps(found))
    assert (type(again), str(again)) == (type(found), str(found))


def test_a_class_that_cannot_be_made_again_stays_as_it_is() -> None:
    class OddError(ValueError):
        def __init__(self, one: int, two: int) -> None:
            super().__init__("odd")

    with pytest.raises(OddError, match="odd") as caught:
        raised(OddError(1, 2))()
    assert not isinstance(caught.value, XccdError)


def test_no_error_keeps_its_frame_alive(stack: xr.DataArray) -> None:
    import gc
    import weakref

    gc.disable()
    try:
        one = stack.copy()
        gone = weakref.ref(one)
        with pytest.raises(XccdError, match="medain") as caught:
            one.ccd.combine("medain")
        del caught, one
        assert gone() is None
    finally:
        gc.enable()


# --- errors when values are computed


@pytest.fixture
def cut(tmp_path: Path) -> Path:
    path = tmp_path / "a.fits"
    xr.DataArray(np.ones((60, 50), "f4"), dims=("y", "x")).ccd.to_fits(path)
    return path


@pytest.mark.parametrize("chunks", ["auto", None])
def test_files_that_changed_since(cut: Path, chunks: Any) -> None:
    stack = xccd.open_stack([cut], chunks=chunks)
    cut.write_bytes(b"other")
    with pytest.raises(errors.XccdOSError, match="has changed since"):
        stack.load()


@pytest.mark.parametrize("scheduler", ["synchronous", "threads", "processes"])
def test_errors_of_tasks_reach_the_user(cut: Path, scheduler: str) -> None:
    stack = xccd.open_stack([cut])
    image = stack.ccd.combine("mean")
    cut.unlink()
    with dask.config.set(scheduler=scheduler), pytest.raises(XccdError, match="is gone") as caught:
        image.compute()
    assert isinstance(caught.value, FileNotFoundError)


def test_weights_are_seen_when_they_are_used(stack: xr.DataArray) -> None:
    weights = xr.full_like(stack, -1.0)
    for one in (stack, stack.chunk()):
        with pytest.raises(XccdError, match="weight"):
            one.ccd.combine("mean", weights=weights.chunk()).compute()


def test_a_users_result_of_another_shape(stack: xr.DataArray) -> None:
    with pytest.raises(errors.XccdValueError, match="it must give"):
        stack.chunk().ccd.combine(lambda values, axis: values[0, :1]).compute()
