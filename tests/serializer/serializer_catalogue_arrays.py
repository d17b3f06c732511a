"""The part of the catalogue that NumPy and pandas make, where they are installed."""

from __future__ import annotations

import enum
import uuid
from datetime import timedelta, timezone
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo


class Shade(enum.Enum):
    DARK = "dark"


ARRAY_CASES: dict[str, Any] = {}

try:
    import numpy as np
except ImportError:
    pass
else:
    ARRAY_CASES["numpy arrays"] = lambda: [
        np.arange(6, dtype="<i4").reshape(2, 3),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.arange(24).reshape(2, 3, 4).transpose(1, 0, 2),
        np.array([1.5, np.nan, -0.0], dtype=">f8"),
        np.array([], dtype="float32"),
        np.zeros((3, 2), dtype=[]),
        np.array([1, 2], dtype=np.longlong),
        np.array([1, 2], dtype=np.ulonglong).astype(">Q"),
        np.zeros((0, 3)),
        np.array(5),
        np.array(["a", "\x00b"]),
        np.array([b"a"]),
        np.array(["2024-01-01"], dtype="datetime64[D]"),
        np.array([True, False]),
        np.array([1 + 2j]),
        np.array([(1, 2.5)], dtype=[("b", "<i4"), ("a", "<f8")]),
        np.array([{"b": 1, "a": (1,)}, None], dtype=object),
        np.array([[1, "a"], [None, 2.5]], dtype=object, order="F"),
    ]
    if hasattr(np.dtypes, "StringDType"):  # NumPy 2
        ARRAY_CASES["numpy text"] = lambda: [
            np.array([["a", "", "é\x00"], ["b", "c", "d"]], dtype=np.dtypes.StringDType()),
            np.array([], dtype=np.dtypes.StringDType()),
        ]
    ARRAY_CASES["numpy scalars"] = lambda: [
        np.float64("nan"),
        np.float64(1e16),
        np.float32(0.1),
        np.int64(-5),
        np.uint64(2**64 - 1),
        np.bool_(True),
        np.str_("a\x00"),
        np.bytes_(b"a\x00"),
        np.datetime64("2024-01-01T00:00"),
        np.timedelta64(5, "s"),
        np.complex64(1j),
        np.longdouble("0.1"),
        np.frombuffer(b"\x01\x7e", "<f2")[0],  # a NaN of bits of its own
    ]

try:
    import pandas as pd
except ImportError:
    pass
else:
    ARRAY_CASES["pandas"] = lambda: [
        pd.DataFrame({"b": [1, 2], "a": ["x", None]}),
        pd.DataFrame({"t": pd.date_range("2024-01-01", periods=3, tz="Europe/Paris")}),
        pd.DataFrame({"c": pd.Categorical(["u", "v", "u"], ordered=True), "f": [1.5, None, -0.0]}),
        pd.DataFrame(
            {"i": pd.array([1, None], dtype="Int64")}, index=pd.Index(["x", "y"], name="k")
        ),
        pd.DataFrame([[1, 2], [3, 4]], columns=["same", "same"]),
        pd.DataFrame(),
        pd.Series([1.0, 2.0], name="s", index=pd.date_range("2024-01-01", periods=2)),
        pd.Series([True, None], dtype="boolean"),
        pd.Series([{"a": 1}, (1,)]),
        pd.RangeIndex(5),
    ]
    ARRAY_CASES["pandas scalars"] = lambda: [
        pd.Timestamp("2024-05-01"),
        pd.Timestamp(1234567890123456789),
        pd.Timestamp("2024-05-01T12:00:00.5").as_unit("ms"),
        pd.Timestamp("0001-01-01").as_unit("s"),
        pd.Timestamp("2024-10-27 00:30", tz="UTC").tz_convert("Europe/Paris"),
        pd.Timestamp("2024-10-27 01:30", tz="UTC").tz_convert("Europe/Paris"),
        pd.Timestamp("2024-05-01", tz=timezone(timedelta(hours=-5, minutes=-30))),
        pd.Timestamp("2024-05-01", tz=timezone(timedelta(seconds=3601))),
        pd.Timestamp("2024-05-01", tz=timezone(timedelta(hours=1), "CET")),
        pd.Timestamp("2024-05-01").replace(fold=1),
        pd.Timedelta(days=-1, nanoseconds=5),
        pd.Timedelta(5, "s").as_unit("ms"),
        pd.NaT,
        pd.NA,
        pd.Series([pd.NA, pd.NaT, pd.Timestamp("2024-05-01"), None, 1.5], dtype=object),
        pd.DataFrame({"o": pd.Series([pd.Timedelta(5), "a"], dtype=object)}),
    ]
    ARRAY_CASES["pandas names and zones"] = lambda: [
        *(
            pd.Series([1], name=name)
            for name in (
                np.int64(1),
                pd.Timestamp("2024-05-01"),
                ((1, "a"), pd.NaT),
                uuid.UUID(int=1),
                Decimal("1.10"),
                1 + 2j,
                Shade.DARK,
            )
        ),
        *(
            pd.Series(pd.to_datetime(["2024-05-01", None]).tz_localize(zone))
            for zone in (
                timezone.utc,
                timezone(timedelta(hours=-1)),
                timezone(timedelta(hours=1), "CET"),
                timezone(timedelta(seconds=3601)),
                ZoneInfo("Europe/Paris"),
            )
        ),
        pd.Index(pd.date_range("2024-05-01", periods=2, tz=timezone(timedelta(hours=1), "X"))),
        pd.Series(pd.Categorical([Shade.DARK, 1, None])),
    ]
