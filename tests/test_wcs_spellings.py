"""Each spelling of a WCS that astropy reads is the same WCS here, or is refused: its positions are compared."""

import warnings
from pathlib import Path
from typing import Any

import astropy.wcs
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning
from astropy.wcs import WCS
from hypothesis import given
from hypothesis import strategies as st

import xccd
from sky import stack_of, tan

SHAPE = (40, 60)
SIZES = {"NAXIS": 2, "NAXIS1": 60, "NAXIS2": 40}
TAN = {
    "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 187.0, "CRVAL2": 12.0, "CRPIX1": 30.0, "CRPIX2": 20.0,
    "CDELT1": -1e-4, "CDELT2": 1e-4,
}  # fmt: skip
TURN = {"1_1": 0.8, "1_2": -0.6, "2_1": 0.6, "2_2": 0.8}
SIP = {"A_ORDER": 2, "B_ORDER": 2, "A_2_0": 3e-5, "B_1_1": 2e-5}
PV = {"PV1_0": 0.0, "PV1_1": 1.0, "PV1_7": 0.1, "PV2_0": 0.0, "PV2_1": 1.0, "PV2_7": 0.1}
ZPN = {"CTYPE1": "RA---ZPN", "CTYPE2": "DEC--ZPN"}


def types(end: str, longitude: str = "RA--", latitude: str = "DEC-") -> dict[str, str]:
    return {"CTYPE1": f"{longitude}-{end}", "CTYPE2": f"{latitude}-{end}"}


def padded(name: str, form: str, scale: float = 1.0) -> dict[str, float]:
    return {name + form.format(*map(int, k.split("_"))): v * scale for k, v in TURN.items()}


def without(*keywords: str) -> dict[str, Any]:
    return {k: v for k, v in TAN.items() if k not in keywords}


SPELLINGS = {
    "PC": TAN | padded("PC", "{}_{}"),
    "PC001001": TAN | padded("PC", "{:03}{:03}"),
    "PC01_01": TAN | padded("PC", "{:02}_{:02}"),
    "CD001001": without("CDELT1", "CDELT2") | padded("CD", "{:03}{:03}", 1e-4),
    "CD01_01": without("CDELT1", "CDELT2") | padded("CD", "{:02}_{:02}", 1e-4),
    "EPOCH": TAN | {"EPOCH": 1950.0},
    "EPOCH and EQUINOX": TAN | {"EPOCH": 1950.0, "EQUINOX": 2000.0},
    "EPOCH as text": TAN | {"EPOCH": "J2000"},
    "EPOCH of a day": TAN | {"EPOCH": 2012.3},
    "EPOCH with RADESYS": TAN | {"EPOCH": 1975.0, "RADESYS": "FK5"},
    "RADECSYS": TAN | {"RADECSYS": "FK4"},
    "RADECSYS after RADESYS": TAN | {"RADESYS": "ICRS", "RADECSYS": "FK5"},
    "RADESYS after RADECSYS": TAN | {"RADECSYS": "FK5", "RADESYS": "ICRS"},
    "EPOCH after EQUINOX": TAN | {"EQUINOX": 2000.0, "EPOCH": 1950.0},
    "PROJP": TAN | ZPN | {"PROJP1": 1.0, "PROJP3": 4000.0},
    "PROJP of latitude first": TAN | {"CTYPE2": "RA---ZPN", "CTYPE1": "DEC--ZPN", "CRVAL1": 12.0, "CRVAL2": 187.0}
    | {"PROJP1": 1.0, "PROJP3": 4000.0},
    "CROTA2": TAN | {"CROTA2": 30.0},
    "GLS": TAN | types("GLS"),
    "NCP": TAN | types("NCP"),
    "PTF: SIP with PV": TAN | types("TAN-SIP") | SIP | PV,
    "ZTF: TPV with SIP": TAN | types("TPV") | SIP | PV,
    "SCAMP": TAN | PV,
    "SCAMP with SIP": TAN | PV | SIP,
    "SIP without its name": TAN | SIP,
    "galactic": TAN | types("TAN", "GLON", "GLAT"),
}  # fmt: skip


def astropys(cards: dict[str, Any]) -> WCS:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        return WCS(fits.Header(cards))


def places(wcs: WCS) -> np.ndarray:
    x, y = np.meshgrid(np.linspace(0, 59, 7), np.linspace(0, 39, 5))
    return np.stack(wcs.all_pix2world(x.ravel(), y.ravel(), 0))


def check(wcs: WCS, expected: WCS) -> None:
    np.testing.assert_allclose(places(wcs), places(expected), rtol=0, atol=1e-11)
    assert (wcs.wcs.lngtyp, wcs.wcs.radesys) == (expected.wcs.lngtyp, expected.wcs.radesys)
    np.testing.assert_equal(wcs.wcs.equinox, expected.wcs.equinox)


@pytest.mark.parametrize("name", SPELLINGS)
def test_each_spelling_is_what_astropy_reads(name: str, tmp_path: Path) -> None:
    cards = SPELLINGS[name]
    expected = astropys(cards)
    stack = xccd.open_stack([(np.ones(SHAPE, "f4"), cards)] * 2)
    check(xccd.Grid.of(cards | SIZES).wcs, expected)
    check(stack.ccd.wcs(0), expected)
    check(xccd.Grid.union(stack).wcs, expected)
    cut = stack[:, 3:33, 10:50]
    x, y = np.array([0.0, 39.0]), np.array([29.0, 0.0])
    there = expected.all_pix2world(x + 10, y + 3, 0)
    for wcs in (cut[0].ccd.wcs(), xccd.Grid.union(cut).wcs):
        np.testing.assert_allclose(wcs.all_pix2world(x, y, 0), there, rtol=0, atol=1e-11)


@pytest.mark.parametrize("name", SPELLINGS)
def test_products_say_nothing_of_the_old_sky(name: str, tmp_path: Path) -> None:
    stack = xccd.open_stack([(np.ones(SHAPE, "f4"), SPELLINGS[name])] * 2)
    own = xccd.Grid.union(stack)
    there = SkyCoord(*own.center, unit="deg", frame=own.frame).icrs
    target = xccd.Grid.of(tan((30, 20), 5) | SIZES | {"CRVAL1": there.ra.deg, "CRVAL2": there.dec.deg})
    stack.ccd.align(target).ccd.combine("mean").ccd.to_fits(tmp_path / "a.fits")
    with fits.open(tmp_path / "a.fits") as hdus:
        check(astropys(dict(hdus[0].header.items()) | {"HISTORY": ""}), target.wcs)


@pytest.mark.parametrize("name", ["PC001001", "PC01_01", "CD001001", "CD01_01"])
def test_strides_know_old_spellings(name: str) -> None:
    stack = xccd.open_stack([(np.ones(SHAPE, "f4"), SPELLINGS[name])])
    wcs, expected = stack[0, ::2, 1::3].ccd.wcs(), astropys(SPELLINGS[name])
    np.testing.assert_allclose(
        wcs.all_pix2world([5], [7], 0), expected.all_pix2world([1 + 15], [14], 0), rtol=0, atol=1e-11
    )


KEYWORDS = st.one_of(
    st.sampled_from(["PC", "CD"]).flatmap(
        lambda name: st.tuples(st.integers(1, 2), st.integers(1, 2)).flatmap(
            lambda ij: st.sampled_from([f"{name}{{}}_{{}}", f"{name}{{:03}}{{:03}}", f"{name}{{:02}}_{{}}"]).map(
                lambda form: form.format(*ij)
            )
        )
    ),
    st.sampled_from(
        ["CROTA2", "LONPOLE", "LATPOLE", "EQUINOX", "EPOCH", "PROJP1", "PV2_1", "PV1_1", "PV1_3", "PV1_0", "MJD-OBS"]
        + ["XPIXELSZ", "PLTRAH", "AMDX1", "CNPIX1", "VELOSYS", "RESTFREQ", "ZSOURCE", "CRDER1", "DVERR1", "CPERR1"]
    ),
)  # fmt: skip


@given(st.dictionaries(KEYWORDS, st.floats(0.5, 2.0, width=32), max_size=4))
def test_cards_are_read_as_astropy_does_or_refused(more: dict[str, float]) -> None:
    cards = {k: v for k, v in TAN.items() if not (k.startswith("CDELT") and any(m.startswith("CD") for m in more))}
    try:
        grid = xccd.Grid.of(cards | more | SIZES)
    except ValueError:
        return
    try:
        expected = astropys(cards | more)
    except Exception:  # astropy reads no WCS at all where a card of a plate stands alone
        return
    check(grid.wcs, expected)


@pytest.mark.parametrize(
    ("more", "match"),
    [
        ({"AMDX1": 67.2, "PPO3": 1.0}, r"the polynomial of a Digitized Sky Survey plate \(AMDX1\): give it a TAN-SIP"),
        (types("TAN", "ELON", "ELAT"), "the longitude ELON-TAN, in a system that is not known: give a WCS in RA and"),
        (types("TAN", "HLON", "HLAT") | {"RADESYS": "FK5"}, "the longitude HLON-TAN, in a system that is not known"),
        ({"NAXIS": 3, "NAXIS3": 5, "PC1_3": 0.5}, r"mixes the sky with a third axis \(PC1_3 = 0\.5\)"),
        ({"PC1_1": 0.7, "PC001001": 0.9}, "has cards of a WCS that are not understood: positions would be off by up"),
    ],
    ids=str,
)
def test_what_is_not_understood_is_refused(more: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        xccd.Grid.of(TAN | SIZES | more)
    if "NAXIS" not in more:
        stack = xccd.open_stack([(np.ones(SHAPE, "f4"), TAN | more)])
        with pytest.raises(ValueError, match=match):
            stack.ccd.align(xccd.Grid.of(TAN | SIZES))


def test_equal_degrees_in_two_systems_are_two_grids(tmp_path: Path) -> None:
    systems = [{"EQUINOX": 2000.0}, {"EQUINOX": 1950.0}, {"RADESYS": "ICRS"}, {"EPOCH": 1950.0}]
    stack = stack_of(np.ones((4, *SHAPE)), [TAN | more for more in systems])
    with pytest.raises(ValueError, match="the frames have 4 WCS"):
        xccd.Grid.of(stack)
    assert "CTYPE1" not in stack.ccd.combine("mean").ccd.header()
    assert xccd.Grid.of(stack[1::2]).wcs.wcs.equinox == 1950
    aligned = stack.ccd.align(0)
    assert int(np.isfinite(aligned[1]).sum()) == 0
    assert np.isfinite(aligned[0]).all()


DATA = Path(astropy.wcs.__path__[0], "tests", "data")
HST = DATA / "dist_lookup.fits.gz"


@pytest.mark.skipif(not HST.exists(), reason="this astropy has no test data")
class TestTables:
    """A real frame of HST ACS: SIP, a table of the detector, and two of the filter."""

    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        with fits.open(HST) as hdus, warnings.catch_warnings():
            warnings.simplefilter("ignore", AstropyWarning)
            hdus[1].data = np.ones((100, 100), "f4")
            hdus.writeto(tmp_path / "acs.fits", output_verify="fix")
            self.wcs = WCS(hdus[1].header, hdus)
        return tmp_path / "acs.fits"

    def there(self, x: Any, y: Any) -> np.ndarray:
        return np.stack(self.wcs.all_pix2world(x, y, 0))

    def test_verbs_use_them(self, file: Path) -> None:
        stack = xccd.open_stack(file, hdu=1)
        x, y = np.array([0.0, 50.0, 99.0]), np.array([99.0, 3.0, 40.0])
        for wcs in (stack.ccd.wcs(0), stack[0].ccd.wcs(), xccd.Grid.of(stack).wcs, xccd.Grid.of(stack[0]).wcs):
            np.testing.assert_allclose(wcs.all_pix2world(x, y, 0), self.there(x, y), rtol=0, atol=1e-10)
        image = stack[0].ccd.assign_sky_coords()
        sky = SkyCoord(*self.there(50, 3), unit="deg", frame="fk5").icrs
        np.testing.assert_allclose([image.ra[3, 50], image.dec[3, 50]], [sky.ra.deg, sky.dec.deg], rtol=0, atol=1e-9)
        ra, dec = self.there(30.0, 60.0)
        cut = stack[0].ccd.cutout(SkyCoord(ra, dec, unit="deg", frame="fk5"), 21)
        assert cut.x.values.tolist() == list(range(20, 41))
        np.testing.assert_allclose(cut.ccd.wcs().all_pix2world(10, 10, 0), (ra, dec), rtol=0, atol=1e-10)
        with pytest.raises(ValueError, match="it cannot be kept with a stride"):
            xccd.Grid.of(stack[0, ::2])

    def test_crops_are_aligned(self, file: Path) -> None:
        stack = xccd.open_stack(file, hdu=1)
        whole = xccd.Grid.union(stack)
        target = xccd.Grid.of(astropys(dict(whole.wcs.celestial.to_header(relax=True))), shape=(160, 160)).moved(
            -30, -30, (160, 160)
        )
        full, part = stack.ccd.align(target), stack[:, 20:60, 30:80].ccd.align(target)
        assert int(np.isfinite(full).sum()) > 9000
        assert int(np.isfinite(part).sum()) > 1700
        assert full.align_error.item() < 1e-3

    def test_products_do_not_name_tables_that_they_lack(self, file: Path, tmp_path: Path) -> None:
        stack = xccd.open_stack([file, file.rename(tmp_path / "b.fits")][1:], hdu=1)
        match = r"the WCS of the frames is distorted by tables \(.*D2IMDIS1.*\), which the product cannot hold"
        with pytest.warns(UserWarning, match=match):
            made = stack.ccd.combine("mean")
        made.ccd.to_fits(tmp_path / "a.fits")
        assert not {"CPDIS1", "D2IM1", "D2IMDIS1", "DP1"} & set(fits.getheader(tmp_path / "a.fits"))
        assert np.abs(places(made.ccd.wcs()) - places(self.wcs)).max() < 0.2 * 0.05 / 3600


@pytest.mark.parametrize("side", [20, 40, 60, 100, 400])
def test_small_parts_of_a_bent_camera_are_found(side: int) -> None:
    size = (3000, 4000)
    cards = (
        TAN
        | types("TAN-SIP")
        | {"CRPIX1": 2000.5, "CRPIX2": 1500.5, "A_ORDER": 2, "B_ORDER": 2, "A_2_0": 2.3e-5, "B_0_2": 1e-6}
    )
    stack = xccd.open_stack([(np.broadcast_to(np.float32(1), size), cards)])[:, :side, :side]
    grid = xccd.Grid.of(stack[0])
    target = xccd.Grid.of(
        TAN | {"CRVAL1": grid.center[0], "CRVAL2": grid.center[1], "CRPIX1": side, "CRPIX2": side},
        shape=(2 * side,) * 2,
    )
    aligned = stack.ccd.align(target)
    area = grid.pixel_size**2  # at the reference pixel; in the corner a pixel is 0.9 of it along x
    assert int(np.isfinite(aligned).sum()) == pytest.approx(0.9 * side**2 * area / target.pixel_size**2, rel=0.15)
    assert aligned.align_error.item() < 1e-3


@pytest.mark.skipif(not DATA.exists(), reason="this astropy has no test data")
def test_a_real_plate_is_refused() -> None:
    path = next(DATA.glob("dss*"))
    with pytest.raises(ValueError, match=r"dss.*the polynomial of a Digitized Sky Survey plate \(AMDX1\)"):
        xccd.Grid.of(path)
