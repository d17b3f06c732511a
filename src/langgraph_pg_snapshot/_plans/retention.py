"""Shortening threads to what a policy keeps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from langgraph_pg_snapshot._plans.remove import columns_of, erase_locked, lock_threads
from langgraph_pg_snapshot._plans.steps import Atomic, Plan, Row, Stmt
from langgraph_pg_snapshot._plans.store import Store
from langgraph_pg_snapshot.models import NamespaceKey, RemovalReport, RetentionPolicy

# Writes may come before their checkpoint, but no run saves one for so long.
ORPHANED_AFTER = timedelta(days=1)
# No run that was under way when its thread was erased is at work for so long.
FORGOTTEN_AFTER = timedelta(days=7)
# How many pending writes are looked at in a transaction.
WRITES_PAGE = 10_000
_LATEST = {"keep_last": 1, "oldest": None, "orphaned_before": None}
# Ages beyond this are before any timestamp.
LONGEST = timedelta(days=365 * 1000)


def keep_latest(store: Store, thread_ids: Sequence[str]) -> Plan[None]:
    """Keep the newest checkpoint of each namespace, and what it can't be loaded without.

    A thread a transaction, so that a long list holds no writer up for long.
    """
    for thread_id in thread_ids:
        yield Atomic(partial(_keep_latest, store, thread_id))


def _keep_latest(store: Store, thread_id: str) -> Plan[None]:
    locked = yield from lock_threads(store, [thread_id])
    terms = {"thread_ids": [thread_id], **_LATEST, **columns_of(locked)}
    yield Stmt(store.queries("drop_expendable"), terms)


def latest_checkpoints(store: Store, thread_id: str) -> Plan[set[tuple[str, str]]]:
    """What `keep_latest` keeps of a locked thread, as namespaces and ids."""
    terms = {"thread_ids": [thread_id], **_LATEST}
    rows = yield Stmt(store.queries("kept_checkpoints"), terms)
    return {(namespace, checkpoint_id) for namespace, checkpoint_id in rows}


def sweep(
    store: Store, policy: RetentionPolicy, batch: int, *, dry_run: bool
) -> Plan[RemovalReport]:
    """Apply a policy to every thread, some threads a transaction."""
    ages = {"max_age": _bounded(policy.max_age), "max_idle": _bounded(policy.max_idle)}
    [(now, oldest, idle_since)] = yield Stmt(store.queries("sweep_times"), ages)
    if policy.keep_last == 0:
        idle_since = now
    orphaned_before = now - ORPHANED_AFTER
    sweeper = _Sweep(
        store, policy.keep_last, oldest, idle_since, orphaned_before, batch, dry_run=dry_run
    )
    report = RemovalReport(dry_run=dry_run)
    if idle_since is not None:
        report += yield from sweeper.erase_idle()
    if policy.keep_last or oldest is not None:
        report += yield from sweeper.shorten()
    report += yield from sweeper.drop_orphaned_writes()
    if not dry_run:
        yield Stmt(store.queries("forget_erased"), {"before": now - FORGOTTEN_AFTER})
        yield Stmt(store.queries("forget_leases"), {"before": now - ORPHANED_AFTER})
    return report


def _bounded(age: timedelta | None) -> timedelta | None:
    return age and min(age, LONGEST)


def measure(
    store: Store,
    thread_ids: Sequence[str],
    *,
    dry_run: bool,
    orphaned_before: datetime | None = None,
) -> Plan[RemovalReport]:
    """What these threads consist of, but for orphaned writes from before then, if that is given."""
    params = {"thread_ids": list(thread_ids), "orphaned_before": orphaned_before}
    rows = yield Stmt(store.queries("measure_threads"), params)
    return removed(rows, whole=True, dry_run=dry_run)


def removed(rows: Sequence[Row], *, whole: bool, dry_run: bool) -> RemovalReport:
    """A report of the figures that statements bring by thread."""
    report = RemovalReport(
        threads=len(rows) if whole else 0, shortened=0 if whole else len(rows), dry_run=dry_run
    )
    for _, checkpoints, items, writes, size in rows:
        report += RemovalReport(
            checkpoints=checkpoints, items=items, writes=writes, bytes=int(size), dry_run=dry_run
        )
    return report


@dataclass(frozen=True)
class _Sweep:
    """A sweep under way.

    Attributes:
        keep_last: How many checkpoints of a namespace stay; None: however many.
        oldest: Checkpoints from before go, except a namespace's newest.
        idle_since: Threads without an update since then go.
        orphaned_before: Pending writes from before go if their checkpoint is not there.
        batch: How many threads are looked at in a transaction.
        dry_run: Whether to look only.
    """

    store: Store
    keep_last: int | None
    oldest: datetime | None
    idle_since: datetime | None
    orphaned_before: datetime
    batch: int
    dry_run: bool

    @property
    def orphans_apart(self) -> datetime | None:
        """In a dry run orphaned writes stay until they are counted, so not twice."""
        return self.orphaned_before if self.dry_run else None

    def erase_idle(self) -> Plan[RemovalReport]:
        """Erase threads of which nothing was updated for long."""
        report = yield from self._erase_rootless()
        params: dict[str, Any] = {"idle_since": self.idle_since, "limit": self.batch}
        which = "which_any"
        while True:
            rows = yield Stmt(self.store.queries("idle_threads", which), params)
            if not rows:
                return report
            thread_ids = [thread_id for thread_id, _ in rows]
            report += yield from self._erase_or_measure(thread_ids)
            which = "which_idle_after"
            params |= {"after": rows[-1][0], "updated_at": rows[-1][1]}

    def _erase_rootless(self) -> Plan[RemovalReport]:
        """The same of those that have no root namespace; no index tells how long they are idle."""
        report = RemovalReport(dry_run=self.dry_run)
        params: dict[str, Any] = {"idle_since": self.idle_since, "limit": self.batch}
        which = ["which_rootless_idle"]
        while True:
            rows = yield Stmt(self.store.queries("next_threads", *which), params)
            if not rows:
                return report
            report += yield from self._erase_or_measure([thread_id for (thread_id,) in rows])
            which = ["which_rootless_idle", "which_after_thread"]
            params["after"] = rows[-1][0]

    def _erase_or_measure(self, thread_ids: Sequence[str]) -> Plan[RemovalReport]:
        if self.dry_run:
            return (yield from self._measure(thread_ids))
        report: RemovalReport = yield Atomic(partial(self._erase_idle, thread_ids))
        return report

    def _measure(self, thread_ids: Sequence[str]) -> Plan[RemovalReport]:
        return (
            yield from measure(
                self.store, thread_ids, dry_run=self.dry_run, orphaned_before=self.orphans_apart
            )
        )

    def _erase_idle(self, thread_ids: Sequence[str]) -> Plan[RemovalReport]:
        held = yield from self._try_lock(thread_ids, self.idle_since)
        report = yield from self._measure(held.thread_ids)
        if held.thread_ids:
            yield from erase_locked(self.store, held.thread_ids, held.namespaces)
        return report + RemovalReport(skipped=held.skipped)

    def shorten(self) -> Plan[RemovalReport]:
        """Shorten the threads that stay."""
        report = RemovalReport(dry_run=self.dry_run)
        terms = {
            "keep_last": self.keep_last,
            "oldest": self.oldest,
            "orphaned_before": self.orphans_apart,
        }
        params: dict[str, Any] = {"idle_since": self.idle_since, "limit": self.batch}
        which = ["which_any" if self.idle_since is None else "which_not_idle"]
        while True:
            rows = yield Stmt(self.store.queries("next_threads", *which), params)
            if not rows:
                return report
            these = terms | {"thread_ids": [thread_id for (thread_id,) in rows]}
            if self.dry_run:
                found = yield Stmt(self.store.queries("measure_expendable"), these)
                report += removed(found, whole=False, dry_run=True)
            else:
                # A look without locks first: as a rule there is little to do.
                found = yield Stmt(self.store.queries("threads_with_expendable"), these)
                if found:
                    thread_ids = [thread_id for (thread_id,) in found]
                    report += yield Atomic(partial(self._shorten, terms, thread_ids))
            which = [which[0], "which_after_thread"]
            params["after"] = rows[-1][0]

    def _shorten(self, terms: dict[str, Any], thread_ids: Sequence[str]) -> Plan[RemovalReport]:
        held = yield from self._try_lock(thread_ids)
        rows = yield Stmt(
            self.store.queries("drop_expendable"),
            terms | {"thread_ids": held.thread_ids} | columns_of(held.namespaces),
        )
        return removed(rows, whole=False, dry_run=False) + RemovalReport(skipped=held.skipped)

    def _try_lock(
        self, thread_ids: Sequence[str], idle_since: datetime | None = None
    ) -> Plan[_HeldThreads]:
        """Hold the threads that nobody else holds (and that are idle); waits for nobody."""
        params = {"thread_ids": list(thread_ids)}
        rows = yield Stmt(self.store.queries("try_lock_threads"), params)
        locked = {NamespaceKey(*row) for row in rows}
        rows = yield Stmt(self.store.queries("namespaces_of"), params)
        busy = {
            thread_id for thread_id, namespace, _ in rows if (thread_id, namespace) not in locked
        }
        in_use = {
            thread_id
            for thread_id, _, updated_at in rows
            if idle_since is not None and updated_at >= idle_since
        }
        held = {thread_id for thread_id, _, _ in rows} - busy - in_use
        return _HeldThreads(
            [thread_id for thread_id in thread_ids if thread_id in held],
            {key for key in locked if key.thread_id in held},
            len(busy),
        )

    def drop_orphaned_writes(self) -> Plan[RemovalReport]:
        """Remove pending writes that came before their checkpoint, which never came."""
        report = RemovalReport(dry_run=self.dry_run)
        name = "measure_orphaned_writes" if self.dry_run else "drop_orphaned_writes"
        params: dict[str, Any] = {"before": self.orphaned_before, "limit": WRITES_PAGE}
        which = ["which_any"]
        while True:
            end = yield Stmt(self.store.queries("end_of_writes", *which), params)
            if end:
                params |= _checkpoint_as("to", end[0])
            upto = [*which, "which_writes_to"] if end else which
            [(writes, size)] = yield Stmt(self.store.queries(name, *upto), params)
            report += RemovalReport(writes=writes, bytes=int(size))
            if not end:
                return report
            which = ["which_writes_after"]
            params |= _checkpoint_as("after", end[0])


def _checkpoint_as(prefix: str, row: Row) -> dict[str, str]:
    names = ("thread_id", "checkpoint_ns", "checkpoint_id")
    return {f"{prefix}_{name}": value for name, value in zip(names, row, strict=True)}


@dataclass(frozen=True)
class _HeldThreads:
    """Threads that a transaction holds as a whole.

    Attributes:
        thread_ids: The threads.
        namespaces: Their namespaces.
        skipped: How many others someone else holds.
    """

    thread_ids: list[str]
    namespaces: set[NamespaceKey]
    skipped: int
