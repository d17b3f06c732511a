"""The tables that say how each type is written and read, and how a type gets into them.

A *codec* writes the values of one class as a JSON tree and reads them back. Codecs carry no
settings, so one table serves every serializer of the process; what differs between serializers
(the allow-list, the depth) travels in the ``Encoder`` and ``Decoder`` that they are handed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

import orjson

from langgraph_pg_snapshot.errors import DeserializationError, SnapshotError

if TYPE_CHECKING:
    from .decoder import Decoder
    from .encoder import Encoder

Tree = dict[str, Any]
CANT = "can't be stored: "
_read = type.__getattribute__  # past a metaclass that has its own
EncodeFunction = Callable[["Encoder", Any, int], Any]
DecodeFunction = Callable[["Decoder", Tree, int], Any]


class Refused(Exception):  # noqa: N818  # never leaves the package: it becomes one of ours
    """A value can't be stored; containers add where it stood while this passes through."""

    def __init__(self, reason: str, origin: Exception | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.origin = origin
        self.path: list[str] = []


def located(error: Exception, step: str, tag: str = "") -> Exception:
    """Add a step, from the inside out, to where the value is that can't be stored.

    Args:
        error: why it can't: ``Refused``, or whatever was raised while it was looked at.
        step: what leads to it from the value around it, as ``"['key']"``.
        tag: its type, if that is known here.
    """
    if isinstance(error, orjson.JSONEncodeError):
        return error  # a careful walk follows
    if not isinstance(error, Refused):
        what = f"{tag}: " if tag else ""
        error = Refused(f"can't be stored: {what}{shown(error)}", error)
    error.path.append(step)
    return error


def shown(error: Exception) -> str:
    """Print an error, unless that would ask an object of the stored data how it looks."""
    plain = all(type(arg) in (str, int) for arg in error.args)
    return repr(error) if plain else type(error).__name__


def too_deep() -> NoReturn:
    """Refuse a value that holds itself, or that JSON parsers would refuse."""
    raise Refused("is nested too deep, or holds itself")


class Codec(Protocol):
    """How the values of one class are written and read."""

    def encode(self, enc: Encoder, value: Any, depth: int, /) -> Any:
        """Write ``value`` in at most ``depth`` levels of JSON."""

    def decode(self, dec: Decoder, tree: Tree, depth: int, /) -> Any:
        """Read a tagged object back."""


class _Encoders(dict[type, EncodeFunction]):
    """How to write each type; a type that is new here is looked at once."""

    def __missing__(self, cls: type) -> EncodeFunction:
        encode = codec_for(cls).encode
        holds = _guards.get(cls)
        self[cls] = encode if holds is None else _guarded(cls, encode, holds)
        return self[cls]


def _guarded(cls: type, encode: EncodeFunction, holds: Callable[[], bool]) -> EncodeFunction:
    def encode_if_it_holds(enc: Encoder, value: Any, depth: int) -> Any:
        if holds():
            return encode(enc, value, depth)
        _forget(cls)
        return ENCODERS[cls](enc, value, depth)

    return encode_if_it_holds


# Classes made inside functions come and go: beyond this many, those learned are forgotten.
_MAX_LEARNED = 2048

ENCODERS = _Encoders()
DECODERS: dict[str, DecodeFunction] = {}
# Of some tags: how to read trees of just these members. For long lists, past what looks it up.
SHAPES: dict[str, Mapping[tuple[str, ...], DecodeFunction]] = {}
_known: dict[type, Codec] = {}
_learned: dict[type, Codec] = {}
_guards: dict[type, Callable[[], bool]] = {}
_registered: dict[str, type] = {}
_finders: list[Callable[[type], Codec | None]] = []


def add_codec(cls: type, codec: Codec, tag: str | None = None) -> None:
    """Use ``codec`` for exactly this class, and for trees that bear ``tag``."""
    _known[cls] = codec
    ENCODERS[cls] = codec.encode
    if tag is not None:
        DECODERS[tag] = codec.decode
        SHAPES[tag] = getattr(codec, "decoders", {})


def add_finder(finder: Callable[[type], Codec | None]) -> None:
    """Ask ``finder`` about classes that have no codec yet, after the finders before it."""
    _finders.append(finder)


def codec_for(cls: type) -> Codec:
    """Find how the values of a class are written and read.

    Raises:
        Refused: the class is not of a kind that carries data.
    """
    codec = _known.get(cls) or _learned.get(cls)
    if codec is None:
        codec = _find_codec(cls)
        if len(_learned) >= _MAX_LEARNED:
            for stale in list(_learned):
                _forget(stale)
        _learned[cls] = codec
    return codec


def guard(cls: type, holds: Callable[[], bool]) -> None:
    """Learn a class anew when ``holds()`` says that what was learned of it is so no more."""
    _guards[cls] = holds


def _forget(cls: type) -> None:
    for table in (ENCODERS, _learned, _guards):
        table.pop(cls, None)


def known_codec(cls: type) -> Codec | None:
    """Find the codec of a class that has one of its own: from this package, or registered."""
    return _known.get(cls)


def is_known(cls: type) -> bool:
    """Whether a class has a codec of its own: from this package, or registered."""
    return cls in _known


def _find_codec(cls: type) -> Codec:
    reason = "is not data"
    try:
        for finder in _finders:
            codec = finder(cls)
            if codec is not None:
                return codec
    except Refused as refused:
        reason = refused.reason
    module, name = (_read(cls, attribute) for attribute in ("__module__", "__qualname__"))
    raise Refused(f"{CANT}{module}.{name} {reason}")


class Record:
    """A codec made of two functions: value to named parts, and named parts to value."""

    def __init__(
        self, tag: str, parts: Callable[[Any], dict[str, Any]], build: Callable[..., Any]
    ) -> None:
        self.tag = tag
        self.parts = parts
        self.build = build

    def encode(self, enc: Encoder, value: Any, depth: int) -> Tree:
        """Write the parts of a value."""
        tree: Tree = {"$type": self.tag}
        depth -= 1
        name = ""
        try:
            for name, part in self.parts(value).items():
                tree[name] = enc.node(part, depth)
        except Exception as error:  # noqa: BLE001  # raised again, with its place
            step = f".{name}" if name not in ("", "value", "items") else ""
            raise located(error, step, self.tag) from None
        return tree

    def decode(self, dec: Decoder, tree: Tree, depth: int) -> Any:
        """Read the parts, and build the value of them."""
        depth -= 1
        return self.build(
            **{name: dec.node(part, depth) for name, part in tree.items() if name != "$type"}
        )


def add_record(
    cls: type,
    tag: str,
    parts: Callable[[Any], dict[str, Any]],
    build: Callable[..., Any],
) -> None:
    """Write ``cls`` as ``{"$type": tag, …parts}`` and read it back with ``build(**parts)``."""
    add_codec(cls, Record(tag, parts, build), tag)


class _Registered:
    """A codec of two functions of the application's."""

    def __init__(
        self, tag: str, to_data: Callable[[Any], Any], from_data: Callable[[Any], Any]
    ) -> None:
        self.tag = tag
        self.to_data = to_data
        self.from_data = from_data

    def encode(self, enc: Encoder, value: Any, depth: int) -> Tree:
        try:
            data = self.to_data(value)
        except Exception as error:  # noqa: BLE001  # raised again, with its place
            raise located(error, "", f"{self.tag}, by what register() was given") from None
        return {"$type": self.tag, "value": enc.node(data, depth - 1)}

    def decode_tagged(self, dec: Decoder, tree: Tree, depth: int) -> Any:
        """Read a tree by its tag, for which upgrades= may have something else."""
        if self.tag in dec.classes.upgrades:
            return dec.classes.decode(dec, self.tag, tree, depth)
        return self.decode(dec, tree, depth)

    def decode(self, dec: Decoder, tree: Tree, depth: int) -> Any:
        data = dec.node(tree["value"], depth - 1)
        try:
            return self.from_data(data)
        except SnapshotError:
            raise
        except Exception as error:
            raise DeserializationError(
                f"{self.tag!r} can't be read by what register() was given: {shown(error)}"
            ) from error


def register(cls: type, encode: Callable[[Any], Any], decode: Callable[[Any], Any]) -> None:
    """Say how the values of a class are stored, in every serializer of the process.

    It takes the place of what was said of a class of the same module and qualified name.

    Args:
        cls: exactly this class, not those that derive from it.
        encode: makes something of a value that can be stored: a dict of its parts, say.
        decode: makes the value again. It runs on stored data, in strict mode too.
    """
    tag = f"{cls.__module__}:{cls.__qualname__}"
    before = _registered.get(tag)
    if before is not None:  # defined again: what it made would load as the new class
        _known.pop(before)
        _forget(before)
    _registered[tag] = cls
    codec = _Registered(tag, encode, decode)
    add_codec(cls, codec)
    DECODERS[tag] = codec.decode_tagged
