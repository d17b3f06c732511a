"""The functions that import and export."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.serde.base import SerializerProtocol

from langgraph_pg_snapshot._arguments import check_bool, check_thread_id, reading_argument
from langgraph_pg_snapshot.errors import ArgumentTypeError, InvalidArgumentError
from langgraph_pg_snapshot.saver import PostgresSnapshotSaver
from langgraph_pg_snapshot.serializer import SnapshotSerializer
from langgraph_pg_snapshot.transfer.engine import Transfer
from langgraph_pg_snapshot.transfer.official import OfficialTables
from langgraph_pg_snapshot.transfer.official_target import Opened, official_target
from langgraph_pg_snapshot.transfer.plain import PlainTable
from langgraph_pg_snapshot.transfer.report import ExportReport, ImportReport, Progress
from langgraph_pg_snapshot.transfer.savers import AnySaver, SaverThreadToFill
from langgraph_pg_snapshot.transfer.snapshot import SnapshotTables, SnapshotThreadToFill
from langgraph_pg_snapshot.transfer.sqlite import SqliteFile
from langgraph_pg_snapshot.transfer.threads import Source

_SOURCES = (OfficialTables, SqliteFile, AnySaver, PlainTable, SnapshotTables)
_SHALLOW = ("ShallowPostgresSaver", "AsyncShallowPostgresSaver")
OnProgress = Callable[[Progress], object]


def import_threads(
    saver: PostgresSnapshotSaver,
    source: Source | BaseCheckpointSaver[Any],
    *,
    thread_ids: Iterable[str] | None = None,
    dry_run: bool = False,
    verify: bool = True,
    on_progress: OnProgress | None = None,
) -> ImportReport:
    """Copy threads of another saver into this one; the source is only read.

    Checkpoints keep their ids, parents, metadata, versions and times, pending writes their tasks
    and order, so that a run which was interrupted there goes on here. One thread is read at a time,
    one checkpoint of it at a time, the oldest first. An import that did not end is ended by doing
    it again, and one that did changes nothing, but for what the source got since. What was swept
    here is not brought back. While an import goes on, nobody should run the threads on this saver.

    Args:
        saver: The saver to copy to.
        source: `OfficialTables`, `SqliteFile`, `PlainTable`, or a saver (as it is, or as an
            `AnySaver`).
        thread_ids: The threads to copy; None (default) means all.
        dry_run: Only look what there is to do; nothing is written, no table is made.
        verify: Read each thread on both sides and compare every checkpoint and pending write
            (default; it takes about twice as long as copying).
        on_progress: Called with a `Progress` when a thread begins and after each of its
            checkpoints.

    Returns:
        What was done, and which threads could not be copied, or differ.

    Raises:
        InvalidArgumentError: An argument is not usable.
        SchemaError: The source is not of the kind that it should be.
        StorageError: A database refused or failed. What is copied by then stays; do it again.
    """
    if not isinstance(saver, PostgresSnapshotSaver):
        raise ArgumentTypeError(
            f"saver must be a PostgresSnapshotSaver, got {type(saver).__name__}"
        )
    _check_switches(dry_run, verify, on_progress)
    return Transfer(
        source_of(source),
        partial(SnapshotThreadToFill, saver),
        dry_run=dry_run,
        verify=verify,
        serde=_lossy(saver.serde),
        on_progress=_ignore if on_progress is None else on_progress,
    ).run(_ids(thread_ids))


async def aimport_threads(
    saver: PostgresSnapshotSaver, source: Source | BaseCheckpointSaver[Any], **options: Any
) -> ImportReport:
    """Like `import_threads`, in a thread: the source may be an async saver of this event loop."""
    return await asyncio.to_thread(import_threads, saver, source, **options)


def export_threads(
    saver: PostgresSnapshotSaver,
    target: OfficialTables | BaseCheckpointSaver[Any],
    *,
    thread_ids: Iterable[str] | None = None,
    dry_run: bool = False,
    verify: bool = True,
    on_progress: OnProgress | None = None,
) -> ExportReport:
    """Copy threads of this saver to another one, by that one's own ``put`` and ``put_writes``.

    As with `import_threads`, doing it again goes on where it stopped or changes nothing, and a
    thread that has other checkpoints in the target is refused. Types that the target's serializer
    does not bring back (JsonPlusSerializer makes lists of tuples) are no difference.

    Args:
        saver: The saver to copy from; it is only read.
        target: `OfficialTables` (made if they are not there; takes langgraph-checkpoint-postgres),
            or any checkpoint saver that is set up.
        thread_ids: The threads to copy; None (default) means all.
        dry_run: Only look what there is to do; nothing is written.
        verify: Read each thread on both sides and compare it (default).
        on_progress: Called with a `Progress` when a thread begins and after each of its
            checkpoints.

    Returns:
        What was done, and which threads could not be copied, or differ.

    Raises:
        InvalidArgumentError: An argument is not usable.
        SchemaError: The saver has no tables.
        SnapshotError: langgraph-checkpoint-postgres is needed and not installed.
        StorageError: A database refused or failed. What is copied by then stays; do it again.
    """
    if not isinstance(saver, PostgresSnapshotSaver):
        raise ArgumentTypeError(
            f"saver must be a PostgresSnapshotSaver, got {type(saver).__name__}"
        )
    _check_switches(dry_run, verify, on_progress)
    ids = _ids(thread_ids)
    with _opened(target, dry_run=dry_run) as (thread_of, serde):
        return Transfer(
            SnapshotTables(saver),
            thread_of,
            dry_run=dry_run,
            verify=verify,
            serde=_lossy(serde),
            on_progress=_ignore if on_progress is None else on_progress,
        ).run(ids)


async def aexport_threads(
    saver: PostgresSnapshotSaver,
    target: OfficialTables | BaseCheckpointSaver[Any],
    **options: Any,
) -> ExportReport:
    """Like `export_threads`, in a thread: the target may be an async saver of this event loop."""
    return await asyncio.to_thread(export_threads, saver, target, **options)


def source_of(source: Source | BaseCheckpointSaver[Any]) -> Source:
    """A source as it is, or made of a saver.

    Raises:
        InvalidArgumentError: It is neither.
    """
    if isinstance(source, PostgresSnapshotSaver):
        return SnapshotTables(source)
    if isinstance(source, BaseCheckpointSaver):
        return AnySaver(source)
    if not isinstance(source, _SOURCES):
        raise ArgumentTypeError(
            "source must be an OfficialTables, a SqliteFile, a PlainTable or a checkpoint saver, "
            f"got {type(source).__name__}"
        )
    return source


def _check_switches(dry_run: object, verify: object, on_progress: object) -> None:
    check_bool("dry_run", dry_run)
    check_bool("verify", verify)
    if on_progress is not None and not callable(on_progress):
        raise ArgumentTypeError(
            f"on_progress must be a function or None, got {type(on_progress).__name__}"
        )


def _ids(thread_ids: Iterable[str] | None) -> list[str] | None:
    if isinstance(thread_ids, (str, bytes)):
        raise ArgumentTypeError(
            f"thread_ids must be a list of str, got {type(thread_ids).__name__}: pass [thread_id]"
        )
    if thread_ids is None:
        return None
    with reading_argument("thread_ids"):
        return [check_thread_id(thread_id) for thread_id in thread_ids]


def _lossy(serde: SerializerProtocol) -> SerializerProtocol | None:
    """A serializer that does not bring back all as it was; None for ours, which does."""
    return None if type(serde) is SnapshotSerializer else serde


def _ignore(progress: Progress) -> None:
    pass


def _opened(
    target: OfficialTables | BaseCheckpointSaver[Any], *, dry_run: bool
) -> AbstractContextManager[Opened]:
    if isinstance(target, OfficialTables):
        return official_target(target, dry_run=dry_run)
    if isinstance(target, PostgresSnapshotSaver):
        return nullcontext((partial(SnapshotThreadToFill, target), target.serde))
    if any(each.__name__ in _SHALLOW for each in type(target).__mro__):
        raise InvalidArgumentError(
            f"target: a {type(target).__name__} keeps only the newest checkpoint of a thread, so a "
            "thread can't be copied to it: export to OfficialTables or PostgresSaver"
        )
    if isinstance(target, BaseCheckpointSaver):
        return nullcontext((partial(SaverThreadToFill, target), target.serde))
    raise ArgumentTypeError(
        f"target must be an OfficialTables or a checkpoint saver, got {type(target).__name__}"
    )
