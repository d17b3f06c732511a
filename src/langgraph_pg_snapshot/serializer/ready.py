"""Trees made ready: what is built again and again, as a thread's messages are at each read.

Of a message whose members are all scalars little is left to find out then: what builds it, and the
state that it begins with. Other trees stay trees.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from .text import TYPE

Builder: TypeAlias = Callable[[dict[str, Any]], Any]
Ready: TypeAlias = tuple[Builder, dict[str, Any]]
"""What builds a value, and a state that it takes and does not change. (No tree is a tuple.)"""

# Of some tags: what makes a tree ready, or None of it.
PREPARERS: dict[str, Callable[[dict[str, Any]], Ready | None]] = {}


def made_ready(tree: Any) -> Any:
    """A tree made ready, if it is of a kind that can be; else the tree itself."""
    if type(tree) is dict and type(tag := tree.get(TYPE)) is str and tag in PREPARERS:
        return PREPARERS[tag](tree) or tree
    return tree


def build(ready: Ready) -> Any:
    """A value, which shares nothing that can change with the next one."""
    builder, state = ready
    return builder(state)
