"""What the directory of threads hands out, and how that shows itself in a notebook."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, NamedTuple, SupportsIndex, TypeVar, overload

from typing_extensions import Self

from langgraph_pg_snapshot.pictures import tables
from langgraph_pg_snapshot.pictures.words import counted, moment, said, size_of

T = TypeVar("T")


class ThreadInfo(NamedTuple):
    """A thread as the directory lists it.

    Attributes:
        thread_id: The thread's id.
        created_at: When its first checkpoint was stored (time zone aware).
        updated_at: When its newest one was (time zone aware).
        checkpoints: How many its root namespace has; those of subgraphs are not counted.
        metadata: What its runs said of it: the newest value of each key of the root namespace's
            checkpoints, and all that the newest checkpoint has (``source``, ``step``, …).
    """

    thread_id: str
    created_at: datetime
    updated_at: datetime
    checkpoints: int = 0
    metadata: Mapping[str, Any] = MappingProxyType({})


class CheckpointInfo(NamedTuple):
    """A checkpoint without its values, as `history` lists it.

    Attributes:
        checkpoint_ns: Its namespace.
        checkpoint_id: Its id.
        parent_checkpoint_id: The checkpoint that it follows; None if there is none (any more).
        created_at: When it was stored (time zone aware).
        step: LangGraph's count of supersteps; -1 is the first input. None if it has none.
        source: "input", "loop", "update" or "fork", or None.
        updated_channels: The channels of the state that its step wrote to; None if LangGraph did
            not say.
        metadata: All of its metadata.
    """

    checkpoint_ns: str
    checkpoint_id: str
    parent_checkpoint_id: str | None
    created_at: datetime
    step: int | None
    source: str | None
    updated_channels: Sequence[str] | None
    metadata: Mapping[str, Any]


class TableSize(NamedTuple):
    """What a table takes on disk.

    Attributes:
        name: The table's name, without its schema.
        bytes: All of it: rows, TOAST, indexes.
        index_bytes: The part that is its indexes.
    """

    name: str
    bytes: int
    index_bytes: int


class ThreadSize(NamedTuple):
    """How large a thread is.

    Attributes:
        thread_id: The thread.
        checkpoints: Its checkpoints in all namespaces, those of subgraphs too.
        items: Rows of its log: messages, as a rule.
        writes: Pending writes.
        bytes: Its values as they are stored (compressed, where they are), without what rows and
            indexes take beside them.
    """

    thread_id: str
    checkpoints: int
    items: int
    writes: int
    bytes: int


class StorageStats(NamedTuple):
    """What is stored.

    Attributes:
        threads: Threads that have a checkpoint in any namespace.
        checkpoints: Checkpoints of all threads and namespaces.
        items: Rows of their logs.
        writes: Pending writes.
        tables: What each table takes on disk.
        largest_threads: The ten threads with the most bytes, the largest first.
    """

    threads: int
    checkpoints: int
    items: int
    writes: int
    tables: Sequence[TableSize]
    largest_threads: Sequence[ThreadSize]

    def _repr_html_(self) -> str:
        shown = [tables.table(*part, total=len(part[1])) for part in tables_of(self)]
        return "".join((tables.line(counts_of(self)), *shown))


def counts_of(stats: StorageStats) -> str:
    """The counts in a line."""
    return ", ".join(
        counted(number, noun)
        for number, noun in (
            (stats.threads, "thread"),
            (stats.checkpoints, "checkpoint"),
            (stats.items, "item"),
            (stats.writes, "pending write"),
        )
    )


def tables_of(stats: StorageStats) -> list[tuple[Sequence[str], list[Sequence[Any]]]]:
    """Tables to show: columns (">": to the right) and rows of each."""
    sizes: list[Sequence[Any]] = [
        (each.name, size_of(each.bytes), size_of(each.index_bytes)) for each in stats.tables
    ]
    largest: list[Sequence[Any]] = [
        (each.thread_id, each.checkpoints, each.items, each.writes, size_of(each.bytes))
        for each in stats.largest_threads
    ]
    parts: list[tuple[Sequence[str], list[Sequence[Any]]]] = [
        (("table", ">size", ">of it indexes"), sizes)
    ]
    if largest:
        columns = ("largest threads", ">checkpoints", ">items", ">writes", ">values")
        parts.append((columns, largest))
    return parts


class _Listing(list[T]):
    """A list that shows itself in a notebook; so do slices of it."""

    @overload
    def __getitem__(self, index: SupportsIndex, /) -> T: ...
    @overload
    def __getitem__(self, index: slice, /) -> Self: ...
    def __getitem__(self, index: SupportsIndex | slice, /) -> T | Self:
        if isinstance(index, slice):
            return type(self)(super().__getitem__(index))
        return super().__getitem__(index)


class ThreadList(_Listing[ThreadInfo]):
    """Threads, as `list_threads` lists them."""

    def _repr_html_(self) -> str:
        return tables.table(
            ("thread", "updated", "created", ">checkpoints", "metadata"),
            (
                (
                    each.thread_id,
                    moment(each.updated_at),
                    moment(each.created_at),
                    each.checkpoints,
                    said(each.metadata, tables.value),
                )
                for each in self
            ),
            total=len(self),
        )


class CheckpointList(_Listing[CheckpointInfo]):
    """Checkpoints, as `history` lists them."""

    def _repr_html_(self) -> str:
        return tables.table(
            (">step", "source", "wrote to", "created", "checkpoint", "parent"),
            (
                (
                    "" if each.step is None else each.step,
                    each.source or "",
                    ", ".join(each.updated_channels or ()),
                    moment(each.created_at),
                    each.checkpoint_id,
                    each.parent_checkpoint_id or "",
                )
                for each in self
            ),
            total=len(self),
        )
