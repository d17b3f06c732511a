"""A thread's history as SVG: a line of dots for each branch, and beside each dot what happened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple
from xml.etree import ElementTree as ET

from langgraph_pg_snapshot.pictures.steps import HistoryStep, Kind, told
from langgraph_pg_snapshot.pictures.tree import placed
from langgraph_pg_snapshot.pictures.words import cells, clean, fit, moment, not_shown, shortened


class Colour(NamedTuple):
    """A colour on a light page and on a dark one."""

    light: str
    dark: str


# Text and cards bring their own ground; what stands on the page itself can be read on any.
COLOURS: Mapping[str, Colour] = {
    "page": Colour("#768390", "#768390"),
    "card": Colour("#f6f8fa", "#161b22"),
    "edge": Colour("#d0d7de", "#3d444d"),
    "text": Colour("#1f2328", "#e6edf3"),
    "muted": Colour("#59636e", "#9198a1"),
    "asks": Colour("#7d4e00", "#e3b341"),
    "failed": Colour("#b3261e", "#ff7b72"),
    "newest": Colour("#0969da", "#4493f8"),
    "asks-dot": Colour("#b58100", "#b58100"),
    "failed-dot": Colour("#e5534b", "#e5534b"),
    "newest-dot": Colour("#3081f7", "#3081f7"),
}
_FONT = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace"
# Pixels. A character of these fonts is at most 0.61 of their size wide.
LARGE, SMALL, WIDE = 13, 11, 0.61
LANE, MARGIN, PADDING, GAP, CARD = 18, 12, 10, 8, 680
_FIRST_LINE, _LINE = 20, 17
_DETAILS = 1_000


def drawn(caption: str, steps: Sequence[HistoryStep], left_out: int) -> str:
    """The image's text."""
    return ET.tostring(_Drawing(caption, steps, left_out).root, encoding="unicode")


class _Drawing:
    def __init__(self, caption: str, steps: Sequence[HistoryStep], left_out: int) -> None:
        self._steps = {each.checkpoint_id: each for each in steps}
        places = dict(placed({i: s.parent_checkpoint_id for i, s in self._steps.items()}))
        self._cards = MARGIN + LANE * (max(places.values(), default=0) + 1) + GAP
        self._width = self._cards + CARD + MARGIN
        self.root = ET.Element("svg", {"xmlns": "http://www.w3.org/2000/svg", "role": "img"})
        self._add(self.root, "title", text=clean(shortened(caption, _DETAILS)))
        self._add(self.root, "style", text=_style())
        # Lines first, so that dots lie on them.
        self._lines = self._add(self.root, "g", colour="page", on="stroke", fill="none")
        self._y = MARGIN + LARGE
        self._text(self.root, MARGIN, "page", caption, self._width - 2 * MARGIN, size=LARGE)
        self._older = self._note(left_out)
        self._y += GAP + 2
        self._dots: dict[str, tuple[float, float]] = {}
        for each, place in places.items():
            self._step(self._steps[each], MARGIN + LANE * place + LANE / 2)
        self.root.attrib |= {
            "width": _number(self._width),
            "height": _number(self._y + MARGIN - GAP),
            "viewBox": f"0 0 {_number(self._width)} {_number(self._y + MARGIN - GAP)}",
            "font-family": _FONT,
        }

    def _note(self, left_out: int) -> float | None:
        """What is not shown; where the lines from there begin."""
        if not left_out:
            return None
        self._y += _FIRST_LINE
        self._text(self.root, MARGIN, "page", not_shown(left_out), self._width - 2 * MARGIN)
        return self._y + 4

    def _step(self, step: HistoryStep, x: float) -> None:
        parts = dict(told(step, _DETAILS))
        extra: list[Kind] = [kind for kind in ("asks", "asked", "failed") if kind in parts]
        height = 2 * PADDING + LARGE + _LINE * (1 + len(extra)) - 2
        group = self._add(self.root, "g")
        details = [step.checkpoint_id, moment(step.created_at), *parts.values()]
        if step.run_id is not None:
            details.append(f"run {step.run_id}")
        self._add(group, "title", text="\n".join(clean(shortened(e, _DETAILS)) for e in details))
        self._card(group, height, "newest" if step.is_newest else "edge")
        dot = self._y + PADDING + LARGE / 2
        self._line_to(step, x, dot)
        colour = "newest-dot" if step.is_newest else "page"
        colour = next((f"{kind}-dot" for kind in ("failed", "asks") if kind in parts), colour)
        self._add(group, "circle", colour=colour, cx=x, cy=dot, r=6 if step.is_newest else 4.5)
        self._words(group, step, parts, extra)
        self._y += height + GAP

    def _card(self, group: ET.Element, height: float, colour: str) -> None:
        card = self._add(
            group, "rect", colour="card", x=self._cards, y=self._y, width=CARD, height=height, rx=6
        )
        self._paint(card, colour, "stroke")
        if colour == "newest":
            card.set("stroke-width", "2")

    def _line_to(self, step: HistoryStep, x: float, y: float) -> None:
        """From the checkpoint before: down where that one is, then to the right for a fork."""
        self._dots[step.checkpoint_id] = (x, y)
        parent = step.parent_checkpoint_id
        if parent in self._dots:
            above_x, above_y = self._dots[parent]
            way = f"M{_number(above_x)} {_number(above_y)}V{_number(y - 8 * (above_x < x))}"
            if above_x < x:
                way += f"Q{_number(above_x)} {_number(y)} {_number(above_x + 8)} {_number(y)}"
                way += f"H{_number(x)}"
            self._add(self._lines, "path", d=way, stroke_width=2)
        elif parent is not None and self._older is not None:
            way = f"M{_number(x)} {_number(y - PADDING - LARGE)}V{_number(y)}"
            self._add(self._lines, "path", d=way, stroke_width=2, stroke_dasharray="2 3")

    def _words(
        self,
        group: ET.Element,
        step: HistoryStep,
        parts: Mapping[Kind, str],
        extra: Sequence[Kind],
    ) -> None:
        left, inside = self._cards + PADDING, CARD - 2 * PADDING
        top = self._y
        self._y += PADDING + LARGE - 2
        when = moment(step.created_at) + (" · newest" if step.is_newest else "")
        taken = self._text(
            group, left + inside, "newest" if step.is_newest else "muted", when, inside, end=True
        )
        heading = " · ".join(parts[k] for k in ("step", "source", "ran") if k in parts)
        heading = heading or "checkpoint"
        self._text(group, left, "text", heading, inside - taken - PADDING, size=LARGE, bold=True)
        self._y += _LINE
        taken = self._text(group, left + inside, "muted", step.checkpoint_id, inside / 2, end=True)
        self._text(group, left, "muted", parts.get("changed", ""), inside - taken - PADDING)
        for kind in extra:
            self._y += _LINE
            colour = "muted" if kind == "asked" else kind
            self._text(group, left, colour, parts[kind], inside, bold=kind != "asked")
        self._y = top

    def _text(
        self,
        parent: ET.Element,
        x: float,
        colour: str,
        text: str,
        room: float,
        *,
        size: int = SMALL,
        bold: bool = False,
        end: bool = False,
    ) -> float:
        """Write a line that fits into a room; returns how much of it that takes."""
        line = fit(clean(text), int(room / (size * WIDE)))
        if not line:
            return 0
        made = self._add(parent, "text", colour=colour, text=line, x=x, y=self._y, font_size=size)
        if bold:
            made.set("font-weight", "600")
        if end:
            made.set("text-anchor", "end")
        return cells(line) * size * WIDE

    def _add(
        self,
        parent: ET.Element,
        tag: str,
        *,
        colour: str | None = None,
        on: str = "fill",
        text: str | None = None,
        **attributes: float | str,
    ) -> ET.Element:
        made = ET.SubElement(
            parent,
            tag,
            {
                name.replace("_", "-"): value if isinstance(value, str) else _number(value)
                for name, value in attributes.items()
            },
        )
        if colour is not None:
            self._paint(made, colour, on)
        made.text = text
        return made

    def _paint(self, element: ET.Element, colour: str, on: str) -> None:
        """A light colour for all that know no style sheets, and a class for dark pages."""
        element.set(on, COLOURS[colour].light)
        classes = [*element.get("class", "").split(), f"pg-{on}-{colour}"]
        element.set("class", " ".join(classes))


def _style() -> str:
    rules = [
        f".pg-{on}-{name}{{{on}:{colour.dark}}}"
        for name, colour in COLOURS.items()
        for on in ("fill", "stroke")
        if colour.dark != colour.light
    ]
    return f"@media (prefers-color-scheme:dark){{{''.join(rules)}}}"


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
