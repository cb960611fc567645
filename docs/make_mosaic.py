"""Draw the pictures of docs/alignment.md, by its own code blocks: python docs/make_mosaic.py."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from astropy.visualization import ZScaleInterval
from matplotlib.figure import Figure

from xccd.sky import footprint

HERE = Path(__file__).resolve().parent
LEVELS: dict[str, dict[str, Any]] = {
    'zero="overlap"': {"zero": "overlap"},
    '..., scale="overlap"': {"zero": "overlap", "scale": "overlap"},
    "..., degree=1": {"zero": "overlap", "scale": "overlap", "degree": 1},
}


def main() -> None:
    """Run the page up to the mosaics; show a light, the mosaic and the weights, and a mosaic under clouds and moon."""
    page = (HERE / "alignment.md").read_text("utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    wanted = [*blocks[:3], next(b for b in blocks if "clouds =" in b)]
    names: dict[str, Any] = {}
    for block in wanted:
        lines = [line[4:] for line in block.splitlines() if line.startswith((">>> ", "... "))]
        exec("\n".join(lines), names)
    weight = footprint.weights("feather", names["aligned"]).compute().sum(0)
    draw("mosaic", {"a light": names["lights"][6].values, "the mosaic": names["mosaic"].values, "weights": weight})
    night = names["night_sky"].load()
    steps = {name: night.ccd.normalize(**how).ccd.combine("median").values for name, how in LEVELS.items()}
    draw("gains", steps, ZScaleInterval().get_limits(steps["..., degree=1"][40:-40, 40:-40]))


def draw(name: str, pictures: dict[str, Any], limits: Any = None) -> None:
    """Three images side by side."""
    figure = Figure(figsize=(10, 3), facecolor="white", layout="constrained")
    for axes, (title, image) in zip(figure.subplots(1, 3), pictures.items(), strict=True):
        own = ZScaleInterval().get_limits(image[np.isfinite(image)]) if limits is None else limits
        least, most = (0, 12) if title == "weights" else own
        axes.imshow(image, origin="lower", cmap="gray", vmin=least, vmax=most)
        axes.set_title(title)
        axes.axis("off")
    figure.savefig(HERE / f"_static/{name}.png", dpi=110)


if __name__ == "__main__":
    main()
