"""What messages say of names that are not there: what is near, what there is, and functions as functions."""
# ruff: noqa: E501  (a table is read by its rows)

import copy
import inspect
import pickle
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import xccd
from xccd import messages
from xccd.kernels.table import METHODS
from xccd.verbs.clip import CENTERS, DEVIATIONS
from xccd.verbs.levels import LEVELS
from xccd.verbs.resampling import FLUX
from xccd.verbs.resampling import METHODS as ALIGNMENTS

CARDS = {"EXPTIME": 2.0, "FILTER": "r", "AIRMASS": 1.1}


def stack_of(n: int = 3) -> xr.DataArray:
    random = np.random.default_rng(0)
    pixels = random.normal(100, 5, (6, 7)) + random.normal(0, 1, (n, 6, 7))
    return xccd.open_stack([(image, CARDS | {"SEEING": i}) for i, image in enumerate(pixels)], chunks=None)


FORMS: dict[str, Callable[[], Any]] = {
    "deferred": stack_of,
    "numpy": lambda: stack_of().load(),
    "dask": lambda: stack_of().load().chunk(y=2),
    "flagged": lambda: stack_of().ccd.to_dataset(),
    "tree": lambda: xr.DataTree.from_dict({"light/r": stack_of().to_dataset()}),
}


@pytest.mark.parametrize("form", FORMS)
def test_one_number_that_may_be_either(form: str) -> None:
    obj = FORMS[form]()
    for wrong in (60000, 0, -5.0, np.float32(7), np.int64(3)):
        for call in (obj.ccd.minmax, partial(xccd.minmax, obj)):
            with pytest.raises(
                TypeError, match=r"minmax\(\S+\) does not say which limit.*min=\S+ or max=\S+, or give two"
            ):
                call(wrong)
    with pytest.raises(
        TypeError, match=r"sigma_clip\(5\) leaves high=3: give both, sigma_clip\(5, 5\), or name one, low=5"
    ):
        obj.ccd.sigma_clip(5)
    below, above = obj.ccd.minmax(None, 100), obj.ccd.minmax(max=100)
    assert below.identical(above)
    assert obj.ccd.minmax(90, None).identical(obj.ccd.minmax(90, max=None))
    assert obj.ccd.minmax(90, None).identical(obj.ccd.minmax(min=90))
    robust = {"center": "median", "deviation": "mad_std"}
    assert obj.ccd.sigma_clip(3, **robust).identical(obj.ccd.sigma_clip(3, 3, **robust))


def of_block(values: Any, axis: int) -> Any:
    return values


class Weigher:
    def __call__(self, frame: Any) -> Any:
        return [1, 2]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: s.ccd.sigma_clip(3, 3, center=np.median), r"center=numpy\.median gave NaN for 1 pixels"),
        (lambda s: s.ccd.sigma_clip(3, 3, center=np.mean), r"center=numpy\.mean gave NaN"),
        (lambda s: s.ccd.sigma_clip(3, 3, center="median", deviation=of_block), r"deviation=test_messages\.of_block gave"),
        (lambda s: s.ccd.combine(np.cumsum), r"method=numpy\.cumsum gave shape"),
        (lambda s: s.ccd.combine(np.median, weights="EXPTIME"), r"method=numpy\.median is not defined with weights="),
        (lambda s: s.ccd.combine(np.median, q=0.5), r"q=0\.5 with method=numpy\.median: q goes with 'quantile'"),
        (lambda s: s.ccd.combine(np.var, ddof=1), r"ddof=1 with method=numpy\.var"),
        (lambda s: s.ccd.combine(weights=np.median), "gave NaN|weight nan"),
        (lambda s: s.ccd.combine(weights=Weigher()), r"weights=test_messages\.Weigher object gave shape"),
        (lambda s: s.ccd.combine(scale=partial(np.quantile, q=[0, 1])), r"scale=partial\(numpy\.quantile\) gave shape"),
        (lambda s: s.ccd.normalize(np.sort), r"scale=numpy\.sort gave shape"),
        (lambda s: s.ccd.find_offsets(np.median), r"method=numpy\.median is unknown"),
    ],
)  # fmt: skip
def test_functions_are_shown_as_functions(call: Callable[[Any], Any], message: str) -> None:
    stack = stack_of().load()
    stack[0, 0, 0] = np.nan
    with pytest.raises(ValueError, match=message) as raised:
        call(stack)
    assert not any(f"={name!r}" in str(raised.value) for name in ("median", "mean", "var", "sort", "of_block"))


S, TREE = stack_of(), [(np.zeros((2, 2)), CARDS)]
MISSPELT: list[tuple[Callable[[], Any], str]] = [
    (lambda: S.ccd.combine("medain"), "'median'"),
    (lambda: S.ccd.combine("average"), "'mean'"),
    (lambda: S.ccd.combine("mad"), "'mad_std'"),
    (lambda: S.ccd.combine("mad-std"), "'mad_std'"),
    (lambda: S.ccd.combine("quantil", q=0.5), "'quantile'"),
    (lambda: S.ccd.sigma_clip(3, 3, center="meen"), "'mean'"),
    (lambda: S.ccd.sigma_clip(3, 3, deviation="mad"), "'mad_std'"),
    (lambda: S.ccd.combine(weights="EXPTIM"), "'EXPTIME'"),
    (lambda: S.ccd.combine(weights="exp_time"), "'EXPTIME'"),
    (lambda: S.ccd.combine(weights="foot_print"), "'footprint'"),
    (lambda: S.ccd.combine(scale="SEEIN"), "'SEEING'"),
    (lambda: S.ccd.normalize("clippedmedian"), "'clipped_median'"),
    (lambda: S.ccd.normalize("overlaps"), "'overlap'"),
    (lambda: S.ccd.normalize("AIRMAS"), "'AIRMASS'"),
    (lambda: S.ccd.normalize("mean", to="frist"), "'first'"),
    (lambda: S.ccd.normalize("mean", region="FILTR"), "'FILTER'"),
    (lambda: S.ccd.combine(dim="frames"), "'frame'"),
    (lambda: S.to_dataset().ccd.combine(dim="fram"), "'frame'"),
    (lambda: S.ccd.find_offsets("fase"), "'phase'"),
    (lambda: S.ccd.align(method="interpolate"), "'interp'"),
    (lambda: S.ccd.align(order="lancos3"), "'lanczos3'"),
    (lambda: S.ccd.align(order="cubic"), "'bicubic'"),
    (lambda: S.ccd.align(flux="totl"), "'total'"),
    (lambda: S.ccd.align("unoin", offsets=[(0, 0)] * 3), "'union'"),
    (lambda: S.ccd.align(offsets="fysical"), "'physical'"),
    (lambda: xccd.set_options(thread=2), "'threads'"),
    (lambda: xccd.set_options(engine="nunba"), "'numba'"),
    (lambda: xccd.open_stack(TREE, keywords=["EXPTIM"]), "'EXPTIME'"),
    (lambda: xccd.open_tree(TREE, by=["FILTR"]), "'FILTER'"),
    (lambda: xccd.open_stack(TREE, dtype="flaot32"), "'float32'"),
    (lambda: xccd.open_stack(TREE, chunks={"fram": 1}), "'frame'"),
    (lambda: xccd.open_stack(TREE, chunks="atuo"), "'auto'"),
    (lambda: xccd.warm_up(["flaot32"]), "'float32'"),
    (lambda: S.ccd.combine(dtype="flaot64"), "'float64'"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "near"), MISSPELT)
def test_what_was_meant(call: Callable[[], Any], near: str) -> None:
    with pytest.raises((ValueError, TypeError), match=rf"; did you mean {near}\?$|^did you mean {near}\? by="):
        call()


@given(st.sampled_from([*METHODS, *CENTERS, *DEVIATIONS, *LEVELS, *ALIGNMENTS, *FLUX]), st.data())
def test_any_slip_finds_its_name(name: str, data: st.DataObject) -> None:
    known = [*METHODS, *DEVIATIONS, *LEVELS, *ALIGNMENTS, *FLUX]
    place = data.draw(st.integers(0, len(name) - 1))
    if len(name) > 5:  # of a shorter one too little is left
        assert messages.meant(name[:place] + name[place + 1 :], known) == [name]
        assert messages.meant(name.upper(), known) == [name]
        doubled = name[:place] + name[place] + name[place:]
        assert messages.meant(doubled, known) == [name]


@settings(max_examples=50)
@given(st.text() | st.none() | st.integers() | st.lists(st.text()))
def test_anything_may_be_misspelt(name: Any) -> None:
    assert set(messages.meant(name, METHODS)) <= set(METHODS)


CALLS: list[tuple[str, str]] = [
    ("s.ccd.sigma_clip(sigma=3)", r"sigma_clip\(\) has no argument 'sigma': did you mean low= and high=\? It takes low, high"),
    ("s.ccd.sigma_clip(3, 3, 'median')", r"takes low and high by position, the rest by name: did you mean center='median'\?"),
    ("s.ccd.sigma_clip(3, 3, cenfunc='median', stdfunc='std')", "did you mean center= and deviation="),
    ("s.ccd.sigma_clip(3, low=3)", r"sigma_clip\(\) is given low twice, by position and as low=3"),
    ("s.ccd.to_fits('a.fits', clobber=True)", "did you mean overwrite="),
    ("s.ccd.to_fits('a.fits', overwrit=True)", "did you mean overwrite="),
    ("s.ccd.to_fits()", r"to_fits\(\) needs path: it takes path, overwrite, header"),
    ("s.ccd.combine(axis=0)", "did you mean dim="),
    ("s.ccd.combine('mean', 'EXPTIME')", "did you mean weights='EXPTIME'"),
    ("s.ccd.combine(func=np.mean)", "did you mean method="),
    ("s.ccd.combine(bananas=1)", r"combine\(\) has no argument 'bananas': it takes method, weights"),
    ("s.ccd.align(wcs=1)", "did you mean to="),
    ("s.ccd.cutout((1, 2))", r"cutout\(\) needs size: it takes position, size"),
    ("s.ccd.header(frame=1)", "did you mean i="),
    ("xccd.combine(s, axis=0)", "did you mean dim="),
    ("xccd.combine()", r"combine\(\) needs stack: it takes stack, method"),
    ("xccd.minmax(stack=s, max=3)", r"minmax\(\) takes stack first, without its name"),
    ("xccd.open_stack('a.fits', ext=1)", "did you mean hdu="),
    ("xccd.open_stack('a.fits', mem_limit=1)", "did you mean memory="),
    ("xccd.open_tree('a.fits', group_by=1)", "did you mean by="),
    ("xccd.simulate_night('a', sed=1)", "did you mean seed="),
    ("xccd.Grid.union(s, resolutoin=1)", "did you mean resolution="),
    ("xccd.Grid.of()", r"of\(\) needs source: it takes source, shape"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "message"), CALLS)
@pytest.mark.parametrize("form", ["numpy", "flagged", "tree"])
def test_calls_that_do_not_fit(form: str, call: str, message: str) -> None:
    with pytest.raises(TypeError, match=message) as raised:
        eval(call, {"s": FORMS[form](), "xccd": xccd, "np": np})
    assert raised.value.__cause__ is None
    assert raised.value.__context__ is None  # one message, not two
    assert len(raised.traceback) == 3  # this test, its eval, the method


def test_other_type_errors_stay_as_they_are() -> None:
    def wrong(values: Any, axis: int) -> Any:
        raise TypeError("of the user's own")

    with pytest.raises(TypeError, match=r"^of the user's own$"):
        stack_of().load().ccd.combine(wrong)
    with pytest.raises(TypeError, match="dtype"):
        stack_of().ccd.combine(dtype="nonsense")


def test_attributes_that_are_not_there() -> None:
    stack = stack_of()
    for obj in (stack, stack.to_dataset(), xr.DataTree.from_dict({"a": stack.to_dataset()})):
        with pytest.raises(
            AttributeError, match=r"\.ccd has no 'sigma_clp'; did you mean 'sigma_clip'\? There are align"
        ):
            obj.ccd.sigma_clp(3, 3)
        with pytest.raises(AttributeError, match=r"\.ccd has no 'bananas': there are align, .*, to_zarr, trim, wcs"):
            _ = obj.ccd.bananas
        with pytest.raises(AttributeError, match=r"has no 'isel'; it is the Data\w+'s own, without \.ccd"):
            _ = obj.ccd.isel
    with pytest.raises(
        AttributeError, match=r"has no 'plot'; it is the DataArray's own, without \.ccd: there are align"
    ):
        stack.ccd.plot()
    with pytest.raises(
        AttributeError,
        match=r"xccd has no 'open'; did you mean 'open_stack'\? There are Grid, LiveStack, Recipe, XccdError, align",
    ):
        xccd.open("a.fits")
    with pytest.raises(AttributeError, match=r"xccd has no 'combin'; did you mean 'combine'\?"):
        xccd.combin(stack)
    with pytest.raises(ImportError, match="cannot import name 'bananas'"):
        from xccd import bananas  # noqa: F401


def test_probes_of_notebooks_and_copies() -> None:
    """They ask any object for names with underscores, and go on without."""
    accessor = stack_of().load().ccd
    for name in (
        "_repr_png_",
        "_ipython_display_",
        "_ipython_canary_method_should_not_exist_",
        "__array__",
        "__len__",
    ):
        assert not hasattr(accessor, name)
    assert not hasattr(xccd, "__path_hook__")
    assert not hasattr(accessor, "shape")
    assert {"sigma_clip", "mask", "to_fits"} <= set(dir(accessor))
    assert copy.copy(accessor).combine().identical(accessor.combine())
    assert copy.deepcopy(accessor).combine().identical(accessor.combine())
    bare = object.__new__(type(accessor))  # as pickle makes it: without what it is of
    with pytest.raises(AttributeError, match="no attribute '_obj'"):
        bare.combine()


@pytest.mark.parametrize("name", [n for n in xccd.__all__ if inspect.isfunction(getattr(xccd, n))])
def test_public_functions_travel(name: str) -> None:
    function = getattr(xccd, name)
    assert pickle.loads(pickle.dumps(function)) is function
    assert function.__module__ == "xccd"
    assert inspect.signature(function) == inspect.signature(inspect.unwrap(function))


TYPES: list[tuple[str, str, str]] = [  # of a Dataset and a tree; "" where it works
    ("header()", r"belongs to a DataArray, not to a Dataset: pick a variable, as ds\['data'\]\.ccd\.header", r"as tree\['light/r'\]\['data'\]"),
    ("wcs(0)", r"pick a variable, as ds\['data'\]\.ccd\.wcs\(i\)", r"as tree\['light/r'\]\['data'\]\.ccd\.wcs"),
    ("header('EXPTIME')", r"pick a variable, as ds\['data'\]", r"pick a variable, as tree\['light/r'\]"),
    ("cutout((1, 2), 3)", "there is no WCS", r"cutout takes a DataArray or a Dataset, not a DataTree: pick a var.*tree\['light/r'\]"),
    ("assign_sky_coords()", "there is no WCS", r"assign_sky_coords takes .*, not a DataTree: .*as tree\['light/r'\]\['data'\]"),
    ("to_ccddata()", "", r"to_ccddata takes a DataArray or a Dataset, not a DataTree: .*as tree\['light/r'\]\['data'\]"),
    ("to_masked_array()", "", r"to_masked_array takes .* not a DataTree: .*as tree\['light/r'\]\['data'\]"),
    ("to_zarr('a.zarr')", "", r"to_zarr writes a DataArray or a Dataset, not a DataTree: .*as tree\['light/r'\]"),
    ("to_dataset()", r"to_dataset takes a DataArray, not a Dataset: .*as ds\['data'\]", r"not a DataTree: .*tree\['light/r'\]"),
    ("to_stack()", "", r"to_stack takes a Dataset, not a DataTree: tree\[node\]\.to_dataset\(\)"),
    ("find_offsets(precision=1)", "", r"find_offsets takes .* not a DataTree: .*tree\['light/r'\]\['data'\]\.ccd\.find_offsets\(\)"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "of_dataset", "of_tree"), TYPES)
def test_verbs_of_something_else(
    call: str, of_dataset: str, of_tree: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ds = stack_of().load().ccd.to_dataset()
    with pytest.raises(TypeError, match=of_tree):
        eval(f"tree.ccd.{call}", {"tree": xr.DataTree.from_dict({"light/r": ds})})
    if of_dataset:
        with pytest.raises((TypeError, ValueError), match=of_dataset):
            eval(f"ds.ccd.{call}", {"ds": ds})
    else:
        eval(f"ds.ccd.{call}", {"ds": ds})


def test_the_number_of_a_frame() -> None:
    stack = stack_of()
    for wrong in ("EXPTIME", 1.5, True, [0], np.float64(1)):
        for verb in ("header", "wcs"):
            with pytest.raises(TypeError, match=rf"{verb}\(i\) takes the number of a frame, not i="):
                getattr(stack.ccd, verb)(wrong)
    with pytest.raises(TypeError, match=r"i='EXPTIME': a keyword is read from a header, as header\(0\)\['EXPTIME'\]"):
        stack.ccd.header("EXPTIME")
    with pytest.raises(TypeError, match=r"as header\(\)\['EXPTIME'\]"):
        stack[0].ccd.header("EXPTIME")
    assert stack.ccd.header(np.int64(-1))["SEEING"] == 2
    for wrong in ("first", 0.5, 3):
        with pytest.raises(ValueError, match=r"reference=\S+: the frames are 0 to 2"):
            stack.ccd.find_offsets(reference=wrong)


def test_offsets_of_a_dataset() -> None:
    stack = stack_of().load()
    ds = stack.ccd.to_dataset(mask=stack > 110)
    expected = stack.where(stack <= 110).ccd.find_offsets(precision=1)
    xr.testing.assert_identical(ds.ccd.find_offsets(precision=np.int64(1)), expected)
    with pytest.raises(ValueError, match=r"this Dataset has data, other: pick one, as ds\['data'\]\.ccd\.find_offsets"):
        stack.to_dataset().assign(other=stack).ccd.find_offsets()


@pytest.mark.parametrize("form", FORMS)
def test_align_without_wcs_names_the_other_way(form: str) -> None:
    way = r"no WCS.* without a WCS: stack\.ccd\.align\(transforms='similarity'\) matches their stars, align\(offsets=\.\.\.\) shift"
    with pytest.raises(ValueError, match=way):
        FORMS[form]().ccd.align()
    with pytest.raises(ValueError, match=way):
        stack_of().drop_vars("header").ccd.align()


@pytest.mark.parametrize("position", [5, "nowhere at all", (1, "x"), (1, 2, 3), None])
def test_places_that_are_none(position: Any) -> None:
    with pytest.raises(ValueError, match=r"position=.* is no place on the sky: give \(ra, dec\) in ICRS degrees"):
        stack_of().ccd.cutout(position, 3)
