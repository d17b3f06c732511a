"""The columns and indexes of pandas: their values, their names, and what of them is refused."""

from __future__ import annotations

import enum
import sys
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final
from uuid import UUID

from langgraph_pg_snapshot.errors import DeserializationError

from .arrays import library
from .classes import check_type
from .codec import Refused
from .decoder import SCALARS
from .frames_scalars import is_pandas_scalar
from .frames_zones import check_zone, leads_to, zone_of
from .names import derives, short_name_of

# Dtypes of pandas' own whose elements are plain Python values.
_LISTED: Final = frozenset(
    {"str", "string", "boolean", "Float32", "Float64"}
    | {f"{kind}{bits}" for kind in ("Int", "UInt") for bits in (8, 16, 32, 64)}
)
_NAMES: Final = SCALARS | {bytes, complex, date, datetime, time, timedelta, Decimal, Fraction, UUID}


def values_parts(values: Any) -> dict[str, Any]:
    """Take apart the values of a column or an index.

    Raises:
        Refused: they could not be put together again.
    """
    pandas = sys.modules["pandas"]
    dtype = values.dtype
    name = str(dtype)
    if not isinstance(dtype, pandas.api.extensions.ExtensionDtype):
        return {"array": values.to_numpy()}
    if name in _LISTED:
        missing = values.isna()
        items = values.to_numpy(dtype=object).tolist()
        return {
            "dtype": name,
            "items": [None if gone else item for item, gone in zip(items, missing, strict=True)],
        }
    if isinstance(dtype, pandas.CategoricalDtype):
        check_categories(dtype.categories, Refused)
        return {
            "codes": pandas.Categorical(values).codes,
            "categories": dtype.categories,
            "ordered": dtype.ordered,
        }
    if isinstance(dtype, pandas.DatetimeTZDtype):
        moments = pandas.DatetimeIndex(values).tz_convert(None).to_numpy()
        if leads_to(name, dtype.tz):
            return {"dtype": name, "array": moments}
        return {"dtype": name, "array": moments, "tz": dtype.tz}
    raise Refused(f"can't be stored: the dtype {name}")


def values_of(parts: Any) -> Any:
    """Put the values of a column or an index together again.

    Raises:
        DeserializationError: the parts are not those of one.
    """
    pandas = library("pandas")
    array = library("numpy").ndarray
    name = check_type(parts, dict).get("dtype")
    if "codes" in parts:
        categories = check_index(parts["categories"])
        check_categories(categories, DeserializationError)
        return pandas.Categorical.from_codes(
            _check_kind(parts["codes"], "i"),
            categories,
            ordered=check_type(parts["ordered"], bool),
        )
    if name is None:
        return check_type(parts["array"], array)
    if check_type(name, str) in _LISTED:
        items = check_type(parts["items"], list)
        if not all(type(item) in SCALARS for item in items):
            raise DeserializationError(f"a stored column of {name} holds something else")
        return pandas.array(items, dtype=name)
    zone = check_zone(parts["tz"]) if "tz" in parts else zone_of(name)
    if zone is not None:
        moments = pandas.DatetimeIndex(_check_kind(parts["array"], "M"))
        return moments.tz_localize("UTC").tz_convert(zone).array
    raise DeserializationError(f"{name!r} is not a dtype that a column may have")


def _check_kind(value: Any, kind: str) -> Any:
    """Hand back an array of numbers or times, as pandas would ask objects what they are."""
    array = check_type(value, library("numpy").ndarray)
    if array.dtype.kind != kind:
        raise DeserializationError(f"a stored column has values of the dtype {array.dtype}")
    return array


def check_categories(categories: Any, error: Callable[[str], Exception]) -> None:
    """See that pandas, which compares categories, asks no object of the application's."""
    if categories.dtype.kind == "O" and not all(map(_is_name, categories.tolist())):
        raise error("can't be stored: categories that are not plain values")


def object_dtype(values: Any) -> Any:
    """Say that objects stay objects, as pandas would look into each of them to find out."""
    return values.dtype if values.dtype.kind == "O" else None


def name_of_axis(value: Any) -> Any:
    """Hand out the name of a series or an index.

    Raises:
        Refused: loading would refuse it.
    """
    if not _is_name(value.name):
        raise Refused(
            f"can't be stored: its name is a {short_name_of(type(value.name))}, not plain"
        )
    return value.name


def check_name(value: Any) -> Any:
    """Hand back the name of a series or an index.

    Raises:
        DeserializationError: it is an object that pandas would ask something.
    """
    if not _is_name(value):
        raise DeserializationError("the stored name of a series or an index is not plain")
    return value


def _is_name(value: Any) -> bool:
    cls = type(value)
    if cls is tuple:
        return all(map(_is_name, value))
    return (
        cls in _NAMES
        or derives(cls, enum.Enum)
        or derives(cls, library("numpy").generic)
        or is_pandas_scalar(cls)
    )


def check_index(value: Any) -> Any:
    """Hand back a pandas index.

    Raises:
        DeserializationError: the value is something else.
    """
    pandas = library("pandas")
    if type(value) not in (pandas.Index, pandas.RangeIndex, *indexes(pandas)):
        raise DeserializationError("the stored index of a frame is not an index")
    return value


def indexes(pandas: Any) -> tuple[type, ...]:
    """The classes of index that are one by their values alone."""
    return (pandas.DatetimeIndex, pandas.TimedeltaIndex, pandas.CategoricalIndex)
