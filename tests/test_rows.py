"""ROWORDER and BAYERPAT: frames that are upside down to others are refused, or turned with all that lies over them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from astropy.io import fits
from astropy.wcs import WCS
from hypothesis import given, settings
from hypothesis import strategies as st

import xccd
from xccd.headers.rows import pattern_of

TAN = {
    "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 10.0, "CRVAL2": 20.0, "CRPIX1": 2.5, "CRPIX2": 2.0,
    "CDELT1": -1e-3, "CDELT2": 2e-3,
}  # fmt: skip
UP, DOWN = {"ROWORDER": "BOTTOM-UP"}, {"ROWORDER": "TOP-DOWN"}
RNG = np.random.default_rng(5)
IMAGE = RNG.normal(size=(6, 5)).astype("f4")


def pair(*cards: dict[str, Any], image: Any = IMAGE) -> list[tuple[Any, dict[str, Any]]]:
    return [(image, some) for some in cards]


OPENERS: dict[str, Callable[..., Any]] = {
    "open_stack": xccd.open_stack,
    "chunks=None": lambda files, **o: xccd.open_stack(files, chunks=None, **o),
    "chunks": lambda files, **o: xccd.open_stack(files, chunks={"y": 4}, **o),
    "open_dataset": lambda files, **o: xccd.open_dataset(files, **o)["data"],
    "open_frames": lambda files, **o: xccd.open_frames(files, **o)[0],
    "open_tree": lambda files, **o: xccd.open_tree(files, by=lambda _: "all", **o)["all"]["data"],
    "the engine": lambda files, **o: xr.open_dataset(files, engine="xccd", **o)["data"],
}


@pytest.mark.parametrize("opened", OPENERS.values(), ids=OPENERS)
def test_rows_that_run_the_other_way(opened: Callable[..., Any]) -> None:
    files = pair(UP, {}, {"ROWORDER": "top_down"}, {"ROWORDER": "Bottom Up"})
    message = (
        r"differing ROWORDER \(BOTTOM-UP: frame-1, frame-4; TOP-DOWN: frame-3\), so .* upside down: flip=True turns"
    )
    with pytest.raises(ValueError, match=message):
        opened(files)
    stack = opened(files, flip=True)
    np.testing.assert_array_equal(stack.values, [IMAGE, IMAGE, IMAGE[::-1], IMAGE])
    assert [stack.ccd.header(i).get("ROWORDER") for i in range(4)] == ["BOTTOM-UP", None, "BOTTOM-UP", "Bottom Up"]
    np.testing.assert_array_equal(opened(files, flip="TOP-DOWN").values, [IMAGE[::-1], IMAGE, IMAGE, IMAGE[::-1]])
    np.testing.assert_array_equal(opened(files[:2]).values, [IMAGE, IMAGE])
    for part in (np.s_[2, 1:3, 2:], np.s_[:, ::2, 1], np.s_[2, -1], np.s_[::-1, 3:, [0, 3]]):
        np.testing.assert_array_equal(stack[part].values, stack.values[part] if part else 0)
    np.testing.assert_array_equal(
        stack.ccd.combine("mean").values, np.mean([IMAGE, IMAGE, IMAGE[::-1], IMAGE], 0, dtype="f8").astype("f4")
    )


def test_a_whole_tree_runs_one_way() -> None:
    files = pair(UP | {"IMAGETYP": "bias"}, DOWN | {"IMAGETYP": "light"})
    with pytest.raises(ValueError, match="differing ROWORDER"):
        xccd.open_tree(files)
    tree = xccd.open_tree(files, flip=True)
    np.testing.assert_array_equal(tree["light"]["data"].values[0], IMAGE[::-1])


@pytest.mark.parametrize("kind", ["u2", "i4", "f8", "blank", "tiles", "cube", "gz"])
def test_files_are_turned_with_masks_errors_and_flags(tmp_path: Path, kind: str) -> None:
    data = RNG.integers(1, 99, (1, 2, 6, 5) if kind == "cube" else (7, 5))
    data = data.astype({"f8": "f8", "u2": "u2"}.get(kind, "i4"))
    mask, error = (data % 5 == 0).astype("u1"), data / 10.0
    paths = []
    for i, order in enumerate(("BOTTOM-UP", "TOP-DOWN")):
        head = fits.Header({"ROWORDER": order, "BAYERPAT": "RGGB"} | ({"BLANK": 7} if kind == "blank" else {}))
        head["BAYERPAT"] = "GBRG" if i and data.shape[-2] % 2 == 0 else "RGGB"
        turned = np.s_[..., ::-1, :] if i else np.s_[...]
        first = fits.CompImageHDU if kind == "tiles" else fits.ImageHDU
        hdus = [fits.PrimaryHDU(), first(data[turned], head, name="SCI"), fits.ImageHDU(mask[turned], name="MASK")]
        paths.append(tmp_path / f"{i}.fits{'.gz' if kind == 'gz' else ''}")
        fits.HDUList([*hdus, fits.ImageHDU(error[turned], name="UNCERT")]).writeto(paths[-1])
    ds = xccd.open_dataset(paths, flip=True)
    alone = xccd.open_dataset(paths[:1])
    assert ds.data.dtype == alone.data.dtype
    for name in ("data", "data_flags", "data_uncertainty"):
        np.testing.assert_array_equal(ds[name].values[1], alone[name].values[0])
        np.testing.assert_array_equal(ds[name].values[0], alone[name].values[0])
    for chunks in ("auto", None, {"y": 3}):
        stack = xccd.open_stack(paths, flip=True, chunks=chunks)
        np.testing.assert_array_equal(stack.values[1], stack.values[0])
        assert int(stack.ccd.mask.sum()) == 2 * int((mask | (data == 7 if kind == "blank" else 0)).sum())
        image = stack.ccd.minmax(max=1e9).ccd.combine("max").values
        np.testing.assert_array_equal(image, stack.values[0])


def astropys(cards: dict[str, Any], ny: int) -> Any:
    return WCS(fits.Header({"NAXIS": 2, "NAXIS1": 5, "NAXIS2": ny} | cards)).all_pix2world


numbers = st.floats(-9e-4, 9e-4).map(lambda v: round(v, 7))


@given(
    st.fixed_dictionaries({"CRPIX2": st.integers(-5, 9).map(float)}),
    st.one_of(
        st.fixed_dictionaries({"CROTA2": st.integers(-90, 90).map(float)}),
        st.fixed_dictionaries({}, optional={k: numbers.map(lambda v: v * 500) for k in ("PC1_2", "PC2_1")}),
        st.fixed_dictionaries({"PC2_2": st.just(0.9), "PC1_2": st.just(0.1)}),
        st.fixed_dictionaries({"CD1_1": st.just(1e-3), "CD2_2": st.just(-1e-3), "CD1_2": numbers, "CD2_1": numbers}),
    ),
    st.one_of(
        st.just({}),
        st.fixed_dictionaries({f"{x}_{p}_{q}": numbers for x in "AB" for p, q in ((0, 2), (1, 1), (2, 0), (1, 2))}),
        st.fixed_dictionaries({"PV1_1": st.just(1.01), "PV2_1": st.just(0.98), "PV1_4": numbers, "PV2_5": numbers}),
    ),
    st.integers(5, 8),
)
@settings(max_examples=60, deadline=None)
def test_the_sky_turns_along(own: dict[str, Any], matrix: dict[str, Any], more: dict[str, Any], ny: int) -> None:
    cards = TAN | own | matrix | more
    if "A_0_2" in more:
        cards |= {"A_ORDER": 3, "B_ORDER": 3, "CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP"}
    if "PV1_1" in more:
        cards |= {"CTYPE1": "RA---TPV", "CTYPE2": "DEC--TPV"}
    stack = xccd.open_stack(pair(UP, DOWN | cards, image=np.ones((ny, 5))), flip=True)
    x, y = np.array([0, 1, 4, 2, 3.5]), np.array([0, 3, ny - 1, 1.25, 2])
    expected = astropys(cards, ny)(x, y, 0)
    found = stack.ccd.wcs(1).all_pix2world(x, ny - 1 - y, 0)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10)


def test_a_second_wcs_turns_too() -> None:
    second = {f"{k}A": v for k, v in TAN.items()} | {"CRPIX2A": 5.0, "PC1_2A": 0.2}
    stack = xccd.open_stack(pair(UP, DOWN | TAN | second), flip=True)
    head = stack.ccd.header(1)
    found = WCS(head, key="A").all_pix2world([1], [1], 0)
    np.testing.assert_allclose(found, WCS(fits.Header(TAN | second), key="A").all_pix2world([1], [4], 0))
    assert (head["CDELT2"], head["CDELT2A"], head["PC1_2A"], head["PC2_2A"]) == (-2e-3, 2e-3, -0.2, -1)


def test_a_header_without_a_wcs_gets_none() -> None:
    stack = xccd.open_stack(pair(UP, DOWN | {"OBJECT": "M 51", "DATASEC": 3}), flip=True)
    head = stack.ccd.header(1)
    assert (head["ROWORDER"], head["OBJECT"]) == ("BOTTOM-UP", "M 51")
    assert not [k for k in head if k.startswith(("CRPIX", "CDELT", "PC", "CD"))]


STUCK: dict[str, tuple[dict[str, Any], str]] = {
    "a table": ({"CPDIS1": "LOOKUP"}, "frame-2: flip= cannot convert its card CPDIS1"),
    "IRAF": ({"WAT1_001": "wtype=tnx"}, "WAT1_001"),
    "a section": ({"TRIMSEC": "[1:5,1:4]"}, "TRIMSEC"),
    "an amplifier's": ({"BIASSECA": "[1:2,1:6]"}, "BIASSECA"),
    "an origin": ({"LTV2": -3.0}, "LTV2"),
    "an old matrix": ({"PC001002": 0.1}, "PC001002"),
    "no number": (TAN | {"CRPIX2": "two"}, "frame-2: CRPIX2 = 'two' is not a number"),
    "no colours": ({"BAYERPAT": "TRUE"}, "frame-2: BAYERPAT = 'TRUE' is not four of R, G and B"),
}


@pytest.mark.parametrize("case", STUCK)
def test_what_cannot_be_turned_is_refused(case: str) -> None:
    cards, message = STUCK[case]
    with pytest.raises(ValueError, match=message):
        xccd.open_stack(pair(UP, DOWN | cards), flip=True)
    xccd.open_stack(pair(UP | cards), flip=True)  # that one stays


def test_what_does_not_stand_in_the_way() -> None:
    cards = {"LTV2": 0, "LTM2_2": 1.0, "LTM1_2": 0, "PARSEC": "none", "DATASEC": ""}
    np.testing.assert_array_equal(xccd.open_stack(pair(UP, DOWN | cards), flip=True).values[1], IMAGE[::-1])


def test_arguments() -> None:
    for flip in ("up", 3, None, "top-down"):
        with pytest.raises(ValueError, match=r"flip=.* is not True, False, 'TOP-DOWN' or 'BOTTOM-UP'"):
            xccd.open_stack(pair(UP), flip=flip)
    odd = pair(UP, {"ROWORDER": "SIDEWAYS"})
    with pytest.raises(ValueError, match=r"BOTTOM-UP: frame-1; SIDEWAYS: frame-2"):
        xccd.open_stack(odd)
    with pytest.raises(ValueError, match=r"ROWORDER = 'SIDEWAYS' is neither 'TOP-DOWN' nor 'BOTTOM-UP': flip=True"):
        xccd.open_stack(odd, flip=True)
    xccd.open_stack(odd[1:] * 2, flip=True)
    with pytest.raises(ValueError, match="frame-2: ROWORDER of an image of one axis"):
        xccd.open_stack(pair(UP, DOWN, image=IMAGE[0]), flip=True)


# Colours


@pytest.mark.parametrize(
    ("first", "second", "ny", "flipped"),
    [
        ("RGGB", "GBRG", 6, True),
        ("RGGB", "RGGB", 5, True),
        ("RGGB", "RGGB", 6, False),
        ("BGGR", "GRBG", 4, True),
        ("RGGB", "GRBG", 6, False),
        ("RGGB", "", 6, True),
    ],
)
def test_colours_turn_with_rows(first: str, second: str, ny: int, flipped: bool) -> None:
    colours = np.array(list(second or "RGGB")).reshape(2, 2)[np.arange(ny)[:, None] % 2, np.arange(4) % 2]
    files = pair(UP | {"BAYERPAT": first}, DOWN | {"BAYERPAT": second}, image=np.ones((ny, 4)))
    if not flipped:
        with pytest.raises(
            ValueError, match=r"differing BAYERPAT \(.*: frame-1; .*: frame-2\).* flip=True turns these"
        ):
            xccd.open_stack(files, flip=True)
        return
    head = xccd.open_stack(files, flip=True).ccd.header(1)
    if second:
        assert head["BAYERPAT"].strip() == "".join(colours[::-1][:2, :2].ravel().tolist()) == first


@given(st.permutations("RGGB").map("".join), st.integers(-3, 3), st.integers(-3, 3))
@settings(max_examples=30, deadline=None)
def test_offsets_of_a_pattern(word: str, dx: int, dy: int) -> None:
    text = f"BAYERPAT= '{word}'\nXBAYROFF= {dx:20}\nYBAYROFF= {dy:20}"
    assert pattern_of(text) == "".join(word[(i + dy) % 2 * 2 + (j + dx) % 2] for i in (0, 1) for j in (0, 1))


def test_patterns_that_differ() -> None:
    with pytest.raises(ValueError, match=r"differing BAYERPAT \(RGGB: frame-1; GRBG: frame-3\): .* Open each pattern"):
        xccd.open_stack(pair({"BAYERPAT": "RGGB"}, {}, {"BAYERPAT": "RGGB", "XBAYROFF": 1}))
    with pytest.raises(ValueError, match="differing BAYERPAT"):
        xccd.open_frames([*pair({"BAYERPAT": "RGGB"}), *pair({"BAYERPAT": "BGGR"}, image=np.ones((3, 4)))])
    same = pair({"BAYERPAT": "RGGB"}, {"BAYERPAT": "rggb "}, {}, {"BAYERPAT": "GRBG", "XBAYROFF": -1})
    assert xccd.open_stack(same).sizes["frame"] == 4
    tree = xccd.open_tree(pair({"BAYERPAT": "RGGB", "FILTER": "a"}, {"BAYERPAT": "BGGR", "FILTER": "b"}))
    assert len(tree.leaves) == 2


# Two objects


def test_stacks_that_are_put_together() -> None:
    up, down = (xccd.open_stack(pair(cards, cards)) for cards in (UP | TAN, DOWN | TAN))
    for both in (xr.concat([up, down], "frame"), xr.concat([up.ccd.to_dataset(), down.ccd.to_dataset()], "frame")):
        with pytest.raises(ValueError, match=r"ROWORDER \(BOTTOM-UP: frame 0 \(frame-1\), frame 1 .*: frame 2 "):
            both.ccd.combine("mean")
    masters = [stack.ccd.combine("mean") for stack in (up, down)]
    with pytest.raises(ValueError, match=r"ROWORDER \(BOTTOM-UP: frame 0; TOP-DOWN: frame 1\)"):
        xr.concat(masters, "frame").ccd.combine("mean")
    colours = [xccd.open_stack(pair({"BAYERPAT": word})) for word in ("RGGB", "BGGR")]
    with pytest.raises(ValueError, match="differing BAYERPAT"):
        xr.concat(colours, "frame").ccd.count()
    xr.concat([up, up], "frame").ccd.combine("mean")


@pytest.mark.parametrize("argument", ["weights", "scale"])
def test_a_map_of_the_other_order(argument: str) -> None:
    stack = xccd.open_stack(pair(DOWN, DOWN))
    positive = (np.abs(IMAGE), UP)
    master = xccd.open_image(positive)
    for value in (master, xccd.open_stack([positive]).ccd.combine("mean"), xccd.open_stack([positive] * 2)):
        with pytest.raises(
            ValueError, match=rf"{argument} has ROWORDER = 'BOTTOM-UP', the stack 'TOP-DOWN'.*flip='TOP-"
        ):
            stack.ccd.combine("mean", **{argument: value})
    bare = stack.copy()
    bare.attrs = {}  # as after arithmetic
    with pytest.raises(ValueError, match="the stack 'TOP-DOWN'"):
        bare.ccd.combine("mean", **{argument: master})
    turned = xccd.open_image(positive, flip="TOP-DOWN")
    np.testing.assert_array_equal(turned.values, np.abs(IMAGE)[::-1])
    assert turned.ccd.header()["ROWORDER"] == "TOP-DOWN"
    stack.ccd.combine("mean", **{argument: turned})
    stack.ccd.combine("mean", **{argument: xccd.open_image((np.abs(IMAGE), None))})


def test_align_goes_by_the_sky_whatever_the_rows() -> None:
    turned = TAN | {"CDELT2": -TAN["CDELT2"], "CRPIX2": 7 - TAN["CRPIX2"]}
    up, down = xccd.open_stack(pair(UP | TAN)), xccd.open_stack([(IMAGE[::-1], DOWN | turned)])
    aligned = xccd.align([up, down], to=0)
    np.testing.assert_allclose(aligned.values[0], aligned.values[1], atol=1e-5)
    assert "ROWORDER" not in aligned.ccd.header(0)
    assert "ROWORDER" in str(aligned.coords["header"].values)  # what the files say
    assert "ROWORDER" not in aligned.attrs | dict(aligned.coords)
    np.testing.assert_allclose(aligned.ccd.combine("mean").values, IMAGE, atol=1e-5)
    assert (up.attrs["ROWORDER"], down.ccd.header(0)["ROWORDER"]) == ("BOTTOM-UP", "TOP-DOWN")
    with pytest.raises(ValueError, match=r"a stack has ROWORDER = 'TOP-DOWN', the stack 'BOTTOM-UP'"):
        xccd.align([up, down], offsets=[(0, 0), (1, 1)])


def test_the_pickled_form_is_small_and_whole(tmp_path: Path) -> None:
    import pickle

    for i, cards in enumerate((UP, DOWN)):
        fits.PrimaryHDU(IMAGE, fits.Header(cards)).writeto(tmp_path / f"{i}.fits")
    stack = pickle.loads(pickle.dumps(xccd.open_stack(tmp_path, flip=True)))
    np.testing.assert_array_equal(stack.values[1], IMAGE[::-1])
