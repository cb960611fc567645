"""`open_stack`: every way that FITS stores numbers, and nothing read before it is needed."""

import logging
import pickle
from pathlib import Path

import dask
import numpy as np
import pytest
import xarray as xr
from astropy.io import fits
from hypothesis import example, given, settings
from hypothesis import strategies as st

import xccd
from fits_files import line, raw, write
from xccd.read.images.pixels import FilePixels
from xccd.read.images.sources import frames
from xccd.read.reader import StackReader

# What is stored, its cards, the exact values, dtype when opened, dtype="native".
U16, U32, U64 = 1 << 15, 1 << 31, 1 << 63
FORMATS = {
    "8 bits": ("u1", [0, 1, 255], {}, [0, 1, 255], "f4", "u1"),
    "signed 8 bits": ("u1", [0, 128, 255], {"BZERO": -128}, [-128, 0, 127], "f4", "i1"),
    "16 bits": ("i2", [-U16, 0, U16 - 1], {}, [-U16, 0, U16 - 1], "f4", "i2"),
    "unsigned 16 bits": ("i2", [-U16, 0, U16 - 1], {"BZERO": U16}, [0, U16, 2 * U16 - 1], "f4", "u2"),
    "32 bits": ("i4", [-U32, 1, U32 - 1], {}, [-U32, 1, U32 - 1], "f8", "i4"),
    "unsigned 32 bits": ("i4", [-U32, 0, U32 - 1], {"BZERO": U32}, [0, U32, 2 * U32 - 1], "f8", "u4"),
    "64 bits": ("i8", [-U64, 1, U64 - 1], {}, [-U64, 1, U64 - 1], "f8", "i8"),
    "unsigned 64 bits": ("i8", [-U64, 0, U64 - 1], {"BZERO": U64}, [0, U64, 2 * U64 - 1], "f8", "u8"),
    "float32": ("f4", [1.5, -3e38, 1e-45], {}, [1.5, -3e38, 1e-45], "f4", "f4"),
    "float64": ("f8", [1.5, -1e308, 5e-324], {}, [1.5, -1e308, 5e-324], "f8", "f8"),
    "scaled 8 bits": ("u1", [0, 2, 255], {"BSCALE": 0.5, "BZERO": 1}, [1, 2, 128.5], "f4", "f4"),
    "scaled 16 bits": ("i2", [-U16, 0, 7], {"BSCALE": 2.0, "BZERO": 10.0}, [10 - 2 * U16, 10, 24], "f4", "f4"),
    "scaled 32 bits": ("i4", [-U32, 0, 7], {"BSCALE": 0.25, "BZERO": 0.5}, [0.5 - U32 / 4, 0.5, 2.25], "f8", "f8"),
    "scaled float32": ("f4", [1.5, -2, 0], {"BSCALE": 2.0, "BZERO": 1.0}, [4, -3, 1], "f4", "f4"),
    "scaled float64": ("f8", [1.5, -2, 0], {"BSCALE": 2.0, "BZERO": 1.0}, [4, -3, 1], "f8", "f8"),
    "16 bits on a pedestal": ("i2", [-1, 0, 1], {"BZERO": 10**8}, [10**8 - 1, 10**8, 10**8 + 1], "f8", "f8"),
    "BSCALE as text": ("i2", [1, 2, 3], {"BSCALE": "'2.0'"}, [2, 4, 6], "f4", "f4"),
}  # fmt: skip


def rows(values: list, dtype: str) -> np.ndarray:
    return np.array([values, values[::-1]], dtype)


def file_of(tmp_path: Path, name: str) -> Path:
    stored, values, cards, *_ = FORMATS[name]
    return raw(tmp_path / "a.fits", rows(values, stored), *(line(k, v) for k, v in cards.items()))


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_opens_as_float(tmp_path: Path, name: str) -> None:
    stack = xccd.open_stack(file_of(tmp_path, name))
    exact, dtype = FORMATS[name][3:5]
    assert stack.dims == ("frame", "y", "x")
    assert stack.dtype == dtype
    np.testing.assert_array_equal(stack.values[0], rows(exact, dtype))


@pytest.mark.parametrize("name", FORMATS)
def test_native_keeps_what_is_stored_exactly(tmp_path: Path, name: str) -> None:
    stack = xccd.open_stack(file_of(tmp_path, name), dtype="native")
    exact, _, native = FORMATS[name][3:]
    assert stack.dtype == native
    assert stack.dtype.isnative
    assert stack.values[0].tolist() == rows(exact, native).tolist()


@pytest.mark.parametrize("name", [n for n in FORMATS if n not in ("BSCALE as text", "16 bits on a pedestal")])
def test_values_are_those_of_astropy(tmp_path: Path, name: str) -> None:
    path = file_of(tmp_path, name)
    np.testing.assert_array_equal(xccd.open_stack(path).values[0], fits.getdata(path).astype(FORMATS[name][4]))


@pytest.mark.parametrize("chunks", ["auto", None])
@pytest.mark.parametrize("stored", ["u1", "i2", "i4", "i8"])
@pytest.mark.parametrize("scaling", [{}, {"BZERO": 100}, {"BSCALE": 2.0}], ids=["plain", "BZERO", "BSCALE"])
@pytest.mark.parametrize("blank", [0, 7])
def test_blank_is_missing(tmp_path: Path, stored: str, scaling: dict, blank: int, chunks: str | None) -> None:
    cards = [line(k, v) for k, v in (scaling | {"BLANK": blank}).items()]
    path = raw(tmp_path / "a.fits", rows([0, 7, 9], stored), *cards)
    for dtype in (None, "native"):  # integers cannot be missing
        found = xccd.open_stack(path, dtype=dtype, chunks=chunks).values[0]
        assert found.dtype.kind == "f"
        np.testing.assert_array_equal(np.isnan(found), rows([0, 7, 9], stored) == blank)


def test_blank_of_a_float_image_says_nothing(tmp_path: Path) -> None:
    assert not xccd.open_stack(raw(tmp_path / "a.fits", np.zeros((2, 2), "f4"), line("BLANK", 0))).isnull().any()


@pytest.mark.parametrize("dtype", ["float32", "float64", np.float64, ">f4"])
def test_dtype_is_what_was_asked(tmp_path: Path, dtype: object) -> None:
    stack = xccd.open_stack(write(tmp_path / "a.fits", np.arange(6, dtype="u2").reshape(2, 3)), dtype=dtype)
    assert stack.dtype == np.dtype(dtype).newbyteorder("=")
    assert stack.values.tolist() == [[[0, 1, 2], [3, 4, 5]]]


def test_formats_in_one_stack_take_the_widest(tmp_path: Path) -> None:
    kinds = ("u1", "i2", "i4", "f4")
    files = [write(tmp_path / f"{kind}.fits", np.full((2, 2), 100, kind)) for kind in kinds]
    assert xccd.open_stack(files[:2]).dtype == "float32"
    assert xccd.open_stack(files).dtype == "float64"
    assert xccd.open_stack(files[:2], dtype="native").dtype == "int16"
    assert (xccd.open_stack(files) == 100).all()


@pytest.mark.parametrize(
    ("shape", "dims", "kept"),
    [
        ((5,), ("x",), (5,)),
        ((4, 5), ("y", "x"), (4, 5)),
        ((1, 4, 5), ("y", "x"), (4, 5)),
        ((1, 1, 4, 5), ("y", "x"), (4, 5)),
        ((3, 4, 5), ("z", "y", "x"), (3, 4, 5)),
        ((1, 3, 4, 5), ("z", "y", "x"), (3, 4, 5)),
        ((2, 3, 4, 5), ("axis4", "z", "y", "x"), (2, 3, 4, 5)),
        ((1, 5), ("y", "x"), (1, 5)),
    ],
    ids=str,
)
def test_spectra_cubes_and_squeezed_axes(tmp_path: Path, shape: tuple, dims: tuple, kept: tuple) -> None:
    array = np.arange(np.prod(shape), dtype="f4").reshape(shape)
    stack = xccd.open_stack(write(tmp_path / "a.fits", array))
    assert stack.dims == ("frame", *dims)
    assert ("squeezed" in stack.attrs) == (len(kept) < len(shape))
    np.testing.assert_array_equal(stack.values[0], array.reshape(kept))


def test_a_squeezed_axis_is_noted(tmp_path: Path) -> None:
    assert xccd.open_stack(write(tmp_path / "a.fits", np.zeros((1, 2, 3)))).squeezed == "NAXIS3 = 1 in the files"


# Lazy


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("frames")
    pixels = np.random.default_rng(1).integers(0, 60000, (5, 7, 6)).astype("u2")
    return [write(folder / f"f{i}.fits", image, {"EXPTIME": 10.0 * i}) for i, image in enumerate(pixels)]


@pytest.fixture(scope="module")
def whole(files: list[Path]) -> np.ndarray:
    return np.stack([fits.getdata(f) for f in files]).astype("f4")


def test_opening_reads_no_pixel(files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    def read(*_: object) -> None:
        raise AssertionError("pixels were read")

    monkeypatch.setattr(FilePixels, "read", read)
    stack = xccd.open_stack(files)
    clipped = (stack - 1).ccd.minmax(0, None).ccd.combine()
    assert clipped.ccd.header()["NCOMBINE"] == 5
    with pytest.raises(AssertionError, match="pixels were read"):
        clipped.compute()


def test_one_task_a_band_over_all_files(tmp_path: Path) -> None:
    rows, columns = 1500, 4096  # two bands of 32 MB for 3 frames
    blank = np.zeros((rows, columns), "u1")
    data = xccd.open_stack([(blank, None)] * 3).data
    assert data.chunks[0] == (3,)
    assert data.chunks[2] == (columns,)
    assert data.npartitions == len(data.chunks[1]) == 3
    assert len(dict(data.__dask_graph__())) == data.npartitions + 1  # and the reader


def test_chunks(files: list[Path], whole: np.ndarray) -> None:
    assert isinstance(xccd.open_stack(files, chunks=None).data, np.ndarray)
    assert xccd.open_stack(files, chunks={"y": 2}).chunks == ((5,), (2, 2, 2, 1), (6,))
    assert xccd.open_stack(files, chunks=(1, -1, 4)).chunks == ((1,) * 5, (7,), (4, 2))
    for chunks in (None, {"y": 2}, {"frame": 1}, 3, "1kB"):
        np.testing.assert_array_equal(xccd.open_stack(files, chunks=chunks).values, whole)


@pytest.mark.versions
def test_differently_chunked_stacks_of_one_file_go_together(files: list[Path]) -> None:
    one, other = xccd.open_stack(files, chunks={"y": 1}), xccd.open_stack(files, chunks={"y": 3, "x": 4})
    assert one.data.name != other.data.name
    assert ((one - other) == 0).all()


@pytest.mark.versions
def test_names_in_the_graph_are_the_same_each_time(files: list[Path]) -> None:
    stacks = [xccd.open_stack(files) for _ in range(2)]
    assert stacks[0].data.name == stacks[1].data.name
    assert dask.base.tokenize(stacks[0].data) == dask.base.tokenize(stacks[1].data)
    assert xccd.open_stack(files, dtype="float64").data.name != stacks[0].data.name
    assert xccd.open_stack(files[::-1]).data.name != stacks[0].data.name


@pytest.mark.versions
@pytest.mark.parametrize("scheduler", ["threads", "synchronous"])
def test_any_scheduler_gives_the_same(files: list[Path], whole: np.ndarray, scheduler: str) -> None:
    with dask.config.set(scheduler=scheduler):
        np.testing.assert_array_equal(xccd.open_stack(files, chunks={"y": 1}).values, whole)


@pytest.mark.versions
def test_a_stack_can_be_pickled(files: list[Path], whole: np.ndarray) -> None:
    stack = xccd.open_stack(files)
    sent = pickle.dumps(stack)
    assert len(sent) < 20_000  # places in files, no pixels
    xr.testing.assert_identical(pickle.loads(sent), stack)
    np.testing.assert_array_equal(pickle.loads(sent).values, whole)


def test_the_working_folder_may_change(files: list[Path], whole: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(files[0].parent)
    stack = xccd.open_stack("f*.fits")
    monkeypatch.chdir("/")
    np.testing.assert_array_equal(stack.values, whole)


def indexers(size: int) -> st.SearchStrategy[int | slice | list[int]]:
    place = st.integers(-size, size - 1)
    steps = st.sampled_from([None, 1, 2, 3, -1, -2])
    slices = st.builds(slice, st.none() | place, st.none() | place, steps)
    return slices | place | st.lists(place, min_size=1, max_size=size + 2)


@pytest.mark.versions
@settings(max_examples=60, deadline=None)
@given(key=st.tuples(indexers(5), indexers(7), indexers(6)))
@example(key=(slice(None), [0, 2, 1], [1, 0, 2]))
def test_slices_are_those_of_the_whole(files: list[Path], whole: np.ndarray, key: tuple) -> None:
    expected = xr.DataArray(whole, dims=("frame", "y", "x"))[key].values
    for chunks in ("auto", {"y": 3}):
        np.testing.assert_array_equal(xccd.open_stack(files, chunks=chunks)[key].values, expected)
    pixels = tuple(frame.pixels for frame in frames(files, None, None))
    reader = StackReader(pixels, (None,) * 5, 0, np.dtype("f4"))
    np.testing.assert_array_equal(reader[key], expected)


@pytest.mark.versions
def test_a_new_axis_and_a_mask_reach_the_reader(files: list[Path], whole: np.ndarray) -> None:
    data = xccd.open_stack(files).data
    np.testing.assert_array_equal(data[None].compute(), whole[None])
    keep = np.array([True, False] * 3)
    np.testing.assert_array_equal(data[:, :, keep].compute(), whole[:, :, keep])


def test_one_record_says_what_was_opened(files: list[Path], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "xccd"):
        xccd.open_stack(files, dtype="native")
    (record,) = caplog.records
    assert record.getMessage() == (
        "opened 5 frame(s) of 7 x 6 as uint16 (stored as uint16); on frame: EXPTIME; "
        "they differ in EXPTIME (0, 10, 20, 30 and 1 more)"
    )


def test_one_record_even_where_native_is_not_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = raw(tmp_path / "a.fits", rows([0, 7, 9], "i2"), line("BLANK", 7))
    with caplog.at_level(logging.INFO, "xccd"):
        xccd.open_stack(path, dtype="native")
    (record,) = caplog.records
    assert "float32 (stored as int16), missing pixels as NaN" in record.getMessage()
