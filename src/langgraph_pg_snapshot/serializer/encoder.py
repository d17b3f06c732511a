"""From a value to a JSON tree: the walk, and the five types that JSON knows."""

from __future__ import annotations

from typing import Any, Final

from langgraph_pg_snapshot._addressed import AddressedId

from .codec import ENCODERS, Tree, located, too_deep
from .names import short_name_of
from .text import ESCAPED_TEXT_TAG, ORDER, TYPE, escape, is_storable, known_orders, order_of

_MIN_INTEGER: Final = -(2**63)
_MAX_INTEGER: Final = 2**64 - 1
# jsonb hands a number back in digits, without an exponent. From 1e16 on, digits read as an
# int; far below 1, they are a long row of zeros that nobody wants to see in a column.
_MIN_FLOAT: Final = 1e-12
_MAX_FLOAT: Final = 1e16

_STR_ONLY: Final = frozenset({str})


class Encoder:
    """Settings of one walk.

    A quick walk leaves to orjson what orjson refuses: lone surrogates, integers beyond 64 bits,
    keys that are not exactly str. If it does, a careful walk follows, which finds their place.

    Args:
        careful: look at everything; what is written shares no list with what is remembered.
        keep_order: note the order of keys where ``jsonb`` would change it.

    Attributes:
        plain: types whose values are taken as they are.
        text: str, if it is taken as it is unless there is a NUL in it, which orjson lets pass.
    """

    __slots__ = ("careful", "keep_order", "plain", "text")

    def __init__(self, *, careful: bool, keep_order: bool) -> None:
        self.careful = careful
        self.keep_order = keep_order
        self.plain: frozenset[type] = frozenset(
            {bool, type(None)} if careful else {bool, type(None), int}
        )
        self.text: type | None = None if careful else str

    def node(self, value: Any, depth: int) -> Any:
        """Write any value in at most ``depth`` levels of JSON.

        Raises:
            Refused: it can't be stored.
        """
        if depth < 0:
            too_deep()
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
    if depth < 1:
        too_deep()
    depth -= 1
    plain, text = enc.plain, enc.text
    out = value.copy()  # looked at and written, so whatever other threads do to it meanwhile
    index = 0
    try:
        for index, item in enumerate(out):
            cls = type(item)
            if cls is text:
                if "\0" in item:
                    out[index] = encode_str(enc, item, depth)
            elif cls not in plain and not (cls is float and _MIN_FLOAT <= item < _MAX_FLOAT):
                out[index] = ENCODERS[cls](enc, item, depth)
    except Exception as error:  # noqa: BLE001  # raised again, with its place
        raise located(error, f"[{index}]") from None
    return out


def encode_dict(enc: Encoder, value: dict[Any, Any], depth: int) -> Tree:
    """Write a dict: as an object where its keys allow, as a list of pairs where not."""
    if depth < 1:
        too_deep()
    out = value.copy()  # as in a list
    keys = tuple(out)
    try:
        order = known_orders[keys]
    except KeyError:
        order = order_of(keys)
    if order is None or (enc.careful and not _STR_ONLY.issuperset(map(type, keys))):
        return encode_pairs(enc, out, depth)
    depth -= 1
    plain, text = enc.plain, enc.text
    key = ""
    try:
        for key, item in out.items():
            cls = type(item)
            if cls is text:
                if "\0" in item:
                    out[key] = encode_str(enc, item, depth)
            elif cls not in plain and not (cls is float and _MIN_FLOAT <= item < _MAX_FLOAT):
                out[key] = ENCODERS[cls](enc, item, depth)
    except Exception as error:  # noqa: BLE001  # raised again, with its place
        raise located(error, f"[{key!r}]") from None
    if order and enc.keep_order:
        out[ORDER] = order.copy() if enc.careful else order
    return out


def encode_pairs(enc: Encoder, value: dict[Any, Any], depth: int) -> Tree:
    """Write a dict whose keys can't be the names of an object's members."""
    depth -= 3
    items: list[list[Any]] = []
    key: Any = None
    try:
        for key, item in value.items():
            items.append([enc.node(key, depth), enc.node(item, depth)])
    except Exception as error:  # noqa: BLE001  # raised again, with its place
        raise located(error, f"[{_short(key)}]") from None
    return {TYPE: "dict", "items": items}


def _short(key: object) -> str:
    return repr(key) if isinstance(key, (str, int, float)) else f"<{short_name_of(type(key))}>"


ENCODERS[type(None)] = ENCODERS[bool] = lambda _enc, value, _depth: value
ENCODERS[str] = encode_str
ENCODERS[AddressedId] = lambda enc, value, depth: encode_str(enc, str(value), depth)
ENCODERS[int] = encode_int
ENCODERS[float] = encode_float
ENCODERS[list] = encode_list
ENCODERS[dict] = encode_dict
