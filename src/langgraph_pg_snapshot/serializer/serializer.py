"""The serializer that users and the saver meet."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import orjson

from langgraph_pg_snapshot._arguments import check_dict, reading_argument
from langgraph_pg_snapshot._arguments import shown as shown_argument
from langgraph_pg_snapshot.errors import (
    ArgumentTypeError,
    DeserializationError,
    SerializationError,
    SnapshotError,
    about,
)

from . import kinds  # noqa: F401  # fills the tables of codecs
from .classes import Classes, OnUnknownType
from .codec import Refused, shown
from .decoder import Decoder
from .encoder import Encoder
from .places import failed_part, place
from .text import TYPE

TAG = "snapshot"
# orjson writes 254 levels at most; a few are left to whoever puts a tree into a larger one.
# The bound is lower, as reading takes up to four Python frames a level, of a thousand.
DEFAULT_MAX_DEPTH = 100
_MAX_DEPTH = 150
# What was saved must load, whatever max_depth is by then: all that orjson can have written.
_MAX_READ_DEPTH = 260

_quick = Encoder(careful=False, keep_order=True)
_careful = {order: Encoder(careful=True, keep_order=order) for order in (True, False)}


class SnapshotSerializer:
    """Stores values as JSON that people read and ``jsonb`` keeps, and gives them back exactly.

    Implements LangGraph's ``SerializerProtocol``. Loading never imports a module, and never
    calls a class that stored data names: objects are rebuilt from their fields.

    Args:
        strict: build only classes that are allowed by name: LangGraph's and LangChain's own,
            ``allowed_types``, and what :meth:`with_allowlist` adds. Default: what the
            environment variable ``LANGGRAPH_STRICT_MSGPACK`` says; without it, any class that
            the process has imported and that is of a kind that carries data.
        allowed_types: classes to allow in strict mode, and to find in either mode where their
            name does not lead to them, as those made inside a function.
        upgrades: for a stored type, as ``"module:Qualified.Name"``, the class that took its
            place, or a function that makes a value of the stored fields (a dict).
        on_unknown_type: ``"raise"`` a ``TypeNotAllowedError`` for a type that can't be built,
            or hand back its ``"fields"`` as a dict, with a warning in the log.
        max_depth: how many levels of JSON a value may be deep when it is saved, at most 150.

    Raises:
        ValueError: an argument is not one of these.
    """

    def __init__(
        self,
        *,
        strict: bool | None = None,
        allowed_types: Iterable[type] = (),
        upgrades: Mapping[str, type | Callable[..., Any]] | None = None,
        on_unknown_type: OnUnknownType = "raise",
        max_depth: int = DEFAULT_MAX_DEPTH,
    ) -> None:
        if type(max_depth) is not int or not 1 <= max_depth <= _MAX_DEPTH:
            raise ValueError(
                f"max_depth is from 1 to {_MAX_DEPTH}, not {shown_argument(max_depth)}"
            )
        said = shown_argument(on_unknown_type)
        if said not in ("'raise'", "'fields'"):
            raise ValueError(f"on_unknown_type is 'raise' or 'fields', not {said}")
        if strict is not None and not isinstance(strict, bool):
            raise ArgumentTypeError(f"strict is True, False or None, not {shown_argument(strict)}")
        allowed = _check_allowed(allowed_types)
        upgrades = _check_upgrades(check_dict("upgrades", {} if upgrades is None else upgrades))
        if strict is None:
            strict = os.environ.get("LANGGRAPH_STRICT_MSGPACK", "").lower() in ("1", "true", "yes")
        self.max_depth = max_depth
        self.decoder = Decoder(
            Classes(
                strict=strict,
                allowed=allowed,
                allowed_names=(),
                upgrades=upgrades,
                on_unknown=on_unknown_type,
            )
        )

    def with_allowlist(self, extra: Collection[tuple[str, ...]]) -> SnapshotSerializer:
        """Make a serializer that also builds these classes in strict mode.

        Args:
            extra: ``(module, name)`` of each class, as LangGraph collects them from a graph.

        Raises:
            ArgumentTypeError: it is something else.
        """
        _check_names(extra)
        clone = copy.copy(self)
        clone.decoder = Decoder(self.decoder.classes.widened(extra))
        return clone

    def encode(self, value: Any, *, keep_order: bool = True) -> Any:
        """Write a value as a JSON tree that ``jsonb`` keeps exactly.

        Args:
            value: anything; it is not changed, and the tree shares nothing with it.
            keep_order: note the order of keys where ``jsonb`` would change it.

        Raises:
            SerializationError: something in it can't be stored; the message names the place.
        """
        return self._encode(_careful[keep_order], value)

    def decode(self, tree: Any) -> Any:
        """Read a tree of :meth:`encode`; it is not changed, and the value shares nothing with it.

        Raises:
            TypeNotAllowedError: it names a type that may not be built, or that is gone.
            DeserializationError: it is not a tree that :meth:`encode` writes.
        """
        try:
            return self.decoder.node(tree, _MAX_READ_DEPTH)
        except SnapshotError as error:
            with about(self._failed_part(tree, str(error))):
                raise
        except RecursionError as error:
            raise DeserializationError("the stored data is nested too deep") from error
        except Exception as error:
            said = f"the stored data can't be read: {shown(error)}"
            with about(self._failed_part(tree, said)):
                raise DeserializationError(said) from error

    def dumps(self, value: Any) -> bytes:
        """Write a value as JSON text, ready for a ``jsonb`` parameter.

        Raises:
            SerializationError: something in it can't be stored; the message names the place.
        """
        try:
            return orjson.dumps(self._encode(_quick, value))
        except orjson.JSONEncodeError:
            return orjson.dumps(self._encode(_careful[True], value))

    def loads(self, data: bytes | bytearray | memoryview | str) -> Any:
        """Read JSON text, as :meth:`dumps` writes it or PostgreSQL prints it.

        Raises:
            TypeNotAllowedError: it names a type that may not be built, or that is gone.
            DeserializationError: it is not what :meth:`dumps` writes.
        """
        try:
            tree = orjson.loads(data)
        except orjson.JSONDecodeError as error:
            raise DeserializationError(f"the stored data is not JSON: {error}") from error
        return self.decode(tree)

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        """Write a value, as ``SerializerProtocol`` has it.

        Raises:
            SerializationError: something in it can't be stored; the message names the place.
        """
        return TAG, self.dumps(obj)

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        """Read what :meth:`dumps_typed` wrote.

        Raises:
            TypeNotAllowedError: it names a type that may not be built, or that is gone.
            DeserializationError: another serializer wrote it, or it is damaged.
        """
        kind, text = data
        if kind != TAG:
            raise DeserializationError(f"a serializer of another kind, {kind!r}, wrote this")
        return self.loads(text)

    def _failed_part(self, tree: Any, said: str) -> str:
        """Say where in the value it failed, and the type there unless the error says it."""
        where, part = failed_part(self.decoder.classes, tree, _MAX_READ_DEPTH)
        tag = part.get(TYPE) if isinstance(part, dict) else None
        if isinstance(tag, str) and tag not in said:
            where = f"{where} ({tag})" if where else tag
        return where

    def _encode(self, encoder: Encoder, value: Any) -> Any:
        try:
            return encoder.node(value, self.max_depth)
        except Refused as refused:
            where = place(refused.path) or "the value"
            raise SerializationError(f"{where} {refused.reason}") from refused.origin
        except orjson.JSONEncodeError:
            raise
        except Exception as error:
            raise SerializationError(f"the value can't be stored: {shown(error)}") from error


def _check_allowed(allowed_types: Iterable[type]) -> tuple[type, ...]:
    if isinstance(allowed_types, (type, str)):
        raise ValueError(f"allowed_types is a list of classes, not {shown_argument(allowed_types)}")  # noqa: TRY004  # one kind of error for arguments
    with reading_argument("allowed_types"):
        allowed = tuple(allowed_types)
    for cls in allowed:
        if not isinstance(cls, type):
            raise ValueError(f"allowed_types has classes, not {shown_argument(cls)}")  # noqa: TRY004  # as above
    return allowed


def _check_upgrades(
    upgrades: Mapping[str, type | Callable[..., Any]],
) -> Mapping[str, type | Callable[..., Any]]:
    for name, upgrade in upgrades.items():
        said = shown_argument(name)
        if not isinstance(name, str) or ":" not in str.__str__(name):
            raise ValueError(f"upgrades has {said}, which is not a 'module:Qualified.Name'")
        if not callable(upgrade):
            wrong = shown_argument(upgrade)
            message = f"upgrades has {wrong} for {said}: pass a class or a function"
            raise ValueError(message)  # noqa: TRY004  # as above
    return upgrades


def _check_names(extra: Collection[tuple[str, ...]]) -> None:
    if isinstance(extra, (str, bytes)) or not isinstance(extra, Collection):
        raise ArgumentTypeError(
            f"the allow-list is a list of (module, name), got {type(extra).__name__}"
        )
    with reading_argument("the allow-list"):
        names = [tuple(name) if isinstance(name, (tuple, list)) else name for name in extra]
    for name in names:
        if type(name) is not tuple or not all(type(part) is str for part in name):
            raise ArgumentTypeError("the allow-list has what is not (module, name), two str")
