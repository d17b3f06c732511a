"""docs/cli.md: every command and option is on it, and its examples print what it shows."""

from __future__ import annotations

import re
import shlex
import sys
from dataclasses import fields
from pathlib import Path

import pytest
from commands import NAMES, NEEDED, options_of
from langgraph.checkpoint.sqlite import SqliteSaver
from shop_threads import Run, build

from langgraph_pg_snapshot.transfer import Problem

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/cli.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
COMMON = {"--dsn", "--table-name", "--schema", "--tenant", "--json"}
# How each command is called for its JSON.
CALLS = {
    **{name: [name, *NEEDED.get(name, ())] for name in NAMES},
    "check --thread": ["check", "--thread", "liam"],
    "import": ["import", "threads.sqlite", "--import", "shop_models"],
    "export": ["export", "--import", "shop_models"],
}


def examples() -> list[tuple[str, str]]:
    """The commands of the page in their order, each with what it prints."""
    found = []
    for block in re.findall(r"^```console\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL):
        for example in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = example.partition("\n")
            found.append((command, output))
    return found


def masked(text: str) -> list[str]:
    """Lines without what differs from run to run: ids, ages, sizes, the widths of tables."""
    text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "ID", text)
    text = re.sub(r"\d+ (s|min|h|d) ago", "AGE ago", text)
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+\+00:00", "TIME", text)
    text = re.sub(r"[\d.]+ (B|KiB|MiB)", "SIZE", text)
    text = re.sub(r"version \d+( of \d+)?", "version N", text)
    text = re.sub(r"─+", "─", text)
    return [" ".join(line.split()) for line in text.splitlines()]


@pytest.fixture
def file(shop, tmp_path: Path) -> None:
    """A file of SqliteSaver, with a thread."""
    with SqliteSaver.from_conn_string(str(tmp_path / "threads.sqlite")) as saver:
        config = {"configurable": {"thread_id": "ada", "checkpoint_ns": ""}}
        build(saver, shop).invoke({"messages": [("user", "Hello")]}, config)


def test_every_command_is_on_the_page_with_an_example():
    assert set(SECTIONS) - {"JSON"} == set(NAMES)
    for name in NAMES:
        assert f"$ langgraph-pg-snapshot {name}" in SECTIONS[name], name


@pytest.mark.parametrize("name", NAMES)
def test_every_option_is_on_the_page(name: str):
    own = {each for option in options_of(name) for each in option.split("/")} - COMMON
    assert {option for option in own if f"`{option}" not in SECTIONS[name]} == set()
    assert all(f"| `{option}` |" in PAGE for option in COMMON)


def test_examples_print_what_the_page_shows(run: Run, file: None):
    shown = [(c, out) for c, out in examples() if not c.split()[1].startswith("embedded")]
    assert len(shown) >= len(NAMES) - 1
    for command, expected in shown:
        program, *arguments = shlex.split(command)
        assert program == "langgraph-pg-snapshot"
        done = run(*arguments)
        sys.modules.pop("shop_models", None)
        assert masked(done.out + done.err) == masked(expected), command


def test_commands_of_the_readme_run(run: Run, file: None):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = re.findall(r"^langgraph-pg-snapshot (.*?)(?:#.*)?$", readme, re.MULTILINE)
    assert len(commands) > 5
    for command in commands:
        assert run(*shlex.split(command)).code == 0, command


def documented() -> dict[str, set[str]]:
    """Members by command: of all levels."""
    table = SECTIONS["JSON"].partition("|---|---|\n")[2]
    found = {}
    for row in table.strip().splitlines():
        names, members = row.strip("| ").split(" | ", 1)
        for name in re.findall(r"`([^`]+)`", names):
            found[name] = {m for m in re.findall(r"`([^`]+)`", members) if not m.startswith("-")}
    return found


def test_json_has_the_members_that_the_page_names(run: Run, file: None):
    for name, members in documented().items():
        if name == "embedded":  # test_script.py
            continue
        printed = run(*CALLS[name], "--json").json
        nested = set[str]()
        for key in ("threads", "checkpoints", "unloadable", "tables", "largest_threads"):
            if isinstance(printed.get(key), list) and printed[key]:
                nested |= printed[key][0].keys()
        if name == "diff":
            assert {"change", "after"} <= printed["channels"]["messages"].keys()
            nested = {"change", "before", "after", "items", "entries"}
        if name in ("import", "export"):
            nested = {field.name for field in fields(Problem)}
        assert printed.keys() | nested == members, name
    assert {*NAMES, "check --thread"} == documented().keys()
