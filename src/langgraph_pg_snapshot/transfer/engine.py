"""Copying threads from a source to a target, thread by thread."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import psycopg
from langgraph.checkpoint.serde.base import SerializerProtocol

from langgraph_pg_snapshot.errors import SchemaError, SnapshotError, StorageError, WrongColorError
from langgraph_pg_snapshot.transfer.compare import mismatches
from langgraph_pg_snapshot.transfer.report import Problem, ProblemKind, Progress, TransferReport
from langgraph_pg_snapshot.transfer.threads import (
    Contents,
    Found,
    Place,
    Source,
    ThreadReader,
    ThreadToFill,
    UnreadableError,
)
from langgraph_pg_snapshot.transfer.work import Work, compare

# A statement that fails with an error of these classes fails for what is stored: 22 is data, 23 are
# constraints, 54 are limits. Any other would fail for the next thread as well.
_OF_ITS_DATA = ("22", "23", "54")


_BOTH_WENT_ON = (
    "the target has a thread of this id with other checkpoints, or one that was continued there "
    "while the source went on, too; nothing was changed. Delete it there to have this one, or "
    "leave this one out"
)
_UNCLEAR = (
    "what was asked, answered or raised at this checkpoint is not the same on both sides, and "
    "nothing tells which is newer; nothing was changed. Delete the thread in the target to have "
    "this one, or leave this one out"
)


class _FailedError(Exception):
    """A thread can't be copied; the problem says why."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem


@dataclass
class Transfer:
    """A transfer of threads.

    Attributes:
        source: Where they are read.
        target: Gives the thread of the target that is to be filled.
        dry_run: Only look what there is to do.
        verify: Compare what was copied.
        serde: See `mismatches`.
        on_progress: Called before and after each checkpoint.
    """

    source: Source
    target: Callable[[str], ThreadToFill]
    dry_run: bool
    verify: bool
    serde: SerializerProtocol | None
    on_progress: Callable[[Progress], object]

    def run(self, thread_ids: Iterable[str] | None) -> TransferReport:
        """Copy these threads, or all; what is the matter with one does not stop the others."""
        report = TransferReport(self.dry_run)
        with self.source.open() as reader:
            ids = None if thread_ids is None else list(dict.fromkeys(thread_ids))
            total = reader.count() if ids is None else len(ids)
            for thread_id in reader.thread_ids() if ids is None else ids:
                progress = Progress(thread_id, report.threads, total, 0, 0, verifying=False)
                with reader.thread(thread_id) as thread:
                    _Thread(self, report, thread_id, thread, progress).copy()
                report.threads += 1
        return report


class _Thread:
    """One thread's way."""

    def __init__(
        self,
        transfer: Transfer,
        report: TransferReport,
        thread_id: str,
        source: ThreadReader,
        progress: Progress,
    ) -> None:
        self._transfer = transfer
        self._report = report
        self._thread_id = thread_id
        self._source = source
        self._progress = progress

    def copy(self) -> None:
        """Copy it, and compare."""
        report = self._report
        try:
            target, work, want = self._look()
            if work.is_nothing:
                report.unchanged += 1
            elif self._transfer.dry_run:
                self._count(work, want.tasks)
            else:
                self._fill(target, work)
                self._count(work, want.tasks)
            if self._transfer.verify and not self._transfer.dry_run and not work.went_on:
                self._verify(target, want, work)
        except _FailedError as failure:
            report.problems.append(failure.problem)

    def _look(self) -> tuple[ThreadToFill, Work, Contents]:
        try:
            want = self._source.contents()
        except SnapshotError as error:
            raise self._failed(error, kind="unreadable") from error
        try:
            target = self._transfer.target(self._thread_id)
            have = target.contents(want)
            work = compare(want, have, self._source, target, self._transfer.serde)
        except SnapshotError as error:
            raise self._failed(error) from error
        if not want.parents:
            raise _FailedError(
                Problem(self._thread_id, "unreadable", "the source has no thread of this id")
            )
        if work.is_conflict:
            ns, checkpoint_id = work.unclear or (None, None)
            raise _FailedError(
                Problem(
                    self._thread_id,
                    "conflict",
                    _BOTH_WENT_ON if ns is None else _UNCLEAR,
                    ns,
                    checkpoint_id,
                )
            )
        self._show(0, len(work.places) + len(work.touched), verifying=False)
        return target, work, want

    def _count(self, work: Work, tasks: Any) -> None:
        self._report.new += work.is_new
        self._report.continued += not work.is_new
        self._report.checkpoints += len(work.places)
        copied = {*work.places, *work.touched}
        self._report.writes += sum(n for (place, _), n in tasks.items() if place in copied)

    def _fill(self, target: ThreadToFill, work: Work) -> None:
        total = len(work.places) + len(work.touched)
        place = None
        try:
            if work.is_new:
                target.begin()
            since = None
            before: dict[str, Found] = {}
            for done, place in enumerate(work.places, start=1):
                found = self._source.read(place)
                parent = before.get(place.checkpoint_ns)
                is_child = parent is not None and parent.place.checkpoint_id == found.parent_id
                target.put(found, found.changed_since(parent if is_child else None))
                # Behind its checkpoint: a saver may refuse writes that belong to none.
                target.put_writes(place, found.writes)
                before[place.checkpoint_ns] = found
                since = found.since
                self._show(done, total, verifying=False)
            for done, place in enumerate(work.touched, start=len(work.places) + 1):
                target.put_writes(place, self._source.writes(place))
                self._show(done, total, verifying=False)
            target.finish(since)
        except SnapshotError as error:
            failed = self._failed(error, place)
            if work.is_new:
                # Half a thread would be taken for a whole one.
                with suppress(SnapshotError):
                    target.discard()
            raise failed from error

    def _verify(self, target: ThreadToFill, want: Contents, work: Work) -> None:
        places = [place for place in want.oldest_first() if place not in work.removed]
        copied = set(work.places)
        for done, place in enumerate(places, start=1):
            try:
                found = self._source.read(place)
                if found.wants_sends and (parent := want.parent_of(place)) is not None:
                    found = found.with_sends(self._source.writes(parent))
                got = target.load(place)
            except SnapshotError as error:
                raise self._failed(error, place, "different") from error
            for mismatch in mismatches(
                found, got, self._transfer.serde, work.removed, was_there=place not in copied
            ):
                self._report.problems.append(
                    Problem(self._thread_id, "different", mismatch.reason, *place, mismatch.part)
                )
            self._report.verified += 1
            self._show(done, len(places), verifying=True)

    def _show(self, done: int, total: int, *, verifying: bool) -> None:
        self._transfer.on_progress(
            replace(self._progress, checkpoints_done=done, checkpoints=total, verifying=verifying)
        )

    def _failed(
        self, error: SnapshotError, place: Place | None = None, kind: ProblemKind | None = None
    ) -> Exception:
        """What to raise for an error: a problem of this thread, or the error if it is of all."""
        if isinstance(error, (SchemaError, WrongColorError)) or (
            isinstance(error, StorageError) and not _is_of_its_data(error)
        ):
            return error
        if isinstance(error, UnreadableError):
            kind = kind or "unreadable"
        channel = getattr(error, "channel", None)
        ns, checkpoint_id = place if place is not None else (None, None)
        return _FailedError(
            Problem(self._thread_id, kind or "unstorable", str(error), ns, checkpoint_id, channel)
        )


def _is_of_its_data(error: StorageError) -> bool:
    cause = error.__cause__
    return isinstance(cause, psycopg.Error) and (
        # Without a state: psycopg itself can't build what is stored.
        (cause.sqlstate or "").startswith(_OF_ITS_DATA) or isinstance(cause, psycopg.DataError)
    )
