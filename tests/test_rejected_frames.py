"""Frames of which clips reject much more than of the others are named."""

import logging
import re
import warnings

import dask
import numpy as np
import pytest
import xarray as xr
from astropy.io import fits

import xccd
from xccd.cli.main import main
from xccd.compute.frame_counts import FrameCounts, counting

DIMS = ("frame", "y", "x")


def stack_of(cloudy=(), n=9, size=(40, 50), share=0.3):
    """Noise; of cloudy frames a share of the pixels is far too low."""
    values = np.random.default_rng(0).normal(1000, 5, (n, *size))
    for i in cloudy:
        values[i, : int(share * size[0])] -= 500
    names = ("frame", [f"light-{i}.fits" for i in range(n)])
    return xr.DataArray(values, dims=DIMS, name="data", coords={"file": names})


def clipped(*args, **more):
    return stack_of(*args, **more).ccd.to_dataset().ccd.sigma_clip(5, 5, center="median", deviation="mad_std")


@pytest.mark.parametrize("verb", ["combine", "combine_with_maps"])
def test_a_cloudy_frame_is_named(verb):
    with pytest.warns(
        UserWarning, match=r"rejected were 3\d% of frame 4 \(light-4\.fits\), and 0\.\d% of the median frame: look"
    ):
        getattr(clipped([4]).ccd, verb)("mean")


def test_if_all_frames_lose_much_that_is_said():
    ds = stack_of(n=9).ccd.to_dataset()
    with pytest.warns(UserWarning, match=r"rejected were \d\d% of the median frame: the thresholds, or the noise, may"):
        ds.ccd.reject("noise", 0.1, 0.4, gain=1e6, readnoise=5e6).ccd.combine("mean")


def test_a_few_names_are_enough():
    with pytest.warns(UserWarning, match=r"of frame 0 .*, 3\d% of frame 4 \(light-4\.fits\) and 1 more, and"):
        clipped(range(6), n=21).ccd.combine("mean")


@pytest.mark.parametrize(
    "ds",
    [
        clipped(), clipped([4]).chunk(y=10), clipped([4], share=0.05), clipped([4]).isel(y=slice(10)),
        stack_of([4]).ccd.to_dataset().ccd.minmax(min=900),
        stack_of([4]).ccd.to_dataset().ccd.clip_extrema(1, 1), stack_of(n=3).ccd.to_dataset().ccd.clip_extrema(1, 0),
    ],
    ids=["like the others", "lazy", "a small share", "few pixels", "below a limit", "two of nine", "one of three"],
)  # fmt: skip
def test_what_is_not_told_of(ds):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ds.ccd.combine("mean")
        ds.ccd.combine_with_maps("mean")


def test_a_clip_that_rejects_nothing_is_logged(caplog):
    caplog.set_level(logging.INFO, "xccd")
    ds = stack_of().ccd.to_dataset()
    ds.ccd.combine("mean")
    assert not caplog.messages
    ds.ccd.sigma_clip(50, 50, center="median", deviation="mad_std").ccd.combine("mean")
    assert caplog.messages == ["combine: the clips rejected no sample of 9 frames"]
    caplog.clear()
    clipped().ccd.combine("mean")
    assert not caplog.messages


def test_one_warning_for_a_tree():
    tree = xr.DataTree.from_dict({"a": clipped([4]), "b": clipped([2])})
    with pytest.warns(UserWarning, match="at the node 'a' .and the like at 1 more") as told:
        xccd.combine(tree, "mean")
    assert len(told) == 1


def lazy_product(**chunks):
    return clipped([4]).chunk(**chunks).ccd.combine_with_maps("mean")


@pytest.mark.versions
@pytest.mark.parametrize("chunks", [{"y": 10}, {"frame": 3, "y": 20}], ids=str)
def test_a_lazy_product_names_it_when_it_is_written(tmp_path, chunks):
    image = lazy_product(**chunks)
    message = r"^to_fits: rejected were 3\d% of frame 4 \(light-4\.fits\), and 0\.\d% of the median frame: look"
    with pytest.warns(UserWarning, match=message) as told:
        image.ccd.to_fits(tmp_path / "a.fits", overwrite=True)
    assert len(told) == 1
    with pytest.warns(UserWarning, match=message):
        xr.DataTree.from_dict({"a": image}).ccd.to_fits(tmp_path / "b.fits", single=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # they were told of, or there are no numbers
        with dask.config.set(scheduler="processes"):
            image.isel(x=slice(40)).drop_vars("data_share_rejected_low").ccd.to_fits(tmp_path / "c.fits")
        image["data"].ccd.to_fits(tmp_path / "d.fits")
        image.compute().ccd.to_fits(tmp_path / "e.fits")
    assert (tmp_path / "a.fits").read_bytes() == (tmp_path / "e.fits").read_bytes()


def test_shares_come_with_the_image(tmp_path):
    """The samples are read once for both."""
    seen = []

    def read(block):
        seen.append(block.shape)
        return block

    ds = stack_of([4]).chunk(y=10).ccd.to_dataset()
    ds["data"].data = ds["data"].data.map_blocks(read, dtype=float, meta=np.empty((0, 0, 0)))
    product = ds.ccd.sigma_clip(5, 5, center="median", deviation="mad_std").ccd.combine_with_maps("mean")
    with pytest.warns(UserWarning, match="to_fits: rejected were"):
        product.ccd.to_fits(tmp_path / "a.fits")
    alone = len(seen)
    seen.clear()
    product.drop_vars(["data_share_rejected_low", "data_share_rejected_high"]).ccd.to_fits(tmp_path / "b.fits")
    assert alone == len(seen)


def test_a_lazy_product_of_clips_that_reject_nothing_is_logged(tmp_path, caplog):
    caplog.set_level(logging.INFO, "xccd")
    ds = stack_of().chunk(y=10).ccd.to_dataset()
    image = ds.ccd.sigma_clip(50, 50, center="median", deviation="mad_std").ccd.combine_with_maps("mean")
    image.ccd.to_fits(tmp_path / "a.fits")
    assert caplog.messages == ["to_fits: the clips rejected no sample of 9 frames"]


CLIP = ["--sigma-clip", "5", "5", "--center", "median", "--deviation", "mad_std"]


@pytest.mark.parametrize(
    ("given", "dtype"),
    [(CLIP, "u2"), (CLIP, "f4"), (["--minmax", "0", "1100", *CLIP], "u2"), ([*CLIP, "--grow", "1"], "f4"),
     (["--reject", "winsorized 5 5", "--maps"], "u2"), ([*CLIP, "--normalize", "median"], "u2")],
)  # fmt: skip
def test_the_command_names_it(tmp_path, capsys, caplog, given, dtype):
    stack = stack_of([4], size=(60, 50))
    stack[:, 30:32] = 60000  # above a limit
    for k, frame in enumerate(stack.values):
        fits.writeto(tmp_path / f"light-{k}.fits", frame.astype(dtype))
    caplog.set_level(logging.INFO, "xccd")
    out = str(tmp_path / "out.fits")
    with pytest.raises(SystemExit, match="0"):
        main(["combine", str(tmp_path / "light-*.fits"), "-o", out, "--no-progress", *given])
    said = capsys.readouterr()
    assert "of the samples rejected" in said.out
    (line,) = said.err.splitlines()
    assert re.match(r"xccd: warning: combine: rejected were [34]\d% of frame 4 \(.*light-4\.fits\), and \d\.\d%", line)
    wide = ["--reject", "percentile 90 90", "--overwrite", "--no-progress"]
    with pytest.raises(SystemExit, match="0"):
        main(["combine", str(tmp_path / "light-*.fits"), "-o", out, *wide])
    assert not capsys.readouterr().err
    assert [text for text in caplog.messages if "opened" not in text] == [
        "combine: the clips rejected no sample of 9 frames"
    ]


@pytest.mark.filterwarnings("ignore:combine. rejected were")
def test_the_counts_of_frames_are_exact():
    rng = np.random.default_rng(2)
    for dtype in ("u2", "f4"):
        values = rng.normal(1000, 5, (9, 40, 50)).astype(dtype)
        values[3, :9] += 300
        stack = xr.DataArray(values, dims=DIMS, name="data")
        if dtype == "f4":
            stack[2, 5] = np.nan
        for clip in (lambda ds: ds.ccd.sigma_clip(2, 2), lambda ds: ds.ccd.reject("linear_fit")):
            ds = clip(stack.ccd.to_dataset())
            total = FrameCounts(9)
            with counting(total):
                ds.ccd.combine("mean")
            np.testing.assert_array_equal(total.counts, (ds["data_flags"] == 0).sum(("y", "x")))
            before = total.counts.copy()
            ds.ccd.combine("mean")  # outside
            np.testing.assert_array_equal(total.counts, before)
