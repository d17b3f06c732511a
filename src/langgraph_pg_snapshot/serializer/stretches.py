"""Telling at a glance that a stretch of a list is what stood there before.

One element after the other would be looked up by what `marshal` writes of it (`sight`), and that
takes 1.1 microseconds. A stretch is taken apart by a few calls that go through all of it in C, and
what is found is compared with what was found the last time: classes, names of fields, types, and
only where all of those are the same the values themselves: so `1` is not taken for `True`. That
takes 0.6 microseconds an element.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from marshal import dumps
from operator import attrgetter
from typing import Any, Final, Generic, TypeVar

from .codec import known_codec
from .pydantic_models import ModelCodec

T = TypeVar("T")

# The newest of marshal's formats that does not note which objects are shared: equal values would
# have different bytes.
FORMAT: Final = 2

# Where elements have more parts than this on average, one call of marshal takes less.
_MAX_PARTS: Final = 32
_PLAIN: Final = frozenset({type(None), bool, int, float, str, list, dict})
_flat = chain.from_iterable
_state = attrgetter("__dict__")
_fields_set = attrgetter("__pydantic_fields_set__")
_extra = attrgetter("__pydantic_extra__")
_private = attrgetter("__pydantic_private__")

_Columns = tuple[list[Any], ...]
_Reader = Callable[[Sequence[Any]], _Columns]


@dataclass(frozen=True)
class Stretch(Generic[T]):
    """Elements in a row, and what was made of each.

    Attributes:
        classes: Their classes.
        codecs: How these are written; what was made of an element is right as long as that is so.
        read: What takes them apart.
        columns: What it finds, but for the values in ``deep``, which stand as marshal's bytes.
        deep: The places of values that equality does not tell.
        made: What was made of them.
        bytes: The memory that it takes, about.
    """

    classes: list[type]
    codecs: Mapping[type, object]
    read: _Reader
    columns: _Columns
    deep: list[int]
    made: list[T]
    bytes: int

    @classmethod
    def of(cls, values: Sequence[Any], made: list[T], size: int) -> Stretch[T] | None:
        """What is remembered of elements that nobody else has, of which each is plain.

        None if they are of several kinds, or too large for it.
        """
        classes = [*map(type, values)]
        read = _reader({*classes})
        if read is None:
            return None
        columns = read(values)
        parts = columns[-1]
        if len(parts) > _MAX_PARTS * len(values):
            return None
        deep = [n for n, part in enumerate(parts) if not _is_told_by_equality(part)]
        for n in deep:
            parts[n] = dumps(parts[n], FORMAT)
        return cls(classes, _codecs(classes), read, columns, deep, made, size)

    def and_then(self, other: Stretch[T]) -> Stretch[T] | None:
        """Both, one behind the other; None if they are of several kinds."""
        if self.read is not other.read:
            return None
        beyond = len(self.columns[-1])
        return Stretch(
            classes := self.classes + other.classes,
            _codecs(classes),
            self.read,
            tuple(map(list.__add__, self.columns, other.columns)),
            [*self.deep, *(beyond + n for n in other.deep)],
            self.made + other.made,
            self.bytes + other.bytes,
        )

    def is_like(self, values: Sequence[Any]) -> bool:
        """Whether these are the same elements: whether the same would be made of each."""
        classes = [*map(type, values)]
        if classes != self.classes or {*classes} != self.codecs.keys():  # (see _types)
            return False
        for cls, codec in self.codecs.items():
            if known_codec(cls) is not codec:
                return False
        try:
            columns = self.read(values)
            if columns[:-1] != self.columns[:-1]:
                return False
            parts = columns[-1]
            for n in self.deep:
                parts[n] = dumps(parts[n], FORMAT)
        # ValueError: it is not plain. RuntimeError is that of a dict that another thread changes.
        except (AttributeError, ValueError, RuntimeError):
            return False
        return parts == self.columns[-1]


def _is_told_by_equality(part: Any) -> bool:
    """Whether what equals it, and has its type, is the same."""
    kind = type(part)
    if kind in (list, dict):
        return not part
    return kind is not float or (part != 0.0 and part == part)  # noqa: PLR0124  # which a NaN is not


# What takes elements of one kind apart, so that they are the same if the columns are. The values
# come last, behind their types.


def _codecs(classes: Sequence[type]) -> dict[type, object]:
    return {each: known_codec(each) for each in {*classes}}


def _reader(classes: set[type]) -> _Reader | None:
    if classes == {list}:
        return _read_lists
    if classes == {dict}:
        return _read_dicts
    are_models = all(isinstance(known_codec(each), ModelCodec) for each in classes)
    return _read_models if are_models else None


def _types(parts: Sequence[Any]) -> list[Any]:
    """The types of parts, all of them plain.

    They are looked up in a set, as what encodes them is in a dict: a metaclass can have `==` say
    that a class is another one, and lists of classes are compared by that.

    Raises:
        ValueError: One is of another type.
    """
    types = [*map(type, parts)]
    if not _PLAIN.issuperset(types):
        raise ValueError
    return types


def _read_lists(values: Sequence[Any]) -> _Columns:
    parts = [*_flat(values)]
    return [*map(len, values)], _types(parts), parts


def _read_dicts(values: Sequence[Any]) -> _Columns:
    names = [*_flat(values)]
    parts = [*_flat(map(dict.values, values))]
    return [*map(len, values)], _types(names), names, _types(parts), parts


def _read_models(values: Sequence[Any]) -> _Columns:
    states = [*map(_state, values)]
    parts = [*_flat(map(dict.values, states))]
    return (
        *([*map(len, states)], [*_flat(states)], [*map(_fields_set, values)]),
        *([*map(_extra, values)], [*map(_private, values)], _types(parts), parts),
    )
