"""Channel versions, and what a checkpoint takes over from its parents by them."""

from __future__ import annotations

import itertools
import re

import pytest

from helpers import Chain, checkpoint_of, config_of, new_id, next_version


def test_version_is_a_padded_number_and_a_random_part():
    assert re.fullmatch(r"0{31}1\.[0-9a-f]{10}", next_version(None))


def test_versions_compare_in_order_as_text():
    versions = list(itertools.accumulate(range(1200), lambda v, _: next_version(v), initial=None))
    assert versions[1:] == sorted(versions[1:])


def test_two_forks_never_share_a_version():
    base = next_version(None)
    forks = {next_version(base) for _ in range(1000)}
    assert len(forks) == 1000
    assert {fork.split(".")[0] for fork in forks} == {f"{2:032}"}


@pytest.mark.parametrize(
    ("found", "number"),
    [
        (None, 1),
        (0, 1),
        (41, 42),
        (41.0, 42),
        ("41", 42),
        (f"{41:032}.0.123", 42),
        (f"{41:032}.{0.5:016}", 42),
    ],
)
def test_versions_that_other_savers_left_are_continued(found, number):
    assert next_version(found).startswith(f"{number:032}.")


@pytest.mark.parametrize(
    "versions", [(1, 2), ("1", "2"), (f"{1:032}.0.7", f"{2:032}.0.1"), (1.0, 2.0)]
)
def test_any_kind_of_version_is_kept_and_carries_its_value(saver, other, thread_id, versions):
    first, second = versions
    root = saver.put(
        config_of(thread_id),
        checkpoint_of({"a": "kept", "b": 1}, {"a": first, "b": first}),
        {},
        {"a": first, "b": first},
    )
    # By another process, which has to read what it builds on.
    child = other.put(root, checkpoint_of({"b": 2}, {"a": first, "b": second}), {}, {"b": second})
    found = saver.get_tuple(child)
    assert found.checkpoint["channel_versions"] == {"a": first, "b": second}
    assert [type(v) for v in found.checkpoint["channel_versions"].values()] == [type(first)] * 2
    assert found.checkpoint["channel_values"] == {"a": "kept", "b": 2}


LARGE = [{"text": f"{number} " + "x" * 100} for number in range(20)]


@pytest.mark.parametrize(
    "value", [7, "small", None, LARGE, {"a": "x" * 300, "b": "y" * 300}, "z" * 999]
)
@pytest.mark.parametrize("cold", [False, True], ids=["warm", "cold"])
def test_unchanged_channel_absent_from_values_keeps_its_value(saver, other, thread_id, value, cold):
    version = next_version(None)
    writer = saver
    config = config_of(thread_id)
    new = {"kept": version, "step": version}
    config = saver.put(config, checkpoint_of({"kept": value, "step": 0}, new), {}, new)
    for step in range(1, 4):
        # DeltaChannel snapshots are such a channel: not handed over again, but still there.
        new["step"] = next_version(new["step"])
        writer = other if cold and step == 2 else writer
        config = writer.put(config, checkpoint_of({"step": step}, new), {}, {"step": new["step"]})
        for reader in (saver, other):
            assert reader.get_tuple(config).checkpoint["channel_values"] == {
                "kept": value,
                "step": step,
            }


ODD = ("$a", "$list", "$item", "$type", "$order", "", "a\nb")


@pytest.mark.parametrize("value", [7, LARGE, "z" * 999], ids=["inline", "list", "item"])
@pytest.mark.parametrize("names", [ODD, *((name,) for name in ODD)], ids=repr)
def test_any_name_of_a_channel_will_do(saver, other, thread_id, value, names):
    version = next_version(None)
    versions = {**dict.fromkeys(names, version), "step": version}
    values = dict.fromkeys(names, value)
    config = config_of(thread_id)
    config = saver.put(config, checkpoint_of({**values, "step": 0}, versions), {}, versions)
    for step, writer in enumerate((other, saver, other), 1):
        versions["step"] = next_version(versions["step"])
        checkpoint = checkpoint_of({"step": step}, versions)
        config = writer.put(config, checkpoint, {}, {"step": versions["step"]})
        for reader in (saver, other):
            found = reader.get_tuple(config).checkpoint
            assert found["channel_values"] == {**values, "step": step}
            assert found["channel_versions"] == versions
            assert found["versions_seen"] == checkpoint["versions_seen"]
        assert saver.list(config)[0].checkpoint == found


@pytest.mark.parametrize("version", [1e300, 1e16, 1e-300, -0.0, float("inf"), 2**70, "1\x00"])
def test_odd_version_is_kept_and_carries_its_value(saver, other, thread_id, version):
    versions = {"a": version, "b": next_version(None)}
    config = saver.put(config_of(thread_id), checkpoint_of({"a": 1}, versions), {}, versions)
    versions["b"] = next_version(versions["b"])
    config = other.put(config, checkpoint_of({}, versions), {}, {"b": versions["b"]})
    found = saver.get_tuple(config).checkpoint
    assert found["channel_values"] == {"a": 1}
    assert found["channel_versions"] == versions
    assert type(found["channel_versions"]["a"]) is type(version)


def test_the_lineage_counts_not_the_time(chain):
    root = chain.put({"a": "root", "b": 0})
    left = chain.put({"a": "left"}, parent=root)
    chain.put({"a": "right"}, parent=root)
    # A child of the left one, put last, which names neither value.
    versions = {**chain.states[left["configurable"]["checkpoint_id"]][1]}
    versions["b"] = next_version(versions["b"])
    child = chain.saver.put(left, checkpoint_of({"b": 1}, versions), {}, {"b": versions["b"]})
    assert chain.saver.get_tuple(child).checkpoint["channel_values"] == {"a": "left", "b": 1}


def test_channel_that_is_not_in_the_versions_does_not_come_back(chain):
    chain.put({"a": 1, "gone": LARGE})
    config = chain.put({"a": 2}, without=("gone",))
    assert chain.saver.get_tuple(config).checkpoint["channel_values"] == {"a": 2}
    config = chain.put({"a": 3})
    assert chain.saver.get_tuple(config).checkpoint["channel_values"] == {"a": 3}


def test_value_of_a_channel_without_version_is_not_stored(saver, thread_id):
    version = next_version(None)
    config = saver.put(
        config_of(thread_id),
        checkpoint_of({"a": 1, "stray": 2}, {"a": version}, None),
        {},
        {"a": version},
    )
    assert saver.get_tuple(config).checkpoint["channel_values"] == {"a": 1}


def test_channel_with_a_new_version_and_no_value_has_none(chain):
    chain.put({"a": 1, "emptied": LARGE})
    config = chain.put({"a": 2}, valueless=("emptied",))
    found = chain.saver.get_tuple(config).checkpoint
    assert found["channel_values"] == {"a": 2}
    assert "emptied" in found["channel_versions"]
    config = chain.put({"a": 3})
    assert chain.saver.get_tuple(config).checkpoint["channel_values"] == {"a": 3}


def test_none_is_a_value(chain):
    config = chain.put({"a": None, "b": [None], "c": {"d": None}})
    assert chain.saver.get_tuple(config).checkpoint["channel_values"] == {
        "a": None,
        "b": [None],
        "c": {"d": None},
    }
    config = chain.put({"b": 1})
    assert chain.saver.get_tuple(config).checkpoint["channel_values"]["a"] is None


def test_forks_keep_their_own_values(saver, other, thread_id):
    chain = Chain(saver, thread_id)
    root = chain.put({"messages": LARGE})
    # The two processes know nothing of each other's put.
    left = chain.put({"messages": [*LARGE, {"text": "left " * 30}]}, parent=root)
    chain.saver = other
    right = chain.put({"messages": [*LARGE, {"text": "right " * 30}]}, parent=root)
    for config in (root, left, right):
        for reader in (saver, other):
            assert reader.get_tuple(config).checkpoint["channel_values"] == chain.values(config)


@pytest.mark.parametrize("was_there", [False, True], ids=["not-yet-stored", "stored"])
def test_parent_that_another_process_put_since_is_looked_at_again(
    saver, other, thread_id, was_there
):
    """What a process knows of a parent may be outdated; a value must not get lost by that."""
    first, second = next_version(None), next_version(next_version(None))
    parent_id = new_id()
    parent = config_of(thread_id, parent_id)
    other.put(config_of(thread_id), checkpoint_of({}, {}), {}, {})
    if was_there:
        saver.put(
            config_of(thread_id),
            checkpoint_of({"kept": 1}, {"kept": first}, parent_id),
            {},
            {"kept": first},
        )
    else:
        saver.put(parent, checkpoint_of({}, {}), {}, {})
    # Small values add no item, so that the log does not show that anything changed.
    other.put(
        config_of(thread_id),
        checkpoint_of({"kept": 2}, {"kept": second}, parent_id),
        {},
        {"kept": second},
    )
    child = saver.put(parent, checkpoint_of({}, {"kept": second}), {}, {})
    assert saver.get_tuple(child).checkpoint["channel_values"] == {"kept": 2}
