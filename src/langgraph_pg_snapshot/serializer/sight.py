"""Telling at a glance that a value is one that was encoded before.

LangGraph hands over a whole list at every superstep, and an application may have changed any of its
elements in place; so each one is looked at each time. Encoding it tells for certain what it is, and
takes two to six microseconds. `marshal` tells, too, and is compiled: what it writes of a value
made of None, bool, int, float, str, list and dict is the same bytes if and only if the value is the
same, with types, order and all. It refuses most of what is none of Python's own types.

There are a few it takes for others: it writes everything that has a buffer (bytearray, NumPy's
scalars) like bytes. So only values without bytes are remembered, and no other value has their
bytes in marshal.

What is remembered was made of a copy that marshal made of its own bytes: another thread may change
the value meanwhile.

As a rule an element stands where it stood before: then not even that is done (`stretches`).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from marshal import dumps, loads
from typing import Any, Final, Generic, TypeVar

from .codec import known_codec
from .memory import Memory
from .pydantic_models import ModelCodec
from .stretches import FORMAT, Stretch

T = TypeVar("T")

# What an entry takes besides the value's bytes, about.
_ENTRY_BYTES: Final = 700
# So many elements are compared together: more take less time, unless one of them changed.
_STRETCH: Final = 128
# So many new ones are looked at one by one until they are remembered together, which takes as long
# as that look at so many.
_NEW: Final = 16
# Where elements always change, what they were is remembered once in 2^this times.
_MOST_MISSES: Final = 7

_Key = tuple[object, bytes, bool]


class _Seen(Generic[T]):
    """What was made of a value; None if it is not plain, and has to be looked at each time."""

    __slots__ = ("bytes", "fields_set", "result")

    def __init__(self, key: _Key, result: T | None, fields_set: frozenset[str] | None) -> None:
        self.bytes = len(key[1]) + _ENTRY_BYTES
        self.result = result
        self.fields_set = fields_set


@dataclass(frozen=True)
class _Place(Generic[T]):
    """What stood in a place.

    To remember elements together takes twice as long as to look at each, so it is done where they
    have come by before, and not so soon again where others stood there the next time.

    Attributes:
        stretch: The elements, if they are remembered.
        misses: How often they were others, of late.
        wait: How many lists come by before they are remembered.
    """

    stretch: Stretch[T] | None = None
    misses: int = 1
    wait: int = 2

    @property
    def bytes(self) -> int:
        """The memory that it takes, about."""
        return _ENTRY_BYTES + (0 if self.stretch is None else self.stretch.bytes)

    def passed(self) -> _Place[T]:
        """After a list that was another one, or that was not to be remembered yet."""
        if self.stretch is None:
            return _Place(None, self.misses, self.wait - 1)
        misses = min(self.misses + 1, _MOST_MISSES)
        return _Place(None, misses, 2**misses)


class Sight(Generic[T]):
    """Remembers what was made of lists and dicts of plain data, and of LangChain's messages of it.

    Safe to share between threads.

    Args:
        make: Makes something of a value, which must depend on the value alone, and says whether
            the value is plain: whether its JSON has no tag, but that of the model itself.
        strip: What to remember of it.
    """

    def __init__(self, make: Callable[[Any], tuple[T, bool]], strip: Callable[[T], T]) -> None:
        self._make = make
        self._strip = strip
        self._values: Memory[_Key, _Seen[T]] = Memory()
        self._places: Memory[tuple[Hashable, int], _Place[T]] = Memory()

    def one(self, value: Any) -> T:
        """What was made of an equal value before; else it is made now."""
        return self._look(value)[0]

    def all(self, values: Sequence[Any], place: Hashable) -> list[T]:
        """The same of each value of a list; ``place`` is where lists like it come from.

        What stands where it stood when the last one came from there is recognised in no time.
        """
        made: list[T] = []
        for start in range(0, len(values), _STRETCH):
            part = values[start : start + _STRETCH]
            key = place, start
            before = self._places.get(key) or _Place()
            if before.stretch is not None and before.stretch.is_like(
                part[: len(before.stretch.made)]
            ):
                made += before.stretch.made
                part = part[len(before.stretch.made) :]
            elif before.stretch is not None or before.wait:
                self._places.keep(key, before.passed())
                made += map(self.one, part)
                continue
            if part:
                made += self._grown(key, before, part)
        return made

    def _grown(self, key: tuple[Hashable, int], before: _Place[T], part: Sequence[Any]) -> list[T]:
        """Look at elements behind those that are remembered together, and remember them, too."""
        if len(part) < _NEW:
            return [*map(self.one, part)]
        made: list[T] = []
        copies: list[Any] = []
        plain: list[T] = []
        size = 0
        for value in part:
            one, seen_as = self._look(value)
            made.append(one)
            # Behind one that is not plain there is nothing to be remembered.
            if seen_as is not None and len(copies) + 1 == len(made):
                copies.append(_copy(*seen_as))
                plain.append(self._strip(one))
                size += _ENTRY_BYTES + len(seen_as[0][1])
        grown = Stretch.of(copies, plain, size) if copies else None
        misses = before.misses
        if grown is not None and before.stretch is not None:
            grown = before.stretch.and_then(grown)
            misses = max(misses - 1, 1)
        if grown is not None:
            self._places.keep(key, _Place(grown, misses))
        return made

    def _look(self, value: Any) -> tuple[T, tuple[_Key, frozenset[str] | None] | None]:
        """What was made of it, and as what it was seen if it is plain."""
        cls = type(value)
        # Only classes of this package's: those of an application are asked each time whether
        # their name still leads to them, and `register` may make anything of its own.
        codec = known_codec(cls)
        key: _Key
        fields_set = None
        try:
            if codec is None and cls in (dict, list):
                key = cls, dumps(value, FORMAT), False
            elif isinstance(codec, ModelCodec):
                state, extra = value.__dict__, value.__pydantic_extra__
                if extra or tuple(state) != codec.names or value.__pydantic_private__ is not None:
                    return self._make(value)[0], None
                key = codec, dumps((*state.values(),), FORMAT), extra is None
                fields_set = value.__pydantic_fields_set__
            else:
                return self._make(value)[0], None
        except (AttributeError, ValueError):  # ValueError is marshal's: it is not plain
            return self._make(value)[0], None
        seen = self._values.get(key)
        made = None if seen is None else seen.result
        if seen is None or seen.fields_set != fields_set:
            names = None if fields_set is None else frozenset(fields_set)
            made, is_plain = self._make(_copy(key, names))
            seen = _Seen(key, self._strip(made) if is_plain else None, names)
            self._values.keep(key, seen)
        if made is None or seen.result is None:
            return self._make(value)[0], None
        return made, (key, seen.fields_set)


def _copy(key: _Key, fields_set: frozenset[str] | None) -> Any:
    codec, written, has_no_extra = key
    plain = loads(written)  # noqa: S302 -- dumps() wrote it a moment ago
    if not isinstance(codec, ModelCodec):
        return plain
    state = dict(zip(codec.names, plain, strict=True))
    return codec.build(state, set(fields_set or ()), None if has_no_extra else {}, None)
