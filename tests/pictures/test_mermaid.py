"""Mermaid, line by line: nothing of what comes from data means anything there."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_pg_snapshot import HistoryGraph
from langgraph_pg_snapshot.pictures.mermaid import exceeds_limits, label
from langgraph_pg_snapshot.pictures.words import clean, shortened
from pictures.hostile import HOSTILE, TEXTS, TREES, step, tree_of

# Letters and digits of any script, spaces, entities by number, and a few signs beside letters.
LETTER = r"[^\W_]"
LABEL = (
    rf"(?:{LETTER}| |#\d+;|<br/>|(?<={LETTER})[-_.](?={LETTER})|(?<={LETTER} )-(?={LETTER})"
    rf"|(?<={LETTER}),(?= ?{LETTER}))*"
)
LINES = re.compile(
    rf'flowchart TD|older\(\["{LABEL}"\]\)|c\d+\["{LABEL}"\]|c\d+ --> c\d+|older -\.-> c\d+'
    r"|classDef (?:default|waiting|failed|newest) [a-z-]+:#?\w+(?:,[a-z-]+:#?\w+)*"
    r"|class c\d+(?:,c\d+)* (?:waiting|failed|newest)"
)


def read(text: str) -> list[str]:
    """The lines of a label as Mermaid shows them."""
    return [
        re.sub(r"#(\d+);", lambda found: chr(int(found[1])), line) for line in text.split("<br/>")
    ]


@given(TREES, TEXTS, st.sampled_from([0, 7]))
def test_every_line_is_of_a_form_that_we_write(above, text, left_out):
    steps = tree_of(above, text)
    graph = HistoryGraph(text, text, steps, left_out)
    assert str(graph) == graph.mermaid
    lines = graph.mermaid.split("\n")
    assert [each for each in lines if not LINES.fullmatch(each)] == []
    nodes = [each for each in lines if re.match(r"c\d+\[", each)]
    assert len(nodes) == len(steps)
    shown = {step.parent_checkpoint_id for step in steps} & {s.checkpoint_id for s in steps}
    arrows = [each for each in lines if " --> " in each]
    assert len(arrows) == sum(each.parent_checkpoint_id in shown for each in steps)
    assert max(map(len, nodes)) < 5_000


@pytest.mark.parametrize("text", HOSTILE)
def test_labels_say_what_they_were_given(text):
    lines = [text, f"x {text} y", "end"]
    assert read(label(lines)) == [shortened(clean(each), 80) for each in lines]
    assert re.fullmatch(LABEL, label(lines))


@pytest.mark.parametrize(
    ("arrows", "left_out", "expected"), [(500, 0, False), (501, 0, True), (500, 7, True)]
)
def test_limits_of_mermaid_on_arrows(arrows, left_out, expected):
    steps = [
        step(n, 0 if n else -1, "-> ", asks=False)._replace(
            error=None, nodes=None, is_interrupted=False, changed_channels=()
        )
        for n in reversed(range(arrows + 1))
    ]
    drawn = HistoryGraph("t", "", steps, left_out).mermaid
    assert len(drawn) < 50_000
    assert exceeds_limits(drawn) == expected


def test_limits_of_mermaid_on_characters():
    assert not exceeds_limits("x" * 50_000)
    assert exceeds_limits("x" * 50_001)


def test_forks_and_what_is_special_are_told():
    steps = [
        step(3, 1, "t", newest=True)._replace(error=None),
        step(2, 1, "t", asks=False),
        step(1, 0, "t", asks=False)._replace(error=None),
    ]
    lines = HistoryGraph("t", "", steps, 1).mermaid.split("\n")
    assert [each for each in lines if "->" in each] == ["older -.-> c0", "c0 --> c1", "c0 --> c2"]
    assert [each for each in lines if each.startswith("class ")] == [
        *("class c2 waiting", "class c1 failed", "class c2 newest")
    ]
    assert 'older(["1 older checkpoint not shown"])' in lines
    # Without any that is left out, nothing hangs from there.
    assert "older" not in HistoryGraph("t", "", steps, 0).mermaid
