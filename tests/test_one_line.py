"""`repr(stack.ccd)`: a stack in one line, and its card in a notebook; nothing is computed for them."""

import base64
import io
import re
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import xarray as xr

import xccd
from xccd.compute.deferred import Deferred
from xccd.labels.lazy import array_of, as_lazy_indexed

WCS = {
    "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 10.0, "CRVAL2": 20.0, "CRPIX1": 1.0, "CRPIX2": 1.0,
    "CD1_1": -1e-4, "CD2_2": 1e-4,
}  # fmt: skip


def cards(i: int, **others):
    own = {"IMAGETYP": "Light Frame", "FILTER": "r", "EXPTIME": 120.0, "DATE-OBS": f"2026-05-01T21:{5 * i:02d}:00"}
    return own | WCS | others


def opened(n: int = 6, chunks="auto", **others):
    return xccd.open_stack([(np.full((4, 5), 100.0 + i), cards(i, **others)) for i in range(n)], chunks=chunks)


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (lambda s: s, "6 frames 4 x 5 float64, light, r, 120 s, 21:00 to 21:25, TAN; lazy"),
        (lambda s: s.compute(), "6 frames 4 x 5 float64, light, r, 120 s, 21:00 to 21:25, TAN"),
        (lambda s: s[:1], "1 frame 4 x 5 float64, light, r, 120 s, 21:00, TAN; lazy"),
        (lambda s: s[0], "frame frame-1 4 x 5 float64, light, r, 120 s, 21:00, TAN; lazy"),
        (lambda s: s.isel(frame=[]), "0 frames 4 x 5 float64; lazy"),
        (lambda s: s.ccd.sigma_clip(1, 1),
         "6 frames 4 x 5 float64, light, r, 120 s, 21:00 to 21:25, TAN; lazy, clipped"),
        (lambda s: s.ccd.combine(), "image of 6 frames 4 x 5 float64, master-light, r, 120 s, 21:00, TAN; lazy"),
        (lambda s: s.mean("frame", keep_attrs=False), "image 4 x 5 float64; lazy"),
        (lambda s: s.ccd.to_dataset(),
         "6 frames 4 x 5 float64, light, r, 120 s, 21:00 to 21:25, TAN; lazy, with flags"),
        (lambda s: s.ccd.normalize(zero="median").ccd.minmax(max=500),
         "6 frames 4 x 5 float64, light, r, 120 s, 21:00 to 21:25, TAN; lazy, normalized, clipped"),
        (lambda s: s.to_dataset(name="g").assign(r=s), "g  6 frames 4 x 5 float64, light"),
        (lambda s: xr.Dataset(), "Dataset without an image"),
        (lambda s: xr.DataTree(), "DataTree without an image"),
        (lambda s: xr.DataArray(3.0), "array float64"),
        (lambda s: xr.DataArray(np.zeros((2, 3)), dims=("time", "q")), "array time 2, q 3 float64"),
        (lambda s: xr.DataArray(["a", "b"], dims="frame"), "2 frames <U1"),
    ],
)  # fmt: skip
def test_the_line(make, line):
    said = repr(make(opened()).ccd)
    assert said.startswith(line) if line.startswith("g  ") else said == line


def test_a_line_for_each_node():
    frames = [(np.ones((4, 5)), cards(0)), (np.ones((4, 5)), cards(0, IMAGETYP="bias", EXPTIME=0.0))]
    first, second = repr(xccd.open_tree(frames).ccd).split("\n")
    assert first.startswith("bias/0       1 frame 4 x 5 float64, bias, 0 s, 21:00")
    assert second.startswith("light/r/120  1 frame 4 x 5 float64, light, r, 120 s")


def test_what_differs():
    more = {"FILTER": "g", "EXPTIME": 60.0, "IMAGETYP": "flat", "DATE-OBS": "2026-05-03T01:00:00", "CTYPE1": "LAMBDA"}
    stack = xccd.open_stack([(np.ones((4, 5)), cards(0)), (np.ones((4, 5)), cards(0) | more)])
    assert repr(stack.ccd) == (
        "2 frames 4 x 5 float64, light, flat, r, g, 60 to 120 s, 2026-05-01 to 2026-05-03, TAN (1 of 2 frames); lazy"
    )
    many = xccd.open_stack([(np.ones((4, 5)), cards(0, FILTER=name)) for name in "ugriz"])
    assert ", 5 filters, " in repr(many.ccd)


def test_frames_that_cannot_be_opened(tmp_path: Path):
    frames = [(np.ones((4, 5)), cards(0)), tmp_path / "lost.fits"]
    assert repr(xccd.open_stack(frames, errors="nan").ccd).endswith("; lazy, 1 frame cannot be opened")
    assert repr(xccd.open_stack(frames, errors="skip").ccd).endswith("; lazy, 1 file skipped")


def refuse(*_):
    raise AssertionError("computed")


@pytest.mark.versions
def test_nothing_is_computed():
    labels = opened().coords
    chunked = da.zeros((6, 4, 5), chunks=(1, 4, 5)).map_blocks(refuse, dtype=float, meta=np.zeros((0, 0, 0)))
    later = xr.DataArray(as_lazy_indexed(Deferred(refuse, [], (6, 4, 5), np.dtype(float))), dims=("frame", "y", "x"))
    for stack in (xr.DataArray(chunked, labels, ("frame", "y", "x")), later.assign_coords(labels)):
        told = stack.assign_coords(FILTER=("frame", chunked[:, 0, 0]))
        for obj in (told, told[0], told.to_dataset(name="data")):
            assert "; lazy" in repr(obj.ccd)
            assert "float64, light, r, 120 s" in repr(obj.ccd)  # by the header: a lazy FILTER is passed over
            assert "<img" not in obj.ccd._repr_html_()
    deferred = opened(chunks=None)
    assert repr(deferred.ccd).endswith("lazy")
    assert "<img" not in deferred.ccd._repr_html_()
    assert isinstance(array_of(deferred), Deferred)


def test_a_store_is_not_read(tmp_path: Path):
    opened().to_dataset(name="data").to_zarr(tmp_path / "a.zarr", consolidated=False)
    for ds in (
        xr.open_zarr(tmp_path / "a.zarr", consolidated=False),
        xr.open_dataset(tmp_path / "a.zarr", engine="zarr", consolidated=False),
    ):
        assert repr(ds.ccd) == "6 frames 4 x 5 float64, light, r, 120 s; lazy"  # by the attributes
        assert "<img" not in ds.ccd._repr_html_()
        assert repr(ds["data"].load().ccd).endswith("21:00 to 21:25, TAN")


@pytest.mark.parametrize(
    "labels",
    [
        {"header": ("frame", np.array([None, 3.0, "CTYPE1 = 'RA---", "\x00", "", "END"], object))},
        {"EXPTIME": ("frame", ["a"] * 6), "DATE-OBS": ("frame", [1, 2, 3, 4, 5, 6])},
        {"IMAGETYP": ("frame", np.array([None, 1, np.nan, [], {}, ""], object)), "FILTER": 3},
        {"file": ("frame", np.array([None] * 6, object)), "aligned_to": ("frame", [1.0] * 6)},
        {"header": 5, "image_header": ("frame", [1] * 6)},
    ],
)
def test_labels_may_hold_anything(labels):
    stack = opened().assign_coords(labels).assign_attrs(history=3, skipped=["a"], NCOMBINE="x").compute()
    for obj in (stack, stack[0], stack.to_dataset(name="data"), stack.sum("frame")):
        assert "4 x 5 float64" in repr(obj.ccd)
        assert "4 x 5 float64" in obj.ccd._repr_html_()


def test_an_accessor_without_an_object():
    bare = object.__new__(type(opened().ccd))  # as pickle makes it
    assert repr(bare) == "NoneType without an image"
    assert "NoneType" in bare._repr_html_()


def test_text_of_headers_is_escaped(tmp_path: Path):
    stack = opened(FILTER="<script>alert(1)</script>", IMAGETYP="a&b").compute()
    stack = stack.assign_coords(file=("frame", np.array(["x/<b>.fits"] * 6, object)))
    for obj in (
        stack,
        stack[0],
        stack.to_dataset(name="<i>"),
        xr.DataTree.from_dict({"<u>": stack.to_dataset(name="d")}),
    ):
        html = obj.ccd._repr_html_()
        assert "&lt;script&gt;" in html
        assert not re.search("<(script|b>.fits|i>|u>)", html)
    assert "\x1b" not in repr(opened(FILTER="a").assign_coords(FILTER="\x1b[31m").ccd)


def picture(html: str):
    from matplotlib.image import imread

    (data,) = re.findall(r"base64,([^\"]+)", html)
    return imread(io.BytesIO(base64.b64decode(data)), format="png")


def test_a_picture_of_pixels_in_memory():
    pytest.importorskip("matplotlib")
    y, x = np.mgrid[:330, :400]
    stack = opened(2).isel(y=0, x=0).compute() + xr.DataArray((x + y).astype(float), dims=("y", "x"))
    stack[0, :3, :3] = np.nan
    html = stack.ccd._repr_html_()
    rgb = picture(html)
    assert rgb.shape[:2] == (110, 134)
    assert rgb[-1, 0, 2] > rgb[-1, 0, 0]  # missing at the first row, which is at the bottom
    assert rgb[0, -1, 0] > rgb[-2, 1, 0]
    assert "frame-1, zscale, 1/3 of the size, blue: missing" in html
    assert "frame-1 to frame-2" in html
    assert "all pixels are missing" in (stack * np.nan).ccd._repr_html_()
    assert len(html) < 60_000


@pytest.mark.parametrize("dtype", ["uint8", "bool", "int64", ">f4", "float16", "complex64"])
def test_pictures_of_other_dtypes(dtype):
    html = xr.DataArray(np.ones((3, 4), dtype), dims=("y", "x")).ccd._repr_html_()
    assert ("<img" in html) == (dtype != "complex64")


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (1, 1), (1, 1000)])
def test_pictures_of_odd_shapes(shape):
    assert ("<img" in xr.DataArray(np.ones(shape), dims=("y", "x")).ccd._repr_html_()) == (0 not in shape)
