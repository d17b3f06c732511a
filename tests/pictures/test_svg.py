"""The image: what is in it, where it stands, and that it can be read."""

from __future__ import annotations

import re
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_pg_snapshot import HistoryGraph
from langgraph_pg_snapshot.pictures.svg import COLOURS, WIDE
from langgraph_pg_snapshot.pictures.words import cells, clean, shortened
from pictures.hostile import HOSTILE, TEXTS, TREES, step, tree_of

SVG = "{http://www.w3.org/2000/svg}"
TAGS = {SVG + each for each in ("svg", "title", "style", "g", "rect", "path", "circle", "text")}
ATTRIBUTES = {
    *("class", "fill", "stroke", "stroke-width", "stroke-dasharray", "d", "x", "y", "cx", "cy"),
    *("r", "rx", "width", "height", "viewBox", "role"),
    *("font-family", "font-size", "font-weight", "text-anchor"),
}
# In no attribute is anything that comes from data.
VALUE = re.compile(r"[\w .,'#-]*")


def parsed(graph: HistoryGraph) -> ET.Element:
    return ET.fromstring(graph.svg)  # noqa: S314 -- our own


def number(element: ET.Element, name: str) -> float:
    return float(element.attrib[name])


def box(element: ET.Element) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of a card, or of a line of text by what it takes at most."""
    x, y = number(element, "x"), number(element, "y")
    if element.tag == SVG + "rect":
        return x, y, x + number(element, "width"), y + number(element, "height")
    size = number(element, "font-size")
    width = cells(element.text) * size * WIDE
    left = x - width if element.get("text-anchor") == "end" else x
    return left, y - size, left + width, y + 0.3 * size


def inside(inner, outer) -> bool:
    return (
        inner[0] >= outer[0] - 0.1
        and inner[1] >= outer[1] - 0.1
        and inner[2] <= outer[2] + 0.1
        and inner[3] <= outer[3] + 0.1
    )


def apart(one, other) -> bool:
    return (
        one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] + 0.5 or other[3] <= one[1]
    )


def texts_of(element: ET.Element) -> list[ET.Element]:
    return element.findall(f"{SVG}text")


def cards(root: ET.Element) -> list[ET.Element]:
    return [each for each in root.findall(f"{SVG}g") if each.find(f"{SVG}rect") is not None]


@given(TREES, TEXTS, st.sampled_from([0, 7]))
def test_nothing_overlaps_or_sticks_out(above, text, left_out):
    root = parsed(HistoryGraph(text, text, tree_of(above, text), left_out))
    view = tuple(map(float, root.attrib["viewBox"].split()))
    assert view == (0, 0, number(root, "width"), number(root, "height"))
    shown = cards(root)
    assert len(shown) == len(above)
    outer = [box(each.find(f"{SVG}rect")) for each in shown]
    assert all(inside(each, view) for each in outer)
    gaps = [lower[1] - upper[3] for upper, lower in pairwise(outer)]
    assert all(0 < each < 10 for each in (*gaps, view[3] - outer[-1][3] - 5))
    for card, around in zip(shown, outer, strict=True):
        lines = [box(each) for each in texts_of(card)]
        assert lines
        assert all(inside(each, around) for each in lines)
        assert all(apart(a, b) for n, a in enumerate(lines) for b in lines[:n])
    heads = [box(each) for each in texts_of(root)]
    assert all(inside(each, view) and each[3] < outer[0][1] for each in heads)
    assert len(heads) == 1 + bool(left_out)


@given(TREES, st.sampled_from([0, 7]))
def test_lines_lead_from_each_parent_and_pass_no_other_dot(above, left_out):
    steps = tree_of(above, "x")
    root = parsed(HistoryGraph("t", "", steps, left_out))
    by_id = {each.checkpoint_id: each for each in steps}
    dots = {}
    for card in cards(root):
        [dot] = card.findall(f"{SVG}circle")
        around = box(card.find(f"{SVG}rect"))
        centre = number(dot, "cx"), number(dot, "cy")
        assert centre[0] + number(dot, "r") < around[0]
        assert around[1] < centre[1] < around[3]
        dots[card.find(f"{SVG}title").text.partition("\n")[0]] = centre
    assert dots.keys() == by_id.keys()
    assert len(set(dots.values())) == len(dots)
    lines = {}
    for path in root.iter(f"{SVG}path"):
        numbers = [*map(float, re.findall(r"-?[\d.]+", path.attrib["d"]))]
        # It ends with V y, or for a fork with Q … x y H x.
        forks = "H" in path.attrib["d"]
        end = (numbers[-1], numbers[-2]) if forks else (numbers[0], numbers[2])
        assert end not in lines
        lines[end] = numbers[:2], path.get("stroke-dasharray")
    for each, info in by_id.items():
        parent = info.parent_checkpoint_id
        if parent in dots:
            start, dashes = lines.pop(dots[each])
            assert tuple(start) == dots[parent]
            assert dashes is None
            assert not [
                dot
                for dot in dots.values()
                if dot[0] == start[0] and start[1] < dot[1] and dot[1] < dots[each][1]
            ]
        elif parent is not None and left_out:
            assert lines.pop(dots[each])[1] is not None
    assert lines == {}


@pytest.mark.parametrize("text", HOSTILE)
def test_data_is_nothing_but_text(text):
    graph = HistoryGraph(text, text, tree_of([-1, 0, 1, 0], text), 3)
    root = parsed(graph)
    plain = parsed(HistoryGraph("t", "ns", tree_of([-1, 0, 1, 0], "t"), 3))
    styles = [each.text for each in root.iter(f"{SVG}style")]
    assert styles == [each.text for each in plain.iter(f"{SVG}style")]
    assert len(styles) == 1
    for each in root.iter():
        assert each.tag in TAGS
        assert each.attrib.keys() <= ATTRIBUTES
        assert all(VALUE.fullmatch(value) for value in each.attrib.values())
        assert each.tag != SVG + "style" or "url" not in each.text
    tooltip = cards(root)[0].find(f"{SVG}title").text
    assert clean(shortened(f"000 {text}", 1000)) in tooltip
    # Nothing in it steers anything, or turns text round; what XML can't hold is not there.
    assert graph.svg == clean(graph.svg)


def test_what_is_drawn_where_the_thread_stands_waits_and_failed():
    steps = [
        step(2, 1, "t", newest=True)._replace(error=None),
        step(1, 0, "t")._replace(is_interrupted=False, interrupts=[], is_waiting=False),
        step(0, None, "t", asks=False)._replace(error=None),
    ]
    root = parsed(HistoryGraph("t", "", steps, 0))
    colours = []
    for card in cards(root):
        said = [each.text for each in texts_of(card)]
        [dot] = card.findall(f"{SVG}circle")
        colours.append(dot.attrib["class"].partition("fill-")[2])
        newest = "newest" in card.find(f"{SVG}rect").attrib["class"]
        assert any("newest" in each for each in said) == newest
        assert newest == (card is cards(root)[-1])
        assert any(each.startswith("asks: ") for each in said) == (colours[-1] == "asks-dot")
        assert any(each.startswith("failed: ") for each in said) == (colours[-1] == "failed-dot")
    assert colours == ["page", "failed-dot", "asks-dot"]
    assert any(each.text.startswith("asked: ") for each in texts_of(cards(root)[0]))


def luminance(colour: str) -> float:
    parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """As WCAG has it: 4.5 is for text, 3 for signs and large text."""
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def test_colours_can_be_read_on_light_and_dark_pages():
    card = COLOURS["card"]
    for name in ("text", "muted", "asks", "failed", "newest"):
        assert contrast(COLOURS[name].light, card.light) >= 4.5, name
        assert contrast(COLOURS[name].dark, card.dark) >= 4.5, name
    # What stands on the page looks the same on both: which page it is, an image may not know.
    for name in ("page", "asks-dot", "failed-dot", "newest-dot"):
        assert COLOURS[name].light == COLOURS[name].dark
        for page in ("#ffffff", "#111111", "#1e1e1e"):
            assert contrast(COLOURS[name].light, page) >= 3, (name, page)


def test_deep_and_long_questions_are_cut():
    deep: object = "x"
    for _ in range(900):
        deep = {"x": [deep]}
    steps = [step(0, None, "t")._replace(interrupts=[deep, ["long " * 100_000]])]
    graph = HistoryGraph("t", "", steps, 0)
    for form in (graph.svg, graph.mermaid, graph.text):
        assert "nested too deep" in form
        assert len(form) < 10_000
