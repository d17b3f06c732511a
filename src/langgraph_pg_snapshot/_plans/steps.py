"""The steps that a plan may ask of its driver."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias, TypeVar

from langgraph_pg_snapshot._plans.weight import HEAVY, weight

T = TypeVar("T")

Row: TypeAlias = tuple[Any, ...]


class Rows(list[Row]):
    """The rows of a statement.

    Attributes:
        again: Whether it was run more than once, because a connection died: an earlier run may have
            done the work, and then these rows tell of what that left.
    """

    again: bool = False


class Stmt(NamedTuple):
    """One statement; the driver sends back its `Rows` (none, if it returns none).

    On its own it runs in its own transaction, on any connection, and is run again on another one
    if the connection turns out dead: it has to be idempotent.

    Attributes:
        query: Its text, in which a percent sign is doubled unless ``params`` is None.
        params: Its parameters; None is for scripts of several statements, which can't have any.
        takes_long: Whether it may take as long as it likes, since it works through whole tables.
        within: How long it may take with all its tries, in seconds, where that is less than what
            any statement may take; None is no less.
        of_schema: Whether it reads or writes no tenant's rows, so that it is nobody's turn.
    """

    query: bytes
    params: Mapping[str, Any] | None = None
    takes_long: bool = False
    within: float | None = None
    of_schema: bool = False


class Atomic(NamedTuple):
    """A plan whose statements run in one transaction; the driver sends back its result.

    Started afresh on another connection if the connection turns out dead.

    Attributes:
        plan: Makes the plan; it yields statements only.
        one_snapshot: Whether all of them see the database as it was at the first one. Otherwise
            each sees what was committed before it, which is what those want that lock first and
            look then.
        takes_long: As with a statement.
        of_schema: As with a statement.
    """

    plan: Callable[[], Plan[Any]]
    one_snapshot: bool = False
    takes_long: bool = False
    of_schema: bool = False

    @property
    def isolation(self) -> bytes:
        """The statement that sets the transaction's level, whatever the connection is set to."""
        level = b"REPEATABLE READ" if self.one_snapshot else b"READ COMMITTED"
        return b"SET TRANSACTION ISOLATION LEVEL " + level


@dataclass(frozen=True)
class Heavy:
    """The plan's next stretch may take a while: not for an event loop's thread then.

    Attributes:
        values: What it encodes, which only those look at who have an event loop; None is a lot.
    """

    values: Iterable[Any] | None = None

    @property
    def takes_long(self) -> bool:
        """Whether it does."""
        return self.values is None or sum(map(weight, self.values)) > HEAVY


Step: TypeAlias = Stmt | Atomic | Heavy
Plan: TypeAlias = Generator[Step, Any, T]


def taking_long(plan: Callable[[], Plan[T]]) -> Plan[T]:
    """A plan that works through whole tables: each of its steps may take as long as it likes."""
    steps = plan()
    answer: Any = None
    while True:
        try:
            step = steps.send(answer)
        except StopIteration as end:
            result: T = end.value
            return result
        answer = yield step if isinstance(step, Heavy) else step._replace(takes_long=True)
