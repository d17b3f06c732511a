"""Figures, and how they are taken: in turns, so that what slows the machine slows everyone."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import TypeAlias

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from benchmarks.contenders import FLOOR, IDLE, OFFICIAL, OURS
from benchmarks.scale import Scale

Work: TypeAlias = Callable[[int], object]
"""What a contender does in the round of that number."""


@dataclass(frozen=True)
class Spread:
    """The median of what was measured, its quartiles, and how often it was."""

    median: float
    low: float
    high: float
    rounds: int

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        found = list(values)
        if len(found) == 1:
            return cls(found[0], found[0], found[0], 1)
        low, median, high = statistics.quantiles(found, n=4, method="inclusive")
        return cls(median, low, high, len(found))

    def less(self, base: float) -> Spread:
        """The same without what there is anyway."""
        return Spread(self.median - base, self.low - base, self.high - base, self.rounds)


@dataclass(frozen=True)
class Figure:
    """One line of the table.

    Attributes:
        workload: The key of its workload.
        case: What was measured, in words.
        quantity: Which of its figures.
        unit: Its unit.
        of: Its values by contender.
        ratio: What the target is about; by default ours to the official saver's.
        between: Of what to what the ratio is.
        target: What the ratio has to be.
        at_least: Whether more is better.
    """

    workload: str
    case: str
    quantity: str
    unit: str
    of: Mapping[str, Spread]
    ratio: float | None = None
    between: str = f"{OURS} / {OFFICIAL}"
    target: float | None = None
    at_least: bool = False

    def __post_init__(self) -> None:
        if self.ratio is None and OURS in self.of and OFFICIAL in self.of:
            object.__setattr__(self, "ratio", _ratio(self.of[OURS], self.of[OFFICIAL]))

    @property
    def floor_ratio(self) -> float | None:
        """The floor's (with an idle saver's) to the official saver's: what none can go below."""
        if FLOOR not in self.of or OFFICIAL not in self.of:
            return None
        floor = self.of[FLOOR]
        if IDLE in self.of:
            floor = floor.less(-self.of[IDLE].median)
        return _ratio(floor, self.of[OFFICIAL])

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None if there is none."""
        if self.target is None or self.ratio is None:
            return None
        return self.ratio >= self.target if self.at_least else self.ratio <= self.target


def _ratio(ours: Spread, theirs: Spread) -> float | None:
    # Noise can make a difference negative where both are next to nothing.
    return ours.median / theirs.median if theirs.median > 0 else None


@dataclass
class Samples:
    """What one contender's rounds took: milliseconds, and bytes of WAL."""

    ms: list[float] = field(default_factory=list)
    wal: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Meter:
    """Looks at a database from a connection of its own."""

    conn: psycopg.Connection

    def measure(self, work: Callable[[], object], into: Samples) -> None:
        """Do some work, and note what it took."""
        # Nobody pays for another one's garbage (the old generation's: once a round).
        gc.collect(1)
        before = self._wal()
        begun = time.perf_counter()
        work()
        into.ms.append(1000 * (time.perf_counter() - begun))
        into.wal.append(self._wal() - before)

    def _wal(self) -> int:
        return self._one("SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint")

    def table_bytes(self, prefix: str) -> int:
        """What tables whose names begin so take, with indexes and TOAST."""
        return self._one(
            "SELECT sum(pg_total_relation_size(oid))::bigint FROM pg_class "
            "WHERE relkind = 'r' AND starts_with(relname, %s)",
            prefix,
        )

    def checkpoint(self) -> None:
        """Have the server write all it has: what is touched next is logged as a whole page once."""
        self.conn.execute("CHECKPOINT")

    def _one(self, query: str, *params: str) -> int:
        row = self.conn.execute(query, params).fetchone()
        return int(row[0]) if row else 0


@dataclass(frozen=True)
class Bench:
    """A server to measure on, and how much."""

    dsn: str
    scale: Scale
    _numbers: Iterator[int] = field(default_factory=count)

    @contextmanager
    def database(self) -> Iterator[tuple[str, Meter]]:
        """An empty database, dropped afterwards."""
        name = f"benchmark_{next(self._numbers)}"
        with psycopg.connect(self.dsn, autocommit=True) as admin:
            drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
            admin.execute(drop)
            admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
            try:
                dsn = make_conninfo(self.dsn, dbname=name)
                with psycopg.connect(dsn, autocommit=True) as conn:
                    yield dsn, Meter(conn)
            finally:
                admin.execute(drop)

    def interleave(
        self,
        meter: Meter,
        works: Mapping[str, Work],
        rounds: int | None = None,
        *,
        warm: int | None = None,
    ) -> dict[str, Samples]:
        """Each contender's work once a round, begun by another one each time.

        The first ``warm`` rounds do not count.
        """
        names = list(works)
        warm = self.scale.warm if warm is None else warm
        samples = {name: Samples() for name in names}
        for turn in range(warm + (rounds or self.scale.rounds)):
            gc.collect()
            first = turn % len(names)
            for name in names[first:] + names[:first]:
                meter.measure(partial(works[name], turn), samples[name])
        for each in samples.values():
            del each.ms[:warm], each.wal[:warm]
        return samples
