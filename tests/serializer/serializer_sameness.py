"""Equality as a user means it by "what I saved came back": values, types, order, NaN."""

from __future__ import annotations

import dataclasses
import math
import types
from collections import defaultdict, deque
from datetime import datetime, time
from decimal import Decimal

from pydantic import BaseModel


def assert_same(got, want, path="value"):
    """Fail, naming the place, unless both are of the same types and equal all the way down."""
    assert type(got) is type(want), f"{path}: {type(got)} is not {type(want)}"
    if _module(want).startswith(("numpy", "pandas")):
        _library(got, want, path)
        return
    check = next((check for kind, check in _CHECKS if isinstance(want, kind)), None)
    if check is not None:
        check(got, want, path)
    else:
        _state(got, want, path)
    if hasattr(want, "__dict__") and not isinstance(want, type):
        kept = {name: item for name, item in vars(want).items() if name != "__orig_class__"}
        there = {name: item for name, item in vars(got).items() if name != "__orig_class__"}
        _mapping(there, kept, f"{path}.__dict__")


def _library(got, want, path):
    if _module(want).startswith("pandas"):
        _pandas(got, want, path)
        return
    assert got.dtype == want.dtype, f"{path}: {got.dtype} is not {want.dtype}"
    assert got.dtype.type is want.dtype.type, f"{path}: {got.dtype.type} is not its type"
    assert got.shape == want.shape, f"{path}: shape"
    assert got.flags.f_contiguous >= want.flags.f_contiguous, f"{path}: order"
    if want.dtype.hasobject:
        assert_same(got.tolist(), want.tolist(), path)
    else:
        assert got.tobytes() == want.tobytes(), f"{path}: {got!r} != {want!r}"
    if want.shape:
        assert got.flags.writeable, f"{path}: is read-only"


def _pandas_scalar(got, want, path):
    if got is want:
        return
    assert got == want, f"{path}: {got!r} != {want!r}"
    assert repr(got) == repr(want), path
    assert got.unit == want.unit, f"{path}: unit"
    if hasattr(want, "tzinfo"):
        assert got.fold == want.fold, f"{path}: fold"
        assert type(got.tzinfo) is type(want.tzinfo), f"{path}: zone"


def _pandas(got, want, path):
    from pandas import testing

    kind = type(want).__name__
    if kind in ("Timestamp", "Timedelta", "NaTType", "NAType"):
        _pandas_scalar(got, want, path)
    elif kind == "DataFrame":
        assert_same(got.columns, want.columns, f"{path}.columns")
        assert_same(got.index, want.index, f"{path}.index")
        for place in range(want.shape[1]):
            assert_same(got.iloc[:, place], want.iloc[:, place], f"{path}.iloc[:, {place}]")
    elif str(want.dtype) == "object" and kind in (
        "Series",
        "Index",
    ):  # pandas would ask the objects whether they are equal
        assert got.dtype == want.dtype, f"{path}: {got.dtype} is not {want.dtype}"
        assert_same(got.name, want.name, f"{path}.name")
        assert_same(list(got), list(want), path)
        if kind == "Series":
            assert_same(got.index, want.index, f"{path}.index")
    else:
        name = "index" if kind.endswith("Index") else "series"
        getattr(testing, f"assert_{name}_equal")(got, want, check_exact=True)


def _module(value):
    return type(value).__module__


def _float(got, want, path):
    if math.isnan(want):
        assert math.isnan(got), f"{path}: {got!r} is not NaN"
        return
    assert got == want, f"{path}: {got!r} != {want!r}"
    assert math.copysign(1, got) == math.copysign(1, want), f"{path}: the sign of zero"


def _complex(got, want, path):
    _float(got.real, want.real, path)
    _float(got.imag, want.imag, path)


def _decimal(got, want, path):
    assert got.as_tuple() == want.as_tuple(), f"{path}: {got!r} != {want!r}"


def _sequence(got, want, path):
    assert len(got) == len(want), f"{path}: {len(got)} elements, not {len(want)}"
    for index, (one, other) in enumerate(zip(got, want, strict=True)):
        assert_same(one, other, f"{path}[{index}]")
    if hasattr(want, "n_sequence_fields"):
        assert_same(got.__reduce__()[1][1], want.__reduce__()[1][1], path)
    if isinstance(want, deque):
        assert got.maxlen == want.maxlen, f"{path}: maxlen"


def _mapping(got, want, path):
    _sequence(list(got), list(want), f"{path}.keys()")
    for key, one, other in zip(want, got.values(), want.values(), strict=True):
        assert_same(one, other, f"{path}[{key!r}]")
    if isinstance(want, defaultdict):
        assert got.default_factory is want.default_factory, f"{path}: default_factory"


def _set(got, want, path):
    assert len(got) == len(want), f"{path}: size"
    rest = list(got)
    for element in want:
        match = next((one for one in rest if _is_same(one, element)), None)
        assert match is not None or None in rest, f"{path}: {element!r} is missing"
        rest.remove(match)


def _is_same(got, want):
    try:
        assert_same(got, want)
    except AssertionError:
        return False
    return True


def _moment(got, want, path):
    assert got.replace(tzinfo=None) == want.replace(tzinfo=None), f"{path}: {got!r} != {want!r}"
    assert got.fold == want.fold, f"{path}: fold"
    assert repr(got.tzinfo) == repr(want.tzinfo), f"{path}: {got.tzinfo!r} != {want.tzinfo!r}"
    assert type(got.tzinfo) is type(want.tzinfo), f"{path}: tzinfo"


def _model(got, want, path):
    for name in ("__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__"):
        assert_same(getattr(got, name), getattr(want, name), f"{path}.{name}")


def _exception(got, want, path):
    assert_same(got.args, want.args, f"{path}.args")
    assert str(got) == str(want), f"{path}: message"
    for base in type(want).__mro__:
        if base not in (BaseException, object):
            for name, member in vars(base).items():
                if type(member) in (types.MemberDescriptorType, types.GetSetDescriptorType):
                    _field(member, got, want, f"{path}.{name}")
    for name in ("__cause__", "__context__", "__suppress_context__"):
        assert_same(getattr(got, name), getattr(want, name), f"{path}.{name}")


def _field(member, got, want, path):
    if member.__name__ in ("__dict__", "__weakref__", "obj"):
        return
    try:
        expected = member.__get__(want)
    except (AttributeError, TypeError):  # it has none
        return
    assert_same(member.__get__(got), expected, path)


def _view(got, want, path):
    assert (got.format, got.shape, got.readonly) == (want.format, want.shape, want.readonly), path
    assert got.tobytes() == want.tobytes(), path


def _state(got, want, path):
    """Compare what has no content of its own by its slots, else by ``==``."""
    names = [
        name
        for base in type(want).__mro__
        for name in _slots(base)
        if name not in ("__dict__", "__weakref__")
    ]
    if names:
        for name in names:
            assert_same(getattr(got, name, None), getattr(want, name, None), f"{path}.{name}")
    elif dataclasses.is_dataclass(want) or hasattr(want, "__dict__"):
        pass  # compared by __dict__
    else:
        assert got == want, f"{path}: {got!r} != {want!r}"


def _slots(base):
    if base.__module__ in _OPAQUE:
        return ()
    slots = vars(base).get("__slots__", ())
    return (slots,) if isinstance(slots, str) else slots


_OPAQUE = {"uuid", "fractions", "decimal", "_decimal", "ipaddress"} | {
    f"pathlib{part}" for part in ("", "._local", "._abc")
}


def _equal(got, want, path):
    assert got == want, f"{path}: {got!r} != {want!r}"


def _slice(got, want, path):
    for name in ("start", "stop", "step"):
        assert_same(getattr(got, name), getattr(want, name), f"{path}.{name}")


def _identical(got, want, path):
    assert got is want, f"{path}: another class"


_CHECKS = [
    (bool, _equal),
    (float, _float),
    (complex, _complex),
    (Decimal, _decimal),
    ((int, str, bytes, bytearray), _equal),
    (dict, _mapping),
    ((list, tuple, deque), _sequence),
    ((set, frozenset), _set),
    ((datetime, time), _moment),
    (memoryview, _view),
    (slice, _slice),
    (BaseModel, _model),
    (BaseException, _exception),
    (type, _identical),
]
