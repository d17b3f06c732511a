"""Pydantic's own types of value, and the models of its first version."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import pydantic
import pydantic_core
from pydantic import networks

from .classes import check_names, check_type
from .codec import Codec, Record, Tree, add_record
from .decoder import Decoder
from .encoder import Encoder
from .names import derives, tag_of
from .objects import ObjectCodec
from .state import MISSING, default_value, dict_of

_FIELDS_SET = "$fields_set"


def _holder(cls: type, attribute: str, convert: Callable[..., Any]) -> Callable[..., Any]:
    """Make a function that builds ``cls``, which wraps one value, around that value."""

    def build(value: Any, **options: Any) -> Any:
        made: Any = object.__new__(cls)
        object.__setattr__(made, attribute, convert(value, **options))
        return made

    return build


for _cls, _kind in ((pydantic.SecretStr, str), (pydantic.SecretBytes, bytes)):
    add_record(
        _cls,
        _cls.__name__,
        lambda value: {"value": value.get_secret_value()},
        _holder(_cls, "_secret_value", partial(check_type, expected=_kind)),
    )


def _url_parts(value: Any) -> dict[str, Any]:
    """Take a parsed URL apart: its text, and whether to leave an empty path empty."""
    text = str(value)
    if type(value)(text) == value:
        return {"value": text}
    return {"value": text, "preserve_empty_path": True}


def _url_parser(cls: Any) -> Callable[..., Any]:
    def parse(value: object, preserve_empty_path: object = None) -> Any:
        text = check_type(value, str)
        return cls(text) if preserve_empty_path is None else cls(text, preserve_empty_path=True)

    return parse


for _parsed in (pydantic_core.Url, pydantic_core.MultiHostUrl):
    add_record(_parsed, _parsed.__name__, _url_parts, _url_parser(_parsed))


# Private to pydantic, and there since 2.10; before, its URLs were the parsed ones themselves.
_URL_BASES: tuple[tuple[Any, Any], ...] = (
    (getattr(networks, "_BaseUrl", None), pydantic_core.Url),
    (getattr(networks, "_BaseMultiHostUrl", None), pydantic_core.MultiHostUrl),
)


# Secret is there since pydantic 2.8.
_SECRETS = tuple(
    getattr(pydantic, name)
    for name in ("SecretStr", "SecretBytes", "Secret")
    if hasattr(pydantic, name)
)


class _UrlKind(Record):
    """``AnyUrl`` and its kin: a class around a parsed URL, which knows what to allow."""

    def __init__(self, cls: type, parsed: Any) -> None:
        hold = _holder(cls, "_url", _url_parser(parsed))
        super().__init__(tag_of(cls), lambda value: _url_parts(value._url), hold)  # noqa: SLF001  # its one attribute


def find_url(cls: type) -> Codec | None:
    """Find the codec of a pydantic URL class."""
    for base, parsed in _URL_BASES:
        if base is not None and derives(cls, base):
            return _UrlKind(cls, parsed)
    return None


def find_secret(cls: type) -> Codec | None:
    """Find the codec of a class that derives from pydantic's secrets, or of ``Secret`` itself."""
    if not any(derives(cls, base) for base in _SECRETS):
        return None
    return ObjectCodec(cls, tag_of(cls), {"_secret_value": lambda: MISSING})


class _FirstVersionModel(ObjectCodec):
    """A ``pydantic.v1`` model: an object that also remembers which fields were set."""

    def __init__(self, cls: Any) -> None:
        defaults = {
            name: partial(
                default_value,
                MISSING if field.required else field.default,
                field.default_factory,
            )
            for name, field in cls.__fields__.items()
        }
        super().__init__(cls, tag_of(cls), defaults)
        self.fields_set = self.slots.pop("__fields_set__")

    def encode(self, enc: Encoder, value: Any, depth: int) -> Tree:
        tree = super().encode(enc, value, depth)
        fields_set = self.fields_set.__get__(value)
        if fields_set != set(dict_of(value)):
            tree[_FIELDS_SET] = enc.node(sorted(fields_set), depth - 1)
        return tree

    def decode(self, dec: Decoder, tree: Tree, depth: int) -> Any:
        made = super().decode(dec, tree, depth)
        names = tree.get(_FIELDS_SET)
        state = dict_of(made)
        self.fields_set.__set__(
            made, set(state) if names is None else check_names(dec.node(names, depth))
        )
        return made


def find_first_version(cls: type) -> Codec | None:
    """Find the codec of a ``pydantic.v1`` model, where such a class can exist."""
    main = sys.modules.get("pydantic.v1.main")
    return _FirstVersionModel(cls) if main and derives(cls, main.BaseModel) else None
