"""`xccd verify`: what is wrong with files."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from xccd.cli.options import command, files_argument, json_option
from xccd.cli.shell import BAD_INPUT, Stop, answer, stage, visible

if TYPE_CHECKING:
    from xccd.night.look.verify import Verified
    from xccd.night.look.verify_file import FileFacts, Finding


@command("xccd verify night/*.fits --json")
@files_argument()
@json_option
def verify(files: tuple[str, ...]) -> None:
    """Check FILES: their structure, sizes, checksums and samples, and whether they go together.

    FILES are files, folders, globs and @lists.
    All samples are read. A line says what is wrong with a file, or that it is good. Problems (damage, wrong
    checksums, no finite sample, two files with the same samples) end with exit code 3. Warnings (many missing or
    saturated samples, mixed shapes, gains or units) do not.
    """
    from xccd.night.look.verify import verify as verified
    from xccd.night.look.verify_file import PROBLEM

    with stage(BAD_INPUT, OSError, ValueError):
        found = verified(files)
    answer(_plain(found), "\n".join(_lines(found)))
    if bad := found.count(PROBLEM):
        raise Stop(BAD_INPUT, f"{bad} of {len(found.files)} files have problems")


def _lines(found: Verified) -> list[str]:
    from xccd.night.look.verify_file import PROBLEM, WARNING

    lines = []
    for facts in found.files:
        lines += [_line(one, facts.file) for one in facts.findings] or [
            f"{'good':<8} {visible(facts.file)}: {_described(facts)}"
        ]
    lines += [_line(one, "") for one in found.together]
    bad, warned = found.count(PROBLEM), found.count(WARNING)
    good = sum(not facts.findings for facts in found.files)
    return [*lines, f"{len(found.files)} files: {good} good, {warned} with warnings, {bad} with problems"]


def _line(one: Finding, file: str) -> str:
    return f"{one.level:<8} {visible(file)}{': ' if file else ''}{visible(one.text)}"


def _described(facts: FileFacts) -> str:
    """What a good file holds."""
    image = facts.image
    if image is None:
        return f"{len(facts.hdus)} HDUs"
    parts = [f"{'x'.join(map(str, image.shape))} {image.dtype}"]
    parts += [f"{share:.2%} {name}" for name in ("missing", "saturated") if (share := getattr(image, name))]
    if any(hdu.checksum == "good" for hdu in facts.hdus):
        parts.append("checksums hold")
    return ", ".join(parts)


def _plain(found: Verified) -> dict[str, Any]:
    from xccd.night.look.verify_file import PROBLEM, WARNING

    files = []
    for facts in found.files:
        findings = {level: [_finding(o) for o in facts.findings if o.level == level] for level in (PROBLEM, WARNING)}
        hdus = [{k: v for k, v in asdict(hdu).items() if k != "digest"} for hdu in facts.hdus]
        files.append(
            {
                "file": facts.file,
                "size": facts.size,
                "good": not facts.findings,
                "problems": findings[PROBLEM],
                "warnings": findings[WARNING],
                "hdus": hdus,
            }
        )
    return {
        "good": not found.count(PROBLEM),
        "files": files,
        "together": [{"level": one.level, **_finding(one)} for one in found.together],
    }


def _finding(one: Finding) -> dict[str, Any]:
    return {"what": one.what, "hdu": one.hdu, "text": one.text}
