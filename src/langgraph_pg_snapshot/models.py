"""What the saver hands out, and how it names a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple

from langchain_core.runnables import RunnableConfig

from langgraph_pg_snapshot._arguments import (
    check_count,
    check_dict,
    check_id,
    check_thread_id,
    reading_argument,
)
from langgraph_pg_snapshot.errors import ArgumentTypeError, InvalidArgumentError


class UnloadableValue(NamedTuple):
    """A stored value that can't be loaded.

    Attributes:
        checkpoint_ns: The namespace of its checkpoint.
        checkpoint_id: Its checkpoint.
        kind: "value" of a channel, a pending "write" to one, "metadata", or the "header": what a
            checkpoint says of itself.
        channel: The channel; of metadata the key; "" of what can't be told apart.
        reason: What loading it says.
    """

    checkpoint_ns: str
    checkpoint_id: str
    kind: str
    channel: str
    reason: str


@dataclass(frozen=True)
class RetentionPolicy:
    """How much of threads `PostgresSnapshotSaver.sweep` keeps. At least one of the limits is given.

    What the kept checkpoints can't be loaded without stays with them.

    Attributes:
        keep_last: Of each namespace the newest checkpoints stay, so many; an int from 1 to
            2^63 - 1.
        max_age: Checkpoints that were stored longer ago go, except the newest of a namespace.
        max_idle: Threads to which no checkpoint was added for longer are erased.
        allow_all: Whether ``keep_last=0`` and ``max_idle=timedelta(0)``, which remove everything,
            are meant. False by default.

    Raises:
        InvalidArgumentError: No limit is given, or one is of the wrong type, negative, or would
            remove everything.
    """

    keep_last: int | None = None
    max_age: timedelta | None = None
    max_idle: timedelta | None = None
    allow_all: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.allow_all, bool):
            raise ArgumentTypeError(
                f"allow_all must be True or False, got {type(self.allow_all).__name__}"
            )
        if self.keep_last is not None:
            # (the plain number; the dataclass is frozen)
            object.__setattr__(self, "keep_last", check_count("keep_last", self.keep_last))
        for name, limit in (("max_age", self.max_age), ("max_idle", self.max_idle)):
            if limit is not None and not isinstance(limit, timedelta):
                raise ArgumentTypeError(
                    f"{name} must be a datetime.timedelta or None, got {type(limit).__name__}"
                )
            if limit is not None and limit < timedelta(0):
                raise InvalidArgumentError(f"{name} must not be negative, got {limit}")
        for name, all_go in (
            ("keep_last=0", self.keep_last == 0),
            ("max_idle=timedelta(0)", self.max_idle == timedelta(0)),
        ):
            if all_go and not self.allow_all:
                raise InvalidArgumentError(
                    f"{name} removes every thread: pass allow_all=True if that is meant"
                )
        if self.keep_last is None and self.max_age is None and self.max_idle is None:
            raise InvalidArgumentError(
                "a policy without a limit keeps everything: pass keep_last=, max_age= or max_idle="
            )


@dataclass(frozen=True)
class RemovalReport:
    """What `PostgresSnapshotSaver.sweep` and `erase` removed.

    Attributes:
        threads: Threads that were removed as a whole.
        shortened: Threads of which checkpoints were removed.
        checkpoints: Checkpoints that were removed, those of whole threads included.
        items: Items of threads' logs that were.
        writes: Pending writes that were.
        bytes: The size of the values of all these as they were stored; not of rows and indexes.
        skipped: Threads that were left for the next time, because someone else held them.
        dry_run: Whether this is what would have been removed.
    """

    threads: int = 0
    shortened: int = 0
    checkpoints: int = 0
    items: int = 0
    writes: int = 0
    bytes: int = 0
    skipped: int = 0
    dry_run: bool = False

    def __add__(self, other: RemovalReport) -> RemovalReport:
        """Both together."""
        return RemovalReport(
            self.threads + other.threads,
            self.shortened + other.shortened,
            self.checkpoints + other.checkpoints,
            self.items + other.items,
            self.writes + other.writes,
            self.bytes + other.bytes,
            self.skipped + other.skipped,
            dry_run=self.dry_run or other.dry_run,
        )


class ThreadLease(NamedTuple):
    """A thread that a block has for itself.

    Attributes:
        thread_id: The thread.
        token: Larger than that of any block before. A system that keeps the largest it has seen
            of a thread can refuse what comes late from an earlier block.
    """

    thread_id: str
    token: int


class SchemaStatus(NamedTuple):
    """What of the saver's schema is in the database.

    Attributes:
        version: The newest migration that was applied; 0 if there are no tables.
        newest: The newest one that this package has.
        pending: The names of those that are still to be applied.
        missing: Relations that are not there, as SQL names them (quoted).
    """

    version: int
    newest: int
    pending: Sequence[str]
    missing: Sequence[str]

    @property
    def ok(self) -> bool:
        """Whether there is nothing to do."""
        return not self.pending and not self.missing


class NamespaceKey(NamedTuple):
    """A thread's namespace: the unit that has a log of its own."""

    thread_id: str
    checkpoint_ns: str


class Target(NamedTuple):
    """The checkpoint that a RunnableConfig names; without an id it is the newest one."""

    key: NamespaceKey
    checkpoint_id: str | None

    @classmethod
    def of(cls, config: RunnableConfig) -> Target:
        """Read a config, as LangGraph hands it over.

        Raises:
            InvalidArgumentError: thread_id is missing, or an id is not a usable str.
        """
        return cls.of_configurable(configurable_of(config))

    @classmethod
    def of_configurable(cls, configurable: Mapping[Any, Any]) -> Target:
        """The same of its 'configurable' part."""
        if configurable.get("thread_id") is None:
            raise InvalidArgumentError(
                "config['configurable'] has no 'thread_id': a checkpoint saver keeps state by "
                "thread; pass config={'configurable': {'thread_id': '…'}}"
            )
        return cls(
            NamespaceKey(
                check_thread_id(configurable["thread_id"]),
                check_id("checkpoint_ns", _or_empty(configurable.get("checkpoint_ns"))),
            ),
            checkpoint_id_of(configurable),
        )


def configurable_of(config: RunnableConfig, argument: str = "config") -> dict[Any, Any]:
    """The 'configurable' part of a config, or an error that says what it should look like."""
    if type(config) is dict:  # as LangGraph makes them
        configurable = config.get("configurable")
    else:
        with reading_argument(argument):
            configurable = config.get("configurable") if isinstance(config, Mapping) else None
    if not isinstance(configurable, (dict, Mapping)):
        raise ArgumentTypeError(
            f"{argument} must be a RunnableConfig with a 'configurable' dict, as in "
            "{'configurable': {'thread_id': '…'}}"
        )
    return check_dict(f"{argument}['configurable']", configurable)


def checkpoint_id_of(configurable: Mapping[str, Any]) -> str | None:
    """The checkpoint id; None where there is none, and "" means none, too."""
    return check_id("checkpoint_id", _or_empty(configurable.get("checkpoint_id"))) or None


def _or_empty(value: object) -> object:
    return "" if value is None else value
