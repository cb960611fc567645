"""Draw the mosaics of docs/alignment.md: python docs/make_mosaic.py.

The first picture comes from the page's own code blocks, the second from the tiles of benchmarks/mosaic.py.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.visualization import ZScaleInterval
from matplotlib.figure import Figure

import xccd
from xccd.sky import footprint

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "benchmarks"))
import mosaic  # noqa: E402

SIDE = 360  # pixels of a tile
LEVELS: dict[str, dict[str, Any]] = {
    'zero="overlap"': {"zero": "overlap"},
    '..., scale="overlap"': {"zero": "overlap", "scale": "overlap"},
    "..., degree=1": {"zero": "overlap", "scale": "overlap", "degree": 1},
}


def main() -> None:
    """A light, the mosaic and its weights; and a mosaic under clouds and moon."""
    page = (HERE / "alignment.md").read_text("utf-8")
    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL)[:3]:
        lines = [line[4:] for line in block.splitlines() if line.startswith((">>> ", "... "))]
        exec("\n".join(lines), names)
    weight = footprint.weights("feather", names["aligned"]).compute().sum(0)
    draw("mosaic", {"a light": names["lights"][6].values, "the mosaic": names["mosaic"].values, "weights": weight})
    aligned = clouded()
    steps = {"as they are": aligned} | {name: aligned.ccd.normalize(**how) for name, how in LEVELS.items()}
    draw(
        "gains", {name: stack.ccd.combine("mean", weights="feather").values for name, stack in steps.items()}, (60, 160)
    )


def clouded() -> Any:
    """Twelve aligned tiles of one field: each with its own gain (0.55 to 1.8), sky and slope of the sky."""
    rng = np.random.default_rng(3)
    scene = mosaic.Scene((3 * SIDE - 160, 4 * SIDE - 240))
    scene.x, scene.y = (rng.uniform(0, n, 1300) for n in scene.shape[::-1])
    scene.flux = 10 ** rng.uniform(3, 4.6, 1300)
    v, u = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    with tempfile.TemporaryDirectory() as folder:
        mosaic.tiles(scene, 12, SIDE, Path(folder))
        frames = []
        for file in sorted(Path(folder).glob("tile-*.fits")):
            with fits.open(file) as hdus:
                clear = not frames  # the first has no clouds and no moon: all others are brought to its sky
                gain, (a, b) = np.exp(rng.uniform(-0.6, 0.6) * (not clear)), rng.normal(0, 25, 2) * (not clear)
                frames.append((hdus[0].data * gain + a * v + b * u, dict(hdus[0].header) | {"EXPTIME": 60.0}))
        return xccd.open_stack(frames).ccd.align(Path(folder) / "grid.fits").load()


def draw(name: str, pictures: dict[str, Any], about: tuple[float, float] | None = None) -> None:
    """Images side by side, from so much below their median to so much above it, or by their own limits."""
    shape, size = ((2, 2), (10, 7.2)) if len(pictures) == 4 else ((1, 3), (10, 3))
    figure = Figure(figsize=size, facecolor="white", layout="constrained")
    for axes, (title, image) in zip(figure.subplots(*shape).flat, pictures.items(), strict=True):
        finite = image[np.isfinite(image)]
        least, most = (0, 12) if title == "weights" else ZScaleInterval().get_limits(finite)
        if about:
            least, most = np.median(finite) - about[0], np.median(finite) + about[1]
        axes.imshow(image, origin="lower", cmap="gray", vmin=least, vmax=most)
        axes.set_title(title)
        axes.axis("off")
    figure.savefig(HERE / f"_static/{name}.png", dpi=80)


if __name__ == "__main__":
    main()
