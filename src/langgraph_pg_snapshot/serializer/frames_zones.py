"""The time zones of pandas, which makes them of a name: of one library or another."""

from __future__ import annotations

import re
from datetime import timezone, tzinfo
from typing import Any, Final
from zoneinfo import ZoneInfo

from langgraph_pg_snapshot.errors import DeserializationError

from .arrays import library
from .types_time import zone_info

_ZONED: Final = re.compile(
    r"datetime64\[(?:s|ms|us|ns), (?:(?P<offset>UTC(?:[+-][0-9:.]+)?)|(?P<zone>.+))\]"
)


def zone_of(dtype: str) -> Any:
    """Make the zone of ``datetime64[ns, Europe/Paris]`` as pandas does, without importing any.

    Returns:
        None if that is not a dtype of times in a zone.

    Raises:
        DeserializationError: there is no such zone.
    """
    found = _ZONED.fullmatch(dtype)
    if found is None:
        return None
    if not found["offset"]:
        zone_info(found["zone"])
    return library("pandas").DatetimeTZDtype.construct_from_string(dtype).tz


def leads_to(dtype: str, zone: tzinfo) -> bool:
    """Whether the name of a dtype says all of its zone."""
    try:
        found = zone_of(dtype)
    except DeserializationError:
        return False
    if type(zone) is ZoneInfo:
        return found is zone
    # Before version 3, pandas makes zones of pytz, which has one object for each offset.
    same = repr(found) == repr(zone) if type(zone) is timezone else str(found) == str(zone)
    return type(found) is type(zone) and same


def check_zone(value: Any) -> tzinfo:
    """Hand back a zone that is one of Python's own.

    Raises:
        DeserializationError: it is something else.
    """
    if type(value) not in (timezone, ZoneInfo):
        raise DeserializationError("what is stored as the zone of a time is not one")
    return value  # type: ignore[no-any-return]  # it is of one of these types
