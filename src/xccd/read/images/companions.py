"""Companion files: masks, uncertainties and weights of images in files of their own."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from xccd.headers import cards, uncertainties
from xccd.headers.rows import order_of
from xccd.messages import shown
from xccd.read.files.remote import is_url
from xccd.read.images import quality
from xccd.read.images.chips import Frame, HDUNames
from xccd.read.images.missing import of_file
from xccd.read.images.sources import frames, items
from xccd.read.images.turned import Turned


@dataclass(frozen=True)
class Companions:
    """The files given as an argument, one for each file of images, and the HDU to read in them."""

    argument: str  # "mask", "uncertainty" or "weights"
    given: Any
    hdu: Any = None  # None: as the image

    def of(self, found: Sequence[Frame], opened: HDUNames, errors: str = "raise") -> list[Frame]:
        """The image that belongs to each frame, where ``opened`` is the frames' argument ``hdu``.

        With other ``errors`` than "raise", a companion that cannot be opened has a ``problem``.
        """
        exposures = _by_file(found)
        files = self._files(exposures, errors)
        return [
            one for images, file in zip(exposures, files, strict=True) for one in self._of(images, file, opened, errors)
        ]

    def _of(self, images: Sequence[Frame], file: Any, opened: HDUNames, errors: str) -> list[Frame]:
        """The companions of the images of one file."""
        if images[0].problem:
            return list(images)
        try:
            if isinstance(file, OSError):
                raise file
            own = self._matched(images, file, opened)
        except OSError as error:
            if errors == "raise" or not of_file(error):
                raise
            return [replace(frame, problem=str(error)) for frame in images]
        return [self._checked(frame, one) for frame, one in zip(images, own, strict=True)]

    def _files(self, exposures: Sequence[Sequence[Frame]], errors: str) -> list[Any]:
        """A file for each file of images; raises if there are others, or if one is not there.

        With other ``errors`` than "raise", the error stands in the place of the file.
        """
        if isinstance(self.given, Mapping):
            return [self._or_error(self._renamed, images[0], errors) for images in exposures]
        with self._named():
            files = [item for item, _ in items(self.given)]
        if len(files) != len(exposures):
            names = ", ".join(shown(images[0].file) for images in exposures[:3]) + (", ..." if exposures[3:] else "")
            other = "; mask_where() takes one mask for all" if self.argument == "mask" and len(files) == 1 else ""
            raise ValueError(
                f"{self.argument}= has {len(files)} file(s), the images are in {len(exposures)} ({names}): give one "
                f"for each, in their order, or a pattern of names, as {{'-img': '-wht'}}{other}"
            )
        return [self._or_error(self._there, item, errors) for item in files]

    def _or_error(self, find: Callable[[Any], Any], of: Any, errors: str) -> Any:
        try:
            return find(of)
        except FileNotFoundError as error:
            if errors == "raise":
                raise
            return error

    def _there(self, item: Any) -> Any:
        if isinstance(item, Path) and not item.exists():
            raise FileNotFoundError(f"{self.argument}=: there is no file {shown(item)}")
        return item

    def _renamed(self, image: Frame) -> Any:
        """The companion of a file by the pattern of names."""
        file = image.file
        if not self.given or not all(isinstance(k, str) and k and isinstance(v, str) for k, v in self.given.items()):
            raise TypeError(
                f"{self.argument}={self.given!r} is no pattern of names: give parts of names and what stands in their "
                "place, as {'-img': '-wht'}"
            )
        head = max(file.rfind(mark) for mark in ("/", os.sep)) + 1
        name = file[head:]
        for part, other in self.given.items():
            name = name.replace(part, other)
        if name == file[head:]:
            parts = " or ".join(map(repr, self.given))
            raise ValueError(
                f"{self.argument}={self.given!r}: the name of {shown(file)} has no {parts}: give the files as a list"
            )
        found = file[:head] + name
        if is_url(file):
            return found
        if not Path(found).exists():
            raise FileNotFoundError(
                f"{self.argument}={self.given!r}: there is no file {shown(found)} beside {shown(file)}"
            )
        return Path(found)

    def _opened(self, file: Any, hdu: Any) -> list[Frame]:
        with self._named():
            return frames([file], hdu, None)

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Errors of the files say which argument they were given as."""
        try:
            yield
        except (OSError, TypeError, ValueError) as error:
            kind = next(k for k in (FileNotFoundError, OSError, TypeError, ValueError) if isinstance(error, k))
            text = str(error).removeprefix("files=").removeprefix("files")
            raise kind(f"{self.argument}=: {text.strip()}") from error

    def _matched(self, images: Sequence[Frame], file: Any, opened: HDUNames) -> list[Frame]:
        """The images of a companion file that belong to the frames of a file, which has one or, as chips, more."""
        if self.hdu is not None or opened is None:
            return self._as_many(images, self._opened(file, self.hdu))
        every = self._opened(file, "all")
        if len(images) == 1 and len(every) == 1:
            return every
        if images[0].chip is None:
            return self._as_many(images, self._opened(file, opened))
        for label in (_label, _version):
            by_label = {label(frame): frame for frame in every}
            wanted = [label(frame) for frame in images]
            if set(wanted) <= set(by_label) and len(set(wanted)) == len(wanted):
                return [by_label[own] for own in wanted]
            if label is _label and set(wanted) & set(by_label):
                raise ValueError(self._unclear(images, every))
        if isinstance(opened, str):  # all, in the order of both files
            return self._as_many(images, every)
        return self._as_many(images, self._opened(file, opened))

    def _as_many(self, images: Sequence[Frame], own: list[Frame]) -> list[Frame]:
        if len(own) != len(images):
            raise ValueError(self._unclear(images, own))
        return own

    def _unclear(self, images: Sequence[Frame], own: Sequence[Frame]) -> str:
        one, other = (", ".join(f.chip or "one image" for f in some[:6]) for some in (own, images))
        return (
            f"{self.argument}=: {shown(own[0].file)} has {one}, and {shown(images[0].file)} has {other}: it is not "
            "clear which belongs to which, hdu= names images that both have"
        )

    def _checked(self, frame: Frame, own: Frame) -> Frame:
        """A companion with its rows in the order of the frame's; raises if it has another shape."""
        if own.pixels.shape != frame.pixels.shape:
            raise ValueError(
                f"{self.argument}=: {shown(own.name)} has shape {own.pixels.shape}, its image {shown(frame.name)} "
                f"{frame.pixels.shape}"
            )
        order, other = order_of(frame.header), order_of(own.header)
        turned = isinstance(frame.pixels, Turned)
        against = order != other if order and other else turned
        if against and not turned:
            raise ValueError(
                f"{self.argument}=: {shown(own.name)} has ROWORDER = {other!r}, its image {shown(frame.name)} "
                f"{order!r}: flip one of the files"
            )
        return replace(own, pixels=Turned(own.pixels)) if against else own


def _by_file(found: Sequence[Frame]) -> list[list[Frame]]:
    """The frames of each file together. A label that comes again begins the same file anew."""
    groups: list[list[Frame]] = []
    for frame in found:
        last = groups[-1] if groups else []
        same = bool(last) and frame.chip is not None and last[0].file == frame.file
        if same and frame.chip not in {f.chip for f in last}:
            last.append(frame)
        else:
            groups.append([frame])
    return groups


def _label(frame: Frame) -> str:
    """The label of an image; in a file of one image ""."""
    return frame.chip or ""


def _version(frame: Frame) -> str:
    """The EXTVER in a label, as "2" of "SCI,2": a mask of it may be "DQ,2". Without one the whole label."""
    return _label(frame).rpartition(",")[2]


def with_masks(found: Sequence[Frame], own: Sequence[Frame], bits: Any) -> list[Frame]:
    """The frames with masks from companion files; ``bits`` as for `open_stack`."""
    number = quality.bits_of(bits)
    made = []
    for frame, one in zip(found, own, strict=True):
        if one.problem:
            made.append(replace(frame, problem=one.problem))
        else:
            made.append(replace(frame, mask=quality.bad_pixels(one.pixels, number, f"mask=: {shown(one.name)}")))
    return made


def with_weights(found: Sequence[Frame], own: Sequence[Frame]) -> list[Frame]:
    """The frames with weights from companion files."""
    return [
        replace(frame, problem=one.problem) if one.problem else replace(frame, weight=one.pixels)
        for frame, one in zip(found, own, strict=True)
    ]


def with_uncertainties(found: Sequence[Frame], own: Sequence[Frame], given: str | None) -> list[Frame]:
    """The frames with uncertainties from companion files; ``given`` is the argument ``uncertainty_type``."""
    made = []
    for frame, one in zip(found, own, strict=True):
        if one.problem:
            made.append(replace(frame, problem=one.problem))
            continue
        where = f"uncertainty=: {shown(one.name)}"
        name, utype, unit = (str(cards.card_value(one.header, k) or "").strip() for k in ("EXTNAME", "UTYPE", "BUNIT"))
        kind = uncertainties.type_of(where, name, utype or None, given)
        data = str(cards.card_value(frame.header, "BUNIT") or "").strip()
        unit = uncertainties.unit_of(where, unit, data, kind, given)
        made.append(replace(frame, uncertainty=one.pixels, uncertainty_type=kind, uncertainty_unit=unit))
    return made
