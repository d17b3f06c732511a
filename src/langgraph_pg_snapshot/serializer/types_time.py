"""Dates, times, and zones."""

from __future__ import annotations

import importlib.util
import pathlib
import pickle
import re
import zoneinfo
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from langgraph_pg_snapshot.errors import DeserializationError

from .classes import check_type
from .codec import Refused, add_record
from .names import derives
from .text import plain_text


def _zone_parts(value: datetime | time, text: str) -> dict[str, Any]:
    """ISO text, and beside it what the text leaves out: the zone's identity and the fold."""
    parts: dict[str, Any] = {"value": text}
    zone = value.tzinfo
    if zone is not None and not is_plain_offset(zone):
        parts["tz"] = zone
    if value.fold:
        parts["fold"] = value.fold
    return parts


def is_plain_offset(zone: object) -> bool:
    """Whether a zone is no more than the offset that ISO text says."""
    if type(zone) is not timezone:
        return False
    offset = zone.utcoffset(None)
    # Python reads an offset of less than a second as UTC.
    return not offset.microseconds and repr(zone) == repr(timezone(offset))


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
    if repr(value) == repr(timezone(offset)):
        return {"offset": offset}
    return {"offset": offset, "name": plain_text(value.tzname(None))}


def _timezone(offset: timedelta, name: str | None = None) -> timezone:
    check_type(offset, timedelta)
    return timezone(offset) if name is None else timezone(offset, check_type(name, str))


def _timedelta(days: int = 0, seconds: int = 0, microseconds: int = 0) -> timedelta:
    return timedelta(check_type(days, int), check_type(seconds, int), check_type(microseconds, int))


def _zone_info_parts(value: ZoneInfo) -> dict[str, Any]:
    if value.key is None:
        raise Refused("has no key by which it could be found again")
    try:
        value.__reduce__()  # which is refused for what was made from a file
        zone_info(key := plain_text(value.key))
    except (pickle.PicklingError, DeserializationError):
        raise Refused(
            f"is a zone that its key, {value.key!r}, does not lead to: it was made from a file"
        ) from None
    return {"value": key}


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
