"""Values of the standard library: numbers, times, paths, addresses, bytes and the like."""

from __future__ import annotations

import base64
import binascii
import importlib.util
import ipaddress
import pathlib
import re
import types
import uuid
import zoneinfo
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo

from langgraph_pg_snapshot.errors import DeserializationError

from .classes import check_type
from .codec import Refused, add_record
from .names import derives

_PATTERN_FLAGS: Final = int(
    re.ASCII | re.IGNORECASE | re.LOCALE | re.MULTILINE | re.DOTALL | re.VERBOSE | re.UNICODE
)


def to_base64(data: bytes | bytearray | memoryview) -> str:
    """Write bytes as text."""
    return base64.b64encode(data).decode()


def from_base64(value: object) -> bytes:
    """Read bytes back.

    Raises:
        DeserializationError: the text is not base64.
    """
    try:
        return base64.b64decode(check_type(value, str), validate=True)
    except binascii.Error as error:
        raise DeserializationError("bytes are not base64") from error


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


# --- bytes


def _memoryview_parts(value: memoryview) -> dict[str, Any]:
    if not value.nbytes and value.ndim != 1:
        raise Refused("is an empty view of several dimensions, which Python can't make")
    return {
        "value": to_base64(value.tobytes()),
        "format": value.format,
        "shape": list(value.shape or ()),
        "readonly": value.readonly,
    }


def _memoryview(value: str, format: str, shape: list[int], readonly: bool) -> memoryview:  # noqa: A002, FBT001  # the names of the members
    data = from_base64(value)
    check_type(format, str)
    for size in check_type(shape, list):
        check_type(size, int)
    view = memoryview(data if readonly is True else bytearray(data))
    if not data and shape == [0]:
        view = view.cast(format)  # type: ignore[call-overload]  # cast() checks it
    elif format != "B" or shape != [len(data)]:
        view = view.cast(format, shape)  # type: ignore[call-overload]  # as above
    return view


def _bytes_parts(value: bytes) -> dict[str, Any]:
    return {"value": to_base64(value)}


add_record(bytes, "bytes", _bytes_parts, from_base64)
add_record(bytearray, "bytearray", _bytes_parts, lambda value: bytearray(from_base64(value)))
add_record(memoryview, "memoryview", _memoryview_parts, _memoryview)


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


# --- dates and times


def _zone_parts(value: datetime | time, text: str) -> dict[str, Any]:
    """ISO text, and beside it what the text leaves out: the zone's identity and the fold."""
    parts: dict[str, Any] = {"value": text}
    zone = value.tzinfo
    if zone is not None and not _is_plain_offset(zone):
        parts["tz"] = zone
    if value.fold:
        parts["fold"] = value.fold
    return parts


def _is_plain_offset(zone: object) -> bool:
    if type(zone) is not timezone:
        return False
    offset = zone.utcoffset(None)
    return repr(zone) == repr(timezone(offset))


def _date(value: str) -> date:
    return date.fromisoformat(check_type(value, str))


def _zone(value: object) -> tzinfo:
    if not derives(type(value), tzinfo):
        raise DeserializationError("the stored zone of a time is not a zone")
    return value  # type: ignore[return-value]  # not isinstance(): that asks the object


def _datetime(value: str, tz: Any = None, fold: int = 0) -> datetime:
    check_type(fold, int)
    result = datetime.fromisoformat(check_type(value, str))
    if tz is None and fold == 0:
        return result
    return result.replace(tzinfo=result.tzinfo if tz is None else _zone(tz), fold=fold)


def _time(value: str, tz: Any = None, fold: int = 0) -> time:
    check_type(fold, int)
    result = time.fromisoformat(check_type(value, str))
    if tz is None and fold == 0:
        return result
    return result.replace(tzinfo=result.tzinfo if tz is None else _zone(tz), fold=fold)


def _timezone_parts(value: timezone) -> dict[str, Any]:
    offset = value.utcoffset(None)
    named = repr(value) != repr(timezone(offset))
    return {"offset": offset, "name": _plain(value.tzname(None))} if named else {"offset": offset}


def _timezone(offset: timedelta, name: str | None = None) -> timezone:
    check_type(offset, timedelta)
    return timezone(offset) if name is None else timezone(offset, check_type(name, str))


def _timedelta(days: int = 0, seconds: int = 0, microseconds: int = 0) -> timedelta:
    return timedelta(check_type(days, int), check_type(seconds, int), check_type(microseconds, int))


def _plain(text: Any) -> Any:
    """Make exactly a str of a subclass's instance: what a name or a pattern is made of."""
    return str.__str__(text) if isinstance(text, str) else text


def _zone_info_parts(value: ZoneInfo) -> dict[str, Any]:
    if value.key is None:
        raise Refused("has no key by which it could be found again")
    return {"value": _plain(value.key)}


_ZONE_KEY = re.compile(r"[A-Za-z0-9_+-]+(?:/[A-Za-z0-9_+-]+)*")


def zone_info(value: object) -> ZoneInfo:
    """Find a zone by its key.

    ``ZoneInfo`` imports packages of ``tzdata`` in search of a key that the system lacks. Only
    for a key that is there, and then nothing but those packages is imported.

    Raises:
        DeserializationError: there is no such zone.
    """
    key: str = check_type(value, str)
    _find_zone(key)
    return ZoneInfo(key)


@lru_cache(maxsize=1024)
def _find_zone(key: str) -> None:
    if _ZONE_KEY.fullmatch(key):
        places = [pathlib.Path(place) for place in zoneinfo.TZPATH]
        spec = importlib.util.find_spec("tzdata")
        for package in (spec and spec.submodule_search_locations) or ():
            place = pathlib.Path(package)
            if not place.is_dir():  # in an archive, where we can't look
                return
            places.append(place / "zoneinfo")
        if any((place / key).is_file() for place in places):
            return
    raise DeserializationError(f"there is no time zone {key!r} here")


add_record(datetime, "datetime", lambda value: _zone_parts(value, value.isoformat()), _datetime)
add_record(time, "time", lambda value: _zone_parts(value, value.isoformat()), _time)
add_record(
    date,
    "date",
    lambda value: {"value": value.isoformat()},
    _date,
)
add_record(
    timedelta,
    "timedelta",
    lambda value: {
        "days": value.days,
        "seconds": value.seconds,
        "microseconds": value.microseconds,
    },
    _timedelta,
)
add_record(
    timezone,
    "timezone",
    _timezone_parts,
    _timezone,
)
add_record(ZoneInfo, "ZoneInfo", _zone_info_parts, zone_info)


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
    lambda value: {"value": _plain(value.pattern), "flags": value.flags},
    _pattern,
)
add_record(
    types.SimpleNamespace,
    "SimpleNamespace",
    _namespace_parts,
    lambda value: types.SimpleNamespace(**check_type(value, dict)),
)
