"""Listings show themselves, and are what they were: lists."""

from __future__ import annotations

import copy
import json
import pickle
from datetime import timedelta
from html.parser import HTMLParser

import orjson
import pandas as pd
import pytest

from helpers import Chain, Variant
from langgraph_pg_snapshot import CheckpointInfo, StorageStats, TableSize, ThreadInfo, ThreadSize
from langgraph_pg_snapshot.listings import CheckpointList, ThreadList
from langgraph_pg_snapshot.pictures.words import clean, shortened
from pictures.hostile import HOSTILE, NOW

TAGS = {"table", "thead", "tbody", "tr", "th", "td", "p"}


class Page(HTMLParser):
    """What a browser would make of it."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.texts: list[str] = []
        self.rows = 0
        self.open: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        assert tag in TAGS
        assert all(
            pair in (("style", f"text-align:{s}") for s in ("left", "right")) for pair in attrs
        )
        self.open.append(tag)
        self.rows += tag == "tr"
        self.texts.append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts[-1] += data

    def handle_comment(self, data):
        raise AssertionError(data)

    handle_decl = handle_pi = unknown_decl = handle_comment


def threads(*ids: str) -> ThreadList:
    return ThreadList(
        ThreadInfo(
            each, NOW, NOW + timedelta(hours=1), 3, {"user_id": each, each: [each], "step": 1}
        )
        for each in ids
    )


def checkpoints(*ids: str) -> CheckpointList:
    return CheckpointList(
        CheckpointInfo(each, each, each, NOW, 1, each, [each], {}) for each in ids
    )


@pytest.mark.parametrize("text", HOSTILE)
def test_data_is_nothing_but_text(text):
    stats = StorageStats(
        *(1, 2, 3, 4), [TableSize(text, 2048, 1024)], [ThreadSize(text, 1, 2, 3, 4)]
    )
    for shown in (threads(text), checkpoints(text), stats):
        html = shown._repr_html_()
        assert clean(shortened(text, 120)) in Page(html).texts
        assert html == clean(html)


def test_metadata_is_shown_in_short():
    class Odd:
        def __repr__(self):
            raise ValueError

    deep: list[object] = []
    for _ in range(5000):
        deep = [deep]
    metadata = {"user_id": "ada", "deep": deep, "odd": Odd(), "long": "x" * 10**6, "source": "loop"}
    html = ThreadList([ThreadInfo("t", NOW, NOW, 1, metadata)])._repr_html_()
    assert "user_id=ada, deep=[[[" in html
    assert "loop" not in html
    assert len(html) < 2_000


def test_long_listings_show_their_first_hundred():
    page = Page(threads(*map(str, range(250)))._repr_html_())
    assert page.rows == 1 + 100
    assert page.texts[-1] == "… and 150 more"
    page = Page(checkpoints(*map(str, range(100)))._repr_html_())
    assert page.rows == 1 + 100
    assert not any("more" in each for each in page.texts)
    assert Page(threads()._repr_html_()).rows == 1


@pytest.mark.parametrize("made", [threads, checkpoints])
def test_lists_stay_lists(made):
    found = made("a", "b", "c")
    plain = [*found]
    assert isinstance(found, list)
    assert found == plain
    assert repr(found) == repr(plain)
    assert found[0] is plain[0]
    assert found[-1] is plain[-1]
    assert type(found[:2]) is type(found)
    assert found[:2] == plain[:2]
    assert found[::-1] == plain[::-1]
    assert copy.copy(found) == plain
    assert json.dumps([each[0] for each in found]) == '["a", "b", "c"]'
    assert orjson.dumps(type(found)("abc")) == b'["a","b","c"]'
    frame = pd.DataFrame(found)
    assert tuple(frame.columns) == plain[0]._fields
    assert len(frame) == 3
    unpickled = pickle.loads(pickle.dumps(type(found)("abc")))  # noqa: S301 -- our own
    assert (type(unpickled), unpickled) == (type(found), ["a", "b", "c"])


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_the_saver_hands_them_out(ready_database, colour):
    with Variant(colour, "conninfo", "snapshot").open(ready_database) as saver:
        Chain(saver, "liam").put({"n": 1}, metadata={"user_id": "u-17"})
        for filter_ in (None, {"user_id": "u-17"}):
            shown = Page(saver.list_threads(filter=filter_)._repr_html_()).texts
            assert "liam" in shown
            assert "user_id=u-17" in shown
        [checkpoint] = saver.history("liam")
        assert checkpoint.checkpoint_id in Page(saver.history("liam")._repr_html_()).texts
        shown = Page(saver.stats()._repr_html_()).texts
        assert shown[0].startswith("1 thread, 1 checkpoint, ")
        assert {"agent_checkpoints_history", "liam"} <= {*shown}
        picture = saver.history_graph("liam")
        assert picture._repr_mimebundle_() == {
            "image/svg+xml": picture.svg,
            "text/plain": picture.text,
        }
        assert picture._repr_svg_() == picture.svg
        assert repr(picture) == "<HistoryGraph of 'liam: 1 checkpoint'>"


def test_encrypted_metadata_is_filtered_into_such_a_list(ready_database):
    with Variant("sync", "conninfo", "encrypted").open(ready_database) as saver:
        Chain(saver, "liam").put({"n": 1}, metadata={"user_id": "u-17"})
        assert "liam" in saver.list_threads(filter={"user_id": "u-17"})._repr_html_()
