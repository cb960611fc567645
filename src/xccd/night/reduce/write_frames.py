"""Each calibrated frame of a light as a file of its own."""

from __future__ import annotations

from pathlib import Path, PurePath

from xccd.messages import shown
from xccd.night.reduce.calibrate_frames import calibrated
from xccd.night.reduce.work import Work
from xccd.write.fits import to_fits

FOLDER = "calibrated"


def places(work: Work, output: Path) -> list[Path]:
    """The file of each frame; frames of one name in several folders get numbers."""
    found: list[Path] = []
    for file in work.rows["file"]:
        name = PurePath(str(file)).name
        for ending in (".fz", ".gz", ".bz2", ".xz", ".fits", ".fit", ".fts"):
            name = name[: -len(ending)] if name.lower().endswith(ending) else name
        folder, number = output / FOLDER / work.name, 1
        place = folder / f"{name}.fits"
        while place in found:
            number += 1
            place = folder / f"{name}-{number}.fits"
        found.append(place)
    return found


def write_frames(work: Work, output: Path) -> None:
    """Write the frames after overscan, trim, bias, dark and flat, with their maps. Those that fail are named."""
    for i, place in enumerate(places(work, output)):
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            frame = calibrated(work, [i])
        except OSError as error:
            if not work.open_with:
                raise
            work.say(f"no calibrated frame of {shown(place.name)}: {error}")
            continue
        to_fits(frame.isel(frame=0), place, overwrite=True)
