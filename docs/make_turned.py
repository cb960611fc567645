"""Draw the picture of docs/without_wcs.md, by its own code blocks: python docs/make_turned.py."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

HERE = Path(__file__).resolve().parent


def main() -> None:
    """Run the page up to the mean, and show a frame, the mean without and the mean with alignment."""
    page = (HERE / "without_wcs.md").read_text("utf-8")
    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL)[:2]:
        lines = [line[4:] for line in block.splitlines() if line.startswith((">>> ", "... "))]
        exec("\n".join(lines), names)
    stack = names["stack"]
    pictures = {
        "a frame": stack[1].values,
        "mean of the frames": stack.ccd.combine("mean").values,
        "aligned, clipped, mean": names["image"].values,
    }
    figure = Figure(figsize=(10, 2.9), facecolor="white", layout="constrained")
    for axes, (title, image) in zip(figure.subplots(1, 3), pictures.items(), strict=True):
        axes.imshow(image, origin="lower", cmap="gray", vmin=980, vmax=1250)
        axes.set_title(title)
        axes.axis("off")
    figure.savefig(HERE / "_static/turned.png", dpi=80)


if __name__ == "__main__":
    main()
