"""Whether two values are the same: equal, and of the same types, all the way down."""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, time
from decimal import Decimal
from typing import Any
from weakref import WeakKeyDictionary

from pydantic import BaseModel

# What compares as a whole, and what has content but no attributes.
_WHOLE = frozenset({str, int, bytes, bool})
_BARE = frozenset({float, list, tuple, dict, set, frozenset})
# Modules whose objects compare as a whole by ==, or whose slots say nothing of the value.
_OPAQUE = frozenset({"uuid", "fractions", "decimal", "_decimal", "ipaddress", "re", "zoneinfo"})


def difference(got: Any, want: Any, path: str = "") -> str | None:
    """Where two values differ, and how; None if they are the same."""
    kind = type(want)
    if got is want:
        return None
    if type(got) is not kind:
        return f"{path}: {_kind(got)} instead of {_kind(want)}"
    if kind in _WHOLE:
        return None if got == want else f"{path}: another {_kind(want)}"
    compare = _comparison_of(kind)
    found = compare(got, want, path)
    if found is not None or kind in _BARE or compare is _of_arrays:
        return found
    return _of_attributes(got, want, path)


def _comparison_of(kind: type) -> _Comparison:
    if (known := _COMPARISON_OF.get(kind)) is not None:
        return known
    if kind.__module__.partition(".")[0] in ("numpy", "pandas"):
        found: _Comparison = _of_arrays
    else:
        fitting = (compare for base, compare in _COMPARISONS if issubclass(kind, base))
        found = next(fitting, _of_objects)
    _COMPARISON_OF[kind] = found
    return found


def _kind(value: Any) -> str:
    return type(value).__name__


def _of_wholes(got: Any, want: Any, path: str) -> str | None:
    return None if got == want else f"{path}: another {_kind(want)}"


def _of_floats(got: float, want: float, path: str) -> str | None:
    if math.isnan(want):
        return None if math.isnan(got) else f"{path}: another number"
    is_same = got == want and math.copysign(1, got) == math.copysign(1, want)
    return None if is_same else f"{path}: another number"


def _of_decimals(got: Decimal, want: Decimal, path: str) -> str | None:
    return None if got.as_tuple() == want.as_tuple() else f"{path}: another number"


def _of_moments(got: Any, want: Any, path: str) -> str | None:
    is_same = (
        got.replace(tzinfo=None) == want.replace(tzinfo=None)
        and got.fold == want.fold
        and repr(got.tzinfo) == repr(want.tzinfo)
    )
    return None if is_same else f"{path}: another time"


def _of_sequences(got: Sequence[Any], want: Sequence[Any], path: str) -> str | None:
    if len(got) != len(want):
        return f"{path}: {len(got)} elements instead of {len(want)}"
    if isinstance(want, deque) and getattr(got, "maxlen", None) != want.maxlen:
        return f"{path}: another maxlen"
    for place, (one, other) in enumerate(zip(got, want, strict=True)):
        if (found := difference(one, other, "")) is not None:
            return f"{path}[{place}]{found}"
    return None


def _of_mappings(got: Mapping[Any, Any], want: Mapping[Any, Any], path: str) -> str | None:
    if (found := _of_sequences(list(got), list(want), "")) is not None:
        return f"{path}: other keys ({found.removeprefix(': ')})"
    if isinstance(want, defaultdict) and (
        getattr(got, "default_factory", None) is not want.default_factory
    ):
        return f"{path}: another default_factory"
    for key, one, other in zip(want, got.values(), want.values(), strict=True):
        if (found := difference(one, other, "")) is not None:
            return f"{path}[{key!r}]{found}"
    return None


def _of_sets(got: Collection[Any], want: Collection[Any], path: str) -> str | None:
    if all(type(element) is str for element in got) and got == want:
        return None
    rest = list(got)
    for element in want:
        match = next((n for n, one in enumerate(rest) if difference(one, element) is None), None)
        if match is None:
            return f"{path}: other elements"
        rest.pop(match)
    return f"{path}: more elements" if rest else None


def _of_models(got: BaseModel, want: BaseModel, path: str) -> str | None:
    for name in ("__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__"):
        one, other = getattr(got, name, None), getattr(want, name, None)
        if (found := difference(one, other, "")) is not None:
            return f"{path}.{name}{found}"
    return None


def _of_exceptions(got: BaseException, want: BaseException, path: str) -> str | None:
    for name in ("args", "__cause__", "__context__", "__suppress_context__"):
        if (found := difference(getattr(got, name), getattr(want, name), "")) is not None:
            return f"{path}.{name}{found}"
    return _of_objects(got, want, path)


def _of_arrays(got: Any, want: Any, path: str) -> str | None:
    if hasattr(want, "tobytes") and hasattr(want, "dtype"):
        is_same = got.dtype == want.dtype and got.shape == want.shape
        if is_same and want.dtype.hasobject:
            return difference(got.tolist(), want.tolist(), path)
        return None if is_same and got.tobytes() == want.tobytes() else f"{path}: another array"
    equals = getattr(got, "equals", None)
    is_same = bool(equals(want)) if equals is not None else bool(got == want or got is want)
    return None if is_same else f"{path}: another {_kind(want)}"


def _of_attributes(got: Any, want: Any, path: str) -> str | None:
    if not hasattr(want, "__dict__") or isinstance(want, type):
        return None
    own, other = vars(got), vars(want)
    # What a generic class notes of how it was made says nothing of the value.
    if (own.keys() ^ other.keys()) - {"__orig_class__"}:
        return f"{path}: other attributes"
    for name, value in other.items():
        if name != "__orig_class__" and (found := difference(own[name], value, "")) is not None:
            return f"{path}.{name}{found}"
    return None


def _slots_of(value: Any) -> list[str]:
    return [
        name
        for base in type(value).__mro__
        if base.__module__.partition(".")[0] not in _OPAQUE
        for name in _names(vars(base).get("__slots__", ()))
        if name not in ("__dict__", "__weakref__")
    ]


def _names(slots: Any) -> Collection[str]:
    return (slots,) if isinstance(slots, str) else tuple(slots)


def _of_objects(got: Any, want: Any, path: str) -> str | None:
    """Compare what has no content of its own by its slots, else by ``==``."""
    names = _slots_of(want)
    if not names and (isinstance(want, type) or not hasattr(want, "__dict__")):
        return None if got == want else f"{path}: another {_kind(want)}"
    for name in names:
        one, other = getattr(got, name, None), getattr(want, name, None)
        if (found := difference(one, other, "")) is not None:
            return f"{path}.{name}{found}"
    return None


_Comparison = Callable[[Any, Any, str], "str | None"]
_COMPARISON_OF: WeakKeyDictionary[type, _Comparison] = WeakKeyDictionary()
_COMPARISONS: Sequence[tuple[Any, _Comparison]] = (
    ((str, int, bytes, bytearray), _of_wholes),
    (float, _of_floats),
    (Decimal, _of_decimals),
    (Mapping, _of_mappings),
    ((list, tuple, deque), _of_sequences),
    ((set, frozenset), _of_sets),
    ((datetime, time), _of_moments),
    (BaseModel, _of_models),
    (BaseException, _of_exceptions),
)
