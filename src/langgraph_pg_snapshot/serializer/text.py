"""What JSONB can't say about text, and about the order of an object's keys.

PostgreSQL's ``jsonb`` refuses NUL and lone surrogates, and sorts the members of an object by
the length of their key in UTF-8 bytes, then by those bytes. Both are mended here: such text is
escaped inside a tag, and an order that differs from that one is written beside the members.
"""

from __future__ import annotations

import re
from typing import Any, Final

ESCAPED_TEXT_TAG: Final = "str"
TYPE: Final = "$type"
ORDER: Final = "$order"

_UNSTORABLE = re.compile("[\x00\ud800-\udfff\\\\]")
_ESCAPE = re.compile(r"\\(?:\\|u([0-9a-f]{4})|)")
# The shapes of dicts repeat: a chat of a thousand messages has some twenty of them. A tuple of
# subclasses of str equals one of plain str, so whoever looks here must rule those out.
Order = list[str] | None
known_orders: dict[tuple[object, ...], Order] = {}
_MAX_SHAPES: Final = 4096
_MAX_SHAPE_KEYS: Final = 64


def is_storable(text: str) -> bool:
    """Whether ``jsonb`` takes this text as it is."""
    if "\x00" in text:
        return False
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def plain_text(text: Any) -> Any:
    """Make exactly a str of a subclass's instance: what a name or a pattern is made of."""
    return str.__str__(text) if isinstance(text, str) else text


def escape(text: str) -> str:
    r"""Write NUL, surrogates and backslashes as ``\uXXXX`` and ``\\``; all else stays."""
    return _UNSTORABLE.sub(
        lambda found: "\\\\" if found[0] == "\\" else f"\\u{ord(found[0]):04x}", text
    )


def unescape(text: str) -> str:
    """Undo :func:`escape`.

    Raises:
        ValueError: a backslash is followed by something that ``escape`` never writes.
    """

    def character(found: re.Match[str]) -> str:
        if found[0] == "\\":
            raise ValueError(f"a lone backslash at {found.start()} in escaped text")
        return chr(int(found[1], 16)) if found[1] else "\\"

    return _ESCAPE.sub(character, text)


def order_of(keys: tuple[object, ...]) -> Order:
    """Say how a dict with these keys is written.

    Returns:
        None when it can't be an object: a key is not a plain str, starts with ``$``, or holds
        what ``jsonb`` refuses. Else the keys, if ``jsonb`` would put them in another order, or
        nothing, if it would not.
    """
    if not all(type(key) is str and key[:1] != "$" and is_storable(key) for key in keys):
        return None
    names: list[Any] = list(keys)
    order: list[str] = names if sorted(names, key=_jsonb_rank) != names else []
    if len(keys) <= _MAX_SHAPE_KEYS:
        if len(known_orders) >= _MAX_SHAPES:
            known_orders.clear()
        known_orders[keys] = order
    return order


def _jsonb_rank(key: str) -> tuple[int, bytes]:
    data = key.encode()
    return len(data), data
