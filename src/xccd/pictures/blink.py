"""`blink`: the frames of a stack one after the other, as a GIF, an MP4 or a player in a notebook."""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import xarray as xr

from xccd.messages import called, did_you_mean, is_number, is_whole
from xccd.pictures.captions import captions, check_keys, names_of
from xccd.pictures.figure import check_matplotlib, greys
from xccd.pictures.limits import check_limits, limits_of
from xccd.pictures.panels import Panel, draw
from xccd.pictures.picked import Picked, picked
from xccd.pictures.subject import step_for, subject
from xccd.pictures.target import checked_target
from xccd.write.place import new_file, replacing

if TYPE_CHECKING:
    from matplotlib.animation import FuncAnimation

SIDE = 640  # pixels of a picture along its longer side
WRITERS = {".gif": "pillow", ".mp4": "ffmpeg"}
OTHER = "ends in neither .gif nor .mp4: name a GIF or an MP4"
STRETCHES = ("same", "each")


def blink(
    obj: xr.DataArray | xr.Dataset,
    path: str | os.PathLike[str] | None = None,
    *,
    fps: float = 2.0,
    n: int = 50,
    stretch: str = "same",
    vmin: float | None = None,
    vmax: float | None = None,
    keys: str | Iterable[str] | None = None,
    cmap: Any = None,
    overwrite: bool = False,
    dim: Hashable = "frame",
) -> Path | Blink:
    """Show the frames of a stack one after the other, in one stretch: what moves or changes is seen at once.

    Parameters
    ----------
    obj : DataArray or Dataset
        A stack, as for `preview`.
    path : path, optional
        The file to write: a GIF, or an MP4 where ffmpeg is installed. Default: none; the result is a player in a
        notebook.
    fps : float, default: 2
        Frames in a second.
    n : int, default: 50
        The most frames that are shown. Of more frames every second, third, ... is shown.
    stretch : {"same", "each"}, default: "same"
        One pair of limits for all frames, or one for each.
    vmin, vmax : float, optional
        Limits of grey in place of those of zscale.
    keys : str or list of str, optional
        Keywords in the titles, as for `preview`.
    cmap : str or Colormap, optional
        Colours in place of greys.
    overwrite : bool, default: False
        Whether a file that is there is replaced.
    dim : hashable, default: "frame"
        The dimension that holds the frames.

    Returns
    -------
    pathlib.Path or Blink
        The file that was written; without ``path`` an object that a notebook shows as a player, and whose
        ``save(path)`` writes it.

    Raises
    ------
    ValueError
        An argument is out of range, there are fewer than two frames, or the path ends in neither .gif nor .mp4.
    TypeError
        ``obj`` or an argument has a wrong type, or samples are no real numbers.
    OSError
        The file exists, or cannot be written, or there is no ffmpeg for an MP4.
    ImportError
        matplotlib is not installed.

    See Also
    --------
    preview : the frames side by side

    Examples
    --------
    >>> import numpy as np
    >>> import xccd
    >>> rng = np.random.default_rng(0)
    >>> stack = xccd.open_stack([(rng.normal(500, 5, (64, 64)), {}) for _ in range(3)])
    >>> stack.ccd.blink()
    Blink of 3 frames: a notebook shows a player, save("blink.gif") writes it
    >>> stack.ccd.blink("blink.gif")  # doctest: +SKIP
    PosixPath('blink.gif')
    """
    what = subject("blink", obj, dim)
    if what.count < 2:
        raise ValueError(f"blink shows two frames or more, there is one, of {dict(what.stack.sizes)}: use preview")
    if not is_number(fps):
        raise TypeError(f"fps={fps!r} is no number")
    if not 0 < fps <= 60:
        raise ValueError(f"fps={fps!r} is not above 0 and up to 60 frames in a second")
    if not is_whole(n):
        raise TypeError(f"n={n!r} is no whole number")
    if n < 2:
        raise ValueError(f"n={n!r} is below 2: give how many frames to show")
    if stretch not in STRETCHES:
        near = did_you_mean(stretch, STRETCHES)
        raise ValueError(f"stretch={called(stretch)} is unknown: use one of {', '.join(STRETCHES)}{near}")
    check_limits(vmin, vmax)
    names = check_keys(what, keys)
    target = None if path is None else checked_target(path, overwrite, WRITERS, OTHER, "blink.gif")
    check_matplotlib()
    greys(cmap)
    if target is not None:
        _check_writer(target)
    some = picked(what.count, n)
    step = step_for(what.size, SIDE)
    values = what.look(step, some.numbers)
    together = limits_of(values, vmin, vmax, what.has_colours) if stretch == "same" else None
    shared, rest = captions(what, names, some.numbers)
    titles = names_of(what)
    panels = [
        Panel(one, together or limits_of(one[None], vmin, vmax, what.has_colours), what.edges(step), titles[i],
              ", ".join(filter(None, (*shared, more))), step=step)
        for i, one, more in zip(some.numbers, values, rest, strict=True)
    ]  # fmt: skip
    made = Blink(panels, float(fps), some, cmap)
    return made if target is None else made.save(target, overwrite=overwrite)


class Blink:
    """Frames one after the other: a notebook shows a player, and `save` writes a GIF or an MP4."""

    def __init__(self, panels: list[Panel], fps: float, some: Picked, cmap: Any) -> None:
        self._panels, self._fps, self._some, self._cmap = panels, fps, some, cmap

    def __repr__(self) -> str:
        left_out = f" ({self._some.text})" if self._some.text else ""
        return f'Blink of {len(self._panels)} frames{left_out}: a notebook shows a player, save("blink.gif") writes it'

    def _repr_html_(self) -> str:
        animation: Any = self._animation()
        html: str = animation.to_jshtml(fps=self._fps)
        return html

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write the frames to a file, whole or not at all: a GIF, or an MP4 where ffmpeg is."""
        target = checked_target(path, overwrite, WRITERS, OTHER, "blink.gif")
        _check_writer(target)
        with TemporaryDirectory() as folder:
            made = Path(folder) / f"blink{target.suffix.lower()}"
            animation: Any = self._animation()
            animation.save(made, writer=WRITERS[target.suffix.lower()], fps=self._fps)
            data = made.read_bytes()
        with replacing(target, lambda folder: new_file(folder, overwrite=overwrite), lambda: len(data)) as file:
            file.write(data)
        return target

    def _animation(self) -> FuncAnimation:
        """The animation of matplotlib, in a figure of its own."""
        from matplotlib.animation import FuncAnimation
        from matplotlib.figure import Figure

        height, width = self._panels[0].values.shape[:2]
        inches = 6.0 * min(1.0, width / height), 6.0 * min(1.0, height / width)
        figure = Figure(figsize=(max(inches[0], 3.0) + 0.2, inches[1] + 0.7), dpi=100, layout="compressed")
        axes = figure.subplots()

        def show(k: int) -> list[Any]:
            axes.clear()
            return [draw(axes, self._panels[k], self._cmap, ticked=False)]

        return FuncAnimation(figure, show, frames=len(self._panels), init_func=lambda: [], interval=1000 / self._fps)


def _check_writer(target: Path) -> None:
    from matplotlib.animation import writers

    if not writers.is_available(WRITERS[target.suffix.lower()]):
        raise OSError(f"path={str(target)!r}: an MP4 needs ffmpeg, which is not installed here: write a .gif instead")
