"""A mosaic of tiles beside SWarp and reproject: how exact, how fast, how much memory; whole processes with files.

python benchmarks/mosaic.py [--frames 12] [--size 1000] [--repeats 3]

Tiles in rows of four overlap by a fifth, are turned by up to 4 degrees, and have skies of 80 to 400 and a noise of 5.
The scene is a formula (stars of 2.6 pixels, two nebulae), so that each tile and the truth are exact. All programs get
the same grid. "faint" is the rms of the product less the truth without stars, "blocks" that of its means over blocks of
64 pixels, where steps between tiles show; both after one constant is taken away. "flux" is the median flux of stars
over their true flux. Times and memory are those of the process with all imports, and xccd's compiled code in its cache.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from measured import run
from timing import machine, machine_text, parser

SIDE = 1e-4  # degrees
NOISE, WIDTH = 5.0, 2.6 / 2.3548
ROW = "{:<42}{:>9}{:>9}{:>9}{:>10}{:>8}"
XCCD = """import sys, xccd
stack = xccd.open_stack(sys.argv[1] + "/tile-*.fits")
aligned = stack.ccd.align(sys.argv[1] + "/grid.fits").ccd.normalize(zero="overlap")
aligned.ccd.combine("mean", weights="feather").ccd.to_fits(sys.argv[2])
"""
COADD = """import glob, sys, warnings
warnings.simplefilter("ignore")
from astropy.io import fits
from reproject import reproject_interp
from reproject.mosaicking import reproject_and_coadd
files = sorted(glob.glob(sys.argv[1] + "/tile-*.fits"))
header = fits.getheader(sys.argv[1] + "/grid.fits")
image, _ = reproject_and_coadd(files, header, reproject_function=reproject_interp, match_background=True,
                               roundtrip_coords=False)
fits.writeto(sys.argv[2], image.astype("f4"), header)
"""


def header_of(shape: tuple[int, int], crpix: tuple[float, float], degrees: float = 0.0) -> fits.Header:
    cosine, sine = SIDE * np.cos(np.radians(degrees)), SIDE * np.sin(np.radians(degrees))
    return fits.Header({
        "SIMPLE": True, "BITPIX": -32, "NAXIS": 2, "NAXIS1": shape[1], "NAXIS2": shape[0], "CTYPE1": "RA---TAN",
        "CTYPE2": "DEC--TAN", "CRVAL1": 150.0, "CRVAL2": 2.0, "CRPIX1": crpix[0], "CRPIX2": crpix[1], "RADESYS": "ICRS",
        "CD1_1": -cosine, "CD1_2": sine, "CD2_1": sine, "CD2_2": cosine,
    })  # fmt: skip


class Scene:
    """Stars and nebulae in the pixels of the grid."""

    def __init__(self, shape: tuple[int, int]) -> None:
        rng = np.random.default_rng(0)
        self.shape, count = shape, max(20, shape[0] * shape[1] // 20000)
        self.grid = header_of(shape, (shape[1] / 2 + 0.5, shape[0] / 2 + 0.5))
        self.x, self.y = rng.uniform(0, shape[1], count), rng.uniform(0, shape[0], count)
        self.flux = 10 ** rng.uniform(3.3, 5, count)

    def image(self, header: fits.Header) -> np.ndarray:
        """The scene in the pixels of a header, without noise."""
        rows, columns = header["NAXIS2"], header["NAXIS1"]
        wcs, grid = WCS(header), WCS(self.grid)
        v, u = np.mgrid[:rows, :columns].astype(float)
        x, y = grid.wcs_world2pix(*wcs.wcs_pix2world(u.ravel(), v.ravel(), 0), 0)
        made = np.zeros(rows * columns)
        for (at_x, at_y), width, height in (((0.3, 0.4), 0.12, 60), ((0.7, 0.6), 0.06, 90)):
            off = (x - at_x * self.shape[1]) ** 2 + (y - at_y * self.shape[0]) ** 2
            made += height * np.exp(-off / (2 * (width * self.shape[1]) ** 2))
        made = made.reshape(rows, columns)
        px, py = wcs.wcs_world2pix(*grid.wcs_pix2world(self.x, self.y, 0), 0)
        for a, b, flux in zip(px, py, self.flux, strict=True):
            i, j = round(float(a)), round(float(b))
            if -8 <= i < columns + 8 and -8 <= j < rows + 8:
                box = slice(max(0, j - 8), max(0, j + 9)), slice(max(0, i - 8), max(0, i + 9))
                off = (u[box] - a) ** 2 + (v[box] - b) ** 2
                made[box] += flux / (2 * np.pi * WIDTH**2) * np.exp(-off / (2 * WIDTH**2))
        return made


def tiles(scene: Scene, frames: int, side: int, folder: Path) -> None:
    rng = np.random.default_rng(1)
    step = round(0.8 * side)
    for k in range(frames):
        row, column = divmod(k, 4)
        crpix = (scene.grid["CRPIX1"] - column * step - 0.4, scene.grid["CRPIX2"] - row * step - 0.3)
        header = header_of((side, side), crpix, rng.uniform(-4, 4))
        middle = WCS(header_of((side, side), crpix)).wcs_pix2world([[side / 2, side / 2]], 1)
        at = WCS(header).wcs_world2pix(middle, 1)[0]  # turned about its own centre
        header["CRPIX1"] += side / 2 - at[0]
        header["CRPIX2"] += side / 2 - at[1]
        image = scene.image(header) + rng.uniform(80, 400) + rng.normal(0, NOISE, (side, side))
        fits.PrimaryHDU(image.astype("f4"), header).writeto(folder / f"tile-{k:02}.fits")
    fits.PrimaryHDU(np.zeros(scene.shape, "f4"), scene.grid).writeto(folder / "grid.fits")


def programs(scene: Scene, folder: Path) -> dict[str, list[str]]:
    """The commands, each of which writes the file that is its last word."""
    found = {
        'xccd zero="overlap", feather': [sys.executable, "-c", XCCD, str(folder), str(folder / "xccd.fit")],
        "reproject_and_coadd(match_background)": [sys.executable, "-c", COADD, str(folder), str(folder / "coadd.fit")],
    }
    program = shutil.which("SWarp") or shutil.which("swarp")
    for mesh in (256, None) if program else ():
        out = str(folder / f"swarp-{mesh}.fit")
        background = ["-SUBTRACT_BACK", "Y", "-BACK_SIZE", str(mesh)] if mesh else ["-SUBTRACT_BACK", "N"]
        name = f"SWarp, SUBTRACT_BACK {f'Y, {mesh}' if mesh else 'N'}"
        found[name] = [
            program, *map(str, sorted(folder.glob("tile-*.fits"))), *background, "-RESAMPLING_TYPE", "BILINEAR",
            "-COMBINE_TYPE", "AVERAGE", "-CENTER_TYPE", "MANUAL", "-CENTER", "150.0,2.0", "-PIXELSCALE_TYPE", "MANUAL",
            "-PIXEL_SCALE", str(SIDE * 3600), "-IMAGE_SIZE", f"{scene.shape[1]},{scene.shape[0]}", "-WRITE_XML", "N",
            "-VERBOSE_TYPE", "QUIET", "-RESAMPLE_DIR", str(folder), "-WEIGHTOUT_NAME", str(folder / "weight.fit"),
            "-IMAGEOUT_NAME", out,
        ]  # fmt: skip
    return found


def judged(image: np.ndarray, scene: Scene, truth: np.ndarray) -> tuple[float, float, float]:
    """rms of faint pixels and of blocks, and the ratio of fluxes."""
    good = np.isfinite(image) & (image != 0)
    v, u = np.mgrid[: scene.shape[0], : scene.shape[1]]
    faint, off, ratios = good.copy(), np.where(good, image - truth, np.nan), []
    for x, y, flux in zip(scene.x, scene.y, scene.flux, strict=True):
        i, j = round(float(x)), round(float(y))
        box = slice(max(0, j - 9), j + 10), slice(max(0, i - 9), i + 10)
        faint[box] = False
        if flux > 2e4 and good[box].all() and good[box].size == 361:
            ring = np.hypot(u[box] - x, v[box] - y)
            local = np.median((image - truth)[box][ring > 7])
            ratios.append(((image - truth)[box] - local)[ring < 6].sum() / flux + 1)
    rest = np.where(faint, off - np.nanmedian(off[faint]), np.nan)
    rows, columns = (n // 64 * 64 for n in scene.shape)
    blocks = rest[:rows, :columns].reshape(rows // 64, 64, columns // 64, 64).transpose(0, 2, 1, 3).reshape(-1, 4096)
    means = np.nanmean(blocks[np.isfinite(blocks).mean(1) > 0.5], axis=1) if blocks.size else np.array([np.nan])
    rms = (float(np.sqrt(np.nanmean(v**2))) for v in (rest, means))
    return (*rms, float(np.median(ratios)) if ratios else float("nan"))  # type: ignore[return-value]


def main() -> None:
    options = parser(__doc__)
    options.set_defaults(frames=12, size=1000, repeats=3)
    given = options.parse_args()
    print(machine_text(machine()))
    step, rows = round(0.8 * given.size), -(-given.frames // 4)
    scene = Scene((step * (rows - 1) + given.size, step * (min(given.frames, 4) - 1) + given.size))
    truth = scene.image(scene.grid)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tiles(scene, given.frames, given.size, folder)
        print(f"\n{given.frames} tiles of {given.size} x {given.size} on {scene.shape[0]} x {scene.shape[1]} pixels")
        print(ROW.format("", "seconds", "MB", "faint", "blocks", "flux"))
        for program, command in programs(scene, folder).items():
            measured = []
            for _ in range(given.repeats):
                out = next(Path(word) for word in reversed(command) if word.endswith(".fit"))
                out.unlink(missing_ok=True)
                measured.append(run(command, folder)[::2])
            seconds, memory = min(measured)
            faint, blocks, flux = judged(fits.getdata(out).astype(float), scene, truth)
            row = (f"{seconds:.2f}", f"{memory:.0f}", f"{faint:.2f}", f"{blocks:.3f}", f"{flux:.3f}")
            print(ROW.format(program, *row))


if __name__ == "__main__":
    main()
