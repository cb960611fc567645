"""Nothing keeps a stack alive but who uses it, and an accessor sees the object as it is."""

import gc
import weakref

import numpy as np
import pytest
import xarray as xr

from xccd.accessor import CCDAccessor

pytestmark = pytest.mark.versions


@pytest.fixture
def no_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def objects():
    stack = xr.DataArray(np.ones((4, 3, 5), "f4"), dims=("frame", "y", "x"), name="data")
    yield stack
    yield stack.to_dataset()
    yield stack.ccd.to_dataset()
    yield xr.DataTree(stack.to_dataset(), name="leaf")
    yield stack.chunk(y=1)


@pytest.mark.parametrize("number", range(5))
def test_chains_leave_nothing(no_collector, number):
    obj = list(objects())[number]
    clipped = obj.ccd.minmax(0, 9)
    image = clipped.ccd.combine("mean")
    dead = [weakref.ref(o) for o in (obj, clipped, image)]
    del obj, clipped, image
    assert [ref() for ref in dead] == [None] * 3


def test_samples_of_many_chains(no_collector):
    stack, seen = next(objects()), []
    for _ in range(20):
        clipped = stack.ccd.minmax(0, 9)
        seen.append(weakref.ref(clipped.variable._data))
        clipped.ccd.combine("mean").ccd.header()
        del clipped
    assert [ref() for ref in seen] == [None] * 20


def test_the_accessor_is_of_the_object_as_it_is():
    stack = next(objects())
    accessor = stack.ccd
    stack.attrs["units"] = "adu"
    stack[0] = 7.0
    stack.coords["EXPTIME"] = ("frame", [1.0, 2, 3, 4])
    for one in (accessor, stack.ccd):
        image = one.combine("mean", weights="EXPTIME")
        assert (image.attrs["units"], image.values[0, 0]) == ("adu", pytest.approx((7 + 9) / 10))
    for kind in (xr.DataArray, xr.Dataset, xr.DataTree):
        assert kind.ccd is CCDAccessor
    assert "ccd" in dir(stack)


def test_another_accessor_of_this_name_is_not_replaced_in_silence():
    from xccd import accessor as module

    class Other:
        """An xarray class that has the name already."""

        ccd = property(lambda self: 1)

    with pytest.warns(xr.core.extensions.AccessorRegistrationWarning, match=r"another accessor \.ccd of Other"):
        module._register("ccd", (Other,))
