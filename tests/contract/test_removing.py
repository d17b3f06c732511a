"""prune, delete_thread, delete_for_runs, copy_thread."""

from __future__ import annotations

import psycopg
import pytest

from helpers import Chain, checkpoint_of, config_of, id_of, new_id, unreferenced_items

LARGE = [{"text": f"{number} " * 80} for number in range(20)]
TABLES = ("threads", "history", "writes")


def rows(database, thread_id):
    """How many rows each table has of a thread; of items, those that no checkpoint references."""
    with psycopg.connect(database) as conn:
        counted = {
            table: conn.execute(
                f"SELECT count(*) FROM agent_checkpoints_{table} WHERE thread_id = %s",  # noqa: S608
                [thread_id],
            ).fetchone()[0]
            for table in TABLES
        }
    return counted | {"items": len(unreferenced_items(database, thread_id))}


NONE = dict.fromkeys((*TABLES, "items"), 0)


def everything(saver, thread_id):
    """All that can be seen of a thread, without its name."""
    found = saver.list({"configurable": {"thread_id": thread_id}})
    return [
        (
            {**each.config["configurable"], "thread_id": None},
            each.checkpoint,
            each.metadata,
            {**(each.parent_config or {}).get("configurable", {}), "thread_id": None},
            each.pending_writes,
        )
        for each in found
    ]


@pytest.fixture
def filled(saver, thread_id):
    """Two namespaces with forks, long lists and pending writes."""
    for ns in ("", "sub"):
        chain = Chain(saver, thread_id, ns)
        root = chain.put({"m": LARGE[:5], "n": 0}, metadata={"run_id": f"{thread_id}-1"})
        chain.put({"m": LARGE[:10]}, metadata={"run_id": f"{thread_id}-1"})
        chain.put({"m": [LARGE[0], LARGE[12]]}, parent=root, metadata={"run_id": f"{thread_id}-2"})
        head = chain.put({"n": 1, "d": "long " * 200}, metadata={"run_id": f"{thread_id}-2"})
        for config in (root, head):
            saver.put_writes(config, [("a", 1), ("b", LARGE)], "task", "~1")
    return thread_id


@pytest.mark.every_variant
def test_delete_thread_leaves_nothing_and_may_be_repeated(saver, other, contract_database, filled):
    keep = Chain(saver, f"{filled}-other")
    keep.put({"m": LARGE})
    for deleter in (saver, other, saver):
        deleter.delete_thread(filled)
        assert rows(contract_database, filled) == NONE
        assert saver.get_tuple(config_of(filled)) is None
    saver.delete_thread(f"{filled}-never-was")
    assert saver.get_tuple(keep.head).checkpoint["channel_values"] == {"m": LARGE}


def test_delete_thread_takes_writes_without_checkpoint(saver, contract_database, thread_id):
    saver.put_writes(config_of(thread_id, new_id()), [("a", 1)], "task")
    saver.delete_thread(thread_id)
    assert rows(contract_database, thread_id) == NONE


@pytest.mark.parametrize("remover", ["saver", "other"])
def test_thread_can_be_made_anew(request, saver, other, thread_id, remover):
    """Also by a process that does not know that another one deleted it."""
    chain = Chain(saver, thread_id)
    chain.put({"m": LARGE})
    request.getfixturevalue(remover).delete_thread(thread_id)
    again = Chain(saver, thread_id)
    for messages in (LARGE, [*LARGE, {"text": "more " * 30}]):
        config = again.put({"m": messages})
        for reader in (saver, other):
            assert reader.get_tuple(config).checkpoint["channel_values"] == {"m": messages}
    assert len(saver.list(config_of(thread_id))) == 2


@pytest.mark.every_variant
def test_delete_for_runs(saver, other, contract_database, filled):
    run = f"{filled}-2"
    saver.put_writes(config_of(filled, new_id()), [("a", "of a checkpoint to come")], "task")
    for deleter in (saver, other, saver):
        # A LangGraph server calls it three times around one rollback.
        deleter.delete_for_runs([run, "never was"])
        found = saver.list({"configurable": {"thread_id": filled}})
        assert [each.metadata["run_id"] for each in found] == [f"{filled}-1"] * 4
        assert saver.get_tuple(config_of(filled)).checkpoint["channel_values"]["m"] == LARGE[:10]
        assert rows(contract_database, filled) == {
            "threads": 2,
            "history": 4,
            "items": 0,
            "writes": 5,
        }
    saver.delete_for_runs([f"{filled}-1"])
    assert rows(contract_database, filled) == NONE
    saver.delete_for_runs([])


def test_run_can_go_on_after_a_rollback(saver, other, thread_id):
    chain = Chain(saver, thread_id)
    kept = chain.put({"m": LARGE[:5]}, metadata={"run_id": f"{thread_id}-1"})
    chain.put({"m": LARGE[:9]}, metadata={"run_id": f"{thread_id}-2"})
    other.delete_for_runs([f"{thread_id}-2"])
    # The removed items' numbers must not be taken for stored ones by who wrote them.
    config = chain.put({"m": LARGE[:12]}, parent=kept)
    for reader in (saver, other):
        assert reader.get_tuple(config).checkpoint["channel_values"] == {"m": LARGE[:12]}


def test_run_id_from_config_counts(saver, thread_id):
    config = config_of(thread_id)
    config["metadata"] = {"run_id": f"{thread_id}-run"}
    saver.put(config, checkpoint_of({}, {}), {}, {})
    saver.delete_for_runs([f"{thread_id}-run"])
    assert saver.get_tuple(config_of(thread_id)) is None


@pytest.mark.every_variant
def test_copy_has_everything_and_may_be_repeated(saver, other, filled):
    target = f"{filled}-copy"
    expected = everything(saver, filled)
    assert len(expected) == 8
    for copier in (saver, other, saver):
        copier.copy_thread(filled, target)
        assert everything(saver, target) == everything(other, target) == expected
    assert everything(saver, filled) == expected


def test_copy_and_source_go_their_own_ways(saver, other, filled):
    target = f"{filled}-copy"
    other.copy_thread(filled, target)
    before = everything(saver, filled)
    head = saver.get_tuple(config_of(target))
    chain = Chain(saver, target, "", head.config)
    chain.states[id_of(head.config)] = (
        head.checkpoint["channel_values"],
        head.checkpoint["channel_versions"],
    )
    config = chain.put({"m": [*LARGE, *LARGE]})
    assert other.get_tuple(config).checkpoint["channel_values"] == chain.values(config)
    assert everything(other, filled) == before
    saver.delete_thread(filled)
    assert other.get_tuple(config).checkpoint["channel_values"] == chain.values(config)


def test_copy_of_a_source_that_has_grown_catches_up(saver, filled):
    target = f"{filled}-copy"
    saver.copy_thread(filled, target)
    Chain(saver, filled).put({"m": LARGE})
    saver.copy_thread(filled, target)
    assert everything(saver, target) == everything(saver, filled)


def test_copy_refuses_to_lose_the_targets_own(saver, filled):
    target = f"{filled}-own"
    Chain(saver, target).put({"n": 1})
    before = everything(saver, target)
    with pytest.raises(ValueError, match=r"delete_thread\(\) the target first"):
        saver.copy_thread(filled, target)
    assert everything(saver, target) == before


def test_copy_onto_itself_and_of_nothing(saver, filled):
    before = everything(saver, filled)
    saver.copy_thread(filled, filled)
    saver.copy_thread(f"{filled}-never-was", filled)
    assert everything(saver, filled) == before


@pytest.mark.every_variant
def test_keep_latest_keeps_the_newest_of_each_namespace_with_its_writes(
    saver, other, contract_database, filled
):
    newest = [each for each in everything(saver, filled) if each[2]["step"] == 2]
    assert len(newest) == 2
    for pruner in (saver, other, saver):
        pruner.prune([filled, f"{filled}-never-was"])
        expected = [(*each[:3], {"thread_id": None}, each[4]) for each in newest]
        assert everything(saver, filled) == expected
        # 2 elements and a long text are all that the newest ones reference.
        assert rows(contract_database, filled) == {
            "threads": 2,
            "history": 2,
            "items": 0,
            "writes": 4,
        }


def test_keep_latest_then_go_on(saver, other, thread_id):
    chain = Chain(saver, thread_id)
    for length in (5, 9, 3):
        chain.put({"m": LARGE[:length]})
    other.prune([thread_id])
    for length in (4, 9, 20):
        config = chain.put({"m": LARGE[:length]})
        for reader in (saver, other):
            assert reader.get_tuple(config).checkpoint["channel_values"] == {"m": LARGE[:length]}


@pytest.mark.every_variant
def test_prune_delete(saver, contract_database, filled):
    saver.prune([filled], strategy="delete")
    assert rows(contract_database, filled) == NONE
    saver.prune([filled], strategy="delete")
    saver.prune([], strategy="delete")
    saver.prune([])


def test_finished_subgraph_calls_go_with_their_root_checkpoint(saver, thread_id):
    root = Chain(saver, thread_id)
    first = root.put({"a": 1})
    second = root.put({"a": 2})
    spaces = {
        "call:old": first,
        "call:old|inner:x": first,
        "call:now": second,
        "stateful": first,
        "stateful-later": second,
        "call:early": None,
    }
    for ns, started in spaces.items():
        parents = {"": id_of(started) or new_id()} if started else {"": new_id()}
        sub = Chain(saver, thread_id, ns)
        for step in range(2):
            sub.put({"s": step}, metadata={"parents": parents})
    saver.prune([thread_id])
    found = saver.list({"configurable": {"thread_id": thread_id}})
    # "call:early" belongs to a root checkpoint that is still to come: runs save in the background.
    assert sorted(each.config["configurable"]["checkpoint_ns"] for each in found) == sorted(
        ["", "call:early", "call:now", "stateful", "stateful-later"]
    )


@pytest.mark.parametrize("strategy", ["", "keep", None, "DELETE"])
def test_unknown_strategy_is_a_value_error(saver, filled, strategy):
    before = everything(saver, filled)
    with pytest.raises(ValueError, match="keep_latest"):
        saver.prune([filled], strategy=strategy)
    assert everything(saver, filled) == before


@pytest.mark.parametrize("given", ["thread", b"thread", None, 1, {"thread": 1}, [1.5], [None]])
def test_ids_that_are_no_list_of_str_are_a_type_error(saver, given):
    for name in ("prune", "delete_for_runs"):
        with pytest.raises(TypeError):
            getattr(saver, name)(given)


def test_keep_latest_keeps_sends_of_old_formats(saver, thread_id):
    chain = Chain(saver, thread_id)
    chain.put({"a": 1}, v=2)
    parent = chain.put({"a": 2}, v=2)
    saver.put_writes(parent, [("__pregel_tasks", "send")], "task")
    head = chain.put({"a": 3}, v=2)
    before = saver.get_tuple(head).checkpoint
    assert before["channel_values"]["__pregel_tasks"] == ["send"]
    saver.prune([thread_id])
    assert saver.get_tuple(head).checkpoint == before
