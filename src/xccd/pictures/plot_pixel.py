"""`plot_pixel`: the samples of one pixel, kept and rejected, and the bounds of the clip."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from xccd.compute.strided import at_pixel
from xccd.headers.common import history_steps
from xccd.labels.flags import flags_of
from xccd.labels.lazy import array_of
from xccd.messages import is_number
from xccd.pictures.captions import fitting, names_of
from xccd.pictures.causes import CAUSES, UNKNOWN, Cause, compared, numbered
from xccd.pictures.compared import original_of
from xccd.pictures.figure import INK, bare, check_axes, check_matplotlib, new_figure
from xccd.pictures.subject import Subject, numbering, subject
from xccd.verbs.explain import explain
from xccd.verbs.explain_steps import REJECTING, verb_of
from xccd.verbs.explanation import Told

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import PathCollection

Array = np.ndarray[Any, Any]
NAMED = 40  # frames whose names have room below the samples
BLUE = "#1f5fa8"


def plot_pixel(
    obj: xr.DataArray | xr.Dataset,
    y: float,
    x: float,
    original: xr.DataArray | xr.Dataset | None = None,
    *,
    ax: Axes | None = None,
    dim: Hashable = "frame",
) -> list[PathCollection]:
    """Show the samples of one pixel against the frames: which were kept, which were rejected, and why.

    The centre and the bounds of the last rejection are drawn behind them, where `explain` tells them.

    Parameters
    ----------
    obj : DataArray or Dataset
        A stack after a clip. Values of rejected samples are known of a flagged Dataset, of a lazy clip, and with
        ``original``.
    y, x : int
        The pixel, by its numbers on the axes ``y`` and ``x``: a crop keeps the numbers of the whole frame.
    original : DataArray or Dataset, optional
        The stack before the clip.
    ax : matplotlib.axes.Axes, optional
        Draw into these axes.
    dim : hashable, default: "frame"
        The dimension that holds the frames.

    Returns
    -------
    list of matplotlib.collections.PathCollection
        The points: first the samples that are kept, then those of each cause.

    Raises
    ------
    ValueError
        The stack has no such pixel, or no dimension ``dim``; ``original`` does not fit.
    TypeError
        ``obj`` is not a DataArray or a Dataset, ``y`` or ``x`` is no number, or samples are no real numbers.
    ImportError
        matplotlib is not installed.

    See Also
    --------
    plot_rejection : all pixels
    explain : the samples and the bounds as a table

    Notes
    -----
    Only this pixel is read or computed, with the row around it where files or chunks ask for that. Samples without a
    value are marks below the others.

    Examples
    --------
    >>> import numpy as np
    >>> import xccd
    >>> frames = np.random.default_rng(0).normal(500, 5, (8, 4, 4))
    >>> frames[5, 2, 3] = 700
    >>> stack = xccd.open_stack([(frame, {}) for frame in frames])
    >>> clipped = stack.ccd.sigma_clip(4, 4, center="median", deviation="mad_std")
    >>> kept, high = clipped.ccd.plot_pixel(2, 3, original=stack)
    >>> len(kept.get_offsets()), high.get_offsets().tolist(), high.get_label()
    (7, [[5.0, 700.0]], 'rejected as high')
    """
    shown = subject("plot_pixel", obj, dim, colours=False)
    if not shown.has_frames:
        raise ValueError(f"plot_pixel shows a stack, this is one image {dict(shown.stack.sizes)}")
    row, column = index_of(shown, -2, "y", y), index_of(shown, -1, "x", x)
    before = None if original is None else original_of("plot_pixel", original, shown, one_for_all=False)
    check_axes(ax)
    check_matplotlib()
    values, numbers, causes = samples_of(shown, before, row, column)
    kept = int(np.count_nonzero(numbers == 0))
    if ax is None:
        ax = new_figure(min(max(5.0, 2.5 + 0.28 * shown.count), 12.0) + 1.8, 4.2).subplots()
    made = draw_samples(ax, values, numbers, causes, names_of(shown), bounds_of(shown, before, row, column))
    ax.set_title(f"pixel y = {y:g}, x = {x:g}: {kept} of {shown.count} samples are kept", fontsize=10, color=INK)
    ax.set_ylabel(str(shown.stack.attrs.get("units") or "no unit"), parse_math=False)
    return made


def index_of(shown: Subject, axis: int, argument: str, value: Any) -> int:
    """The index of a pixel number along an axis; raises if there is none."""
    if not is_number(value):
        raise TypeError(f"{argument}={value!r} is no number: give that of a pixel")
    name, size = shown.stack.dims[axis], shown.stack.shape[axis]
    first, pitch = numbering(shown.stack, name)
    place = (float(value) - first) / pitch
    if not (np.isfinite(place) and abs(place - round(place)) < 1e-6 and 0 <= round(place) < size):
        last = first + pitch * (size - 1)
        by = "" if pitch == 1 else f" by steps of {pitch:g}"
        raise ValueError(f"{argument}={value!r} is no pixel of this stack: {name} goes from {first:g} to {last:g}{by}")
    return round(place)


def samples_of(
    shown: Subject, before: Subject | None, row: int, column: int
) -> tuple[Array, Array, tuple[Cause, ...]]:  # fmt: skip
    """The samples of a pixel before clips as far as they are known, the number of their cause, and the causes."""
    flags = flags_of(shown.stack)
    values, marks = at_pixel(array_of(shown.stack), None if flags is None else array_of(flags), row, column)
    values = values.astype(np.float64)
    if before is None and marks is not None:
        return np.where(np.isfinite(values), values, np.nan), numbered(marks), CAUSES
    bad = ~np.isfinite(values) if marks is None else (marks != 0) | ~np.isfinite(values)
    if before is None:
        return np.where(bad, np.nan, values), bad.astype(np.uint8), (UNKNOWN,)
    old = flags_of(before.stack)
    was, gone = at_pixel(array_of(before.stack), None if old is None else array_of(old), row, column)
    was = np.where(np.isfinite(was) if gone is None else np.isfinite(was) & (gone == 0), was.astype(np.float64), np.nan)
    return was, numbered(compared(was[:, None], bad[:, None])[:, 0]), CAUSES


def bounds_of(shown: Subject, before: Subject | None, row: int, column: int) -> Told | None:
    """The last rejection of a pixel that has bounds, as `explain` tells it; None if there is none."""
    if not any(verb_of(line) in REJECTING for line in history_steps(shown.stack)):
        return None
    original = None if before is None else _numbered_from_0(before)
    try:
        told = explain(_numbered_from_0(shown), row, column, original=original, dim=shown.dim)
    except ValueError:  # another calibration, or flags beside the stack before: the picture compares them, explain not
        return None
    rules = [rule for rule in told.rules if not rule.why_not and np.isfinite([rule.low, rule.high]).any()]
    return rules[-1] if rules else None


def _numbered_from_0(shown: Subject) -> xr.DataArray:
    """The stack with the axes y and x, and without their labels."""
    *_, y, x = shown.stack.dims
    return shown.stack.drop_vars([y, x], errors="ignore").rename({y: "y", x: "x"})


def draw_samples(
    axes: Axes, values: Array, numbers: Array, causes: tuple[Cause, ...], names: Sequence[str],
    bounds: Told | None = None,
) -> list[PathCollection]:  # fmt: skip
    """Samples against frames, and the bounds within which samples were kept."""
    here, seen = np.arange(len(values)), np.isfinite(values)
    kept = seen & (numbers == 0)
    made = [axes.scatter(here[kept], values[kept], s=30, color=INK, label="kept", zorder=3)]
    for number, cause in enumerate(causes, 1):
        out = numbers == number
        if not out.any():
            continue
        style = (
            {"color": cause.colour, "edgecolors": INK, "linewidths": 0.8} if cause.marker in "v^s" else {"color": INK}
        )
        if (out & seen).any():
            made.append(axes.scatter(here[out & seen], values[out & seen], s=70, marker=cause.marker, label=cause.name,
                                     zorder=4, **style))  # fmt: skip
        if (out & ~seen).any():  # no value: a mark at the lower edge
            made.append(axes.scatter(here[out & ~seen], np.full(np.count_nonzero(out & ~seen), 0.02), s=70, marker="x",
                                     color=INK, label=f"{cause.name}, no value", clip_on=False,
                                     transform=axes.get_xaxis_transform()))  # fmt: skip
    if bounds is not None:
        _draw_bounds(axes, bounds)
    axes.set_xlim(-0.6, len(values) - 0.4)
    if len(values) <= NAMED:
        axes.set_xticks(here, [fitting(name, 24) for name in names], rotation=90, fontsize=8, parse_math=False)
    else:
        axes.set_xlabel("frame")
    bare(axes)
    # Beside the samples, not on them: the band leaves no free place. Only a layout makes room there.
    room = axes.figure.get_layout_engine() is not None
    axes.legend(fontsize=8, **({"loc": "center left", "bbox_to_anchor": (1.0, 0.5)} if room else {"loc": "best"}))
    return made


def _draw_bounds(axes: Axes, rule: Told) -> None:
    """Centre and bounds of each frame, as steps; a side that is off goes to the edge of the picture."""
    edges, verb = np.arange(len(rule.low) + 1) - 0.5, rule.call.partition("(")[0]
    bounds = f"bounds of {verb}"
    for values, style, label in ((rule.center, "--", f"centre of {verb}"), (rule.low, "-", bounds),
                                 (rule.high, "-", bounds)):  # fmt: skip
        if np.isfinite(values).any():
            drawn = np.where(np.isfinite(values), values, np.nan)
            told = label in axes.get_legend_handles_labels()[1]
            axes.stairs(drawn, edges, baseline=None, color=BLUE, ls=style, lw=1.2, label=None if told else label,
                        zorder=2)  # fmt: skip
    bottom, top = axes.get_ylim()
    low, high = (np.where(np.isinf(v), edge, v) for v, edge in ((rule.low, bottom), (rule.high, top)))
    axes.stairs(high, edges, baseline=low, fill=True, color=BLUE, alpha=0.12, zorder=1)
    axes.set_ylim(bottom, top)
