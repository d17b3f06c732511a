"""Telling at a glance that a value is one that was encoded before.

LangGraph hands over a whole list at every superstep, and an application may have changed any of its
elements in place; so each one is looked at each time. Encoding it tells for certain what it is, and
takes two to six microseconds. `marshal` tells, too, and is compiled: what it writes of a value
made of None, bool, int, float, str, list and dict is the same bytes if and only if the value is the
same, with types, order and all. It refuses what is none of Python's own types.

There are a few it takes for others: it writes everything that has a buffer (bytearray, NumPy's
scalars) like bytes. So only values without bytes are remembered, and no other value has their
bytes in marshal.
"""

from __future__ import annotations

from collections.abc import Callable
from marshal import dumps
from typing import Any, Generic, TypeVar

from .codec import ENCODERS
from .encoder import encode_dict, encode_list

T = TypeVar("T")

# The newest of marshal's formats that does not note which objects are shared: equal values would
# have different bytes.
_FORMAT = 2
_PLAIN: frozenset[object] = frozenset({encode_dict, encode_list})
# Two generations of so much each: what is not met again until the second is full is forgotten.
GENERATION_BYTES = 16 * 2**20


class _Seen(Generic[T]):
    """What was made of a value, and what marshal does not show of it."""

    __slots__ = ("extra", "fields_set", "result")

    def __init__(self, result: T, fields_set: frozenset[str] | None, extra: Any) -> None:
        self.result = result
        self.fields_set = fields_set
        self.extra = extra


class Sight(Generic[T]):
    """Remembers what was made of lists and dicts of plain data, and of LangChain's messages of it.

    Safe to share between threads.

    Args:
        make: Makes something of a value, which must depend on the value alone; and what to
            remember of that, None if the value is not plain: if its JSON has a tag other than the
            model's own.
    """

    def __init__(self, make: Callable[[Any], tuple[T, T | None]]) -> None:
        self._make = make
        self._young: dict[tuple[object, bytes], _Seen[T]] = {}
        self._old: dict[tuple[object, bytes], _Seen[T]] = {}
        self._size = 0

    def __call__(self, value: Any) -> T:
        """What was made of an equal value before; else it is made now."""
        # By the function that writes the class: `register` may give it another one. (Those of an
        # application's models ask each time whether their name still leads to them: not for us.)
        encode = ENCODERS.get(type(value))
        fields_set = extra = None
        try:
            if encode in _PLAIN:
                key = encode, dumps(value, _FORMAT)
            elif (names := getattr(encode, "names", None)) is not None:
                state = value.__dict__
                if tuple(state) != names or value.__pydantic_private__ is not None:
                    return self._make(value)[0]
                key = encode, dumps((*state.values(),), _FORMAT)
                fields_set, extra = value.__pydantic_fields_set__, value.__pydantic_extra__
            else:
                return self._make(value)[0]
        except ValueError:  # marshal's: it is not plain
            return self._make(value)[0]
        seen = self._young.get(key)
        if seen is None and (seen := self._old.get(key)) is not None:
            self._keep(key, seen)
        if seen is not None and seen.fields_set == fields_set and seen.extra == extra:
            return seen.result
        result, lasting = self._make(value)
        if lasting is not None and not extra:
            copied = None if fields_set is None else frozenset(fields_set)
            self._keep(key, _Seen(lasting, copied, None if extra is None else {}))
        return result

    def _keep(self, key: tuple[object, bytes], seen: _Seen[T]) -> None:
        self._young[key] = seen
        self._size += len(key[1])
        if self._size > GENERATION_BYTES:
            self._old, self._young, self._size = self._young, {}, 0
