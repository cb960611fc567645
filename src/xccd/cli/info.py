"""`xccd info`: what is in files: HDUs, the image and its keywords, and where it points."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xccd.cli.options import command, files_argument, json_option
from xccd.cli.shell import BAD_INPUT, Stop, answer, stage, visible

if TYPE_CHECKING:
    from collections.abc import Mapping

LABELS = {  # the lines of an image, and how a value is written
    "kind": "{}", "words": "{}", "filter": "{}", "exposure": "{:g} s", "date": "{}", "object": "{}", "unit": "{}",
    "gain": "{:g}", "binning": "{}", "temperature": "{:g}",
}  # fmt: skip


@command("xccd info m51-r.fits")
@files_argument()
@json_option
def info(files: tuple[str, ...]) -> None:
    """Print what is in FILES: HDUs, shape, unit, kind, filter, exposure, date, and the WCS.

    FILES are files, folders, globs and @lists.
    Only headers are read. What is not understood is said. A file that cannot be opened ends with exit code 3, after
    the others.
    """
    from xccd.night.look.file_info import info_of
    from xccd.night.scan.scan import _places

    with stage(BAD_INPUT, OSError, ValueError):
        found = [info_of(place) for one in files for place in _places(one, False)]
    answer(found, "\n\n".join("\n".join(map(visible, lines_of(one))) for one in found))
    if bad := sum(bool(one["problem"]) for one in found):
        raise Stop(BAD_INPUT, f"{bad} of {len(found)} files cannot be opened, see their problem")


def lines_of(found: Mapping[str, Any]) -> list[str]:
    """The lines of a file."""
    lines = [f"{found['file']} ({found['size']:,} bytes)" if found["size"] >= 0 else found["file"]]
    lines += [f"  HDU {hdu['text']}" for hdu in found["hdus"]]
    if found["problem"]:
        lines.append(f"  problem      {found['problem']}")
    image = found["image"]
    if image:
        shape = " x ".join(map(str, image["shape"]))
        lines.append(f"  image        HDU {image['hdu']}: {shape} {image['dtype']}")
        lines += [
            f"  {name:<12} {form.format(image[name])}" for name, form in LABELS.items() if image[name] is not None
        ]
        lines += _of_wcs(image["wcs"])
    return lines + [f"  unclear      {text}" for text in found["unclear"]]


def _of_wcs(wcs: Mapping[str, Any] | None) -> list[str]:
    if wcs is None:
        return ["  WCS          none"]
    if wcs["centre"] is None:
        return [f"  WCS          {wcs['projection']}: not on the sky"]
    (lon, lat), (hms, dms) = wcs["centre"], wcs["sexagesimal"]
    scale = " x ".join(dict.fromkeys(f'{value:.4g}"' for value in wcs["scale"]))
    size = " x ".join(f"{value:.4g}'" for value in wcs["size"])
    flipped = ", mirrored" if wcs["mirrored"] else ""
    return [
        f"  WCS          {wcs['projection']}, {wcs['frame']}",
        f"  centre       {lon:.5f} {lat:+.5f} deg = {hms} {dms}",
        f"  pixel        {scale}, the y axis at position angle {round(wcs['rotation'], 2) + 0:.2f} deg{flipped}",
        f"  field        {size}",
    ]
