"""The WCS follows crops, strides and averages, and says no where it cannot; astropy tells where the sky is."""

import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from astropy.io import fits
from astropy.wcs import WCS, FITSFixedWarning
from hypothesis import given, settings
from hypothesis import strategies as st

import xccd
from fits_files import write

NX, NY = 40, 30
TAN = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 150.0, "CRVAL2": 40.0, "CRPIX1": 12.5, "CRPIX2": 20.0}
KINDS: dict[str, dict[str, Any]] = {
    "CDELT": TAN | {"CDELT1": -1e-3, "CDELT2": 2e-3},
    "CROTA": TAN | {"CDELT1": -1e-3, "CDELT2": 1e-3, "CROTA2": 30.0},
    "CD": TAN | {"CD1_1": -1e-3, "CD1_2": 2e-4, "CD2_1": 3e-4, "CD2_2": 1e-3},
    "CD, one card": TAN | {"CD1_2": -1e-3, "CD2_1": 1e-3},
    "PC": TAN | {"CDELT1": -1e-3, "CDELT2": 1e-3, "PC1_1": 0.8, "PC1_2": -0.6, "PC2_1": 0.6, "PC2_2": 0.8},
    "PC, its diagonal left out": TAN | {"CDELT1": -1e-3, "CDELT2": 1e-3, "PC1_2": 0.3, "PC2_1": 0.2},
    "TPV": TAN | {"CTYPE1": "RA---TPV", "CTYPE2": "DEC--TPV", "CD1_1": -1e-2, "CD2_2": 1e-2, "PV1_1": 1.0,
                  "PV1_4": 0.02, "PV2_1": 1.0, "PV2_6": -0.03},
    "SIP": TAN | {"CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP", "CD1_1": -1e-3, "CD2_2": 1e-3, "A_ORDER": 2,
                  "B_ORDER": 2, "A_2_0": 1e-3, "B_1_1": -2e-3},
    "from a crop": TAN | {"CDELT1": -1e-3, "CDELT2": 1e-3, "LTV1": -100.0, "LTV2": -7.0},
    "from a binned file": TAN | {"CDELT1": -1e-3, "CDELT2": 1e-3, "LTV1": 0.25, "LTM1_1": 0.5, "LTM2_2": 0.5},
}  # fmt: skip


def image_of(cards: dict[str, Any]) -> xr.DataArray:
    pixels = np.arange(NX * NY, dtype="f4").reshape(NY, NX)
    return xccd.open_stack([(pixels, cards)], chunks=None).load()[0]


def sky(cards: dict[str, Any], x: Any, y: Any) -> Any:
    """Where astropy says that 0-based pixels of the original file are."""
    return np.transpose(WCS(fits.Header(cards)).all_pix2world(np.asarray(x, float), np.asarray(y, float), 0))


def positions(image: xr.DataArray) -> tuple[Any, Any, Any]:
    """The sky at the corners of an image, and the pixel numbers of the original there, from its values."""
    wcs = image.ccd.wcs()
    j, i = [0, 0, image.sizes["y"] - 1], [0, image.sizes["x"] - 1, 0]
    numbers = image.values[j, i]
    return np.transpose(wcs.all_pix2world(i, j, 0)), numbers % NX, numbers // NX


@pytest.mark.versions(cut=(np.s_[5:, 7:31],))
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cut", [np.s_[:, :], np.s_[5:, 7:31], np.s_[:3, 2:]], ids=["whole", "crop", "strip"])
def test_the_sky_stays_where_it_is_after_a_crop(kind: str, cut: Any) -> None:
    found, x, y = positions(image_of(KINDS[kind])[cut])
    np.testing.assert_allclose(found, sky(KINDS[kind], x, y), rtol=0, atol=1e-9)


@pytest.mark.versions
@pytest.mark.parametrize("kind", [k for k in KINDS if k not in ("SIP", "CROTA")])
@pytest.mark.parametrize("cut", [np.s_[::2, ::2], np.s_[3::4, 1:-2:3]], ids=["every second", "uneven"])
def test_the_sky_stays_where_it_is_after_a_stride(kind: str, cut: Any) -> None:
    found, x, y = positions(image_of(KINDS[kind])[cut])
    np.testing.assert_allclose(found, sky(KINDS[kind], x, y), rtol=0, atol=1e-9)


@pytest.mark.versions
@pytest.mark.parametrize("kind", [k for k in KINDS if k != "SIP"])
def test_the_sky_stays_where_it_is_after_an_average(kind: str) -> None:
    binned = image_of(KINDS[kind]).coarsen(x=2, y=2).mean()
    assert isinstance(binned, xr.DataArray)
    found = np.transpose(binned.ccd.wcs().all_pix2world([0, 9], [0, 5], 0))
    np.testing.assert_allclose(found, sky(KINDS[kind], [0.5, 18.5], [0.5, 10.5]), rtol=0, atol=1e-9)


@settings(max_examples=40, deadline=None)
@given(data=st.data(), kind=st.sampled_from([k for k in KINDS if k not in ("SIP", "CROTA")]))
def test_the_sky_stays_where_it_is_after_many_steps(data: st.DataObject, kind: str) -> None:
    image = image_of(KINDS[kind])
    for _ in range(data.draw(st.integers(1, 3))):
        start, step = data.draw(st.integers(0, 2)), data.draw(st.integers(1, 2))
        image = image[start::step, data.draw(st.integers(0, 2)) :: data.draw(st.integers(1, 2))]
    found, x, y = positions(image)
    np.testing.assert_allclose(found, sky(KINDS[kind], x, y), rtol=0, atol=1e-9)


@pytest.mark.versions
def test_alternate_wcs_move_too() -> None:
    other = {f"{k}A": v for k, v in (TAN | {"CD1_1": -1e-3, "CD2_2": 1e-3}).items()}
    image = image_of(TAN | {"CDELT1": -1e-3, "CDELT2": 1e-3} | other)[4::2, 6::2]
    for key in " A":
        x, y = WCS(image.ccd.header(), key=key).all_pix2world(3, 2, 0)
        np.testing.assert_allclose([x, y], sky(TAN | {"CDELT1": -1e-3, "CDELT2": 1e-3}, 12, 8), atol=1e-9)


REFUSED = {
    "a flip": ("CDELT", np.s_[::-1, :], "'y' runs .*flip"),
    "a flip of x": ("CDELT", np.s_[:, ::-1], "'x' runs"),
    "an irregular pick": ("CDELT", np.s_[[0, 1, 5], :], "irregular pick"),
    "a pixel twice": ("CDELT", np.s_[:, [3, 3]], "'x' runs"),
    "a stride through SIP": ("SIP", np.s_[::2, ::2], "distorted .A_ORDER"),
    "an uneven stride of a rotated one": ("CROTA", np.s_[::2, :], "rotated by CROTA2: x and y must have the same"),
    "one row": ("CDELT", np.s_[3, :], "no dimension 'y' left"),
    "one column": ("CDELT", np.s_[:, 3], "no dimension 'x' left"),
}


@pytest.mark.versions
@pytest.mark.parametrize("name", REFUSED)
def test_where_no_wcs_fits_it_says_so(tmp_path: Path, name: str) -> None:
    kind, cut, message = REFUSED[name]
    image = image_of(KINDS[kind])[cut]
    for use in (image.ccd.header, image.ccd.wcs, lambda: image.ccd.to_fits(tmp_path / "a.fits")):
        with pytest.raises(ValueError, match=message):
            use()


def test_pixels_can_be_numbered_anew() -> None:
    flipped = image_of(KINDS["CDELT"])[::-1].drop_vars(["y", "x"])
    assert flipped.ccd.header()["CRPIX2"] == TAN["CRPIX2"]


def test_an_even_stride_of_a_rotated_wcs() -> None:
    found, x, y = positions(image_of(KINDS["CROTA"])[::3, ::3])
    np.testing.assert_allclose(found, sky(KINDS["CROTA"], x, y), atol=1e-9)


def test_no_wcs_and_no_frame() -> None:
    stack = xccd.open_stack([(np.zeros((2, 2)), None)] * 2)
    with pytest.raises(ValueError, match="frame-1 has no WCS: its header has no CTYPE1"):
        stack.ccd.wcs(0)
    with pytest.raises(ValueError, match="say which frame"):
        stack.ccd.wcs()
    for i in (2, -3):
        with pytest.raises(IndexError, match=f"i={i}: the stack has frames 0 to 1"):
            stack.ccd.header(i)
    with pytest.raises(IndexError, match="i=1: this is one image"):
        stack[0].ccd.header(1)
    assert stack.ccd.header(-1)["NAXIS"] == 2


ABSURD = {
    "WCSAXES = 65536": {"WCSAXES": 65536}, "WCSAXES = 10^9": {"WCSAXES": 10**9}, "A_ORDER": {"A_ORDER": 10**6},
    "singular": {"CDELT1": 0.0}, "lookup table": {"CPDIS1": "LOOKUP"},
}  # fmt: skip


def test_an_absurd_wcs_is_an_error_not_a_crash() -> None:
    """In a process of its own, for WCSAXES = 65536 kills one that hands it to astropy."""
    code = """
import sys
import numpy as np
import xccd
pixels = np.zeros((4, 4))
for name, cards in eval(sys.argv[1]).items():
    print(name, end=": ", flush=True)
    stack = xccd.open_stack([(pixels, cards), (pixels, cards | {"CRVAL1": 3.0})])
    assert "CTYPE1" not in stack.ccd.combine().ccd.header()
    try:
        stack.ccd.wcs(0)
    except ValueError as error:
        print(str(error).partition("\\n")[0])
"""
    cards = {name: TAN | {"CDELT1": -1e-3, "CDELT2": 1e-3} | absurd for name, absurd in ABSURD.items()}
    done = subprocess.run([sys.executable, "-c", code, repr(cards)], capture_output=True, text=True)
    assert done.returncode == 0, f"the last of these: {done.stdout}{done.stderr}"
    lines = done.stdout.splitlines()
    assert len(lines) == len(ABSURD)
    for name, line in zip(ABSURD, lines, strict=True):
        assert line.startswith(f"{name}: the WCS of frame-1 cannot be used: ")


# Crops and their files


@pytest.mark.versions
@pytest.mark.parametrize("kind", ["CDELT", "from a crop", "SIP"])
def test_a_crop_comes_back_from_its_file_in_place(tmp_path: Path, kind: str) -> None:
    image = image_of(KINDS[kind])
    crop = image[4:20, 9:33]
    path = crop.ccd.to_fits(tmp_path / "crop.fits")
    again = xccd.open_stack(path)[0]
    for name in ("x", "y"):
        np.testing.assert_array_equal(again[name].values, crop[name].values)
    assert (image - again == 0).all()
    assert (image - again).shape == crop.shape
    found, x, y = positions(again[2:, 3:])
    np.testing.assert_allclose(found, sky(KINDS[kind], x, y), atol=1e-9)
    assert again.ccd.header()["LTV1"] == crop.ccd.header()["LTV1"]


@pytest.mark.versions
@pytest.mark.filterwarnings("ignore:files=.* is given twice")
@pytest.mark.parametrize("kind", ["CDELT", "from a crop"])
@pytest.mark.parametrize("swapped", [False, True])
def test_arithmetic_of_a_crop_and_its_file_keeps_the_sky(tmp_path: Path, kind: str, swapped: bool) -> None:
    """The pixel coordinates may come from either side, and the header from the other."""
    image = image_of(KINDS[kind])
    path = image[4:20, 9:33].ccd.to_fits(tmp_path / "crop.fits")
    stack = xccd.open_stack([path, path])
    master = (image * 0).drop_vars([c for c in image.coords if c not in ("x", "y")])
    done = master + stack if swapped else stack + master
    found, x, y = positions(done.isel(frame=1).transpose("y", "x"))
    np.testing.assert_allclose(found, sky(KINDS[kind], x, y), atol=1e-9)


def test_files_cropped_differently_count_from_their_own_first_pixel() -> None:
    stack = xccd.open_stack([(np.zeros((4, 5)), {"LTV1": -10.0}), (np.zeros((4, 5)), {"LTV1": -20.0})])
    assert stack.x.values.tolist() == [0, 1, 2, 3, 4]
    cropped = stack[:, :, 2:]
    assert [cropped.ccd.header(i)["LTV1"] for i in (0, 1)] == [-12, -22]


@pytest.mark.parametrize("dims", [("x", "y"), ("y", "x")])
def test_axes_are_written_as_fits_has_them(tmp_path: Path, dims: tuple[str, str]) -> None:
    image = image_of(KINDS["CD"])
    path = image.transpose(*dims).ccd.to_fits(tmp_path / "a.fits")
    np.testing.assert_array_equal(fits.getdata(path), image.values)
    assert image.transpose(*dims).ccd.header()["NAXIS1"] == NX


@pytest.mark.versions
def test_spectra_and_cubes(tmp_path: Path) -> None:
    wave = {"CTYPE1": "WAVE", "CRPIX1": 1.0, "CRVAL1": 5000.0, "CDELT1": 2.0, "CUNIT1": "Angstrom"}
    spectrum = xccd.open_stack([(np.arange(9.0), wave)])[0]
    assert spectrum[3:].ccd.wcs().all_pix2world([0], 0)[0] == pytest.approx(5006e-10)
    assert spectrum[3::2].ccd.wcs().all_pix2world([1], 0)[0] == pytest.approx(5010e-10)
    cube = TAN | {"CDELT1": -1e-3, "CDELT2": 1e-3, "CTYPE3": "FREQ", "CRPIX3": 1.0, "CRVAL3": 1e9, "CDELT3": 1e6}
    planes = xccd.open_stack([(np.zeros((6, 4, 5)), cube)])[0]
    for part in (planes[2:], planes[2]):  # of one plane too, pixel 1 of axis 3 is where it was
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FITSFixedWarning)  # "more axes (3) than the image": as it should be
            wcs = WCS(part.ccd.header(), naxis=3)
        assert wcs.all_pix2world(0, 0, 0, 0)[2] == pytest.approx(1.002e9)
    written = planes[2:, 1:].ccd.to_fits(tmp_path / "cube.fits")
    assert fits.getheader(written)["CRPIX3"] == -1
    assert xccd.open_stack(written).z.values.tolist() == [2, 3, 4, 5]


def test_a_scalar_z_of_the_user_is_no_plane() -> None:
    header = image_of(KINDS["CD"]).assign_coords(z=0.5).ccd.header()
    assert not {"LTV3", "CRPIX3"} & set(header)


@pytest.mark.versions
def test_the_file_is_what_astropy_reads(tmp_path: Path) -> None:
    path = write(tmp_path / "a.fits", np.zeros((NY, NX)), KINDS["SIP"])
    written = xccd.open_stack(path)[0].ccd.to_fits(tmp_path / "b.fits")
    with fits.open(path) as before, fits.open(written) as after:
        sides = [WCS(h[0].header).all_pix2world([[3, 4]], 0) for h in (before, after)]
    np.testing.assert_array_equal(*sides)
