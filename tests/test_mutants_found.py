"""What changed sources have shown that no other test would notice."""

import errno
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
import zarr
from astropy.io import fits

import xccd
from fits_files import write
from xccd.compute.options import ENGINES
from xccd.headers.common import ON_GRID
from xccd.verbs.clip import reach
from xccd.write import input_files, place
from xccd.write import zarr as staging
from xccd.write.encode import Encoder
from xccd.write.product_cards import error_of_median
from xccd.write.stream import NewHDU

# Writing


def test_a_number_that_is_a_keyword_tells_products_apart(tmp_path: Path) -> None:
    image = xr.DataArray(np.ones((2, 3, 4)), dims=("EXPTIME", "y", "x"), coords={"EXPTIME": [30.0, 60.0]})
    with fits.open(image.ccd.to_fits(tmp_path / "a.fits")) as hdus:
        assert [hdu.name for hdu in hdus[1:]] == ["EXPTIME_30", "EXPTIME_60"]


@pytest.mark.parametrize("shape", [(5,), (6, 5), (2, 6, 5)])
def test_what_lies_together_is_written_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shape: tuple[int]
) -> None:
    sizes = []
    plain = place.UnfinishedFile.write
    monkeypatch.setattr(
        place.UnfinishedFile, "write", lambda self, data: (sizes.append(len(data)), plain(self, data))[1]
    )
    xr.DataArray(np.ones(shape, "f4"), dims=("z", "y", "x")[-len(shape) :]).ccd.to_fits(tmp_path / "a.fits")
    assert sizes.count(4 * np.prod(shape)) == 1


@pytest.mark.parametrize(("limit", "rows"), [(1, 1), (2 * 240, 2), (1 << 20, 20), (None, 20)])
def test_a_store_of_a_stack_without_chunks_has_bands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int | None, rows: int
) -> None:
    files = [write(tmp_path / f"{i}.fits", np.full((20, 30), i, "i2")) for i in range(2)]
    if limit is not None:
        monkeypatch.setattr(staging, "BAND_BYTES", limit)  # a row of both frames is 240 bytes
    stack = xccd.open_stack(files, chunks=None)
    store = zarr.open_group(stack.ccd.to_zarr(tmp_path / "a.zarr"), mode="r")
    assert store["data"].chunks == (2, rows, 30)


def test_a_frame_without_its_header_may_go_to_another_file(tmp_path: Path) -> None:
    files = [write(tmp_path / f"{i}.fits", np.full((2, 3), i, "f4")) for i in range(2)]
    stack = xccd.open_stack(files).load()
    stack.ccd.combine()
    assert input_files._made
    one = stack.isel(frame=0).drop_vars("header")
    assert fits.getdata(one.ccd.to_fits(files[1], overwrite=True)).tolist() == [[0] * 3] * 2


def test_frames_of_another_working_folder_are_known_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("raw", "work"):
        (tmp_path / name).mkdir()
    files = [write(tmp_path / "raw" / f"far-{i}.fits", np.full((2, 3), i, "f4")) for i in range(2)]
    monkeypatch.chdir(tmp_path / "raw")
    stack = xccd.open_stack([file.name for file in files]).load()
    monkeypatch.chdir(tmp_path / "work")
    with pytest.raises(FileExistsError, match="has the name of a frame that this was combined from"):
        stack.ccd.combine().ccd.to_fits(files[0], overwrite=True)


def test_a_graph_is_not_spelled_out_to_find_its_files(tmp_path: Path) -> None:
    files = [write(tmp_path / f"{i}.fits", np.full((4, 3), i, "f4")) for i in range(2)]
    stack = xccd.open_stack(files, chunks={"y": 1}) + 1
    before = {name: layer.is_materialized() for name, layer in stack.data.dask.layers.items()}
    assert not all(before.values())
    assert input_files.still_read(stack) >= set(map(str, files))
    assert {name: layer.is_materialized() for name, layer in stack.data.dask.layers.items()} == before


def test_two_folders_are_swapped_where_linux_can(tmp_path: Path) -> None:
    mounts = Path("/proc/self/mountinfo")
    device = os.stat(tmp_path).st_dev
    here = f" {os.major(device)}:{os.minor(device)} "
    lines = [line for line in mounts.read_text().splitlines() if here in line] if mounts.exists() else []
    if not lines or lines[0].partition(" - ")[2].split()[0] not in ("ext4", "xfs", "btrfs", "tmpfs"):
        pytest.skip("it is not sure that this file system can")
    for name in "ab":
        (tmp_path / name / name).mkdir(parents=True)
    assert staging.swap_names(tmp_path / "a", tmp_path / "b")
    assert [os.listdir(tmp_path / name) for name in "ab"] == [["b"], ["a"]]


@pytest.mark.parametrize("missing", [OSError, AttributeError])
def test_nothing_is_swapped_without_a_function_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: type[Exception]
) -> None:
    def library(name: object) -> object:
        if missing is OSError:
            raise OSError("no library")
        return object()

    monkeypatch.setattr("ctypes.CDLL", library)
    assert staging.swap_names(tmp_path / "a", tmp_path / "b") is False


@pytest.mark.parametrize("sizes", [(3, 5, 3), (3, 5), (5, 3, 3)])
def test_a_store_has_chunks_of_one_size(tmp_path: Path, sizes: tuple[int, ...]) -> None:
    stack = xr.DataArray(np.ones((2, sum(sizes))), dims=("frame", "x")).chunk(x=sizes)
    with pytest.raises(ValueError, match=r"has chunks of several sizes along 'x' .*: stack\.chunk\(x=5\)$"):
        stack.ccd.to_zarr(tmp_path / "a.zarr")


def test_a_graph_may_be_a_dict() -> None:
    class Collection:
        def __dask_graph__(self) -> dict[str, object]:
            return {"task": ("a.fits",)}

    assert list(input_files._objects_within(Collection(), set())) == [("a.fits",)]


def test_tiles_take_the_place_of_pixels(tmp_path: Path) -> None:
    image = xr.DataArray(np.ones((20, 30), "f4"), dims=("y", "x"))
    with fits.open(image.ccd.to_fits(tmp_path / "a.fits.fz"), disable_image_compression=True) as hdus:
        assert [type(hdu) for hdu in hdus] == [fits.PrimaryHDU, fits.BinTableHDU]
        assert hdus[0].data is None


def test_a_frame_is_known_by_another_name(tmp_path: Path) -> None:
    files = [write(tmp_path / f"named-{i}.fits", np.full((2, 3), i, "f4")) for i in range(2)]
    os.link(files[0], tmp_path / "other.fits")
    with pytest.raises(FileExistsError, match=r"other\.fits' is a file that this was made of"):
        xccd.open_stack(files).load().ccd.combine().ccd.to_fits(tmp_path / "other.fits", overwrite=True)


def test_folders_are_synced_on_posix_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*args: object) -> int:
        raise PermissionError("a folder")

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", fail)
        for name in ("nt", "other", "a"):
            patch.setattr(os, "name", name)
            place.sync_folder(tmp_path)
    assert caplog.text == ""


def test_pairs_that_no_frame_has_do_not_hinder_a_file_that_is_there(tmp_path: Path) -> None:
    frames = [(np.ones((2, 3), "f4"), {"FILTER": f, "EXPTIME": t}) for f, t in (("B", 50.0), ("V", 30.0))]
    two = xccd.open_stack(frames).groupby(["FILTER", "EXPTIME"]).map(lambda group: group.ccd.combine())
    path = two.ccd.to_fits(tmp_path / "a.fits")
    assert two.ccd.to_fits(path, overwrite=True) == path


def test_a_long_label_is_cut_to_what_a_card_holds(tmp_path: Path) -> None:
    image = xr.DataArray(np.ones((1, 2, 3)), dims=("night", "y", "x"), coords={"night": ["n" * 70]})
    with fits.open(image.ccd.to_fits(tmp_path / "a.fits")) as hdus:
        assert hdus[1].name == "n" * 60


@pytest.fixture
def tree() -> xr.DataTree:
    nodes = {f"/{name}": xr.Dataset({"data": (("y", "x"), np.full((2, 3), k, "f4"))}) for k, name in enumerate("ab")}
    return xr.DataTree.from_dict(nodes)


def test_a_tree_in_one_file_or_in_several(tmp_path: Path, tree: xr.DataTree) -> None:
    path = tree.ccd.to_fits(tmp_path / "all.fits", single=True)
    assert path == tmp_path / "all.fits"
    first = path.read_bytes()[: 4 * 80].decode()
    assert [first[i : i + 8].rstrip() for i in range(0, 320, 80)] == ["SIMPLE", "BITPIX", "NAXIS", "EXTEND"]
    with fits.open(path) as hdus:
        hdus.verify("exception")
        assert [(hdu.name, hdu.ver) for hdu in hdus] == [("PRIMARY", 1), ("a", 1), ("b", 2)]
    assert tree.ccd.to_fits(tmp_path) == [tmp_path / "a.fits", tmp_path / "b.fits"]


def test_two_nodes_for_one_file(tmp_path: Path) -> None:
    ds = xr.Dataset({"data": (("y", "x"), np.ones((2, 3)))})
    with pytest.raises(ValueError, match=r"would go to '.*a-b\.fits': rename one of them$"):
        xr.DataTree.from_dict({"/a/b": ds, "/a-b": ds}).ccd.to_fits(tmp_path)


def test_the_cards_that_come_first(tmp_path: Path) -> None:
    stack = xr.DataArray(np.ones((3, 2, 4)), dims=("frame", "y", "x"), name="data")
    path = stack.ccd.to_dataset().ccd.combine().ccd.to_fits(tmp_path / "a.fits")
    shape = ["BITPIX", "NAXIS", "NAXIS1", "NAXIS2"]
    with fits.open(path) as hdus:
        assert len(hdus) > 1
        assert [*hdus[0].header][:6] == ["SIMPLE", *shape, "EXTEND"]
        assert all([*hdu.header][:7] == ["XTENSION", *shape, "PCOUNT", "GCOUNT"] for hdu in hdus[1:])


@pytest.mark.parametrize("free", [10, 100, 1000])
def test_what_is_said_of_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=free))
    error = place.cannot_write(OSError(errno.ENOSPC, "No space left on device"), tmp_path / "a.fits", 100)
    room = f"100 bytes are needed, {free} are free"
    if free < 100:
        assert str(error).endswith(f": No space left on device ({room})")
        assert not hasattr(error, "__notes__")
    else:
        assert str(error).endswith("No space left on device")
        assert error.__notes__ == [f"{room}, so there is a quota, or another limit"]


def test_how_long_an_hdu_is() -> None:
    pixels = np.zeros((30, 40), "f4")  # 4800 bytes
    assert NewHDU(b" " * 2880, pixels, Encoder(pixels.dtype, pixels.dtype)).size == 2880 + 2 * 2880


# The header of a product


def test_of_frames_whose_light_is_not_known_there_is_no_mean_time() -> None:
    times = [{"DATE-AVG": f"2026-01-01T0{i}:00:00"} for i in (1, 3)]
    stack = xccd.open_stack([(np.ones((2, 3), "f4"), cards) for cards in times])
    assert "DATE-AVG" not in stack.ccd.combine().ccd.header()
    known = xccd.open_stack([(np.ones((2, 3), "f4"), {"EXPTIME": 10.0, **cards}) for cards in times])
    assert known.ccd.combine().ccd.header()["DATE-AVG"].startswith("2026-01-01T02:00:00")


@pytest.mark.parametrize(
    ("n", "exact"), [(3, 1.16018), (4, 1.09215), (5, 1.19757), (6, 1.13510), (20, 1.21192), (21, 1.24034)]
)
def test_the_error_of_a_median_is_as_near_as_is_said(n: int, exact: float) -> None:
    assert error_of_median(n) == pytest.approx(exact, rel=0.008 if n == 3 else 0.003)


def test_a_weight_or_a_factor_for_each_sample_leaves_no_gain_of_the_product() -> None:
    cards = {"GAIN": 2.0, "RDNOISE": 5.0, "BUNIT": "adu"}
    stack = xccd.open_stack([(np.full((2, 3), i, "f4"), cards) for i in range(3)])
    each = np.ones(stack.shape)
    assert stack.ccd.combine().attrs["EFFGAIN"] == 6
    for how in ({"weights": each}, {"scale": each}, {"weights": each, "scale": each}):
        assert "EFFGAIN" not in stack.ccd.combine("mean", **how).attrs


def test_a_chip_with_a_slash_in_its_name_keeps_it() -> None:
    labels = {"file": ("frame", ["raw/a.fits", "raw/b.fits"]), "chip": ("frame", ["CCD/1", "CCD/2"])}
    stack = xr.DataArray(np.ones((2, 2, 3)), dims=("frame", "y", "x"), coords=labels)
    header = stack.ccd.combine().ccd.header()
    assert [header[f"IMCMB00{i}"] for i in (1, 2)] == ["a.fits[CCD/1]", "b.fits[CCD/2]"]


def test_dates_that_are_labels_and_texts() -> None:
    dates = ("frame", ["2026-01-01T01:00:00", "2026-01-01T00:30:00"])
    stack = xr.DataArray(np.ones((2, 2, 3)), dims=("frame", "y", "x"), coords={"DATE-OBS": dates})
    assert stack.ccd.combine().ccd.header()["DATE-OBS"] == "2026-01-01T00:30:00.000"


def test_numbers_that_are_texts_may_be_none() -> None:
    labels = {"NCOMBINE": ("frame", ["2", "several"])}
    stack = xr.DataArray(np.ones((2, 2, 3)), dims=("frame", "y", "x"), coords=labels)
    assert stack.ccd.combine().ccd.header()["NCOMBINE"] == 3


@pytest.mark.parametrize("wrong", [2461041.5, 0.0, -1.0])
def test_a_mean_time_that_is_no_mjd_is_not_taken(wrong: float) -> None:
    cards = {"DATE-OBS": "2026-01-01T00:00:00", "EXPTIME": 60.0, "MJD-AVG": wrong}
    stack = xccd.open_stack([(np.ones((2, 3), "f4"), cards) for _ in range(2)])
    assert stack.ccd.combine().ccd.header()["DATE-AVG"] == "2026-01-01T00:00:30.000"


def test_products_of_one_unit_go_by_the_unit_that_they_have_now(tmp_path: Path) -> None:
    stack = xccd.open_stack([(np.ones((2, 3), "f4"), {"FILTER": name, "BUNIT": "adu"}) for name in "BV"])
    image = stack.groupby("FILTER").map(lambda group: group.ccd.combine())
    image.attrs["units"] = "electron"
    with fits.open(image.ccd.to_fits(tmp_path / "a.fits")) as hdus:
        assert [hdu.header["BUNIT"] for hdu in hdus[1:]] == ["electron"] * 2


def test_pixel_numbers_of_a_product_need_no_grid_of_another() -> None:
    x = ("x", [0.0, 1, 2], {"long_name": "pixel", "numbered": ON_GRID})
    stack = xr.DataArray(np.ones((2, 2, 3)), dims=("frame", "y", "x"), coords={"x": x})
    assert stack.ccd.combine().x.attrs == {"long_name": "pixel"}
    assert stack.x.attrs["numbered"] == ON_GRID


# Arguments


@pytest.mark.parametrize("low", [-1, -0.5])
def test_a_negative_threshold_is_no_question_of_sides(low: float) -> None:
    stack = xr.DataArray(np.ones((5, 2, 3)), dims=("frame", "y", "x"))
    with pytest.raises(ValueError, match=f"^low={low}: thresholds are 0 or more"):
        stack.ccd.sigma_clip(low)


def test_the_reach_of_an_outlier() -> None:
    assert reach(10, "mean") == reach(10, "mean", 0) == 3
    assert reach(10, "mean", 1) == pytest.approx(9 / 10**0.5)


@pytest.mark.parametrize("engine", ENGINES)
def test_ddof_is_nothing_to_a_clip_by_the_mad(engine: str) -> None:
    stack = xr.DataArray([0.0, 0, 0, -3, 4], dims="frame")
    with xccd.set_options(engine=engine):
        for ddof in (0, 4, 5, 9):
            clipped = stack.ccd.sigma_clip(3, 3, center="median", deviation="mad_std", ddof=ddof)
            assert clipped.dropna("frame").values.tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("sides", "text"), [((2, 3), "low=2, high=3"), ((2, None), "low=2, high='off'"), ((None, 2), "low='off', high=2")]
)
def test_a_clip_notes_both_sides(sides: tuple[float | None, float | None], text: str) -> None:
    stack = xr.DataArray(np.arange(20.0), dims="frame")
    assert text in stack.ccd.sigma_clip(*sides).attrs["history"]


@pytest.mark.parametrize(("values", "dtype"), [([300, 0], "uint8"), ([1e300, 0], "float32")])
def test_finite_numbers_that_do_not_fit_are_not_told_as_infinite(
    tmp_path: Path, values: list[float], dtype: str
) -> None:
    with pytest.raises(ValueError, match="of its pixels 1 outside ") as error:
        xr.DataArray([values], dims=("y", "x")).ccd.to_fits(tmp_path / "a.fits", dtype=dtype)
    assert "infinite" not in str(error.value)


@pytest.mark.parametrize(
    ("files", "expected"),
    [(["a.fits", "b.fits"], ["a.fits", "b.fits"]), (["a.fits", "a.fits"], [["a.fits", 0], ["a.fits", 3]])],
)
def test_a_plan_names_hdus_only_where_a_file_has_several(files, expected):
    """`_files` of plan_text: < as <=."""
    import pandas as pd

    from xccd.night.plan.plan_text import _files

    assert _files(pd.DataFrame({"file": files, "hdu": [0, 3]})) == expected
    assert _files(pd.DataFrame({"file": files})) == files


@pytest.mark.parametrize("lacks", ["columns", "itertuples"])
def test_a_plan_is_made_of_a_table_of_pandas(lacks):
    """`ordered` of table_rows: or as and. Tables of other packages have columns, too."""
    table = SimpleNamespace(**{name: [] for name in ("columns", "itertuples") if name != lacks})
    with pytest.raises(TypeError, match=r"table is a SimpleNamespace, not a table of frames: give that of xccd\.scan"):
        xccd.plan(table)
