"""Draw the pictures of docs/pictures.md by its own code blocks, and that of the demo: python docs/make_pictures.py."""

from __future__ import annotations

import io
import re
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.colors import to_rgb
from PIL import Image

from xccd.pictures.causes import CAUSES
from xccd.pictures.figure import MISSING

HERE = Path(__file__).resolve().parent
GREYS = 128  # of a picture; half the size of a file with all
SHADES = 5  # of each colour of a diagram, from the colour to white and to middle grey
# The name that a block gives to a figure, or to what was drawn, and its dots in an inch.
DPI = {
    "montage": ("preview", 70), "on_sky": ("wcs", 80), "in_colour": ("colour", 70), "compared": ("original", 75),
    "rejected": ("rejection", 80), "points": ("pixel", 80), "measured": ("noise", 80), "matched": ("transforms", 80),
}  # fmt: skip


def main() -> None:
    """Run the page and keep its figures."""
    names: dict[str, Any] = {}
    page = (HERE / "pictures.md").read_text("utf-8")
    lines = re.findall(r"^    (?:>>>|\.\.\.) ?(.*)$", page, re.MULTILINE)
    exec("\n".join(lines), names)
    for name, (file, dpi) in DPI.items():
        drawn = names[name][0] if isinstance(names[name], list) else names[name]
        keep(drawn if hasattr(drawn, "savefig") else drawn.get_figure(), f"pictures_{file}.png", dpi)
    names["lights"][5:8, 64:192, 20:148].ccd.blink(HERE / "_static/pictures_blink.gif", overwrite=True)
    demo()


def keep(figure: Any, name: str, dpi: int) -> None:
    """Write a figure with few colours."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    few(Image.open(buffer), name)


def few(picture: Image.Image, name: str) -> None:
    """Write a picture with the greys and the colours that our pictures have; one in colour as it is."""
    made = picture.convert("RGB")
    if "colour" not in name:
        every, place = np.unique(np.asarray(made).reshape(-1, 3), axis=0, return_inverse=True)
        colours = palette()
        nearest = ((every[:, None].astype(int) - colours) ** 2).sum(-1).argmin(1).astype(np.uint8)
        made = Image.fromarray(nearest[place.ravel()].reshape(made.size[::-1])).convert("P")
        made.putpalette(colours.astype(np.uint8).tobytes())
    made.save(HERE / "_static" / name, optimize=True)


def palette() -> np.ndarray[Any, Any]:
    """Greys, and the colours of missing pixels and of causes on white and on grey, (256, 3)."""
    greys = np.linspace(0, 255, GREYS)[:, None] * np.ones(3)
    colours = [to_rgb(colour) for colour in (MISSING, "#1f5fa8", "#d9822b", *(cause.colour for cause in CAUSES[1:]))]
    shares = np.arange(SHADES)[:, None] / SHADES
    mixed = [255 * (np.array(colour) * (1 - shares) + other * shares) for colour in colours for other in (1.0, 0.5)]
    return np.concatenate([greys, *mixed]).round()[:256]


def demo() -> None:
    """The picture that `xccd demo` draws, smaller."""
    from xccd.demo import run_demo

    folder = run_demo(Path(tempfile.mkdtemp(prefix="xccd-docs-")) / "demo", 0, lambda _: None)
    picture = Image.open(folder / "preview.png")
    few(picture.resize([round(n * 0.75) for n in picture.size], Image.Resampling.LANCZOS), "demo.png")


if __name__ == "__main__":
    main()
