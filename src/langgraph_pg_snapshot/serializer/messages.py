"""LangChain's messages and LangGraph's own types, under the short names that people know."""

from __future__ import annotations

from typing import Any

from langchain_core import messages
from langchain_core.documents import Document
from langchain_core.messages.base import TextAccessor
from langchain_core.prompt_values import ChatPromptValue
from langgraph.store.base import Item, SearchItem
from langgraph.types import Command, Interrupt, Overwrite, Send, TimeoutPolicy

from .codec import ENCODERS, Tree, add_codec
from .decoder import Decoder
from .encoder import Encoder
from .objects import add_dataclass, add_slotted
from .pydantic_models import ModelCodec
from .ready import PREPARERS


class _AsText:
    """What ``message.text`` gives: a str that can be called, until langchain-core 2 drops that.

    It is stored as the str that everyone takes it for: people read it in SQL.
    """

    def encode(self, enc: Encoder, value: TextAccessor, depth: int) -> Any:
        """Write its text."""
        return ENCODERS[str](enc, str.__str__(value), depth)

    def decode(self, dec: Decoder, tree: Tree, depth: int) -> Any:
        """There is nothing to read: no tag leads here."""
        raise NotImplementedError


add_codec(TextAccessor, _AsText())

for _tag, _message in (
    ("human", messages.HumanMessage),
    ("ai", messages.AIMessage),
    ("system", messages.SystemMessage),
    ("tool", messages.ToolMessage),
    ("function", messages.FunctionMessage),
    ("chat", messages.ChatMessage),
    ("remove", messages.RemoveMessage),
    ("HumanMessageChunk", messages.HumanMessageChunk),
    ("AIMessageChunk", messages.AIMessageChunk),
    ("SystemMessageChunk", messages.SystemMessageChunk),
    ("ToolMessageChunk", messages.ToolMessageChunk),
    ("FunctionMessageChunk", messages.FunctionMessageChunk),
    ("ChatMessageChunk", messages.ChatMessageChunk),
    ("Document", Document),
    ("ChatPromptValue", ChatPromptValue),
):
    _codec = ModelCodec(_message, _tag, short=True)
    add_codec(_message, _codec, _tag)
    PREPARERS[_tag] = _codec.prepare

for _dataclass in (Command, Interrupt, Overwrite, TimeoutPolicy):
    add_dataclass(_dataclass, _dataclass.__name__)

add_slotted(Send, "Send", timeout=None)
add_slotted(Item, "Item")
add_slotted(SearchItem, "SearchItem", score=None)
