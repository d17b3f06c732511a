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
"""

from __future__ import annotations

from collections.abc import Callable
from marshal import dumps, loads
from typing import Any, Generic, TypeVar

from .codec import known_codec
from .pydantic_models import ModelCodec

T = TypeVar("T")

# The newest of marshal's formats that does not note which objects are shared: equal values would
# have different bytes.
_FORMAT = 2
# Two generations of so much memory each: what is not met again until the second is full goes.
GENERATION_BYTES = 16 * 2**20
# What an entry takes besides the value's bytes, about.
_ENTRY_BYTES = 700

_Key = tuple[object, bytes, bool]


class _Seen(Generic[T]):
    """What was made of a value; None if it is not plain, and has to be looked at each time."""

    __slots__ = ("fields_set", "result")

    def __init__(self, result: T | None, fields_set: frozenset[str] | None) -> None:
        self.result = result
        self.fields_set = fields_set


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
        self._young: dict[_Key, _Seen[T]] = {}
        self._old: dict[_Key, _Seen[T]] = {}
        self._size = 0

    def __call__(self, value: Any) -> T:
        """What was made of an equal value before; else it is made now."""
        cls = type(value)
        # Only classes of this package's: those of an application are asked each time whether
        # their name still leads to them, and `register` may make anything of its own.
        codec = known_codec(cls)
        key: _Key
        fields_set = None
        try:
            if codec is None and cls in (dict, list):
                key = cls, dumps(value, _FORMAT), False
            elif isinstance(codec, ModelCodec):
                state, extra = value.__dict__, value.__pydantic_extra__
                if extra or tuple(state) != codec.names or value.__pydantic_private__ is not None:
                    return self._make(value)[0]
                key = codec, dumps((*state.values(),), _FORMAT), extra is None
                fields_set = value.__pydantic_fields_set__
            else:
                return self._make(value)[0]
        except (AttributeError, ValueError):  # ValueError is marshal's: it is not plain
            return self._make(value)[0]
        seen = self._young.get(key)
        if seen is None and (seen := self._old.get(key)) is not None:
            self._keep(key, seen)
        if seen is None or seen.fields_set != fields_set:
            names = None if fields_set is None else frozenset(fields_set)
            made, is_plain = self._make(_copy(key, names))
            self._keep(key, _Seen(self._strip(made) if is_plain else None, names))
            return made if is_plain else self._make(value)[0]
        return self._make(value)[0] if seen.result is None else seen.result

    def _keep(self, key: _Key, seen: _Seen[T]) -> None:
        if key not in self._young:
            self._size += len(key[1]) + _ENTRY_BYTES
        self._young[key] = seen
        if self._size > GENERATION_BYTES:
            self._old, self._young, self._size = self._young, {}, 0


def _copy(key: _Key, fields_set: frozenset[str] | None) -> Any:
    codec, written, has_no_extra = key
    plain = loads(written)  # noqa: S302 -- dumps() wrote it a moment ago
    if not isinstance(codec, ModelCodec):
        return plain
    state = dict(zip(codec.names, plain, strict=True))
    return codec.build(state, set(fields_set or ()), None if has_no_extra else {}, None)
