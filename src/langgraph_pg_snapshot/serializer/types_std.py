"""Values of the standard library: numbers, ranges, paths, addresses, patterns and the like."""

from __future__ import annotations

import ipaddress
import pathlib
import re
import types
import uuid
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from .classes import check_type
from .codec import Refused, add_record
from .text import plain_text

_PATTERN_FLAGS: Final = int(
    re.ASCII | re.IGNORECASE | re.LOCALE | re.MULTILINE | re.DOTALL | re.VERBOSE | re.UNICODE
)


def _text_value(value: Any) -> dict[str, Any]:
    return {"value": str(value)}


def _add_text(cls: type) -> None:
    """Store a type as its ``str()``, which its constructor reads back exactly."""
    add_record(cls, cls.__name__, _text_value, lambda value: cls(check_type(value, str)))


for _cls in (
    uuid.UUID,
    Decimal,
    ipaddress.IPv4Address,
    ipaddress.IPv4Interface,
    ipaddress.IPv4Network,
    ipaddress.IPv6Address,
    ipaddress.IPv6Interface,
    ipaddress.IPv6Network,
    pathlib.PurePosixPath,
    pathlib.PureWindowsPath,
    pathlib.PosixPath,
    pathlib.WindowsPath,
):
    _add_text(_cls)


# --- numbers and ranges


def _range(start: int, stop: int, step: int) -> range:
    return range(check_type(start, int), check_type(stop, int), check_type(step, int))


def _slice(start: Any, stop: Any, step: Any) -> slice:
    return slice(start, stop, step)


add_record(
    complex,
    "complex",
    lambda value: {"real": value.real, "imag": value.imag},
    lambda real, imag: complex(check_type(real, float), check_type(imag, float)),
)
add_record(
    Fraction,
    "Fraction",
    lambda value: {"numerator": value.numerator, "denominator": value.denominator},
    lambda numerator, denominator: Fraction(
        check_type(numerator, int), check_type(denominator, int)
    ),
)
add_record(
    range,
    "range",
    lambda value: {"start": value.start, "stop": value.stop, "step": value.step},
    _range,
)
add_record(
    slice,
    "slice",
    lambda value: {"start": value.start, "stop": value.stop, "step": value.step},
    _slice,
)
add_record(types.EllipsisType, "Ellipsis", lambda _: {}, lambda: ...)


# --- the rest


def _pattern(value: str | bytes, flags: int) -> re.Pattern[Any]:
    if type(value) is not bytes:
        check_type(value, str)
    return re.compile(value, check_type(flags, int) & _PATTERN_FLAGS)


def _namespace_parts(value: types.SimpleNamespace) -> dict[str, Any]:
    if not all(isinstance(name, str) for name in vars(value)):
        raise Refused("can't be stored: an attribute of SimpleNamespace has no text as its name")
    return {"value": vars(value)}


add_record(
    re.Pattern,
    "Pattern",
    lambda value: {"value": plain_text(value.pattern), "flags": value.flags},
    _pattern,
)
add_record(
    types.SimpleNamespace,
    "SimpleNamespace",
    _namespace_parts,
    lambda value: types.SimpleNamespace(**check_type(value, dict)),
)
