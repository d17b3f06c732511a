"""docs/serializer.md is true: each row of its tables, each block of code, each tag."""

# ruff: noqa: S102, S307  # what runs here is our own documentation

from __future__ import annotations

import dataclasses
import enum
import json
import os
import re
import sys
import types
from pathlib import Path
from typing import Generic, TypeVar

import pydantic
import pytest
from serializer_sameness import assert_same

from langgraph_pg_snapshot.errors import DeserializationError
from langgraph_pg_snapshot.serializer import SnapshotSerializer
from langgraph_pg_snapshot.serializer.codec import DECODERS

TEXT = (Path(__file__).parents[2] / "docs" / "serializer.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `(.+?)`(?: \([^|`]*\))? \| `(.+)` \|$", re.MULTILINE)
ROWS = [(code, stored.replace("\\|", "|")) for code, stored in ROW.findall(TEXT)]
PYTHON = re.findall(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)

SETTING = """
import re
from collections import Counter, OrderedDict, defaultdict, deque
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from ipaddress import ip_address, ip_interface, ip_network
from pathlib import PosixPath, PurePosixPath, PureWindowsPath, WindowsPath
from types import SimpleNamespace
from uuid import UUID
from zoneinfo import ZoneInfo
from langchain_core.documents import Document
from langchain_core.messages import *
from langchain_core.messages import ChatMessageChunk, FunctionMessageChunk
from langchain_core.prompt_values import ChatPromptValue
from langgraph.store.base import Item, SearchItem
from langgraph.types import Command, Interrupt, Overwrite, Send, TimeoutPolicy
from pydantic import SecretBytes, SecretStr
from pydantic_core import MultiHostUrl, Url
DAY = datetime(2024, 5, 1)
"""

T = TypeVar("T")


def caused(error, cause):
    error.__cause__ = cause
    return error


class Address(pydantic.BaseModel):
    city: str
    street: str | None = None


class Box(pydantic.BaseModel, Generic[T]):
    content: T


class Counted(pydantic.BaseModel):
    n: int
    _calls: int = 0


@dataclasses.dataclass
class Point:
    x: int
    y: int


class Color(enum.Enum):
    RED = "red"
    PAIR = (1, 2)


class Tags(list):
    pass


@pytest.fixture
def names(monkeypatch):
    app = types.ModuleType("app")
    for cls in (Address, Box, Box[int], Counted, Point, Color, Tags):
        monkeypatch.setattr(cls, "__module__", "app")
        setattr(app, cls.__name__, cls)
    monkeypatch.setitem(sys.modules, "app", app)
    found = dict(vars(app), caused=caused)
    exec(SETTING, found)
    for library, name in (("numpy", "np"), ("pandas", "pd")):
        if library in sys.modules or _importable(library):
            found[name] = sys.modules[library]
    return found


def _importable(library):
    try:
        __import__(library)
    except ImportError:
        return False
    return True


def test_there_are_rows():
    assert len(ROWS) > 60
    assert TEXT.count("\n| `") == len(ROWS)


@pytest.mark.parametrize(("code", "stored"), ROWS, ids=[code for code, _ in ROWS])
def test_rows(names, code, stored):
    if code[:3] in ("np.", "pd.") and code[:2] not in names:
        pytest.skip("the library is not installed")
    serializer = SnapshotSerializer()
    tree = json.loads(stored)
    if code.startswith("WindowsPath") and os.name != "nt":
        with pytest.raises(DeserializationError, match="WindowsPath"):
            serializer.decode(tree)
        code = f"Pure{code}"  # which is stored alike
        tree["$type"] = f"Pure{tree['$type']}"
    value = eval(code, names)
    assert serializer.encode(value) == tree
    assert_same(serializer.decode(tree), value)


def test_blocks_of_code_run(names):
    for block in PYTHON:
        exec(block, names)


def test_first_example(names):
    shown = json.loads(re.findall(r"^```json\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)[0])
    exec(PYTHON[0], names)
    assert json.loads(names["data"]) == shown


def test_every_tag_is_there():
    ours = {tag for tag in DECODERS if ":" not in tag}
    shown = {json.loads(stored).get("$type") for _, stored in ROWS}
    assert sorted(ours - shown) == []
