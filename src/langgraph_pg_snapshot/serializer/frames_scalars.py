"""Single values of pandas: ``Timestamp``, ``Timedelta``, ``NaT`` and ``NA``."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from datetime import timedelta, timezone
from typing import Any, Final

from langgraph_pg_snapshot.errors import DeserializationError

from .arrays import library
from .classes import check_type
from .codec import DECODERS, Codec, Record, Refused
from .frames_zones import check_zone, leads_to, zone_of
from .names import module_of
from .types_time import is_plain_offset

_UNITS: Final = ("s", "ms", "us", "ns")
_ISO: Final = re.compile(
    r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:[+-]\d{2}:\d{2})?", re.ASCII
)
_MIN_YEAR: Final = 1
_MAX_YEAR: Final = 9999
_MINUTE: Final = timedelta(minutes=1)


def _timestamp_parts(value: Any) -> dict[str, Any]:
    zone = value.tzinfo
    if not _MIN_YEAR <= value.year <= _MAX_YEAR:
        raise Refused(f"can't be stored: its year, {value.year}, does not have four digits")
    if zone is None:
        parts = {"value": value.isoformat(), "unit": value.unit}
        return {**parts, "fold": value.fold} if value.fold else parts
    whole = not value.utcoffset() % _MINUTE
    shown = value if whole else value.tz_convert(timezone.utc)
    parts = {"value": shown.isoformat(), "unit": value.unit}
    if whole and is_plain_offset(zone):
        return parts
    named = type(zone) is not timezone and leads_to(_dtype(str(zone)), zone)
    return {**parts, "tz": str(zone) if named else zone}


def _dtype(zone: str) -> str:
    return f"datetime64[ns, {zone}]"


def _timestamp(value: object, unit: object, tz: Any = None, fold: object = 0) -> Any:
    text = check_type(value, str)
    if not _ISO.fullmatch(text):
        raise DeserializationError("the stored text of a Timestamp is not one")
    made = library("pandas").Timestamp(text).as_unit(_check_unit(unit))
    if tz is not None:
        zone = zone_of(_dtype(tz)) if type(tz) is str else check_zone(tz)
        if zone is None:
            raise DeserializationError(f"there is no time zone {tz!r} here")
        made = made.tz_convert(zone)
    return made.replace(fold=1) if check_type(fold, int) else made


def _timedelta_parts(value: Any) -> dict[str, Any]:
    return {"value": int(value.to_numpy().astype("int64")), "unit": value.unit}


def _timedelta(value: object, unit: object) -> Any:
    number = library("numpy").timedelta64(check_type(value, int), _check_unit(unit))
    return library("pandas").Timedelta(number)


def _check_unit(unit: object) -> str:
    if check_type(unit, str) not in _UNITS:
        raise DeserializationError(f"{unit!r} is not a unit that times are counted in")
    return unit  # type: ignore[return-value]  # it is a str


class _Scalar(Record):
    has_short_tag = True


def _nothing(_: object) -> dict[str, Any]:
    return {}


def _the(name: str) -> Callable[[], Any]:
    return lambda: getattr(library("pandas"), name)


_CODECS: Final = {
    "Timestamp": _Scalar("Timestamp", _timestamp_parts, _timestamp),
    "Timedelta": _Scalar("Timedelta", _timedelta_parts, _timedelta),
    "NaT": _Scalar("NaT", _nothing, _the("NaT")),
    "NA": _Scalar("NA", _nothing, _the("NA")),
}


def find_pandas_scalar(cls: type) -> Codec | None:
    """Find the codec of a class of single values of pandas."""
    pandas = sys.modules.get("pandas")
    if pandas is None or not module_of(cls).startswith("pandas"):
        return None
    for name, codec in _CODECS.items():
        known = getattr(pandas, name)
        if cls is (known if isinstance(known, type) else type(known)):
            return codec
    return None


def is_pandas_scalar(cls: type) -> bool:
    """Whether it is a class of single values of pandas."""
    return find_pandas_scalar(cls) is not None


for _tag, _codec in _CODECS.items():
    DECODERS[_tag] = _codec.decode
