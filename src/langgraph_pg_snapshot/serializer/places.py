"""Where in a value something failed, as a person writes it: ``['tools'][0]['run']``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from .classes import Classes
from .decoder import Decoder
from .text import TYPE

_MAX_STEPS: Final = 20
# Members whose content is that of the value itself.
_CONTENT: Final = ("value", "items")


def place(steps: list[str]) -> str:
    """Print steps that were gathered from the inside out, without the middle of a long way."""
    way = [step for step in reversed(steps) if step]
    if len(way) > _MAX_STEPS:
        way[_MAX_STEPS // 2 : -_MAX_STEPS // 2] = ["…"]
    return "".join(way)


def failed_part(classes: Classes, tree: Any, depth: int) -> tuple[str, Any]:
    """Read a tree that could not be read once more, to say where that is.

    Looking while it is read for the first time would make every reading slower.

    Returns:
        The place in the value, and the part of the tree; "" and None, if it is not known.
    """
    tracing = _Tracing(classes)
    try:
        tracing.node(tree, depth)
    except RecursionError:  # there are more frames now than there were
        return "", None
    except Exception:  # noqa: BLE001  # the caller has the error
        return place(_way_to(tracing.failed, tree)), tracing.failed
    return "", None


class _Tracing(Decoder):
    """Remembers the innermost node that could not be read."""

    __slots__ = ("failed",)

    def __init__(self, classes: Classes) -> None:
        super().__init__(classes)
        self.failed: Any = None

    def node(self, tree: Any, depth: int) -> Any:
        try:
            return super().node(tree, depth)
        except Exception:
            if self.failed is None:
                self.failed = tree
            raise


def _way_to(part: Any, tree: Any) -> list[str]:
    """Find the steps from a tree to a part of it, the last one first."""
    todo: list[tuple[Any, Any]] = [(tree, None)]
    while todo:
        node, way = todo.pop()
        if node is part:
            steps = []
            while way is not None:
                step, way = way
                steps.append(step)
            return steps
        todo += [(child, (step, way)) for step, child in _children(node)]
    return []


def _children(tree: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(tree, list):
        for index, item in enumerate(tree):
            yield f"[{index}]", item
    elif isinstance(tree, dict):
        tag = tree.get(TYPE)
        for name, item in tree.items():
            if tag is None:
                yield f"[{name!r}]", item
            elif tag == "dict" and name == "items" and isinstance(item, list):
                yield from _pairs(item)
            else:
                yield "" if name in _CONTENT or name[:1] == "$" else f".{name}", item


def _pairs(items: list[Any]) -> Iterator[tuple[str, Any]]:
    for pair in items:
        key = pair[0] if isinstance(pair, list) and pair else None
        step = f"[{key!r}]" if isinstance(key, (str, int, float)) else "[<key>]"
        yield step, pair
        yield from ((step, part) for part in (pair if isinstance(pair, list) else ()))
