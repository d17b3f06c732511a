"""Values that could not be made again are refused when they are saved, with the reason."""

from __future__ import annotations

import sys
import uuid
import zoneinfo
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from serializer_sameness import assert_same

from langgraph_pg_snapshot.errors import SerializationError
from langgraph_pg_snapshot.serializer import SnapshotSerializer


def zone_from_a_file(key):
    places = [Path(place) / "Europe/Paris" for place in zoneinfo.TZPATH]
    found = next((place for place in places if place.is_file()), None)
    if found is None:  # from the package
        tzdata = pytest.importorskip("tzdata")
        found = Path(tzdata.__file__).parent / "zoneinfo" / "Europe/Paris"
    with found.open("rb") as file:
        return ZoneInfo.from_file(file, key=key)


def array(library, dtype, size=2):
    return library.zeros(size, dtype)


VALUES = {
    "zone without a key": (lambda: zone_from_a_file(None), "has no key"),
    "zone from a file": (lambda: zone_from_a_file("Europe/Paris"), "was made from a file"),
    "zone of no place": (lambda: zone_from_a_file("My/Zone"), "was made from a file"),
    "time in a zone from a file": (
        lambda: datetime(2024, 5, 1, tzinfo=zone_from_a_file("Europe/Paris")),
        "was made from a file",
    ),
    "version_info": (lambda: sys.version_info, "is not data|only be made by Python"),
    "thread_info": (lambda: sys.flags, "is not data|only be made by Python"),
}
NUMPY = {
    "view of big-endian numbers": (lambda np: memoryview(array(np, ">i4")), "the format '>i'"),
    "view of records": (lambda np: memoryview(array(np, [("a", "i4")])), "the format 'T"),
    "text with a missing value": (
        lambda np: np.array(["a", None], dtype=np.dtypes.StringDType(na_object=None)),
        "can't be described",
    ),
    "scalar of a class that derives": (
        lambda np: type("Celsius", (np.float64,), {})(1.5),
        "is not data",
    ),
    "records with attributes": (
        lambda np: array(np, np.dtype((np.record, [("a", "i4")]))),
        "can't be described",
    ),
    "one record with attributes": (
        lambda np: array(np, np.dtype((np.record, [("a", "i4")])))[0],
        "can't be described",
    ),
    "padded records": (
        lambda np: array(np, np.dtype([("a", "i1"), ("b", "i4")], align=True)),
        "can't be described",
    ),
}
PANDAS = {
    "a year of five digits": (
        lambda pd: pd.Timestamp(sys.modules["numpy"].datetime64(10**12, "s")),
        "its year, 33658, does not have four digits",
    ),
    "labels": (
        lambda pd: pd.DataFrame({"a": [1]}).set_flags(allows_duplicate_labels=False),
        "forbids duplicate labels",
    ),
    "attrs": (lambda pd: with_attrs(pd.DataFrame({"a": [1]})), "it has attrs"),
    "name that is a set": (lambda pd: pd.Series([1], name=frozenset({1})), "its name is a frozen"),
    "name of an index": (lambda pd: pd.RangeIndex(1, name=range(2)), "its name is a range"),
    "zone of a column": (
        lambda pd: pd.Series(
            pd.to_datetime(["2024-05-01"]).tz_localize(zone_from_a_file("My/Zone"))
        ),
        "was made from a file",
    ),
    "zone of a Timestamp": (
        lambda pd: pd.Timestamp("2024-05-01", tz=zone_from_a_file("Europe/Paris")),
        "was made from a file",
    ),
    "frequency": (
        lambda pd: pd.date_range(
            "2024-05-01", periods=3, freq=pd.offsets.CustomBusinessDay(weekmask="Mon Tue")
        ),
        "a frequency of its own",
    ),
    "categories": (lambda pd: pd.Series(pd.Categorical([frozenset({1})])), "categories that"),
    "intervals": (lambda pd: pd.Series(pd.interval_range(0, 2)), "the dtype interval"),
    "Period": (lambda pd: pd.Period("2024", "M"), "is not data"),
}


def with_attrs(frame):
    frame.attrs["a"] = 1
    return frame


def check(value, reason):
    serializer = SnapshotSerializer()
    for save in (serializer.dumps, serializer.encode):
        with pytest.raises(SerializationError, match=rf"^\['a'\]\[0\].*(?:{reason})"):
            save({"a": [value]})


@pytest.mark.parametrize(("make", "reason"), VALUES.values(), ids=VALUES.keys())
def test_values_of_python(make, reason):
    check(make(), reason)


@pytest.mark.parametrize(("make", "reason"), NUMPY.values(), ids=NUMPY.keys())
def test_values_of_numpy(make, reason):
    check(make(pytest.importorskip("numpy", minversion="2")), reason)


@pytest.mark.parametrize(("make", "reason"), PANDAS.values(), ids=PANDAS.keys())
def test_values_of_pandas(make, reason):
    check(make(pytest.importorskip("pandas")), reason)


def test_a_zone_past_the_cache_is_the_zone_of_its_key():
    back = SnapshotSerializer().loads(SnapshotSerializer().dumps(ZoneInfo.no_cache("Europe/Paris")))
    assert back is ZoneInfo("Europe/Paris")


def test_arrays_come_back_writable_and_without_what_equality_passes_over():
    np = pytest.importorskip("numpy")
    value = np.zeros(2, np.dtype("i4", metadata={"a": 1}))
    value.flags.writeable = False
    back = SnapshotSerializer().loads(SnapshotSerializer().dumps(value))
    assert_same(back, np.zeros(2, "i4"))
    assert back.flags.writeable
    assert back.dtype.metadata is None


def test_how_a_uuid_was_made_is_not_kept():
    value = uuid.UUID(int=1, is_safe=uuid.SafeUUID.safe)
    back = SnapshotSerializer().loads(SnapshotSerializer().dumps(value))
    assert back == value
    assert back.is_safe is uuid.SafeUUID.unknown
