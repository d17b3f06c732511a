"""A thread's history as a Mermaid flowchart."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from langgraph_pg_snapshot.pictures.steps import HistoryStep, told
from langgraph_pg_snapshot.pictures.tree import placed
from langgraph_pg_snapshot.pictures.words import clean, not_shown, shortened

# Each has its own colours, so that it can be read on any page.
_DEFAULT = "classDef default fill:#f6f8fa,stroke:#8c959f,color:#1f2328"
_CLASSES = {
    "waiting": "fill:#fff8c5,stroke:#9a6700,color:#1f2328",
    "failed": "fill:#ffebe9,stroke:#cf222e,color:#1f2328",
    "newest": "stroke:#0969da,stroke-width:3px",
}
# What may stand in a label as it is: letters, digits and spaces, and beside letters and digits
# what means nothing there. Mermaid reads much else even inside quotes: directives (%%{init}%%),
# entities, Markdown, HTML, semicolons after the word style.
_AS_IT_IS = re.compile(
    r"[^\W_]| |(?<=[^\W_])[-_.](?=[^\W_])|(?<=[^\W_] )-(?=[^\W_])|(?<=[^\W_]),(?= ?[^\W_])"
)
_LONGEST = 80
# What Mermaid draws unless it is configured otherwise: maxEdges, maxTextSize.
_MOST_ARROWS, _MOST_CHARACTERS = 500, 50_000


def drawn(steps: Sequence[HistoryStep], left_out: int) -> str:
    """The flowchart's text; nodes are c0, c1, … in the order of the tree."""
    return "\n".join(("flowchart TD", *_lines(steps, left_out)))


def exceeds_limits(flowchart: str) -> bool:
    """Whether Mermaid refuses to draw it as it is configured by default."""
    # In labels every ">" is an entity.
    return flowchart.count("-> ") > _MOST_ARROWS or len(flowchart) > _MOST_CHARACTERS


def _lines(steps: Sequence[HistoryStep], left_out: int) -> Iterator[str]:
    by_id = {each.checkpoint_id: each for each in steps}
    order = [each for each, _ in placed({i: s.parent_checkpoint_id for i, s in by_id.items()})]
    names = {each: f"c{number}" for number, each in enumerate(order)}
    if left_out:
        yield f'older(["{label([not_shown(left_out)])}"])'
    for each in order:
        step = by_id[each]
        lines = [text for _, text in told(step)]
        yield f'{names[each]}["{label([*lines, each])}"]'
        parent = step.parent_checkpoint_id
        if parent in names:
            yield f"{names[parent]} --> {names[each]}"
        elif parent is not None and left_out:
            yield f"older -.-> {names[each]}"
    yield _DEFAULT
    for name, chosen in (
        ("waiting", [i for i in order if by_id[i].is_waiting]),
        ("failed", [i for i in order if by_id[i].error is not None]),
        ("newest", [i for i in order if by_id[i].is_newest]),
    ):
        if chosen:
            yield f"classDef {name} {_CLASSES[name]}"
            yield f"class {','.join(names[each] for each in chosen)} {name}"


def label(lines: Sequence[str]) -> str:
    """Text as it can stand between quotes, whatever it holds."""
    return "<br/>".join(_escaped(shortened(clean(line), _LONGEST)) for line in lines)


def _escaped(text: str) -> str:
    kept = {found.start() for found in _AS_IT_IS.finditer(text)}
    return "".join(char if place in kept else f"#{ord(char)};" for place, char in enumerate(text))
