"""What can go wrong, as exceptions: one base class, each with its reason in its docstring."""

from __future__ import annotations

from types import TracebackType

import psycopg


class SnapshotError(Exception):
    """Something went wrong in langgraph-pg-snapshot.

    Base class of every error that this package raises on its own account, so that a caller
    can catch one thing. The message says what was being done, to which thread, table and
    namespace; the driver's error, where there is one, is the ``__cause__``.
    """

    located = False
    """Whether the message says already which operation failed, on which thread and table."""

    def __init__(self, message: str | None = None, /, *args: object) -> None:
        # The docstring's first line is the default message, so that no error is ever mute.
        super().__init__(message or (self.__doc__ or "").partition("\n")[0], *args)


class InvalidArgumentError(SnapshotError, ValueError):
    """An argument is not what this call takes; nothing was sent to the database."""


class ArgumentTypeError(InvalidArgumentError, TypeError):
    """An argument is not of the type that this call takes; nothing was sent to the database."""


class StorageError(SnapshotError):
    """PostgreSQL refused or failed the operation; the driver's error is the cause."""


class ConnectionUnavailableError(StorageError):
    """No working connection could be had in time."""


class WrongColorError(SnapshotError, RuntimeError):
    """A call came from a thread or event loop from which the given connections can't be used."""


class SchemaError(SnapshotError):
    """The database's tables are not what this version of the package works with."""


class SchemaConflictError(SchemaError):
    """A relation of that name exists already and is not ours."""


class TenantError(SchemaError):
    """The tables, or the role, do not keep tenants apart as the saver's tenant= would have it."""


class SchemaVersionError(SchemaError):
    """The tables were made by a newer version of this package; nothing was touched."""


class ConcurrentWriteError(SnapshotError):
    """Other writers kept changing the thread, and this was given up; a put has stored nothing."""


class ConcurrentUpdateError(SnapshotError):
    """Another run went on from the same checkpoint, and was first; this one's is not stored.

    Attributes:
        thread_id: The thread.
        checkpoint_ns: The namespace.
        checkpoint_id: The checkpoint that is not stored.
        parent_checkpoint_id: The one that it was built on; None: the thread was empty.
        head_checkpoint_id: The one that was the newest when it came.
    """

    thread_id: str = ""
    checkpoint_ns: str = ""
    checkpoint_id: str = ""
    parent_checkpoint_id: str | None = None
    head_checkpoint_id: str = ""


class ThreadBusyError(SnapshotError):
    """Another block held the thread for the whole of the timeout.

    Attributes:
        thread_id: The thread.
        holder: Who held it at the last look, as host, process and a number of its own.
        held_for: Since when, in seconds, by the server's clock.
    """

    thread_id: str = ""
    holder: str = ""
    held_for: float = 0.0


class LeaseLostError(SnapshotError):
    """A block does not hold its thread any more, so what it was to store was not stored.

    Attributes:
        thread_id: The thread.
        token: The number that the block had.
    """

    thread_id: str = ""
    token: int = 0


class DamagedThreadError(SnapshotError):
    """A checkpoint names items that are not in the database."""


class ChannelNotStoredError(SnapshotError, LookupError):
    """The channel's value is not stored by itself: the graph rebuilds it."""


class SerializationError(SnapshotError, TypeError):
    """A value can't be stored: the message names the place inside the value and its type."""


class DeserializationError(SnapshotError, ValueError):
    """Stored data can't be read back as what it claims to be."""


class TypeNotAllowedError(DeserializationError):
    """Stored data names a type that may not be built here, or that is not there any more."""


class about:  # noqa: N801 -- used like a function; one written with contextlib takes thrice the time
    """Have errors of ours that pass through begin with what they are about, if that is known."""

    __slots__ = ("_what",)

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._what and isinstance(error, SnapshotError):
            error.args = (f"{self._what}: {error}", *error.args[1:])


NOT_KEPT_APART = (
    "row security does not hold on the tables for the role that this saver connects as: a "
    "superuser and a role with BYPASSRLS see the rows of every tenant. Nothing is read or written "
    "while that is so. Connect as a role that has neither, and the rights that "
    "rights_sql(runtime=…) prints"
)


def is_not_kept_apart(error: psycopg.Error) -> bool:
    """Whether the statement that says whose turn it is found that it would not matter."""
    return isinstance(
        error, psycopg.errors.UndefinedObject
    ) and "row_security_does_not_hold" in str(error)


def without_values(error: psycopg.Error) -> psycopg.Error:
    """Cut what a driver's error says down to PostgreSQL's first line, as the error's text, too.

    The others (DETAIL, CONTEXT, QUERY) may quote rows, with the values that are stored in them.
    They are still in the error's ``diag``.
    """
    if error.diag.message_primary is not None:
        error.args = (error.diag.message_primary, *error.args[1:])
    return error
