"""Which images of a file are opened, and which mask and uncertainty belong to each of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeVar

from xccd.headers import cards, uncertainties
from xccd.messages import did_you_mean, shown
from xccd.read.images import quality
from xccd.read.images.hdus import HDUName
from xccd.read.images.pixels import PixelReader

HDUNames = HDUName | list[HDUName] | range  # one image of a file, all ("all"), or some
Wanted = HDUName | list[str]  # a map: its number, its name, or several names of which the first found is taken

# The names that a default stands for, tried in this order. A list of names stands for itself.
MASKS = ["MASK", "DQ"]
STANDS_FOR = {"mask_hdu": {"MASK": MASKS}, "uncertainty_hdu": {"UNCERT": uncertainties.NAMES}}
COMMON = "COMMON"  # the extension of what the uncertainties of several images share; with UTYPE, as `to_fits` writes it
# Images that are maps of others, by a word in their EXTNAME or by the whole EXTNAME.
MAP_WORDS = frozenset({
    "MASK", "MSK", "DQ", "BPM", "FLG", "ERR", "ERROR", "UNCERT", "UNCERTAINTY", "SIGMA", "STDDEV", "RMS", "VAR",
    "VARIANCE", "IVAR", "INVVAR", "WHT", "WGT", "WEIGHT",
})  # fmt: skip
MAP_NAMES = frozenset({
    "COUNT", "FLAGS", "STD", "STDEV", "ERRORS", "INVERSEVARIANCE", "INVVARIANCE", "WEIGHTS", "WEIGHTMAP",
    "CON", "CTX", "SAMP", "TIME", "AREA", "EXPOSURE", "EXPMAP", "NCOMBINE", "NSAMP", "NOISE", "CONF", "CONFIDENCE",
    "COVERAGE", "WCSDVARR", "D2IMARR", "REJECTEDLOW", "REJECTEDHIGH", "PSFIMAGE",
    COMMON,
})  # fmt: skip


class NoImageError(OSError):
    """A sound file without an image."""


@dataclass(frozen=True)
class Frame:
    """One image before it is stacked."""

    file: str
    header: str
    pixels: PixelReader
    mask: PixelReader | None = None
    uncertainty: PixelReader | None = None
    uncertainty_type: str = "std"
    uncertainty_unit: str = ""
    common: PixelReader | None = None  # the part of the uncertainty that all frames share, of the same type
    flags: PixelReader | None = None  # the bits of `xccd.kernels.flags.Flag`
    chip: str | None = None  # the label of the image, if several of each file were opened
    hdu: int = 0  # the number of its HDU
    weight: PixelReader | None = None  # from a companion file
    problem: str = ""  # why its file cannot be opened

    @property
    def name(self) -> str:
        """The name in messages."""
        return self.file if self.chip is None else f"{self.file}[{self.chip}]"


class Unit(Protocol):
    """An HDU in a file or in memory."""

    @property
    def index(self) -> int: ...
    @property
    def name(self) -> str:
        """EXTNAME in upper case; "PRIMARY" for a first HDU without one."""

    @property
    def is_image(self) -> bool: ...
    @property
    def text(self) -> str:
        """The header text."""

    def value(self, keyword: str) -> Any:
        """The value of a card, None without it."""


U = TypeVar("U", bound=Unit)


class Chip(NamedTuple):
    """The parts of an image's label. The label itself depends on the names in all files."""

    name: str  # "" without EXTNAME
    version: Any
    number: int
    alike: int  # images of the file with this name and version

    def label(self, repeated: set[str]) -> str:
        """EXTNAME, with EXTVER if some file repeats the name; the HDU number if these are missing or not unique."""
        if not self.name or self.alike > 1:
            return str(self.number)
        return f"{self.name},{self.version}" if self.name.upper() in repeated else self.name


class Opened(NamedTuple):
    """The frames of one file, and what is known of its other images."""

    frames: list[Frame]
    chips: tuple[Chip, ...] = ()  # one for each frame, if several images were requested
    repeated: frozenset[str] = frozenset()  # names of more than one image of the file
    left: tuple[str, ...] = ()  # images not opened, for the log


@dataclass(frozen=True)
class Options:
    """The openers' arguments, checked: which HDUs are read, and how."""

    hdu: HDUNames = None
    mask_hdu: Wanted = None
    uncertainty_hdu: Wanted = None
    bits: int | None = None
    uncertainty_type: str | None = None

    @classmethod
    def of(cls, hdu: Any, mask_hdu: Any, uncertainty_hdu: Any = None, bits: Any = None, kind: Any = None) -> Options:
        """From the arguments as given; raises if they are unusable."""
        if isinstance(hdu, str) and hdu.strip().upper() == "ALL":
            hdu = "all"
        elif isinstance(hdu, (list, range)):
            hdu = list(hdu)
            if not hdu:
                raise ValueError(f"hdu={hdu} names no image: None takes the first, 'all' takes all")
            for one in hdu:
                _check_name("hdu", one, of=hdu)
        else:
            _check_name("hdu", hdu)
        for name, value in (("mask_hdu", mask_hdu), ("uncertainty_hdu", uncertainty_hdu)):
            if isinstance(value, list) and value and all(isinstance(v, str) for v in value):
                continue
            _check_name(name, value)
        found = quality.bits_of(bits)
        if found is not None and mask_hdu is None:
            raise ValueError(f"bits={bits!r} goes with a mask: mask_hdu=None reads none")
        uncertainties.check_type(kind, uncertainty_hdu)
        return cls(hdu, mask_hdu, uncertainty_hdu, found, kind)

    @property
    def several(self) -> bool:
        """Whether more than one image of each file may be read."""
        return self.hdu == "all" or isinstance(self.hdu, list)

    @property
    def maps(self) -> bool:
        """Whether a mask or uncertainties are read."""
        return self.mask_hdu is not None or self.uncertainty_hdu is not None

    def names(self, argument: str) -> list[Any]:
        """The names or numbers under which a map is looked for, in order."""
        given = getattr(self, argument)
        if isinstance(given, list) or given is None:
            return given or []
        known = STANDS_FOR[argument]
        return known.get(given.upper(), [given]) if isinstance(given, str) else [given]

    def is_map(self, unit: Unit) -> bool:
        """Whether an image is a map of another one, by its name."""
        words = set(re.findall(r"[A-Z]+", unit.name))
        wanted = [*self.names("mask_hdu"), *self.names("uncertainty_hdu")]
        known = bool(words & MAP_WORDS) or uncertainties.bare_name(unit.name) in MAP_NAMES
        return known or any(matches(unit, name) for name in wanted)


def _check_name(argument: str, value: Any, of: Any = None) -> None:
    """Raise if a value cannot name an HDU; ``of`` is the list that holds it."""
    given = f"{argument}={value!r}" if of is None else f"{argument}={of!r}: {value!r}"
    if isinstance(value, bool) or not isinstance(value, (int, str, tuple, type(None))) or (of and value is None):
        raise TypeError(f"{given} is neither the number of an HDU nor its EXTNAME")
    if isinstance(value, tuple) and [type(v) for v in value] != [str, int]:
        hint = ", and several are a list" if argument == "hdu" else ""
        raise TypeError(f"{given} is not (EXTNAME, EXTVER), as ('SCI', 2){hint}")
    if isinstance(value, int) and value < 0:
        raise ValueError(f"{given}: HDUs are numbered from 0")


def matches(unit: Unit, hdu: Any) -> bool:
    """Whether the HDU is the one named by ``hdu``; any image if that is None."""
    if hdu is None:
        return unit.is_image
    if isinstance(hdu, tuple):
        return (unit.name, version(unit)) == (hdu[0].strip().upper(), hdu[1])
    return unit.index == hdu if isinstance(hdu, int) else unit.name == hdu.strip().upper()


def version(unit: Unit) -> Any:
    """EXTVER; 1 without one, the standard's default."""
    found = unit.value("EXTVER")
    return 1 if found is None else found


def opened(
    label: str,
    units: Sequence[U],
    listing: Callable[[], str],
    options: Options,
    pixels: Callable[[U, bool], PixelReader],
) -> Opened:
    """The frames of a file, from its HDUs.

    ``label`` is the file's name in messages, ``listing()`` describes its HDUs, ``pixels(unit, as_bits)`` is a reader.
    """
    images = _wanted_images(label, units, listing, options)
    frames = [_frame_of_image(label, unit, units, options, pixels) for unit in images]
    if not options.several:
        more = len(units) > 1 and may_leave(options)
        left = tuple(_called(u) for u in _rivals(units, options) if u not in images) if more else ()
        return Opened(frames, left=left)
    names = [(_own_name(u).upper(), version(u)) for u in _peers(images[0], units, options)]
    of_name, of_both = Counter(name for name, _ in names), Counter(names)
    chips = tuple(Chip(_own_name(u), version(u), u.index, of_both[_own_name(u).upper(), version(u)]) for u in images)
    return Opened(frames, chips, frozenset(name for name, n in of_name.items() if name and n > 1))


def may_leave(options: Options) -> bool:
    """Whether the user may not know of further images: neither a number nor a version was given."""
    return options.hdu is None or (isinstance(options.hdu, str) and not options.several)


def _rivals(units: Sequence[U], options: Options) -> list[U]:
    """The images that match as well as the opened one, and that one."""
    images = [u for u in units if u.is_image]
    return [u for u in images if (not options.is_map(u) if options.hdu is None else matches(u, options.hdu))]


def _wanted_images(label: str, units: Sequence[U], listing: Callable[[], str], options: Options) -> list[U]:
    """The requested images, in the order of the list ``hdu``, else of the file."""
    if options.hdu == "all":
        images = [u for u in units if u.is_image]
        if not images:
            raise NoImageError(f"{shown(label)} has no image: its HDUs are {listing()}")
        return [u for u in images if not options.is_map(u)] or images
    found: list[U] = []
    for hdu in options.hdu if isinstance(options.hdu, list) else [options.hdu]:
        unit = next((u for u in units if matches(u, hdu)), None)
        if unit is None and hdu is None:
            raise NoImageError(f"{shown(label)} has no image: its HDUs are {listing()}")
        if unit is None:
            near = did_you_mean(hdu[0] if isinstance(hdu, tuple) else hdu, [u.name for u in units if u.name])
            raise OSError(f"{shown(label)} has no hdu={hdu!r}: its HDUs are {listing()}{near}")
        if not unit.is_image:
            raise OSError(f"{shown(label)}: hdu={hdu!r} is not an image, but {unit}")
        if unit in found:
            raise ValueError(f"hdu={options.hdu!r}: {hdu!r} is an image of {shown(label)} that is already in the list")
        found.append(unit)
    return found


def _peers(image: U, units: Sequence[U], options: Options) -> list[U]:
    """The images between which a map must be assigned: the chips of a file; for a map as image, maps of its name."""
    images = [u for u in units if u.is_image]
    if options.is_map(image):
        return [u for u in images if u.name == image.name]
    return [u for u in images if not options.is_map(u)]


def _own_name(unit: Unit) -> str:
    return str(unit.value("EXTNAME") or "").strip()


def _called(unit: Unit) -> str:
    name = _own_name(unit)
    number = unit.value("EXTVER")
    return f"{unit.index}" if not name else name if number is None else f"{name},{number}"


def _frame_of_image(
    label: str, image: U, units: Sequence[U], options: Options, pixels: Callable[[U, bool], PixelReader]
) -> Frame:  # fmt: skip
    """One image with its mask, its uncertainties and the header that it inherits."""
    own = image is units[0] or image.text.startswith("SIMPLE")  # SIMPLE: it was the primary image before compression
    text = image.text if own else cards.inherit(image.text, units[0].text)
    mask, error = (_map_of(label, image, units, options, argument) for argument in ("mask_hdu", "uncertainty_hdu"))
    kind, unit, shared = "std", "", None
    if error is not None:
        where, given = f"{shown(label)}: the extension {error}", options.uncertainty_type
        kind = uncertainties.type_of(where, _own_name(error), error.value("UTYPE"), given)
        data, its = (str(u or "").strip() for u in (cards.card_value(text, "BUNIT"), error.value("BUNIT")))
        unit = uncertainties.unit_of(where, its, data, kind, given)
        shared = _common_of(label, image, units, options, kind)
    bad = None
    if mask is not None:
        plane = pixels(mask, options.bits is not None)
        bad = quality.bad_pixels(plane, options.bits, f"{shown(label)}: the extension {mask}")
    return Frame(
        label, text, pixels(image, False),
        mask=bad,
        uncertainty=None if error is None else pixels(error, False),
        uncertainty_type=kind,
        uncertainty_unit=unit,
        hdu=image.index,
        common=None if shared is None else pixels(shared, False),
    )  # fmt: skip


def _common_of(label: str, image: U, units: Sequence[U], options: Options, kind: str) -> U | None:
    """The extension of the part of the uncertainty that all frames share; None if its type is not that of both."""
    named = [u for u in units if u is not image and u.is_image and u.name == COMMON and u.value("UTYPE")]
    found = _of_image(label, image, named, units, options, "uncertainty_hdu")
    return next((u for u in found if uncertainties.BY_UTYPE.get(str(u.value("UTYPE")).strip().upper()) == kind), None)


def _map_of(label: str, image: U, units: Sequence[U], options: Options, argument: str) -> U | None:
    """The map of an image: that with its EXTVER, else by its place in the file; raises if both are ambiguous."""
    given = getattr(options, argument)
    tables: list[U] = []
    for name in options.names(argument):
        named = [u for u in units if u is not image and matches(u, name)]
        hits = [u for u in named if u.is_image]
        tables += [u for u in named if not u.is_image]
        found = hits if not isinstance(name, str) else _of_image(label, image, hits, units, options, argument)
        if found:
            return found[0]
    if tables:
        raise OSError(
            f"{shown(label)}: {argument}={given!r} is not an image, but {tables[0]}: {argument}=None leaves it"
        )
    return None


def _of_image(
    label: str, image: U, hits: list[U], units: Sequence[U], options: Options, argument: str
) -> list[U]:  # fmt: skip
    """The map in ``hits`` (all of one name) that belongs to ``image``, as a list; [] if none does."""
    peers = _peers(image, units, options)
    hits = [u for u in hits if u not in peers]
    if any(u.value("EXTVER") is not None for u in peers) and any(u.value("EXTVER") is not None for u in hits):
        # A map with another EXTVER belongs to another image, a map without EXTVER may belong to all. An image without
        # EXTVER counts as 1, unless another image has EXTVER = 1.
        own = image.value("EXTVER")
        first = own is not None or not any(u.value("EXTVER") == 1 for u in peers)
        of_own = [u for u in hits if first and version(u) == version(image)]
        hits = of_own or [u for u in hits if u.value("EXTVER") is None]
        peers = [u for u in peers if version(u) == version(image)]
    if len(hits) < 2 and not (hits and peers[0].index < hits[0].index < peers[-1].index):
        return hits  # a single map before or after all images belongs to all
    if len(hits) == len(peers):  # one map for each image, in their order
        return [hits[peers.index(image)]]
    places = [max((p.index for p in peers if p.index < u.index), default=-1) for u in hits]
    if -1 in places or len(set(places)) < len(places):
        raise OSError(
            f"{shown(label)}: it has {len(hits)} extensions {hits[0].name} for {len(peers)} image(s), and EXTVER does "
            f"not tell which belongs to which image: {argument}= takes a number, {argument}=None leaves them"
        )
    return [u for u, place in zip(hits, places, strict=True) if place == image.index]
