"""Keeping threads small, and erasing those of which nothing may stay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from langgraph_pg_snapshot._base import SaverBase
from langgraph_pg_snapshot._calls import retention as calls
from langgraph_pg_snapshot.models import RemovalReport, RetentionPolicy


class Retention(SaverBase):
    """Retention and erasure, part of `PostgresSnapshotSaver`."""

    def sweep(
        self, policy: RetentionPolicy, *, dry_run: bool = False, batch: int = 100
    ) -> RemovalReport:
        """Apply a retention policy to every thread.

        Runs may go on meanwhile, and other sweeps and removals: a thread that someone else holds at
        the moment is passed over, and counted. Each batch is a transaction of its own, so a sweep
        that was broken off has done what it has done, and the next one goes on from there. The work
        is done inside the server.

        It also removes pending writes whose checkpoint did not come within a day, and forgets
        after seven days what was erased, and after one who had threads for himself (`exclusive`).

        Args:
            policy: What to keep.
            dry_run: Whether to remove nothing and only tell what would be. False by default.
            batch: How many threads are looked at in one transaction, from 1 to
                1,000; 100 by default.

        Returns:
            What was removed.

        Raises:
            InvalidArgumentError: An argument is not usable.
            StorageError: The database refused or failed; earlier batches are done.
        """
        return self._run(calls.sweep(self._store, policy, batch, dry_run=dry_run))

    async def asweep(
        self, policy: RetentionPolicy, *, dry_run: bool = False, batch: int = 100
    ) -> RemovalReport:
        """Like `sweep`."""
        return await self._arun(calls.sweep(self._store, policy, batch, dry_run=dry_run))

    def erase(
        self,
        *,
        filter: Mapping[str, Any] | None = None,  # noqa: A002 -- as in list()
        thread_ids: Sequence[str] | None = None,
        dry_run: bool = False,
        allow_all: bool = False,
    ) -> RemovalReport:
        """Erase threads by their ids, or those of which a checkpoint that is stored says this.

        Also one of which all checkpoints of its root namespace together say it: there the newest
        value of each key counts, and those that ``prune`` and ``sweep`` removed count, too. What
        only removed ones said, and a later one says otherwise, is not found; nor is, where
        metadata is sealed (an encrypting serializer), anything that only removed ones said.

        What comes late from a run that is under way is not stored (see `delete_thread`). Doing it
        again is no error. A filter reads the metadata of every checkpoint, so it takes a while on a
        large database. A hundred threads are removed a transaction.

        Args:
            filter: Metadata by key, as in ``{"user_id": "ada"}``; all of it must match. Refused
                are None as a value, and what LangGraph says of a step (``source``, ``step``, …)
                except ``run_id``.
            thread_ids: In place of a filter: the threads, as `delete_thread` takes one.
            dry_run: Whether to remove nothing and only tell what would be. False by default.
            allow_all: Whether an empty filter, which means every thread, is meant. False by
                default.

        Returns:
            What was removed.

        Raises:
            InvalidArgumentError: An argument is not usable.
            DeserializationError: Sealed metadata can't be read with this serializer.
            StorageError: The database refused or failed; earlier threads are erased.
        """
        return self._run(
            calls.erase(self._store, filter, thread_ids, dry_run=dry_run, allow_all=allow_all)
        )

    async def aerase(
        self,
        *,
        filter: Mapping[str, Any] | None = None,  # noqa: A002 -- as in list()
        thread_ids: Sequence[str] | None = None,
        dry_run: bool = False,
        allow_all: bool = False,
    ) -> RemovalReport:
        """Like `erase`."""
        return await self._arun(
            calls.erase(self._store, filter, thread_ids, dry_run=dry_run, allow_all=allow_all)
        )
