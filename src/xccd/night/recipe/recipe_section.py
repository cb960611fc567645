"""The base of a recipe and of its sections: keys with a check and a line of text, in the metadata of their fields."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from functools import wraps
from typing import Any, ClassVar, TypeVar

from xccd.messages import a_type, did_you_mean
from xccd.night.recipe.recipe_values import Check

T = TypeVar("T", bound="type[Section]")


def key(default: Any, check: Check, text: str) -> Any:
    """A key of a section: its default, the check of a value, and what it is, in words."""
    return field(default=default, metadata={"check": check, "text": text})


SECTION = "section"  # in the metadata of a field: its class, if it is a section


@dataclass(frozen=True, kw_only=True)
class Section:
    """Keys with values. All are checked when it is made; a dict stands for a section."""

    called: ClassVar[str] = ""

    def __post_init__(self) -> None:
        for f in fields(self):
            value = checked(f, getattr(self, f.name), f"{self.called}.{f.name}".lstrip("."))
            object.__setattr__(self, f.name, value)


def checked(f: Field[Any], value: Any, name: str) -> Any:
    """The value of a field in its one form; raises with ``name`` for one that it cannot have."""
    if cls := f.metadata.get(SECTION):
        if isinstance(value, cls):
            return value
        if not isinstance(value, Mapping):
            raise TypeError(f"{name}={value!r} is {a_type(value)}: give its keys as a dict")
        check_keys(value, cls, name)
        return cls(**value)
    try:
        return f.metadata["check"](value)
    except (ValueError, TypeError) as error:
        raise type(error)(f"{name}={value!r} {error}") from None


def check_keys(given: Mapping[str, Any], cls: type[Section], name: str) -> None:
    """Raise for a key that the section has not."""
    known = [f.name for f in fields(cls)]
    for one in given:
        if one not in known:
            raise ValueError(f"{name} has no key {one!r}{others(one, known)}")


def by_name(cls: T) -> T:
    """The class with our message for an argument that is no key, or has no name, in place of Python's."""
    made: Any = cls.__init__

    @wraps(made)
    def init(self: Section, *unnamed: object, **values: Any) -> None:
        if unnamed:
            names = ", ".join(f.name for f in fields(cls))
            raise TypeError(f"{cls.__name__} takes its keys by name, as light={{'method': 'median'}}: they are {names}")
        check_keys(values, cls, f"the {cls.__name__.lower()}")
        made(self, **values)

    cls.__init__ = init  # type: ignore[method-assign,assignment]
    return cls


def others(one: str, known: Collection[str]) -> str:
    """The end of a sentence: what was perhaps meant, and all that there is."""
    near = did_you_mean(one, known)
    return f"{near} There are {', '.join(known)}" if near else f": there are {', '.join(known)}"


def keys_of(cls: type[Section], called: str = "") -> Iterator[tuple[str, Field[Any]]]:
    """All keys of a recipe, by section: the name of the section ("" outside of all) and the field."""
    inner = []
    for f in fields(cls):
        if SECTION in f.metadata:
            inner.append(f)
        else:
            yield called, f
    for f in inner:
        yield from keys_of(f.metadata[SECTION], f.name)


def default_of(f: Field[Any]) -> Any:
    """The default of a field that is no section."""
    assert f.default is not MISSING
    return f.default
