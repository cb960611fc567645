"""Which images of a file are opened, and which maps lie beside each of them."""

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
from xccd.read.images.pixels import Pixels

HDUNames = HDUName | list[HDUName] | range  # one, all ("all"), or some of the images of a file
Wanted = HDUName | list[str]  # a map: by number, by name, by the first of several names that is there

# What a default stands for: names in the order in which they are looked for. A list of names is taken as it is.
MASKS = ["MASK", "DQ"]
STANDS_FOR = {"mask_hdu": {"MASK": MASKS}, "uncertainty_hdu": {"UNCERT": uncertainties.NAMES}}
# Images that belong to others: by a word of their name, or by all of it.
MAP_WORDS = frozenset({
    "MASK", "MSK", "DQ", "BPM", "FLG", "ERR", "ERROR", "UNCERT", "UNCERTAINTY", "SIGMA", "STDDEV", "RMS", "VAR",
    "VARIANCE", "IVAR", "INVVAR", "WHT", "WGT", "WEIGHT",
})  # fmt: skip
MAP_NAMES = frozenset({
    "COUNT", "FLAGS", "STD", "STDEV", "ERRORS", "INVERSEVARIANCE", "INVVARIANCE", "WEIGHTS", "WEIGHTMAP",
    "CON", "CTX", "SAMP", "TIME", "AREA", "EXPOSURE", "EXPMAP", "NCOMBINE", "NSAMP", "NOISE", "CONF", "CONFIDENCE",
    "COVERAGE", "WCSDVARR", "D2IMARR", "REJECTEDLOW", "REJECTEDHIGH", "PSFIMAGE",
})  # fmt: skip


class NoImageError(OSError):
    """A file that is sound, and holds no image."""


@dataclass(frozen=True)
class Frame:
    """One image before it is stacked."""

    file: str
    header: str
    pixels: Pixels
    mask: Pixels | None = None
    uncertainty: Pixels | None = None
    uncertainty_type: str = "std"
    uncertainty_unit: str = ""
    flags: Pixels | None = None  # bits, as `xccd.kernels.flags.Flag` has them
    chip: str | None = None  # of which image of its file, where several were asked for

    @property
    def name(self) -> str:
        """What messages call it."""
        return self.file if self.chip is None else f"{self.file}[{self.chip}]"


class Unit(Protocol):
    """An HDU, of a file or in memory."""

    @property
    def index(self) -> int: ...
    @property
    def name(self) -> str:
        """In upper case; PRIMARY for the first one without a name."""

    @property
    def is_image(self) -> bool: ...
    @property
    def text(self) -> str:
        """The header."""

    def value(self, keyword: str) -> Any:
        """Of a card, None without it."""


U = TypeVar("U", bound=Unit)


class Chip(NamedTuple):
    """What tells an image of a file from the others: its label is made when all files are known."""

    name: str  # "" without EXTNAME
    version: Any
    number: int
    alike: int  # images of the file that have its name and version

    def label(self, repeated: set[str]) -> str:
        """EXTNAME, with EXTVER where some file has several of that name; the number where these do not tell."""
        if not self.name or self.alike > 1:
            return str(self.number)
        return f"{self.name},{self.version}" if self.name.upper() in repeated else self.name


class Opened(NamedTuple):
    """The frames of one file."""

    frames: list[Frame]
    chips: tuple[Chip, ...] = ()  # of these frames, where several could be asked for
    repeated: frozenset[str] = frozenset()  # names that several images of the file have
    left: tuple[str, ...] = ()  # images that were not asked for by name or number, and not opened


@dataclass(frozen=True)
class Asked:
    """What is asked of each file: the arguments of the openers, checked."""

    hdu: HDUNames = None
    mask_hdu: Wanted = None
    uncertainty_hdu: Wanted = None
    bits: int | None = None
    uncertainty_type: str | None = None

    @classmethod
    def of(cls, hdu: Any, mask_hdu: Any, uncertainty_hdu: Any = None, bits: Any = None, told: Any = None) -> Asked:
        """From the arguments as they are given."""
        if isinstance(hdu, str) and hdu.strip().upper() == "ALL":
            hdu = "all"
        elif isinstance(hdu, (list, range)):
            hdu = list(hdu)
            if not hdu:
                raise ValueError(f"hdu={hdu} names no image: None takes the first, 'all' takes all")
            for one in hdu:
                _check("hdu", one, of=hdu)
        else:
            _check("hdu", hdu)
        for name, value in (("mask_hdu", mask_hdu), ("uncertainty_hdu", uncertainty_hdu)):
            if isinstance(value, list) and value and all(isinstance(v, str) for v in value):
                continue
            _check(name, value)
        found = quality.bits_of(bits)
        if found is not None and mask_hdu is None:
            raise ValueError(f"bits={bits!r} goes with a mask: mask_hdu=None reads none")
        uncertainties.check_type(told, uncertainty_hdu)
        return cls(hdu, mask_hdu, uncertainty_hdu, found, told)

    @property
    def several(self) -> bool:
        """Whether more than one image of a file may be meant."""
        return self.hdu == "all" or isinstance(self.hdu, list)

    @property
    def maps(self) -> bool:
        """Whether extensions beside the image are of interest."""
        return self.mask_hdu is not None or self.uncertainty_hdu is not None

    def names(self, argument: str) -> list[Any]:
        """What a map may be called, in order."""
        given = getattr(self, argument)
        if isinstance(given, list) or given is None:
            return given or []
        known = STANDS_FOR[argument]
        return known.get(given.upper(), [given]) if isinstance(given, str) else [given]

    def is_map(self, unit: Unit) -> bool:
        """Whether an image belongs to another one."""
        words = set(re.findall(r"[A-Z]+", unit.name))
        asked = [*self.names("mask_hdu"), *self.names("uncertainty_hdu")]
        known = bool(words & MAP_WORDS) or uncertainties.plain(unit.name) in MAP_NAMES
        return known or any(matches(unit, name) for name in asked)


def _check(argument: str, value: Any, of: Any = None) -> None:
    """Raise for what names no HDU; ``of`` is the list that it is in."""
    given = f"{argument}={value!r}" if of is None else f"{argument}={of!r}: {value!r}"
    if isinstance(value, bool) or not isinstance(value, (int, str, tuple, type(None))) or (of and value is None):
        raise TypeError(f"{given} is neither the number of an HDU nor its EXTNAME")
    if isinstance(value, tuple) and [type(v) for v in value] != [str, int]:
        hint = ", and several are a list" if argument == "hdu" else ""
        raise TypeError(f"{given} is not (EXTNAME, EXTVER), as ('SCI', 2){hint}")
    if isinstance(value, int) and value < 0:
        raise ValueError(f"{given}: HDUs are numbered from 0")


def matches(unit: Unit, hdu: Any) -> bool:
    """Whether this is the HDU that is asked for; None: the first image."""
    if hdu is None:
        return unit.is_image
    if isinstance(hdu, tuple):
        return (unit.name, version(unit)) == (hdu[0].strip().upper(), hdu[1])
    return unit.index == hdu if isinstance(hdu, int) else unit.name == hdu.strip().upper()


def version(unit: Unit) -> Any:
    """EXTVER; 1 where there is none, as the standard has it."""
    found = unit.value("EXTVER")
    return 1 if found is None else found


def opened(
    label: str, units: Sequence[U], listing: Callable[[], str], asked: Asked, pixels: Callable[[U, bool], Pixels]
) -> Opened:  # fmt: skip
    """The frames of a file whose HDUs are known.

    ``label`` is what messages call it, ``listing`` gives its HDUs in words, ``pixels`` reads one, for its bits or not.
    """
    images = _images(label, units, listing, asked)
    frames = [_frame(label, unit, units, asked, pixels) for unit in images]
    if not asked.several:
        more = len(units) > 1 and may_leave(asked)
        left = tuple(_called(u) for u in _rivals(units, asked) if u not in images) if more else ()
        return Opened(frames, left=left)
    names = [(_own_name(u).upper(), version(u)) for u in _peers(images[0], units, asked)]
    of_name, of_both = Counter(name for name, _ in names), Counter(names)
    chips = tuple(Chip(_own_name(u), version(u), u.index, of_both[_own_name(u).upper(), version(u)]) for u in images)
    return Opened(frames, chips, frozenset(name for name, n in of_name.items() if name and n > 1))


def may_leave(asked: Asked) -> bool:
    """Whether the user may not know that there are other images: no number, and no version was given."""
    return asked.hdu is None or (isinstance(asked.hdu, str) and not asked.several)


def _rivals(units: Sequence[U], asked: Asked) -> list[U]:
    """The images among which one is opened without more being said."""
    images = [u for u in units if u.is_image]
    return [u for u in images if (not asked.is_map(u) if asked.hdu is None else matches(u, asked.hdu))]


def _images(label: str, units: Sequence[U], listing: Callable[[], str], asked: Asked) -> list[U]:
    """The images that are asked for, in the order of a list, or of the file."""
    if asked.hdu == "all":
        images = [u for u in units if u.is_image]
        if not images:
            raise NoImageError(f"{shown(label)} has no image: its HDUs are {listing()}")
        return [u for u in images if not asked.is_map(u)] or images
    found: list[U] = []
    for hdu in asked.hdu if isinstance(asked.hdu, list) else [asked.hdu]:
        unit = next((u for u in units if matches(u, hdu)), None)
        if unit is None and hdu is None:
            raise NoImageError(f"{shown(label)} has no image: its HDUs are {listing()}")
        if unit is None:
            near = did_you_mean(hdu[0] if isinstance(hdu, tuple) else hdu, [u.name for u in units if u.name])
            raise OSError(f"{shown(label)} has no hdu={hdu!r}: its HDUs are {listing()}{near}")
        if not unit.is_image:
            raise OSError(f"{shown(label)}: hdu={hdu!r} is not an image, but {unit}")
        if unit in found:
            raise ValueError(f"hdu={asked.hdu!r}: {hdu!r} is an image of {shown(label)} that is in the list already")
        found.append(unit)
    return found


def _peers(image: U, units: Sequence[U], asked: Asked) -> list[U]:
    """The images that maps may belong to as well as to this one: chips of a file, or maps of one name."""
    images = [u for u in units if u.is_image]
    if asked.is_map(image):
        return [u for u in images if u.name == image.name]
    return [u for u in images if not asked.is_map(u)]


def _own_name(unit: Unit) -> str:
    return str(unit.value("EXTNAME") or "").strip()


def _called(unit: Unit) -> str:
    name = _own_name(unit)
    number = unit.value("EXTVER")
    return f"{unit.index}" if not name else name if number is None else f"{name},{number}"


def _frame(
    label: str, image: U, units: Sequence[U], asked: Asked, pixels: Callable[[U, bool], Pixels]
) -> Frame:  # fmt: skip
    own = image is units[0] or image.text.startswith("SIMPLE")  # a primary image, before it was compressed
    text = image.text if own else cards.inherit(image.text, units[0].text)
    mask, error = (_beside(label, image, units, asked, argument) for argument in ("mask_hdu", "uncertainty_hdu"))
    kind, unit = "std", ""
    if error is not None:
        where, told = f"{shown(label)}: the extension {error}", asked.uncertainty_type
        kind = uncertainties.type_of(where, _own_name(error), error.value("UTYPE"), told)
        data, its = (str(u or "").strip() for u in (cards.lookup(text, "BUNIT"), error.value("BUNIT")))
        unit = uncertainties.unit_of(where, its, data, kind, told)
    plane = None if mask is None else pixels(mask, asked.bits is not None)
    return Frame(
        label, text, pixels(image, False),
        mask=None if plane is None else quality.bad_pixels(plane, asked.bits, f"{shown(label)}: the extension {mask}"),
        uncertainty=None if error is None else pixels(error, False),
        uncertainty_type=kind,
        uncertainty_unit=unit,
    )  # fmt: skip


def _beside(label: str, image: U, units: Sequence[U], asked: Asked, argument: str) -> U | None:
    """The map of an image: of its EXTVER, or else by its place in the file; raises where these do not tell."""
    given = getattr(asked, argument)
    tables: list[U] = []
    for name in asked.names(argument):
        named = [u for u in units if u is not image and matches(u, name)]
        hits = [u for u in named if u.is_image]
        tables += [u for u in named if not u.is_image]
        found = hits if not isinstance(name, str) else _of_image(label, image, hits, units, asked, argument)
        if found:
            return found[0]
    if tables:
        raise OSError(
            f"{shown(label)}: {argument}={given!r} is not an image, but {tables[0]}: {argument}=None leaves it"
        )
    return None


def _of_image(
    label: str, image: U, hits: list[U], units: Sequence[U], asked: Asked, argument: str
) -> list[U]:  # fmt: skip
    """Which of the maps of one name is that of an image, if any."""
    peers = _peers(image, units, asked)
    hits = [u for u in hits if u not in peers]
    if any(u.value("EXTVER") is not None for u in peers) and any(u.value("EXTVER") is not None for u in hits):
        # A map of another version is another's, one without may be of all. What has no version is 1, unless another is.
        own = image.value("EXTVER")
        first = own is not None or not any(u.value("EXTVER") == 1 for u in peers)
        of_own = [u for u in hits if first and version(u) == version(image)]
        hits = of_own or [u for u in hits if u.value("EXTVER") is None]
        peers = [u for u in peers if version(u) == version(image)]
    if len(hits) < 2 and not (hits and peers[0].index < hits[0].index < peers[-1].index):
        return hits  # one that is not between them is of all
    if len(hits) == len(peers):  # each image has its own, in their order
        return [hits[peers.index(image)]]
    places = [max((p.index for p in peers if p.index < u.index), default=-1) for u in hits]
    if -1 in places or len(set(places)) < len(places):
        raise OSError(
            f"{shown(label)}: it has {len(hits)} extensions {hits[0].name} for {len(peers)} image(s), and EXTVER does "
            f"not tell which is whose: {argument}= takes a number, {argument}=None leaves them"
        )
    return [u for u, place in zip(hits, places, strict=True) if place == image.index]
