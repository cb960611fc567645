"""Which labels a stack has, in which order, and how xarray prints those that hold long texts."""

import copy
import logging
import pickle
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import xccd
from xccd.headers.chosen import FIRST, MOST, STAY
from xccd.headers.common import COMBINED
from xccd.headers.coords import CORE_NUMBERS, CORE_TEXTS
from xccd.headers.texts import Files, Texts, as_texts, short_names
from xccd.labels.calibration import CARDS
from xccd.labels.lazy import held

WCS = {
    "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 10.0, "CRVAL2": 20.0, "CRPIX1": 1.0, "CRPIX2": 1.0,
    "CD1_1": -1e-4, "CD2_2": 1e-4,
}  # fmt: skip
CORE = {"IMAGETYP": "light", "FILTER": "r", "EXPTIME": 30.0, "OBJECT": "M 51", "GAIN": 2.0, "RDNOISE": 5.0}


def frames(n: int = 3, *, many: int = 0):
    """Frames with some keywords, and with many more that differ."""
    for i in range(n):
        more = {f"TEXT{k}": f"{k}-{i}" for k in range(many)} | {f"NUMBER{k}": float(i) for k in range(many)}
        own = {"DATE-OBS": f"2026-05-01T21:0{i}:00", "AIRMASS": 1.0 + i / 10, "MJD-END": 6e4 + i, "CCD-TEMP": -i}
        yield np.full((4, 5), 100.0 + i), more | CORE | own | WCS


def opened(n: int = 3, many: int = 0, **kwargs):
    return xccd.open_stack(list(frames(n, many=many)), **kwargs)


def labels(stack) -> list[str]:
    return [str(name) for name, c in stack.coords.items() if c.dims == ("frame",) and str(name).isupper()]


def test_those_that_matter_come_first():
    assert list(opened().coords)[:10] == ["file", *FIRST[:4], "OBJECT", "AIRMASS", "GAIN", "RDNOISE", "MJD-END"]
    assert list(opened(hdu="all").coords)[:3] == ["file", "chip", "EXPTIME"]
    assert {*CORE_NUMBERS, *CORE_TEXTS, "FILTER", "DATE-OBS"} == set(FIRST)
    assert set(CARDS) <= STAY


def test_few_all_become_labels():
    assert len(labels(opened(many=3))) == 16
    assert {"TEXT2", "NUMBER2"} <= set(opened(many=3).coords)


def test_of_many_dates_and_numbers_come_first(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO, "xccd")
    stack = opened(many=20)
    found = labels(stack)
    assert len(found) == MOST
    assert {"MJD-END", "CCD-TEMP", *[f"NUMBER{k}" for k in range(7)]} <= set(found)
    assert not any(name.startswith("TEXT") for name in found)
    assert "keyword() has 33 more that differ; keywords='all' makes all labels" in caplog.text
    assert stack.ccd.keyword("TEXT19").values.tolist() == ["19-0", "19-1", "19-2"]
    assert stack.assign_coords(X=stack.ccd.keyword("NUMBER19")).X.values.tolist() == [0.0, 1.0, 2.0]
    assert stack.ccd.keep("NUMBER19 > 0").sizes["frame"] == 2
    assert stack.ccd.combine(weights=stack.ccd.keyword("NUMBER19").values + 1).dims == ("y", "x")
    assert stack.ccd.combine(weights="NUMBER19").shape == (4, 5)


def test_what_is_asked_for_is_a_label():
    assert {"TEXT3", "CRVAL1"} <= set(opened(many=20, keywords=["TEXT3", "CRVAL1"]).coords)
    assert len(labels(opened(many=20, keywords="all"))) == 50
    tree = xccd.open_tree(list(frames(many=20)), keywords="all")
    assert len(labels(tree.leaves[0]["data"])) == 50
    assert len(labels(opened(many=20, keep_headers=False))) == 50  # nothing else has them
    assert len(labels(xccd.open_dataset(list(frames(many=20)), keywords="all")["data"])) == 50
    with pytest.raises(TypeError, match=r"keywords='TEXT3' is not a list of header keywords, as .*, or 'all'"):
        opened(keywords="TEXT3")


def test_settings_that_differ_stay(caplog: pytest.LogCaptureFixture):
    cards = [{f"B{k}": k + i for k in range(30)} | {"XBINNING": 1 + i, "CCD-TEMP": -10.0 - i} for i in (0, 1)]
    stack = xccd.open_stack([(np.ones((2, 2)), own) for own in cards])
    assert {"XBINNING", "CCD-TEMP"} <= set(stack.coords)
    assert len(labels(stack)) == MOST
    assert "XBINNING (1, 2)" in caplog.text


def test_pages_are_short():
    stack = opened(9, many=40)
    page, text = stack._repr_html_(), repr(stack)
    assert len(page) < 60_000
    assert len(text.splitlines()) < 40
    assert all(name in page and name in text for name in ("file", "EXPTIME", "FILTER", "DATE-OBS"))
    assert "CTYPE1" not in page.partition("Attributes")[0]
    assert len(stack.coords) < 25  # from 25 on xarray folds coordinates away
    assert len(xccd.open_tree(list(frames(5, many=40)))._repr_html_()) < 60_000


def is_held(obj, name: str = "header") -> bool:
    return isinstance(held(obj.coords[name].variable), Texts)


@pytest.mark.versions
@pytest.mark.parametrize(
    "change",
    [
        lambda s: s.isel(frame=[2, 0]),
        lambda s: s[1],
        lambda s: s[::-1],
        lambda s: s.isel(frame=s.AIRMASS < 1.15),
        lambda s: s.sortby("AIRMASS", ascending=False),
        lambda s: s.compute(),
        lambda s: s.copy(deep=True),
        copy.deepcopy,
        lambda s: pickle.loads(pickle.dumps(s)),
        lambda s: s.chunk(y=2).compute(),
        lambda s: s.T,
        lambda s: s - 1,
        lambda s: s / s,
        lambda s: xr.concat([s, s], "frame"),
        lambda s: s.where(s > 100),
        lambda s: s.compute().where(lambda x: x > 100, drop=True),
        lambda s: s.groupby("OBJECT").map(lambda g: g * 2),
        lambda s: s.to_dataset(name="d")["d"],
        lambda s: s.fillna(0),
        lambda s: s.assign_coords(header=s.header),
        lambda s: s.roll(frame=1, roll_coords=True),
        lambda s: s.mean("x"),
        lambda s: s.ccd.sigma_clip(1, 1),
        lambda s: s.ccd.to_dataset()["data"],
        lambda s: s.ccd.normalize(zero="median"),
        lambda s: xr.DataTree.from_dict({"a": s.to_dataset(name="d")})["a/d"],
        lambda s: s.ccd.align(),
    ],
)
def test_headers_stay_unprinted(change):
    stack = opened()
    made = change(stack)
    assert is_held(made)
    assert "CTYPE1" not in repr(made).partition("Attributes")[0]
    texts = np.ravel(made.header.values).tolist()
    assert all(type(text) is str and "CTYPE1" in text for text in texts)
    assert set(texts) <= set(stack.header.values.tolist())


def test_what_is_printed():
    stack = opened()
    assert "header    (frame) object 24B <3 texts of 18 lines>" in repr(stack)
    assert repr(stack.header.data) == str(stack.header.data) == "<3 texts of 18 lines>"
    assert "<3 texts of 18 lines>" in repr(stack.header)
    assert "&lt;3 texts of 18 lines&gt;" in stack._repr_html_()
    assert "header    object 8B <a text of 18 lines>" in repr(stack[0])
    image = stack.ccd.combine()
    assert "image_header  object 8B <a text of " in repr(image)
    assert repr(as_texts([])) == "<0 texts>"
    assert repr(as_texts(["a\nb", "", "a"])) == "<3 texts of 1 to 2 lines>"


def test_comparisons_are_plain():
    stack = opened()
    same = stack.header == stack.header[0]
    assert type(same.data) is np.ndarray
    assert same.values.tolist() == [True, False, False]
    assert type(stack.header.values) is np.ndarray
    assert stack.header.isin([stack.header.values[1]]).values.tolist() == [False, True, False]
    assert stack.header.str.contains("TAN").all()
    assert stack.identical(opened().assign_coords(header=("frame", stack.header.values)))
    other = opened().assign_coords(header=("frame", ["a", "b", "c"]))
    assert "header" not in (stack - other).coords
    assert "header" in (stack - stack).coords


@pytest.mark.versions
def test_titles_have_no_header():
    plt = pytest.importorskip("matplotlib.pyplot")
    stack = opened().compute()
    for obj, title in (
        (stack[0], "file = frame-1, EXPTIME = 30.0, FILTER = r, DAT..."),
        (stack.drop_vars(labels(stack))[0], "file = frame-1"),
        (stack.ccd.combine(), ""),
        (xccd.open_image(next(frames())), ""),
        (stack.ccd.align()[0].drop_vars(labels(stack)), "file = frame-1, align_error = 0.0"),
    ):
        figure, axes = plt.subplots()
        obj.plot(ax=axes)
        assert axes.get_title() == title
        plt.close(figure)


@pytest.mark.versions
def test_a_file_has_its_short_name_in_lists_and_titles(tmp_path: Path):
    from astropy.io import fits

    paths = [tmp_path / f"a-long-name-of-a-folder-{'x' * 60}" / f"light-{i:03d}.fits" for i in range(9)]
    paths[0].parent.mkdir()
    for path in paths:
        fits.PrimaryHDU(np.ones((4, 5), "f4")).writeto(path)
    stack = xccd.open_stack(paths)
    assert "file     (frame) object 72B 'light-000.fits' ... 'light-008.fits'" in repr(stack)
    assert stack.file.values.tolist() == [str(path) for path in paths]
    assert str(paths[0]) in repr(stack.file.data)
    assert stack[3]._title_for_slice() == "file = light-003.fits"
    assert stack[3].file.item() == str(paths[3])
    assert stack[3].to_dataframe().file.iloc[0] == str(paths[3])
    both = xr.concat([stack, stack], "frame")
    assert isinstance(held(both.file.variable), Files)
    assert type((both.file == str(paths[0])).data) is np.ndarray


@pytest.mark.parametrize(
    ("paths", "short"),
    [
        (["n/a.fits", "n/b.fits"], ["a.fits", "b.fits"]),
        (["n1/a.fits", "n2/a.fits"], ["n1/a.fits", "n2/a.fits"]),
        (["/x/n1/a.fits", "/x/n2/a.fits", "/x/n2/b.fits"], ["n1/a.fits", "n2/a.fits", "n2/b.fits"]),
        (["a.fits", "a.fits"], ["a.fits", "a.fits"]),
        (["C:\\d\\a.fits", "C:\\d\\b.fits"], ["a.fits", "b.fits"]),
        (["http://h/a.fits?x=1"], ["a.fits?x=1"]),
        (["a.fits", "n/a.fits"], ["a.fits", "n/a.fits"]),
        ([], []),
        ([None, 3.0], ["None", "3.0"]),
        (["", "/"], ["", "/"]),
    ],
)
def test_short_names(paths, short):
    assert short_names(paths) == short


@pytest.mark.versions
def test_tables_have_no_header():
    stack = opened().compute()
    table = stack.median(("y", "x")).to_dataframe("level")
    assert "header" not in table.columns
    assert {"file", "EXPTIME", "level"} <= set(table.columns)
    assert "header" not in stack.median(("y", "x")).to_dataset(name="level").to_pandas().columns
    assert COMBINED not in stack.ccd.combine().to_dataframe("level").columns
    assert stack.header.to_series().str.contains("TAN").all()
    assert "header" in stack.header.to_dataframe().columns


def test_labels_of_others_are_shown():
    foreign = xr.DataArray([1.0, 2.0], coords={"header": ("q", ["a", "b"])}, dims="q", name="v")
    assert "header" in foreign.to_dataframe().columns
    assert foreign[0]._title_for_slice() == "header = a"


@pytest.mark.versions
@pytest.mark.parametrize("kind", ["zarr", "netcdf"])
def test_files_have_the_texts(kind: str, tmp_path: Path):
    if kind == "netcdf":
        pytest.importorskip("netCDF4")
    stack = xr.concat([opened(), opened()], "frame").compute()
    for number, obj in enumerate((stack, stack[0], stack.ccd.combine())):
        name = COMBINED if COMBINED in obj.coords else "header"
        path = tmp_path / f"{number}.{kind}"
        ds = obj.to_dataset(name="data")
        if kind == "zarr":
            ds.to_zarr(path, consolidated=False)
            again = xr.open_zarr(path, consolidated=False)
        else:
            ds.to_netcdf(path)
            again = xr.open_dataset(path)
        with again:
            assert np.array_equal(again[name].values, obj[name].values)
            joined = again["data"].load()
        if name == "header" and joined.ndim == 3:
            assert is_held(xr.concat([stack, joined], "frame"))
            assert joined.ccd.header(1)["CTYPE1"] == "RA---TAN"
