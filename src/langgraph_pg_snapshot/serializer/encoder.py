"""From a value to a JSON tree: the walk, and the five types that JSON knows."""

from __future__ import annotations

from typing import Any, Final

from .codec import ENCODERS, Refused, Tree, too_deep
from .text import ESCAPED_TEXT_TAG, ORDER, TYPE, escape, is_storable, known_orders, order_of

_MIN_INTEGER: Final = -(2**63)
_MAX_INTEGER: Final = 2**64 - 1
# jsonb hands a number back in digits, without an exponent. From 1e16 on, digits read as an
# int; far below 1, they are a long row of zeros that nobody wants to see in a column.
_MIN_FLOAT: Final = 1e-12
_MAX_FLOAT: Final = 1e16

_STR_ONLY: Final = frozenset({str})


class Encoder:
    """Settings of one walk, and what it has learned about the shapes of dicts.

    Args:
        careful: look at every str and int. Otherwise those are taken as they are, and whoever
            writes the tree as text finds out whether it holds something that ``jsonb`` refuses.
        keep_order: note the order of keys where ``jsonb`` would change it.
    """

    __slots__ = ("careful", "keep_order", "plain")

    def __init__(self, *, careful: bool, keep_order: bool) -> None:
        self.careful = careful
        self.keep_order = keep_order
        self.plain: frozenset[type] = frozenset(
            {bool, type(None)} if careful else {bool, type(None), str, int}
        )

    def node(self, value: Any, depth: int) -> Any:
        """Write any value in at most ``depth`` levels of JSON.

        Raises:
            Refused: it can't be stored.
        """
        cls = type(value)
        return value if cls in self.plain else ENCODERS[cls](self, value, depth)


def encode_str(_enc: Encoder, value: str, _depth: int) -> Any:
    """Write text, escaped in a tag if ``jsonb`` refuses it."""
    if is_storable(value):
        return value
    return {TYPE: ESCAPED_TEXT_TAG, "escaped": escape(value)}


def encode_int(_enc: Encoder, value: int, _depth: int) -> Any:
    """Write an integer, in a tag if it is beyond what JSON parsers keep exact."""
    if _MIN_INTEGER <= value <= _MAX_INTEGER:
        return value
    return {TYPE: "int", "hex": hex(value)}


def encode_float(_enc: Encoder, value: float, _depth: int) -> Any:
    """Write a float, in a tag if ``jsonb`` would change it."""
    if _MIN_FLOAT <= value < _MAX_FLOAT or -_MAX_FLOAT < value <= -_MIN_FLOAT:
        return value
    text = repr(value)
    return value if text == "0.0" else {TYPE: "float", "value": text}


def encode_list(enc: Encoder, value: list[Any], depth: int) -> list[Any]:
    """Write a list."""
    plain = enc.plain
    if plain.issuperset(map(type, value)):
        return value.copy()
    if depth < 1:
        too_deep()
    depth -= 1
    out: list[Any] = []
    try:
        for item in value:
            cls = type(item)
            out.append(item if cls in plain else ENCODERS[cls](enc, item, depth))
    except Refused as refused:
        refused.path.append(f"[{len(out)}]")
        raise
    return out


def encode_dict(enc: Encoder, value: dict[Any, Any], depth: int) -> Tree:
    """Write a dict: as an object where its keys allow, as a list of pairs where not."""
    if depth < 1:
        too_deep()
    keys = tuple(value)
    order = known_orders.get(keys)
    if order is None:
        order = order_of(keys)
    # In a quick walk orjson refuses subclasses of str as keys, which order_of() did not see.
    if order is None or (enc.careful and not _STR_ONLY.issuperset(map(type, keys))):
        return encode_pairs(enc, value, depth)
    plain = enc.plain
    for item in value.values():
        if type(item) not in plain:
            out = _encode_members(enc, value, depth - 1)
            break
    else:
        out = value.copy()
    if order and enc.keep_order:
        out[ORDER] = list(order)
    return out


def _encode_members(enc: Encoder, value: dict[str, Any], depth: int) -> Tree:
    plain = enc.plain
    out: Tree = {}
    key = ""
    try:
        for key, item in value.items():
            cls = type(item)
            out[key] = item if cls in plain else ENCODERS[cls](enc, item, depth)
    except Refused as refused:
        refused.path.append(f"[{key!r}]")
        raise
    return out


def encode_pairs(enc: Encoder, value: dict[Any, Any], depth: int) -> Tree:
    """Write a dict whose keys can't be the names of an object's members."""
    depth -= 3
    items: list[list[Any]] = []
    key: Any = None
    try:
        for key, item in value.items():
            items.append([enc.node(key, depth), enc.node(item, depth)])
    except Refused as refused:
        refused.path.append(f"[{_short(key)}]")
        raise
    return {TYPE: "dict", "items": items}


def _short(key: object) -> str:
    return repr(key) if isinstance(key, (str, int, float)) else f"<{type(key).__name__}>"


ENCODERS[type(None)] = ENCODERS[bool] = lambda _enc, value, _depth: value
ENCODERS[str] = encode_str
ENCODERS[int] = encode_int
ENCODERS[float] = encode_float
ENCODERS[list] = encode_list
ENCODERS[dict] = encode_dict
