"""Text that tries to be something else (markup, directives, controls), and steps that say it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone

from hypothesis import strategies as st

from langgraph_pg_snapshot import HistoryStep

NOW = datetime(2026, 1, 2, tzinfo=timezone.utc)

HOSTILE = [
    "",
    " ",
    "<script>alert(1)</script>",
    "</text></svg><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '" onload="alert(1)',
    "' onload='alert(1)",
    "]]>",
    "<![CDATA[ x ]]>",
    "<!-- x",
    "--> x",
    "<?xml version='1.0'?>",
    '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>&e;',
    "&lt;b&gt; &amp;amp; &#60;",
    "javascript:alert(1)",
    "url(https://example.invalid/x)",
    "}</style><style>*{display:none}",
    '"]',
    '"];c0-->c9',
    'x"]\nclick c0 "javascript:alert(1)"\nc9["y',
    "click c0 call alert()",
    "end",
    "subgraph x",
    "graph TD",
    "---\ntitle: x\n---",
    "%%{init: {'securityLevel': 'loose'}}%%",
    "%%{init",
    "%% a comment",
    "#quot;#35;#x41;",
    "ﬂ°34¶ß",
    "style x:#f00;",
    "classDef x:y#z;",
    "`**bold** _x_ [a](https://example.invalid)`",
    "1. a list",
    "- a list",
    "# a heading",
    "a;b c:d e,;f g,<h i-:j",
    "a - b, c -- d --> e -.-> f --x g, - h",
    "$$x^2$$",
    "fa:fa-car",
    "a\nb\r\nc\td\x0be\x0cf\x85g\u2028h\u2029i",
    "\x1b[31mred\x1b[0m\x07\x08\x7f\x9b",
    "\u202eright to left\u2066\u200f\u061c",
    "z\u0301\u0302\u0303\u0304\u0305\u0306",
    "\ufeff\u200d\u200b",
    "\ufffe\uffff\ufdd0",
    "\U0001f469\u200d\U0001f467 \U0001f1e9\U0001f1ea 漢字かな 한글 עברית العربية",
    "W" * 500,
    "漢" * 500,
    "a " * 500,
    "{{7*7}} ${7*7} {% x %}",
    "\\x3cscript\\x3e \\u003c",
]


def step(
    number: int, parent: int | None, text: str, *, newest: bool = False, asks: bool = True
) -> HistoryStep:
    """A checkpoint that says the text wherever it says anything."""
    return HistoryStep(
        f"{number:03} {text}",
        None if parent is None else f"{parent:03} {text}",
        NOW + timedelta(seconds=number),
        number - 1,
        text,
        [text, text],
        [text],
        is_interrupted=True,
        is_waiting=asks,
        interrupts=[text, {"$type": text, "value": text}, {text: [text]}],
        error=text,
        run_id=text,
        is_newest=newest,
    )


def tree_of(above: Sequence[int], text: str) -> list[HistoryStep]:
    """Steps, the newest first; each of whose parents is one before it, or none that is there."""
    return [
        step(n, parent if parent < n else None, text, newest=n == len(above) - 1, asks=n % 2 == 0)
        for n, parent in enumerate(above)
    ][::-1]


# Trees by where each checkpoint's parent is; -1 is one that is not there.
TREES = st.lists(st.integers(-1, 15), min_size=1, max_size=15)
TEXTS = st.sampled_from(HOSTILE) | st.text(max_size=80)
