"""A thread's checkpoints and forks as a picture."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from langgraph_pg_snapshot.pictures import mermaid, svg
from langgraph_pg_snapshot.pictures.steps import HistoryStep, told
from langgraph_pg_snapshot.pictures.tree import placed
from langgraph_pg_snapshot.pictures.words import clean_line, counted, moment, not_shown


@dataclass(frozen=True, repr=False)
class HistoryGraph:
    """A thread's checkpoints and forks; in a notebook it shows itself.

    ``str()`` of it is its Mermaid. Text from the thread (names, ids, questions) is escaped in each
    form, and cut where it is long.

    Attributes:
        thread_id: The thread.
        checkpoint_ns: Its namespace; "" is the root.
        steps: Its newest checkpoints, the newest first.
        left_out: How many older ones there are that it does not show.
    """

    thread_id: str
    checkpoint_ns: str
    steps: Sequence[HistoryStep]
    left_out: int

    @property
    def mermaid(self) -> str:
        """A Mermaid flowchart, as GitHub and many wikis draw it in a block of that language."""
        return mermaid.drawn(self.steps, self.left_out)

    @property
    def svg(self) -> str:
        """An SVG image, readable on light and dark pages; it loads nothing."""
        return svg.drawn(self.caption, self.steps, self.left_out)

    @property
    def text(self) -> str:
        """The tree in characters, a checkpoint a line."""
        older = [not_shown(self.left_out)] if self.left_out else []
        return "\n".join([clean_line(self.caption), *tree_lines(self.steps, moment), *older])

    @property
    def caption(self) -> str:
        """Which thread it is, and how many checkpoints it shows."""
        place = f" in {self.checkpoint_ns!r}" if self.checkpoint_ns else ""
        return f"{self.thread_id}{place}: {counted(len(self.steps), 'checkpoint')}"

    def __str__(self) -> str:
        return self.mermaid

    def __repr__(self) -> str:
        return f"<HistoryGraph of {self.caption!r}>"

    def _repr_svg_(self) -> str:
        return self.svg

    # No HTML: notebooks would prefer it, and strip images from what they do not trust.
    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:  # noqa: ARG002 -- IPython's
        return {"image/svg+xml": self.svg, "text/plain": self.text}


def tree_lines(steps: Sequence[HistoryStep], when: Callable[[datetime], str]) -> Iterator[str]:
    """The tree in characters, a checkpoint a line: id, time, what is said of it."""
    by_id = {each.checkpoint_id: each for each in steps}
    for each, place in placed({i: step.parent_checkpoint_id for i, step in by_id.items()}):
        step = by_id[each]
        parts = [clean_line(each), when(step.created_at), *(text for _, text in told(step))]
        yield "│ " * place + "● " + "  ".join(parts)
