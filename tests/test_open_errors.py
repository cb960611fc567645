"""`errors=`: files that cannot be opened are left out, or are NaN, and the log, the labels and products say so."""

import errno
import gzip
import logging
import pickle
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from astropy.io import fits
from click.testing import CliRunner

import xccd
from fits_files import write
from remote_files import server
from xccd.cli.main import cli
from xccd.cli.shell import Stop
from xccd.read.images import missing

RNG = np.random.default_rng(5)
SHAPE = (40, 30)
KINDS = ("missing", "truncated", "truncated header", "not FITS", "no image", "cut .gz")
REASONS = {
    "missing": "does not exist: check the path",
    "truncated": "truncated: HDU 0 needs 2400 bytes of data for shape (40, 30), the file has room for 1000",
    "truncated header": "truncated: the header of HDU 0 has no END card within 2880 bytes",
    "not FITS": "not a FITS file: it starts with b'no imagen', not with b'SIMPLE  ='",
    "no image": "has no image: its HDUs are 0 PRIMARY: no data",
    "cut .gz": "cannot be unpacked: Compressed file ended before the end-of-stream marker was reached",
}
HAS_HEADER = ("truncated", "no image", "cut .gz")


def frame(path: Path, shape: tuple[int, ...] = SHAPE, **cards: Any) -> Path:
    """A frame of a camera; its level is 100 where no card LEVEL says another."""
    plain = {"IMAGETYP": "flat", "FILTER": "r", "EXPTIME": 2.0, "OBJECT": "sky"} | cards
    return write(path, np.full(shape, plain.pop("LEVEL", 100), "u2"), plain)


def broken(path: Path, kind: str) -> Path:
    """A file that cannot be opened."""
    if kind == "missing":
        return path
    path.unlink(missing_ok=True)
    content = frame(path, EXPTIME=7.0).read_bytes()
    if kind == "cut .gz":
        noisy = RNG.integers(0, 60000, SHAPE).astype("u2")
        path.unlink()
        content = gzip.compress(write(path, noisy, {"EXPTIME": 7.0}).read_bytes())
        content = content[:-1000]
    elif kind == "no image":
        path.unlink()
        fits.PrimaryHDU(header=fits.Header([("EXPTIME", 7.0)])).writeto(path)
        content = path.read_bytes()
    else:
        content = {"truncated": content[:3880], "truncated header": content[:80] * 12, "not FITS": b"no imagen" * 90}[
            kind
        ]
    path.write_bytes(content)
    return path


@pytest.fixture
def night(tmp_path: Path) -> list[Path]:
    """Five frames, of which the second cannot be opened."""
    files = [frame(tmp_path / f"{i}.fits", EXPTIME=2.0 + i, LEVEL=100 + i) for i in range(5)]
    files[1].unlink()
    return files


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.name == "xccd" and r.levelno == logging.WARNING]


# At the opening


@pytest.mark.parametrize("chunks", [None, "auto", {"y": 7}])
@pytest.mark.parametrize("kind", KINDS)
def test_what_cannot_be_opened_is_left_out(
    night: list[Path], kind: str, chunks: Any, caplog: pytest.LogCaptureFixture
) -> None:
    broken(night[1], kind)
    stack = xccd.open_stack(night, errors="skip", chunks=chunks)
    np.testing.assert_array_equal(stack[:, 0, 0], [100, 102, 103, 104])
    assert stack.attrs["skipped"] == f"{night[1]}: {REASONS[kind]}"
    assert told(caplog) == [f"skipped 1 of 5 files that cannot be opened: {night[1]}: {REASONS[kind]}"]
    assert stack.attrs["history"].endswith("skipped 1 of 5 files that cannot be opened: 1.fits")
    assert stack.EXPTIME.values.tolist() == [2, 4, 5, 6]
    assert "problem" not in stack.coords


@pytest.mark.parametrize("chunks", [None, "auto", {"y": 7}])
@pytest.mark.parametrize("kind", KINDS)
def test_what_cannot_be_opened_is_nan(
    night: list[Path], kind: str, chunks: Any, caplog: pytest.LogCaptureFixture
) -> None:
    broken(night[1], kind)
    stack = xccd.open_stack(night, errors="nan", chunks=chunks)
    assert stack.dtype == np.float32
    np.testing.assert_array_equal(stack[:, 0, 0], [100, np.nan, 102, 103, 104])
    assert np.isnan(stack[1]).all()
    assert stack.problem.values.tolist() == ["", REASONS[kind], "", "", ""]
    assert told(caplog) == [f"NaN for 1 of 5 files that cannot be opened: {night[1]}: {REASONS[kind]}"]
    assert stack.file.values.tolist() == list(map(str, night))
    expected = 7.0 if kind in HAS_HEADER else np.nan
    np.testing.assert_array_equal(stack.EXPTIME, [2, expected, 4, 5, 6])
    assert bool(stack.header.values[1]) == (kind in HAS_HEADER)
    assert "skipped" not in stack.attrs


def test_labels_that_all_others_share_stay_attributes(night: list[Path]) -> None:
    stack = xccd.open_stack(night, errors="nan")
    assert (stack.attrs["OBJECT"], stack.attrs["IMAGETYP"]) == ("sky", "flat")
    assert stack.FILTER.values.tolist() == ["r", "", "r", "r", "r"]


@pytest.mark.parametrize("kind", [k for k in KINDS if k != "cut .gz"])
@pytest.mark.parametrize("opener", ["open_stack", "open_frames", "open_dataset", "open_tree"])
def test_the_default_raises_as_ever(night: list[Path], opener: str, kind: str) -> None:
    broken(night[1], kind)
    with pytest.raises(OSError, match=r"1\.fits"):
        getattr(xccd, opener)(night)


@pytest.mark.parametrize("errors", ["skip", "nan"])
@pytest.mark.parametrize("opener", ["open_stack", "open_frames", "open_dataset", "open_tree"])
def test_no_file_left_raises(tmp_path: Path, opener: str, errors: Any) -> None:
    lost = [tmp_path / "a.fits", tmp_path / "b.fits"]
    with pytest.raises(FileNotFoundError, match=r"^none of 2 files can be opened: .*a\.fits does not exist: check the"):
        getattr(xccd, opener)(lost, errors=errors)
    with pytest.raises(FileNotFoundError, match=r"a\.fits does not exist: check the path$"):
        getattr(xccd, opener)(lost[0], errors=errors)
    broken(lost[0], "not FITS")
    with pytest.raises(OSError, match=r"^none of 2 files can be opened: .*a\.fits is not a FITS file"):
        getattr(xccd, opener)(lost, errors=errors)
    with pytest.raises(FileNotFoundError, match="no file matches"):
        getattr(xccd, opener)(str(tmp_path / "x*.fits"), errors=errors)


@pytest.mark.parametrize(
    ("given", "match"),
    [("skp", r"errors='skp' is none of 'raise', 'skip', 'nan'; did you mean 'skip'\?"), (None, "errors=None is none")],
)
@pytest.mark.parametrize("opener", ["open_stack", "open_frames", "open_dataset", "open_tree"])
def test_an_unknown_word_raises(night: list[Path], opener: str, given: Any, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        getattr(xccd, opener)(night, errors=given)


def test_a_full_table_of_open_files_is_no_fault_of_a_file(night: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    frame(night[1])

    def full(*_: Any) -> Any:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr("xccd.read.images.hdus.open_local", full)
    for errors in ("skip", "nan"):
        with pytest.raises(OSError, match="Too many open files"):
            xccd.open_stack(night, errors=errors)


def test_errors_of_programs_are_never_swallowed(night: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    frame(night[1])

    def wrong(*_: Any) -> Any:
        raise IndexError("a mistake")

    with monkeypatch.context() as patch:
        patch.setattr("xccd.read.images.hdus.Walk._hdu", wrong)
        with pytest.raises(IndexError, match="a mistake"):
            xccd.open_stack(night, errors="skip")
    stack = xccd.open_stack(night, errors="nan", chunks=None)
    monkeypatch.setattr("xccd.read.images.pixels.FilePixels.read", wrong)
    with pytest.raises(IndexError, match="a mistake"):
        stack.load()


# Shapes


def test_a_frame_of_another_shape_than_most(night: list[Path], tmp_path: Path) -> None:
    frame(night[1], (20, 30))
    with pytest.raises(ValueError, match="differing shapes"):
        xccd.open_stack(night)
    why = "its shape is 20 x 30, that of most frames 40 x 30"
    assert xccd.open_stack(night, errors="skip").attrs["skipped"] == f"{night[1]}: {why}"
    stack = xccd.open_stack(night, errors="nan")
    assert stack.shape == (5, *SHAPE)
    assert stack.problem.values[1] == why
    assert stack.EXPTIME.values[1] == 2


@pytest.mark.parametrize("errors", ["skip", "nan"])
def test_no_shape_of_more_than_half_raises(tmp_path: Path, errors: Any) -> None:
    files = [frame(tmp_path / "a.fits"), frame(tmp_path / "b.fits", (20, 30)), tmp_path / "lost.fits"]
    with pytest.raises(ValueError, match="differing shapes"):
        xccd.open_stack(files, errors=errors)


@pytest.mark.parametrize("errors", ["skip", "nan"])
def test_a_mask_of_another_shape(night: list[Path], errors: Any) -> None:
    hdus = fits.HDUList([fits.PrimaryHDU(np.zeros(SHAPE, "u2")), fits.ImageHDU(np.zeros((2, 2), "u1"), name="MASK")])
    hdus.writeto(night[1])
    with pytest.raises(ValueError, match=r"its mask has shape \(2, 2\)"):
        xccd.open_stack(night)
    stack = xccd.open_stack(night, errors=errors)
    assert stack.sizes["frame"] == (4 if errors == "skip" else 5)
    assert "its mask has shape (2, 2), the image (40, 30)" in str([stack.attrs, *stack.coords.values()])


def test_lists_of_frames_of_any_shape(tmp_path: Path) -> None:
    files = [frame(tmp_path / f"{i}.fits", (20 + 10 * (i > 2), 30)) for i in range(6)]
    broken(files[1], "not FITS")
    files[4].write_bytes(files[4].read_bytes()[:3000])
    kept = xccd.open_frames(files, errors="skip")
    assert [s.shape for s in kept] == [(2, 20, 30), (2, 30, 30)]
    assert kept[0].attrs["skipped"].count("\n") == 1
    all_of_them = xccd.open_frames(files, errors="nan")
    assert [s.shape for s in all_of_them] == [(3, 20, 30), (3, 30, 30)]
    assert [bool(np.isnan(s[1]).all()) for s in all_of_them] == [True, True]


# Products


@pytest.mark.parametrize("chunks", [None, "auto"])
@pytest.mark.parametrize("errors", ["skip", "nan"])
@pytest.mark.parametrize("opener", ["open_stack", "open_dataset"])
def test_a_product_says_what_was_left_out(
    night: list[Path], tmp_path: Path, opener: str, errors: Any, chunks: Any
) -> None:
    stack = getattr(xccd, opener)(night, errors=errors, chunks=chunks)
    done = stack.ccd.clip_extrema(1, 0).ccd.combine("mean")
    path = done.ccd.to_fits(tmp_path / "product.fits")
    with fits.open(path) as hdus:
        head, table = hdus[0].header, hdus["FRAMES"].data
        assert (head["NCOMBINE"], head["NSKIPPED"], head["EXPTOTAL"]) == (4, 1, 17)
        assert (head["OBJECT"], head["IMAGETYP"], head["FILTER"]) == ("sky", "flat", "r")
        assert [head[k] for k in head if k.startswith("IMCMB")] == ["0.fits", "2.fits", "3.fits", "4.fits"]
        assert "1 of 5 files that cannot be opened: 1.fits" in " ".join(head["HISTORY"])
        assert table["FILE"].tolist() == ["0.fits", "2.fits", "3.fits", "4.fits", "1.fits"]
        assert table["SKIPPED"].tolist() == ["", "", "", "", REASONS["missing"]]
        np.testing.assert_array_equal(hdus[0].data, 103)
    again = xccd.open_image(path)
    assert again.attrs["NSKIPPED"] == 1


def test_the_noise_keywords_are_those_of_the_frames_in_use(tmp_path: Path) -> None:
    cards = {"GAIN": 1.5, "RDNOISE": 5.0, "BUNIT": "adu", "DATE-OBS": "2026-01-01T00:00:00"}
    files = [frame(tmp_path / f"{i}.fits", **cards) for i in range(5)]
    expected = xccd.open_stack(files[:4]).ccd.combine("mean", weights="EXPTIME").attrs
    files[4].unlink()
    found = xccd.open_stack(files, errors="nan").ccd.combine("mean").attrs
    for name in ("EFFGAIN", "EFFRDN", "DATE-AVG", "EXPTIME", "NCOMBINE"):
        assert found[name] == expected[name]


def test_products_of_products_do_not_inherit_the_count(night: list[Path], tmp_path: Path) -> None:
    one = xccd.open_stack(night, errors="skip").ccd.combine("mean").ccd.to_fits(tmp_path / "one.fits")
    other = xccd.open_stack(night, errors="skip").ccd.combine("max").ccd.to_fits(tmp_path / "other.fits")
    both = xccd.open_stack([one, other]).ccd.combine("mean")
    assert "NSKIPPED" not in both.attrs
    assert "1 of 5 files that cannot be opened" in both.image_header.item().replace("\nHISTORY", "")


def test_products_along_a_dimension_have_their_own_lists(tmp_path: Path) -> None:
    files = [frame(tmp_path / f"{i}.fits", FILTER="gr"[i % 2]) for i in range(6)]
    files[4].write_bytes(files[4].read_bytes()[:3000])
    stack = xccd.open_stack(files, errors="nan")
    both = stack.groupby("FILTER").map(lambda some: some.ccd.combine("mean"))
    with fits.open(both.ccd.to_fits(tmp_path / "both.fits")) as hdus:
        found = {hdu.name: hdu.header.get("NSKIPPED") for hdu in hdus if hdu.name in ("g", "r")}
        assert found == {"g": 1, "r": None}
        assert [hdu.ver for hdu in hdus if hdu.name == "FRAMES"] == [1]


def test_a_stack_as_a_cube(night: list[Path], tmp_path: Path) -> None:
    for errors, names in (("skip", ["0.fits", "2.fits"]), ("nan", ["0.fits", "2.fits"])):
        stack = xccd.open_stack(night[:3], errors=errors)
        with fits.open(stack.ccd.to_fits(tmp_path / f"{errors}.fits")) as hdus:
            assert hdus["FRAMES"].data["FILE"].tolist() == [*names, "1.fits"]


def test_no_list_without_a_reason(night: list[Path], tmp_path: Path) -> None:
    frame(night[1])
    for errors in ("raise", "skip", "nan"):
        stack = xccd.open_stack(night, errors=errors)
        assert not {"skipped", "history"} & set(stack.attrs)
        assert "problem" not in stack.coords
        with fits.open(stack.ccd.combine("mean").ccd.to_fits(tmp_path / f"{errors}.fits")) as hdus:
            assert len(hdus) == 1
            assert "NSKIPPED" not in hdus[0].header


@pytest.mark.parametrize("errors", ["skip", "nan"])
@pytest.mark.parametrize("engine", ["netcdf", "zarr"])
def test_labels_go_to_other_formats_and_back(night: list[Path], tmp_path: Path, errors: Any, engine: str) -> None:
    stack = xccd.open_stack(night, errors=errors).load()
    if engine == "zarr":
        pytest.importorskip("zarr")
        stack.to_dataset().to_zarr(tmp_path / "s", consolidated=False, zarr_format=2)
        back = xr.open_zarr(tmp_path / "s", consolidated=False)["data"]
    else:
        stack.to_netcdf(tmp_path / "s.nc")
        back = xr.open_dataarray(tmp_path / "s.nc")
    assert back.attrs.get("skipped") == stack.attrs.get("skipped")
    product = back.load().ccd.combine("mean")
    assert (product.attrs["NCOMBINE"], product.attrs["NSKIPPED"]) == (4, 1)


def test_names_with_the_mark_between_name_and_reason(tmp_path: Path) -> None:
    stack = xccd.open_stack([frame(tmp_path / "a.fits"), tmp_path / "b: c.fits"], errors="skip")
    with fits.open(stack.ccd.combine("mean").ccd.to_fits(tmp_path / "p.fits")) as hdus:
        assert hdus["FRAMES"].data["FILE"].tolist() == ["a.fits", "b:\\x20c.fits"]


def test_one_product_in_use_of_frames_that_are_all_bad_is_as_before(night: list[Path]) -> None:
    stack = xccd.open_stack(night, errors="nan")
    assert xccd.combine(stack.isel(frame=[1]), "mean").attrs["NSKIPPED"] == 1


WAY_OUT = (
    r"frame 1 \(.*-002\.fits(, which cannot be opened: isel\(frame=stack\.problem == ''\) leaves it out\)|"
    r"\) shows 0 stars, 6 are needed\. Leave it out, as stack\.drop_isel\(frame=\[1\]\))"
)
MEASURED = {
    "normalize": lambda stack: stack.ccd.normalize(scale="median"),
    "normalize by a keyword": lambda stack: stack.ccd.normalize(scale="EXPTIME"),
    "weights": lambda stack: stack.ccd.combine("mean", weights="EXPTIME"),
    "find_offsets": lambda stack: stack.ccd.find_offsets(),
    "find_transforms": lambda stack: stack.ccd.find_transforms(),
    "align": lambda stack: stack.ccd.align(),
    "align by stars": lambda stack: stack.ccd.align(transforms="similarity"),
    "create_deviation": lambda stack: stack.ccd.create_deviation(),
}


@pytest.fixture(scope="module")
def lights(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Four frames of stars, of which the second cannot be opened."""
    folder = tmp_path_factory.mktemp("night")
    xccd.simulate_night(folder, shape=(256, 256), nbias=1, ndark=1, nflat=1, nlight=4)
    files = sorted(folder.glob("light*.fits"))
    files[1].write_bytes(b"no FITS")
    return files


@pytest.mark.parametrize("verb", MEASURED)
def test_verbs_that_need_each_frame_name_those_that_cannot_be_opened(lights: list[Path], verb: str) -> None:
    stack = xccd.open_stack(lights, errors="nan", chunks=None)
    with pytest.raises(ValueError, match=WAY_OUT):
        MEASURED[verb](stack)
    MEASURED[verb](stack.isel(frame=stack.problem == ""))


@pytest.mark.parametrize("opener", ["open_stack", "open_dataset"])
def test_verbs_that_work_sample_by_sample_pass_frames_of_nan_on(night: list[Path], opener: str) -> None:
    stack = getattr(xccd, opener)(night, errors="nan")
    bias = xccd.open_image((np.ones(SHAPE), {"IMAGETYP": "bias"}))
    for done in (stack.ccd.subtract_bias(bias), stack.ccd.trim("[2:20,1:30]"), stack.ccd.minmax(min=5)):
        data = done if isinstance(done, xr.DataArray) else done["data"]
        np.testing.assert_array_equal(np.isnan(data).all(("y", "x")), [False, True, False, False, False])
        assert done.problem.values[1]
        assert done.ccd.combine("median") is not None


# While pixels are read


def shrunk(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:4000])


@pytest.mark.parametrize("chunks", [None, {"y": 7}])
@pytest.mark.parametrize("opener", ["open_stack", "open_dataset"])
def test_a_file_that_shrinks_later_is_nan(
    night: list[Path], opener: str, chunks: Any, caplog: pytest.LogCaptureFixture
) -> None:
    frame(night[1], LEVEL=101)
    stack = getattr(xccd, opener)(night, errors="nan", chunks=chunks)
    shrunk(night[3])
    values = stack.load() if isinstance(stack, xr.DataArray) else stack["data"].load()
    np.testing.assert_array_equal(np.isnan(values).all(("y", "x")), [False, False, False, True, False])
    np.testing.assert_array_equal(values[2], 102)
    assert told(caplog) == [
        f"{night[3]}: pixels that cannot be read are NaN: {night[3]} has changed since it was opened: open the stack "
        "again"
    ]
    if isinstance(stack, xr.Dataset):
        assert np.unique(stack["data_flags"][3]).tolist() == [2]
        assert not stack["data_flags"][2].any()


@pytest.mark.parametrize("errors", ["raise", "skip"])
@pytest.mark.parametrize("chunks", [None, "auto"])
def test_pixels_that_cannot_be_read_raise_otherwise(night: list[Path], errors: Any, chunks: Any) -> None:
    frame(night[1])
    stack = xccd.open_stack(night, errors=errors, chunks=chunks)
    shrunk(night[3])
    with pytest.raises(OSError, match=r"3\.fits has changed since it was opened"):
        stack.ccd.combine("mean").load()


def tiled(path: Path, bad_tile: int | None, tile: tuple[int, int]) -> Path:
    """A file of tiles of noise; one of them is damaged."""
    pixels = RNG.integers(0, 60000, SHAPE).astype("i4")
    fits.CompImageHDU(pixels, compression_type="GZIP_1", tile_shape=tile).writeto(path)
    if bad_tile is not None:
        content = bytearray(path.read_bytes())
        starts = [i for i in range(len(content) - 1) if content[i : i + 3] == b"\x1f\x8b\x08"]
        content[starts[bad_tile] : starts[bad_tile] + 20] = bytes(20)
        path.write_bytes(content)
    return path


@pytest.mark.parametrize("chunks", [None, "auto", {"y": 3, "x": 7}, {"y": 11}])
def test_only_a_damaged_tile_is_nan_whoever_asks(tmp_path: Path, chunks: Any, caplog: pytest.LogCaptureFixture) -> None:
    files = [tiled(tmp_path / "a.fits", None, (8, 10)), tiled(tmp_path / "b.fits", 4, (8, 10))]
    with pytest.raises(OSError, match=r"b\.fits, HDU 1: its tiles cannot be read"):
        xccd.open_stack(files, chunks=chunks).load()
    stack = xccd.open_stack(files, errors="nan", chunks=chunks)
    assert "problem" not in stack.coords
    expected = np.zeros((2, *SHAPE), bool)
    expected[1, 8:16, 10:20] = True
    np.testing.assert_array_equal(np.isnan(stack), expected)
    np.testing.assert_array_equal(np.isnan(stack[1, 9:17, 15]), expected[1, 9:17, 15])
    assert len(told(caplog)) == 1
    assert "b.fits: pixels that cannot be read are NaN: " in told(caplog)[0]


def test_a_file_opened_again_is_told_of_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = [tiled(tmp_path / "a.fits", None, (8, 10)), tiled(tmp_path / "b.fits", 4, (8, 10))]
    for count in (1, 2):
        stack = xccd.open_stack(files, errors="nan")
        stack.load()
        stack.ccd.combine("mean").load()
        assert len(told(caplog)) == count


def test_a_mask_that_cannot_be_read_masks(tmp_path: Path) -> None:
    files = []
    for i in range(2):
        mask = fits.CompImageHDU(np.zeros(SHAPE, "u1") + i * RNG.integers(0, 2, SHAPE).astype("u1"), name="MASK",
                                 compression_type="GZIP_1", tile_shape=(40, 30))  # fmt: skip
        hdus = fits.HDUList([fits.PrimaryHDU(np.full(SHAPE, 5.0, "f4")), mask])
        files.append(tmp_path / f"{i}.fits")
        hdus.writeto(files[-1])
    content = bytearray(files[1].read_bytes())
    start = content.index(b"\x1f\x8b\x08")
    content[start : start + 20] = bytes(20)
    files[1].write_bytes(content)
    stack = xccd.open_stack(files, errors="nan")
    np.testing.assert_array_equal(np.isnan(stack).all(("y", "x")), [False, True])
    ds = xccd.open_dataset(files, errors="nan", chunks=None)
    assert np.unique(ds.data_flags[1]).tolist() == [1]
    assert not ds.data_flags[0].any()
    np.testing.assert_array_equal(ds.data[1], 5)


def test_lazy_stays_lazy(night: list[Path]) -> None:
    for chunks in (None, "auto"):
        stack = xccd.open_stack(night, errors="nan", chunks=chunks)
        clipped = stack.ccd.clip_extrema(1, 0).ccd.combine("mean")
        for path in night[2:]:
            path.unlink(missing_ok=True)
        assert clipped.shape == SHAPE  # nothing was read
        for i in (2, 3, 4):
            frame(night[i])


def test_memory_is_no_fault_of_a_file() -> None:
    lost = OSError("its tiles cannot be read")
    lost.__cause__ = MemoryError()
    assert not missing.of_file(lost)
    assert not missing.of_file(OSError(errno.ENOSPC, "no space"))
    assert missing.of_file(OSError("it is truncated"))
    assert not missing.of_file(ValueError("wrong"))


def test_a_stack_goes_to_other_processes(night: list[Path]) -> None:
    stack = xccd.open_stack(night, errors="nan", chunks={"y": 20})
    shrunk(night[3])
    again = pickle.loads(pickle.dumps(stack))
    np.testing.assert_array_equal(np.isnan(again).all(("y", "x")), [False, True, False, True, False])


@pytest.mark.versions
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore:Port:UserWarning")
def test_workers_of_a_cluster_tell_the_client(night: list[Path]) -> None:
    distributed = pytest.importorskip("distributed")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with (
            distributed.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster,
            distributed.Client(cluster),
        ):
            stack = xccd.open_stack(night, errors="nan", chunks={"y": 20})
            shrunk(night[3])
            values = stack.compute()
    np.testing.assert_array_equal(np.isnan(values).all(("y", "x")), [False, True, False, True, False])
    texts = [str(w.message) for w in caught if "pixels that cannot be read" in str(w.message)]
    assert len(texts) == 1
    assert f"{night[3]}: pixels that cannot be read are NaN" in texts[0]


# Chips, companions, tables, trees, URLs


def chips(path: Path, names: tuple[str, ...] = ("A", "B")) -> Path:
    images = [fits.ImageHDU(np.full(SHAPE, i, "i2"), name=name) for i, name in enumerate(names)]
    fits.HDUList([fits.PrimaryHDU(header=fits.Header([("EXPTIME", 3.0)])), *images]).writeto(path)
    return path


def test_chips_of_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    files = [chips(tmp_path / "a.fits"), tmp_path / "b.fits", chips(tmp_path / "c.fits")]
    files[1].write_bytes(files[0].read_bytes()[:-3000])
    skipped = xccd.open_stack(files, hdu="all", errors="skip")
    assert skipped.chip.values.tolist() == ["A", "B", "A", "B"]
    assert skipped.attrs["skipped"].startswith(f"{files[1]}: ")
    stack = xccd.open_stack(files, hdu="all", errors="nan")
    assert stack.chip.values.tolist() == ["A", "B"] * 3
    assert np.isnan(stack[2:4]).all()
    assert stack.EXPTIME.values.tolist() == [3.0] * 6
    assert stack.problem.values[2].startswith("truncated: HDU 2 needs")
    tree = xccd.open_tree(files, hdu="all", by="chip", errors="nan")
    assert [(node.name, node["data"].sizes["frame"]) for node in tree.leaves] == [("A", 3), ("B", 3)]


def test_chips_that_nobody_knows(tmp_path: Path) -> None:
    files = [chips(tmp_path / "a.fits"), chips(tmp_path / "b.fits", ("A", "B", "C")), tmp_path / "lost.fits"]
    with pytest.raises(OSError, match=r"lost\.fits: does not exist.*the other files differ in their chips.*'skip'"):
        xccd.open_stack(files, hdu="all", errors="nan")
    assert xccd.open_stack(files, hdu="all", errors="skip").sizes["frame"] == 5


@pytest.mark.parametrize("how", ["pattern", "list"])
@pytest.mark.parametrize("argument", ["mask", "uncertainty", "weights"])
def test_a_companion_that_is_missing(night: list[Path], tmp_path: Path, argument: str, how: str) -> None:
    frame(night[1])
    for i in (0, 1, 3, 4):
        write(tmp_path / f"{i}_map.fits", np.full(SHAPE, 0 if argument == "mask" else 2.0, "f4"))
    given = {".fits": "_map.fits"} if how == "pattern" else [tmp_path / f"{i}_map.fits" for i in range(5)]
    options = {argument: given} | ({"uncertainty_type": "std"} if argument == "uncertainty" else {})
    with pytest.raises(FileNotFoundError, match=r"there is no file .*2_map\.fits"):
        xccd.open_dataset(night, **options)
    ds = xccd.open_dataset(night, errors="skip", **options)
    assert ds.sizes["frame"] == 4
    assert "2_map.fits" in ds["data"].attrs["skipped"]
    ds = xccd.open_dataset(night, errors="nan", **options)
    assert np.isnan(ds["data"][2]).all()
    assert (ds["data_flags"][2] == 2).all()
    assert "2_map.fits" in ds.problem.values[2]
    assert ds.ccd.combine("mean")["data"].attrs["NCOMBINE"] == 4
    if argument != "mask":
        kind = "data_uncertainty" if argument == "uncertainty" else "data_weight"
        np.testing.assert_array_equal(ds[kind][:, 0, 0], [2, 2, np.nan if argument == "uncertainty" else 0, 2, 2])


def test_companions_of_images_that_cannot_be_opened_are_not_looked_for(night: list[Path], tmp_path: Path) -> None:
    for i in (0, 2, 3, 4):
        write(tmp_path / f"{i}_map.fits", np.zeros(SHAPE, "u1"))
    for errors, count in (("skip", 4), ("nan", 5)):
        assert xccd.open_dataset(night, mask={".fits": "_map.fits"}, errors=errors).sizes["frame"] == count


def test_rows_with_a_problem_are_tried(night: list[Path], tmp_path: Path) -> None:
    broken(night[1], "truncated")
    broken(night[3], "not FITS")
    table = xccd.scan(tmp_path)
    with pytest.raises(ValueError, match=r"row that has a problem: .*or give errors='skip'"):
        xccd.open_stack(table)
    assert xccd.open_stack(table, errors="skip").sizes["frame"] == 3
    stack = xccd.open_stack(table, errors="nan")
    assert [bool(text) for text in stack.problem.values] == [False, True, False, True, False]
    frame(tmp_path / "new.fits").replace(night[1])  # it was mended meanwhile
    assert xccd.open_stack(table, errors="skip").sizes["frame"] == 4


@pytest.mark.parametrize("errors", ["skip", "nan"])
def test_a_tree_places_files_by_their_headers_or_by_a_table(tmp_path: Path, errors: Any) -> None:
    files = [frame(tmp_path / f"{i}.fits", FILTER="gr"[i % 2]) for i in range(6)]
    files[2].write_bytes(files[2].read_bytes()[:3000])  # its header says g
    broken(files[3], "not FITS")
    tree = xccd.open_tree(files, by="FILTER", errors=errors)
    assert tree.attrs["skipped"] == f"{files[3]}: {REASONS['not FITS']}"
    sizes = {node.name: node["data"].sizes["frame"] for node in tree.leaves}
    assert sizes == {"g": 2 if errors == "skip" else 3, "r": 2}
    assert "skipped" not in tree["r"]["data"].attrs
    product = tree.ccd.combine("mean")
    assert product["g"]["data"].attrs["NSKIPPED"] == 1
    assert "NSKIPPED" not in product["r"]["data"].attrs
    table = xccd.scan(tmp_path)
    table.loc[3, "filter"] = "r"
    tree = xccd.open_tree(table, by=["filter"], errors=errors)
    assert "skipped" not in tree.attrs
    sizes = {node.name: node["data"].sizes["frame"] for node in tree.leaves}
    assert sizes == ({"g": 2, "r": 2} if errors == "skip" else {"g": 3, "r": 3})
    assert tree.ccd.combine("mean")["r"]["data"].attrs["NSKIPPED"] == 1


def test_a_function_of_headers_is_not_called_for_what_has_none(tmp_path: Path) -> None:
    files = [frame(tmp_path / "a.fits"), tmp_path / "lost.fits"]
    tree = xccd.open_tree(files, by=lambda header: header["FILTER"], errors="nan")
    assert tree["r"]["data"].sizes["frame"] == 1
    assert "lost.fits" in tree.attrs["skipped"]


def test_a_tree_of_one_node_keeps_its_bad_frames(night: list[Path]) -> None:
    bare = [write(path.with_name(f"bare-{path.name}"), np.ones(SHAPE, "u2")) for path in night]
    bare[2].unlink()
    tree = xccd.open_tree(bare, errors="nan")
    assert tree["data"].sizes["frame"] == 5
    assert not tree.attrs


def test_files_behind_urls(night: list[Path]) -> None:
    pytest.importorskip("aiohttp")
    with server(night[0].parent) as web:
        urls = [f"{web.url}/{path.name}" for path in night]
        with pytest.raises(FileNotFoundError, match=r"1\.fits is not there"):
            xccd.open_stack(urls)
        assert xccd.open_stack(urls, errors="skip").sizes["frame"] == 4
        stack = xccd.open_stack(urls, errors="nan", chunks=None)
        night[3].unlink()
        np.testing.assert_array_equal(np.isnan(stack).all(("y", "x")), [False, True, False, True, False])


def test_images_in_memory_go_with_files(tmp_path: Path) -> None:
    images = [(np.ones(SHAPE), {"EXPTIME": 1.0}), tmp_path / "lost.fits", fits.HDUList([fits.PrimaryHDU()])]
    stack = xccd.open_stack(images, errors="nan")
    assert stack.file.values.tolist() == ["frame-1", str(tmp_path / "lost.fits"), "frame-3"]
    assert xccd.open_stack(images, errors="skip").sizes["frame"] == 1


def test_a_folder_may_have_files_without_images(night: list[Path], caplog: pytest.LogCaptureFixture) -> None:
    broken(night[1], "no image")
    folder = str(night[0].parent)
    assert "skipped" not in xccd.open_stack(folder).attrs
    stack = xccd.open_stack(folder, errors="skip")
    assert stack.attrs["skipped"] == f"{night[1]}: {REASONS['no image']}"
    assert xccd.open_stack(folder, errors="nan").sizes["frame"] == 4  # no frame: it is left out, as ever


@pytest.mark.versions
def test_the_backend_of_xarray(night: list[Path]) -> None:
    ds = xr.open_dataset(night, engine="xccd", errors="nan")
    assert ds.problem.values.tolist() == ["", REASONS["missing"], "", "", ""]
    assert (ds.data_flags[1] == 2).all()
    assert xr.open_dataset(night, engine="xccd", errors="skip").sizes["frame"] == 4


def test_flipped_frames(tmp_path: Path) -> None:
    files = [frame(tmp_path / f"{i}.fits", ROWORDER=("TOP-DOWN", "BOTTOM-UP")[i % 2]) for i in range(4)]
    stack = xccd.open_stack([*files, tmp_path / "lost.fits"], flip=True, errors="nan")
    assert stack.sizes["frame"] == 5
    shrunk(files[1])
    np.testing.assert_array_equal(np.isnan(stack).all(("y", "x")), [False, True, False, False, True])


def test_blank_is_still_blank(tmp_path: Path) -> None:
    files = []
    for i in range(2):
        hdu = fits.PrimaryHDU(np.array([[1, -1], [3, 4]], "i2"))
        hdu.header["BLANK"] = -1
        files.append(tmp_path / f"{i}.fits")
        hdu.writeto(files[-1])
    expected = xccd.open_dataset(files).data_flags.values
    np.testing.assert_array_equal(xccd.open_dataset(files, errors="nan").data_flags.values, expected)
    assert np.isnan(xccd.open_stack(files, errors="nan", dtype="native")[0, 0, 1])


# The command


def run(*arguments: Any) -> Any:
    return CliRunner().invoke(cli, [str(a) for a in arguments])


def test_the_command_stops_at_a_bad_file(night: list[Path], tmp_path: Path) -> None:
    done = run("combine", *night, "-o", tmp_path / "out.fits")
    assert isinstance(done.exception, Stop)
    assert done.exception.code == 3
    assert "1.fits does not exist: check the path" in str(done.exception)
    assert not (tmp_path / "out.fits").exists()


def test_the_command_leaves_bad_files_out_if_told_so(night: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out.fits"
    code = "import sys; from xccd.cli.main import main; main(sys.argv[1:])"
    command = [sys.executable, "-c", code, "combine", *map(str, night), "--skip-bad", "-o", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "mean of 4 frames" in done.stdout
    said = f"xccd: warning: skipped 1 of 5 files that cannot be opened: {night[1]}: does not exist: check the path"
    assert said in done.stderr.splitlines()
    with fits.open(out) as hdus:
        assert (hdus[0].header["NCOMBINE"], hdus[0].header["NSKIPPED"]) == (4, 1)
        assert hdus["FRAMES"].data["SKIPPED"].tolist()[-1] == REASONS["missing"]


def test_the_command_stops_if_all_are_bad(tmp_path: Path) -> None:
    done = run("combine", tmp_path / "a.fits", tmp_path / "b.fits", "--skip-bad", "-o", tmp_path / "out.fits")
    assert done.exception.code == 3
    assert "none of 2 files can be opened" in str(done.exception)
