"""What an import or export says of itself: while it goes on, and at its end."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeAlias

ProblemKind: TypeAlias = Literal["conflict", "unreadable", "unstorable", "different"]


@dataclass(frozen=True)
class Problem:
    """Why a thread was not copied, or in what its copy differs.

    Attributes:
        thread_id: The thread.
        kind: "conflict": the target has a thread of this id with other checkpoints, or interrupts,
            answers or errors differ and nothing tells which are newer; nothing was changed.
            "unreadable": the source holds a value that can't be built. "unstorable": the
            target does not take a value or an id. (Of these two nothing is left in the target,
            unless the thread was there before.) "different": what was copied is not what the
            source has.
        reason: What is the matter, and the way out.
        checkpoint_ns: The checkpoint's namespace, where it is about one.
        checkpoint_id: The checkpoint, where it is about one.
        channel: The channel, or the part of the checkpoint, where it is about one.
    """

    thread_id: str
    kind: ProblemKind
    reason: str
    checkpoint_ns: str | None = None
    checkpoint_id: str | None = None
    channel: str | None = None

    def __str__(self) -> str:
        where = [f"thread {self.thread_id!r}"]
        if self.checkpoint_id is not None:
            where.append(f"checkpoint {self.checkpoint_id!r}")
        if self.checkpoint_ns:
            where.append(f"namespace {self.checkpoint_ns!r}")
        if self.channel is not None:
            where.append(f"channel {self.channel!r}")
        return f"{', '.join(where)}: {self.kind}: {self.reason}"


@dataclass(frozen=True)
class Progress:
    """How far an import or export is.

    Attributes:
        thread_id: The thread that is being copied.
        threads_done: How many threads are done with.
        threads: How many there are.
        checkpoints_done: How many checkpoints of this thread are done with.
        checkpoints: How many of them there are to do.
        verifying: Whether they are compared by now, rather than copied.
    """

    thread_id: str
    threads_done: int
    threads: int
    checkpoints_done: int
    checkpoints: int
    verifying: bool


@dataclass
class TransferReport:
    """What came of it.

    With ``dry_run``, the same in terms of what would be done: nothing was read but ids, and
    interrupts, answers and errors at checkpoints that both sides have.

    Attributes:
        dry_run: Whether nothing was written.
        threads: Threads that were looked at.
        new: Threads that were not in the target.
        continued: Threads of which a part was in the target: an earlier run did not end, or the
            source went on since.
        unchanged: Threads that were in the target with all that the source has. (What the target
            has beyond that stays, and what was removed there stays away.)
        checkpoints: Checkpoints that were copied.
        writes: Pending writes that were copied.
        verified: Checkpoints that were compared.
        problems: What did not go well; the threads that it names are none of the above.
    """

    dry_run: bool
    threads: int = 0
    new: int = 0
    continued: int = 0
    unchanged: int = 0
    checkpoints: int = 0
    writes: int = 0
    verified: int = 0
    problems: list[Problem] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether every thread is (or would be) in the target as it is in the source."""
        return not self.problems

    def as_dict(self) -> dict[str, Any]:
        """The report as plain data, for JSON."""
        return {**asdict(self), "ok": self.ok}


ImportReport = TransferReport
ExportReport = TransferReport
