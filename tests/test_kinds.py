"""Kinds of frames and filters: by what they are, not by the word that a program has for it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st

import xccd
from xccd.headers import kinds
from xccd.headers.kinds import KINDS, MASTERS, NOTHING, filter_of, kind_of, known

WORDS = {  # as programs write them
    "bias": ["BIAS", "Bias Frame", "zero", "ZERO", "Offset", "bias_frame", "Biases", "Offset Frames", "raw bias"],
    "dark": ["Dark", "DARK FRAME", "DarkFlat", "FLATDARK", "dark flat", "Flat-Dark Frame", "darks", "flat darks"],
    "flat": ["FLAT", "Flat Field", "flatfield", "Dome Flat", "DOMEFLAT", "dome", "SKYFLAT", "sky flat", "sky",
             "Flat,Sky", "twilightflat", "Twilight", "LAMPFLAT", "FLAT-LAMP", "flats", "LED flat"],
    "light": ["Light Frame", "LIGHT", "object", "OBJECT", "SCIENCE", "Science Object", "target", "standard",
              "Standard Star", "STD", "Tricolor Image", "EXPOSE", "lights"],
    "arc": ["ARC", "comp", "Comparison", "arc lamp", "COMP LAMP"],
    "master-bias": ["Master Bias", "MASTERBIAS", "superbias", "bias master", "Master Offset Frame"],
    "master-dark": ["MASTER DARK", "masterDark", "Master Dark Flat"],
    "master-flat": ["masterflat", "Master_Flat_Field", "super sky flat", "Combined Flat"],
    "master-light": ["Master Light", "masterLight"],
}  # fmt: skip
NAMES_NONE = [
    "2022-09-19T19:47:41.000", "47", "FK5", "Counts", "", "focus", "dark sky", "bias dark", "lamp", "frame", "Image",
    "ark", "dar", "flatter", "b1", "master", "***", "flat" * 300,
]  # fmt: skip


def frame(level: float = 1, **cards: Any) -> tuple[np.ndarray[Any, Any], dict[str, Any]]:
    return np.full((2, 3), level, "f4"), {k.replace("__", "-"): v for k, v in cards.items()}


def levels(tree: xr.DataTree) -> dict[str, list[float]]:
    return {node.path.lstrip("/"): node["data"].values[:, 0, 0].tolist() for node in tree.leaves}


@pytest.mark.parametrize(("kind", "word"), [(kind, word) for kind, words in WORDS.items() for word in words])
def test_words(kind: str, word: str) -> None:
    assert known(word) == kind_of(word) == kind


@pytest.mark.parametrize("word", NAMES_NONE)
def test_words_that_name_no_kind(word: str) -> None:
    assert known(word) is None


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_any_spelling_of_the_table(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(list(KINDS)))
    own = [data.draw(st.sampled_from(KINDS[name].words))]
    own += data.draw(st.lists(st.sampled_from((*KINDS[name].beside, *NOTHING)), max_size=2))
    master = data.draw(st.lists(st.sampled_from(MASTERS), max_size=1))
    words = data.draw(st.permutations(own + master))
    case = data.draw(st.sampled_from([str.upper, str.lower, str.title]))
    written = case(data.draw(st.sampled_from(["", " ", "_", "-", ", "])).join(words)) + data.draw(
        st.sampled_from(["", "s", " "])
    )
    kind = f"master-{name}" if master else name
    assert known(written) == kind
    assert kind_of(written, "dark") == kind
    odd = data.draw(st.text("xqwvj", min_size=1, max_size=5))
    assert known(written + odd) is None
    assert kind_of(written.strip() + odd) == kinds.short(written.strip() + odd)


def test_every_word_has_one_kind() -> None:
    words = [word for kind in KINDS.values() for word in kind.words]
    assert len(set(words)) == len(words)
    assert not set(words) & {*MASTERS, *NOTHING}


def test_one_node_for_a_kind() -> None:
    files, expected = [], {}
    for kind, words in WORDS.items():
        expected[kind] = [float(len(files) + i) for i in range(len(words))]
        files += [frame(len(files) + i, IMAGETYP=word) for i, word in enumerate(words)]
    assert levels(xccd.open_tree(files)) == dict(sorted(expected.items()))
    by_obstype = [(image, {"OBSTYPE": cards["IMAGETYP"]}) for image, cards in files]
    assert levels(xccd.open_tree(by_obstype)) == levels(xccd.open_tree(by_obstype, by="OBSTYPE"))
    assert levels(xccd.open_tree(by_obstype)) == levels(xccd.open_tree(files))


@pytest.mark.parametrize(
    ("cards", "path", "labels"),
    [
        ([{"FRAME": f"2022-09-19T19:47:4{i}.000", "EXPOSURE": 30.0} for i in range(3)], "30", {}),
        ([{"FRAME": n, "FILTER": "g"} for n in (47, 48)], "g", {}),
        ([{"FRAME": "FK5", "FILTER": "g"}] * 2, "g", {}),
        ([{"DATATYPE": "Counts", "FILTER": "g"}] * 2, "g", {}),
        ([{"FRAME": "FK5", "DATATYPE": "zero"}] * 2, "bias", {"OBSTYPE": "zero"}),
        ([{"FRAME": "Light", "FILTER": "g"}, {"FRAME": "object", "FILTER": "g"}], "light/g", {"IMAGETYP": "Light"}),
        ([{"IMAGETYP": "flat", "FRAME": "Dark"}], "flat", {"IMAGETYP": "flat"}),
        ([{"IMAGETYP": "Image", "OBSTYPE": "ZERO"}], "bias", {"IMAGETYP": "Image", "OBSTYPE": "ZERO"}),
        ([{"IMAGETYP": "focus", "OBSTYPE": "object"}], "focus", {"IMAGETYP": "focus"}),
        ([{"IMAGETYP": "light", "OBSTYPE": "flat"}], "light", {"IMAGETYP": "light"}),
        ([{"IMAGETYP": "Image"}], "image", {"IMAGETYP": "Image"}),
    ],
    ids=str,
)
def test_keywords_that_may_say_other_things(cards: list[dict[str, Any]], path: str, labels: dict[str, str]) -> None:
    files = [frame(i, **some) for i, some in enumerate(cards)]
    tree = xccd.open_tree(files)
    assert levels(tree) == {path: [float(i) for i in range(len(cards))]}
    stack = xccd.open_stack(files)
    names = ("IMAGETYP", "OBSTYPE")
    assert {k: str(stack[k].values[0]) for k in names if k in stack.coords} == {**labels} | {
        k: str(cards[0][k]) for k in names if k in cards[0]
    }


FILTERS: list[tuple[dict[str, Any], str]] = [
    ({"FILTER": "r", "FILTER1": "CLEAR", "FILTER2": "g"}, "r"),
    ({"FILTER": "r", "FILTER2": "pol"}, "r"),
    ({"FILTER": "", "FILTER1": "CLEAR", "FILTER2": "g"}, "g"),
    ({"FILTER1": "CLEAR", "FILTER2": "g"}, "g"),
    ({"FILTER1": "g", "FILTER2": "Open", "FILTER3": "pol"}, "g+pol"),
    ({"FILTER1": "g", "FILTER2": "g"}, "g"),
    ({"FILTER1": "g"}, "g"),
    ({"FILTER2": "r"}, "r"),
    ({"FILTER1": "empty", "FILTER3": "i"}, "i"),
    ({"FILTNAM1": "B", "FILTNAM2": "none"}, "B"),
    ({"FWNAME1": "AIR", "FWNAME2": "V"}, "V"),
    ({"ALFLTNM": "Open", "FAFLTNM": "B_Bes 440_100"}, "B_Bes 440_100"),
    ({"FILTER": "<NO FILTER>", "FILTER2": "g-SDSS"}, "g-SDSS"),
    ({"FILTER": "NO_FILTER", "FILTER2": "CLEAR"}, "NO_FILTER"),
    ({"FILTER": "clear"}, "clear"),
    ({"FILTER1": "CLEAR1L", "FILTER2": "F606W"}, "F606W"),
    ({"FILTER1": "CLEAR1S", "FILTER2": "open"}, "CLEAR"),
    ({"FILTER1": "N/A", "FILTER2": "--"}, "CLEAR"),
    ({"FILTER1": "Na", "FILTER2": "blank 2"}, "Na"),
    ({"FILTER1": "opened", "FILTER2": "clearly"}, "opened+clearly"),
    ({"FILTER1": 2, "FILTER2": "CLEAR"}, "2"),
    ({"FILTERS": "B", "FILTER1": "clear"}, "B"),
    ({}, ""),
    ({"FILTER1": "", "FILTER2": "  "}, ""),
]


@pytest.mark.parametrize(("cards", "name"), FILTERS, ids=str)
def test_filters(cards: dict[str, Any], name: str) -> None:
    assert filter_of(cards) == name
    stack = xccd.open_stack([frame(**cards)])
    assert (stack.FILTER.values.tolist() if "FILTER" in stack.coords else [""]) == [name]


HELD = st.lists(st.sampled_from(["g", "r", "pol", *kinds.CLEAR]), min_size=1, max_size=3)


@given(HELD, st.sampled_from(kinds.WHEELS))
@settings(max_examples=60, deadline=None)
def test_wheels_give_what_they_hold_once(held: list[str], row: tuple[str, ...]) -> None:
    found = filter_of({k: v.upper() if v in kinds.CLEAR else v for k, v in zip(row, held, strict=False)})
    glass = list(dict.fromkeys(v for v in held if v not in kinds.CLEAR))
    assert found == ("+".join(glass) or "CLEAR")


def test_flats_of_two_wheels_are_apart() -> None:
    files = [frame(i, IMAGETYP="flat", EXPTIME=2.0, FILTER1="CLEAR", FILTER2="gr"[i % 2]) for i in range(4)]
    tree = xccd.open_tree(files)
    assert levels(tree) == {"flat/g/2": [0, 2], "flat/r/2": [1, 3]}
    assert tree["flat/g/2"]["data"].FILTER.values.tolist() == ["g", "g"]


def test_the_filter_of_a_dark_does_not_count() -> None:
    kinds_of = ["Dark Frame", "zero", "master dark", "Light Frame", "arc", "focus", "flat", ""]
    files = [frame(10 * i + j, IMAGETYP=k, FILTER=f) for i, k in enumerate(kinds_of) for j, f in enumerate("gr")]
    expected = {"arc/g": [40], "arc/r": [41], "bias": [10, 11], "dark": [0, 1], "flat/g": [60], "flat/r": [61]}
    expected |= {"focus/g": [50], "focus/r": [51], "light/g": [30], "light/r": [31], "master-dark": [20, 21]}
    expected |= {"no_IMAGETYP/g": [70], "no_IMAGETYP/r": [71]}
    assert levels(xccd.open_tree(files)) == expected
    assert levels(xccd.open_tree(files[:2])) == {"dark": [0, 1]}
    assert levels(xccd.open_tree(files[:2], by=["IMAGETYP", "FILTER"])) == {"dark": [0, 1]}
    assert levels(xccd.open_tree(files[:2], by="FILTER")) == {"g": [0], "r": [1]}  # the kind is no level: as asked
    assert xccd.open_stack(files[:2]).FILTER.values.tolist() == ["g", "r"]


def test_words_of_obstype_below_the_kind() -> None:
    files = [
        frame(i, IMAGETYP="light", OBSTYPE=word) for i, word in enumerate(["Science Frame", "standard", "STANDARD"])
    ]
    assert levels(xccd.open_tree(files)) == {"light": [0, 1, 2]}
    both = xccd.open_tree(files, by=("IMAGETYP", "OBSTYPE"))
    assert levels(both) == {"light/science": [0], "light/standard": [1, 2]}


def test_the_page_lists_every_word() -> None:
    page = (Path(__file__).parents[1] / "docs" / "kinds.md").read_text()
    for row in (*KINDS.values(), kinds.KindWords(MASTERS, NOTHING), kinds.KindWords(kinds.CLEAR)):
        for word in row.words + row.beside:
            assert f"`{word}`" in page, word
    for keyword in (*kinds.IMAGETYP, *kinds.OBSTYPE, "FRAME", "DATATYPE", *kinds.FILTER, *sum(kinds.WHEELS, ())):
        assert f"`{keyword}`" in page, keyword


def test_what_was_combined_is_a_master(tmp_path):
    """Masters that keep the word of their frames are told from these by NCOMBINE, in a tree and in a combination."""
    raw = [(np.full((3, 4), 100.0 + i), {"IMAGETYP": "Bias Frame", "SEQ": i}) for i in range(3)]
    for image, cards in raw:
        fits.writeto(tmp_path / f"bias-{cards['SEQ']}.fits", image, fits.Header(cards))
    xccd.open_stack(tmp_path / "bias-*.fits").ccd.combine("mean").ccd.to_fits(tmp_path / "master.fits")
    assert sorted(node.path for node in xccd.open_tree(tmp_path).leaves) == ["/bias", "/master-bias"]
    with pytest.warns(
        UserWarning, match=r"IMAGETYP \(Bias Frame, Bias Frame with NCOMBINE\)|IMAGETYP \(Bias Frame with"
    ):
        xccd.open_stack(tmp_path).ccd.combine("mean")
    xccd.open_stack([tmp_path / "master.fits"]).ccd.combine("mean")
