"""get_delta_channel_history, against what the contract says and LangGraph's own slow walk."""

from __future__ import annotations

import random

import pytest
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.serde.types import _DeltaSnapshot

from helpers import Chain, config_of, id_of, new_id


def history(saver, config, *channels):
    return saver.get_delta_channel_history(config=config, channels=list(channels))


def slow_walk(saver, config, channels):
    """LangGraph's default implementation, on the same saver."""
    if saver.loop is None:
        return BaseCheckpointSaver.get_delta_channel_history(
            saver.saver, config=config, channels=channels
        )
    return saver.loop.run_until_complete(
        BaseCheckpointSaver.aget_delta_channel_history(
            saver.saver, config=config, channels=channels
        )
    )


def write(chain, config, *values, channel="d", task="task", path=""):
    chain.saver.put_writes(config, [(channel, value) for value in values], task, path)


@pytest.mark.every_variant
def test_writes_oldest_first_without_seed_at_the_root(chain):
    configs = [chain.put(valueless=("d",)) for _ in range(4)]
    for number, config in enumerate(configs):
        write(chain, config, f"{number}a", f"{number}b")
    assert history(chain.saver, configs[3], "d") == {
        "d": {"writes": [("task", "d", value) for value in ("0a", "0b", "1a", "1b", "2a", "2b")]}
    }
    assert history(chain.saver, config_of(chain.thread_id), "d") == history(
        chain.saver, configs[3], "d"
    )


def test_root_has_no_history(chain):
    root = chain.put({"d": [1]})
    write(chain, root, "its own")
    assert history(chain.saver, root, "d") == {"d": {"writes": []}}


@pytest.mark.every_variant
@pytest.mark.parametrize(
    "seed",
    [
        _DeltaSnapshot([1, 2]),
        _DeltaSnapshot([{"x": "y" * 100}] * 9),
        [1, 2],
        [{"x": "y" * 100}] * 9,
        None,
        0,
        "",
        [],
    ],
    ids=["snapshot", "large-snapshot", "plain", "large-plain", "none", "zero", "str", "list"],
)
def test_nearest_stored_value_is_the_seed_and_its_own_writes_count(chain, seed):
    old = chain.put({"d": ["older"]})
    write(chain, old, "before the seed")
    seeded = chain.put({"d": seed})
    write(chain, seeded, "seed's own")
    between = chain.put(valueless=("d",))
    write(chain, between, "later")
    head = chain.put(valueless=("d",))
    write(chain, head, "target's own")
    expected = {"writes": [("task", "d", "seed's own"), ("task", "d", "later")], "seed": seed}
    found = history(chain.saver, head, "d")["d"]
    assert found == expected
    assert type(found["seed"]) is type(seed)
    # The seed is an ancestor's value; the target's own does not count.
    assert history(chain.saver, seeded, "d") == {
        "d": {"writes": [("task", "d", "before the seed")], "seed": ["older"]}
    }


def test_inline_true_is_a_plain_value(chain):
    """Elsewhere `true` marks a snapshot that lies in a blob; here it is only what was stored."""
    chain.put({"d": True, "e": {"__delta": True}})
    chain.put(valueless=("d", "e"))
    found = history(chain.saver, config_of(chain.thread_id), "d", "e")
    assert found["d"]["seed"] is True
    assert found["e"]["seed"] == {"__delta": True}


def test_version_bump_without_a_value_is_passed_over(chain):
    chain.put({"d": ["seed"]})
    for _ in range(3):
        chain.put(valueless=("d",))
    found = history(chain.saver, config_of(chain.thread_id), "d")
    assert found == {"d": {"writes": [], "seed": ["seed"]}}


def test_unchanged_value_is_the_seed_where_it_is_nearest(chain):
    chain.put({"d": _DeltaSnapshot(["s"])})
    carried = chain.put({"other": 1})
    write(chain, carried, "after")
    chain.put({"other": 2}, valueless=("d",))
    assert history(chain.saver, config_of(chain.thread_id), "d") == {
        "d": {"writes": [("task", "d", "after")], "seed": _DeltaSnapshot(["s"])}
    }


def test_follows_parents_not_time(chain):
    root = chain.put(valueless=("d",))
    write(chain, root, "root")
    left = chain.put(valueless=("d",), parent=root)
    write(chain, left, "left")
    right = chain.put(valueless=("d",), parent=root)
    write(chain, right, "right")
    for side, config in (("left", left), ("right", right)):
        head = chain.put(valueless=("d",), parent=config)
        assert [v for *_, v in history(chain.saver, head, "d")["d"]["writes"]] == ["root", side]


def test_each_channel_ends_at_its_own_seed(chain):
    a = chain.put({"d": ["d"]}, valueless=("e", "f"))
    b = chain.put({"e": ["e"]}, valueless=("d", "f"))
    chain.put(valueless=("d", "e", "f"))
    for config in (a, b):
        for channel in "def":
            write(chain, config, f"{channel} {config is b}", channel=channel, task=channel)
    found = history(chain.saver, config_of(chain.thread_id), "d", "e", "f", "unknown")
    assert found == {
        "d": {"writes": [("d", "d", "d False"), ("d", "d", "d True")], "seed": ["d"]},
        "e": {"writes": [("e", "e", "e True")], "seed": ["e"]},
        "f": {"writes": [("f", "f", "f False"), ("f", "f", "f True")]},
        "unknown": {"writes": []},
    }


def test_writes_of_one_checkpoint_go_by_path(chain):
    root = chain.put(valueless=("d",))
    for path, task in (("~b", "1"), ("~a", "3"), ("~a", "2"), ("", "9"), ("~B", "0")):
        write(chain, root, f"{path} {task}", task=task, path=path)
    chain.put(valueless=("d",))
    writes = history(chain.saver, config_of(chain.thread_id), "d")["d"]["writes"]
    assert [value for *_, value in writes] == [" 9", "~B 0", "~a 2", "~a 3", "~b 1"]


def test_no_channels_and_no_checkpoint(chain):
    config = chain.put({"d": 1})
    assert history(chain.saver, config) == {}
    assert history(chain.saver, config_of(chain.thread_id, new_id()), "d") == {"d": {"writes": []}}
    assert history(chain.saver, config_of(f"{chain.thread_id}-no"), "d") == {"d": {"writes": []}}


def test_other_namespaces_are_others(saver, thread_id):
    for ns in ("", "sub"):
        chain = Chain(saver, thread_id, ns)
        write(chain, chain.put({"d": ns}), f"from {ns}")
        chain.put(valueless=("d",))
    assert history(saver, config_of(thread_id, ns="sub"), "d") == {
        "d": {"writes": [("task", "d", "from sub")], "seed": "sub"}
    }


@pytest.mark.parametrize("seed", range(6))
def test_equals_langgraphs_slow_walk_on_random_trees(chain, seed):
    chance = random.Random(seed)
    channels = ["d", "e", "f"]
    configs = [chain.put({"d": "root"}, valueless=("e",))]
    for _ in range(25):
        valued = {
            c: [chance.random()] * chance.choice([1, 40])
            for c in channels
            if chance.random() < 0.15
        }
        bumped = tuple(c for c in channels if c not in valued and chance.random() < 0.6)
        config = chain.put(valued, valueless=bumped, parent=chance.choice(configs[-6:]))
        for task in chance.sample("abcdef", 3):
            write(
                chain,
                config,
                chance.random(),
                chance.random(),
                channel=chance.choice(channels),
                task=task,
                path=chance.choice(["~x", "~Y", ""]),
            )
        configs.append(config)
    for config in configs:
        assert history(chain.saver, config, *channels) == slow_walk(chain.saver, config, channels)
    assert len({id_of(config) for config in configs}) == 26


def test_hand_made_cycle_ends(contract_database, chain):
    import psycopg

    root = chain.put(valueless=("d",))
    head = chain.put({"d": "seed"})
    with psycopg.connect(contract_database, autocommit=True) as conn:
        conn.execute(
            "UPDATE agent_checkpoints_history SET parent_checkpoint_id = %s"
            " WHERE thread_id = %s AND checkpoint_id = %s",
            [id_of(head), chain.thread_id, id_of(root)],
        )
    assert history(chain.saver, head, "d")["d"]["seed"] == "seed"
