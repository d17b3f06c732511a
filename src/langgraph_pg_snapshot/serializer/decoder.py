"""From a JSON tree to a value: the walk, the tags, and what may be built."""

from __future__ import annotations

from typing import Any, Final

from langgraph_pg_snapshot.errors import DeserializationError

from .classes import Classes, check_type
from .codec import DECODERS, SHAPES, DecodeFunction, Tree
from .text import ESCAPED_TEXT_TAG, ORDER, TYPE, unescape

SCALARS: Final = frozenset({str, int, float, bool, type(None)})

_NO_SHAPES: Final[dict[tuple[str, ...], DecodeFunction]] = {}


class Decoder:
    """Reads trees; nothing that it returns shares a mutable part with the tree."""

    __slots__ = ("classes",)

    def __init__(self, classes: Classes) -> None:
        self.classes = classes

    def node(self, tree: Any, depth: int) -> Any:  # noqa: C901, PLR0911 -- a call a node: each more takes a tenth
        """Read any node that has at most ``depth`` levels below it.

        Raises:
            DeserializationError: it is not what an encoder writes.
        """
        cls = type(tree)
        if depth < 0 and cls not in SCALARS:
            raise DeserializationError("the stored data is nested too deep")
        if cls is dict:
            tag = tree.get(TYPE)
            if tag is None:
                depth -= 1
                if ORDER in tree:
                    return self._ordered(tree, depth)
                out = tree.copy()
                for key, item in tree.items():
                    if type(item) not in SCALARS:
                        out[key] = self.node(item, depth)
                return out
            decode = DECODERS.get(tag if type(tag) is str else check_type(tag, str))
            if decode is not None:
                return decode(self, tree, depth)
            return self.classes.decode(self, tag, tree, depth)
        if cls is list:
            depth -= 1
            if depth >= 0 and tree and type(tree[0]) is dict and TYPE in tree[0]:
                return self._tagged(tree, depth)
            node = self.node
            return [item if type(item) in SCALARS else node(item, depth) for item in tree]
        if cls in SCALARS:
            return tree
        raise DeserializationError(f"{cls.__name__} is not a node of a JSON tree")

    def _tagged(self, trees: list[Any], depth: int) -> list[Any]:
        """Read a list of tagged objects: of messages, as a rule, without a look at each one."""
        try:
            decoders = [SHAPES[tree[TYPE]][tuple(tree)] for tree in trees]
        except (KeyError, TypeError):
            decoders = [*map(_decoder_of, trees)]
        return [decode(self, tree, depth) for decode, tree in zip(decoders, trees, strict=True)]

    def _ordered(self, tree: Tree, depth: int) -> Tree:
        """Read an object whose members stood in another order than jsonb keeps them in."""
        node = self.node
        order = [] if tree[ORDER] is None else check_type(tree[ORDER], list)
        # No part is read twice, whatever the order says: depth would make that 2**depth times.
        out = {}
        for key in order:
            item = tree.get(key, tree)
            if item is not tree and key not in out:
                out[key] = item if type(item) in SCALARS else node(item, depth)
        if len(out) != len(tree) - 1 or ORDER in out:  # someone edited it
            for key, item in tree.items():
                if key not in out:
                    out[key] = node(item, depth)
            del out[ORDER]
        return out

    def members(self, tree: Tree, depth: int) -> dict[str, Any]:
        """Read the members of a tagged object as a dict, for those who ask for its fields."""
        depth -= 1
        fields = {name: self.node(item, depth) for name, item in tree.items() if name[:1] != "$"}
        beside: dict[str, Any] = {}
        for name in ("$attributes", "$private", "$extra"):
            more = tree.get(name)
            if isinstance(more, dict):
                beside.update(check_type(self.node(more, depth), dict))
        return fields | {name: item for name, item in beside.items() if name not in fields}


def _decoder_of(tree: Any) -> DecodeFunction:
    """Find how to read an element of a list of tagged objects."""
    if type(tree) is dict and type(tag := tree.get(TYPE)) is str:
        return SHAPES.get(tag, _NO_SHAPES).get(tuple(tree), _node)
    return _node


def _node(dec: Decoder, tree: Any, depth: int) -> Any:
    return dec.node(tree, depth)


def _decode_str(_dec: Decoder, tree: Tree, _depth: int) -> str:
    return unescape(tree["escaped"])


def _decode_int(_dec: Decoder, tree: Tree, _depth: int) -> int:
    return int(tree["hex"], 16)


def _decode_float(_dec: Decoder, tree: Tree, _depth: int) -> float:
    return float(check_type(tree["value"], str))


def _decode_pairs(dec: Decoder, tree: Tree, depth: int) -> dict[Any, Any]:
    depth -= 3
    return {dec.node(key, depth): dec.node(item, depth) for key, item in tree["items"]}


DECODERS[ESCAPED_TEXT_TAG] = _decode_str
DECODERS["int"] = _decode_int
DECODERS["float"] = _decode_float
DECODERS["dict"] = _decode_pairs
