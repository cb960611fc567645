"""A plan as text, and in the types of JSON."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from xccd.compute import options
from xccd.compute.deferred import BAND_BYTES, COPIES, SCRATCH
from xccd.messages import is_number, shown
from xccd.night.plan.names import seconds

if TYPE_CHECKING:
    from pandas import DataFrame

    from xccd.night.plan.jobs import Job, Part, Plan

# Bytes, as arrays are held: float32 values and uncertainties, flags of 8 bits, counts of 32. Nights of 10 biases, 5
# darks, 6 flats and 8 or 30 lights of 512 x 512 and 1024 x 1024 took 0.8 to 1.3 times what is estimated.
# Of a sample of the frames: value, uncertainty, flags; a bias has no uncertainty and is used as it is read; lights are
# moved, which takes places in the sky and neighbours, too.
SAMPLE = {"bias": 2, "dark": 9, "flat": 9, "light": 50}
MOVED = 2.8  # what a band of lights takes, in bands of other frames
MASTER = 13  # of a pixel of a master: also the part of its uncertainty that its own masters give
PIXEL = 48  # of a pixel of a product, with all its maps, as they are made and as they are written
LEVEL = 4  # of a sample, while levels are measured: of 16 frames, or fewer with a limit
TOGETHER, SHARE, USUAL = 16, 16, 2 << 30
FILES = 3  # names in a line


def bytes_to_read(frames: DataFrame) -> int:
    """The sizes of their files, each once; files of an unknown size count nothing."""
    if "size" not in frames.columns:
        return 0
    sizes = dict(zip(frames["file"].tolist(), frames["size"].tolist(), strict=True))
    return int(sum(size for size in sizes.values() if is_number(size) and size > 0))


def bands_at_a_time() -> int:
    """The bytes of frames that are worked on at a time."""
    limit, band = options.memory(), BAND_BYTES * COPIES + SCRATCH
    return min(options.threads() * band, limit or 1 << 60)


def memory_of(job: Job, bands: int) -> int:
    """The memory that a product needs, estimated from shapes.

    The product and its maps, each master with its maps, the bands of frames that are worked on at a time: as many as
    each thread has, within the limit of `set_options`, and no more than all frames. Of flats and lights also the frames
    whose levels are measured together.
    """
    if job.ready:
        return 0
    pixels, frames = math.prod(map(int, str(job.frames["shape"].iloc[0]).split("x"))), len(job.frames)
    together = max(1, min(TOGETHER, frames, (options.memory() or USUAL) // SHARE // max(1, pixels * LEVEL)))
    levels = LEVEL * together if job.kind in ("flat", "light") else 0
    if job.kind == "light":
        bands = int(bands * MOVED)
    return pixels * (PIXEL + MASTER * len(job.needs) + levels) + min(pixels * SAMPLE[job.kind] * frames, bands)


def tree(plan: Plan) -> str:
    """The products with frames, masters and notes, then what is left out."""
    made = [job for job in plan.jobs if not job.ready]
    frames = sum(len(job.frames) for job in made)
    total = sum(bytes_to_read(job.frames) for job in made)
    bands = bands_at_a_time()
    most = max((memory_of(job, bands) for job in made), default=0)
    lines = [
        f"{_count(len(made), 'product')} of {_count(frames, 'frame')}, {_size(total)} to read, "
        f"up to {_size(most)} of memory"
    ]
    for job in plan.jobs:
        lines += ["", _title(job, bands), *_branches([*_pieces(job), *(f"note: {shown(note)}" for note in job.notes)])]
    if len(plan.left_out):
        lines += ["", f"left out: {_count(len(plan.left_out), 'frame')}", *_branches(_reasons(plan.left_out))]
    return "\n".join(lines)


def _title(job: Job, bands: int) -> str:
    if job.ready:
        return f"{shown(job.ready)}: a master {job.kind} that is there, {_size(bytes_to_read(job.frames))}"
    own = [_count(len(job.frames), job.kind if job.kind != "bias" else "bias frame")]
    times = sorted({time for time in job.frames["exposure"].tolist() if is_number(time) and time == time})
    if job.kind != "bias" and times:
        own.append(" to ".join(dict.fromkeys(map(seconds, (times[0], times[-1])))))
    own += [f"{_size(bytes_to_read(job.frames))} to read", f"{_size(memory_of(job, bands))} of memory"]
    return f"{job.path}: {', '.join(own)}"


def _pieces(job: Job) -> list[str]:
    """The masters of a job; of each part if it has several."""
    lines = []
    for part in job.pieces:
        first = f"{_count(len(part.frames), 'frame')} with " if job.parts else ""
        masters = [_master(kind, master, part) for kind, master in part.masters.items()]
        if masters or first:
            lines.append(first + (", ".join(masters) or "no masters"))
    return lines


def _master(kind: str, master: Job, part: Part) -> str:
    name = shown(master.ready) or master.path
    return f"{name} (as it is)" if kind == "dark" and not part.scale_dark else name


def _reasons(left_out: DataFrame) -> list[str]:
    """A line for each reason, with the first files."""
    files = defaultdict(list)
    for file, why in zip(left_out["file"], left_out["why"], strict=True):
        files[why].append(shown(PurePath(file).name))
    return [
        f"{', '.join(names[:FILES])}{f' and {len(names) - FILES} more' if names[FILES:] else ''}: {why}"
        for why, names in files.items()
    ]


def _branches(lines: Iterable[str]) -> list[str]:
    every = list(lines)
    return [f"{'└' if i == len(every) - 1 else '├'}── {line}" for i, line in enumerate(every)]


def _count(n: int, word: str) -> str:
    return f"{n} {word}{'' if n == 1 else 's'}"


def _size(n: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if n < 999.5:
            return f"{n:.0f} {unit}" if n >= 9.95 or unit == "B" else f"{n:.1f} {unit}"
        n /= 1000
    return f"{n:.1f} TB"


def as_dict(plan: Plan) -> dict[str, Any]:
    """The plan in the types of JSON: a list of products, and one of the files that are left out."""
    bands = bands_at_a_time()
    return {
        "products": [
            {
                "name": job.name,
                "kind": job.kind,
                "path": job.ready or job.path,
                "ready": bool(job.ready),
                "frames": _files(job.frames),
                "parts": [
                    {
                        "frames": _files(part.frames),
                        "masters": {kind: master.name for kind, master in part.masters.items()},
                        "scale_dark": part.scale_dark,
                    }
                    for part in job.pieces
                ],
                "notes": list(job.notes),
                "bytes": bytes_to_read(job.frames),
                "memory": memory_of(job, bands),
            }
            for job in plan.jobs
        ],
        "left_out": [
            {"file": file, "why": why}
            for file, why in zip(plan.left_out["file"].tolist(), plan.left_out["why"].tolist(), strict=True)
        ],
    }


def _files(frames: DataFrame) -> list[Any]:
    """The files; with their HDU if one file has several."""
    names: list[Any] = frames["file"].tolist()
    if "hdu" in frames.columns and len(set(names)) < len(names):
        return [[name, int(hdu)] for name, hdu in zip(names, frames["hdu"].tolist(), strict=True)]
    return names
