"""The commands that there are, each with the arguments that it can't do without."""

from __future__ import annotations

import inspect

from langgraph_pg_snapshot.cli.app import app

NEEDED: dict[str, tuple[str, ...]] = {
    "show": ("liam",),
    "history": ("liam",),
    "diff": ("liam", "oldest"),
    "copy": ("liam", "kim"),
    "sweep": ("--keep-last", "1", "--dry-run"),
    "erase": ("liam", "--dry-run"),
}
NAMES = [each.name or each.callback.__name__ for each in app.registered_commands]
WITHOUT_DATABASE = {"sql", "embedded"}
ON_A_DATABASE = [name for name in NAMES if name not in WITHOUT_DATABASE]


def options_of(name: str) -> list[str]:
    """The long options of a command."""
    [found] = [c for c in app.registered_commands if name in (c.name, c.callback.__name__)]
    options = []
    for parameter in inspect.signature(found.callback).parameters.values():
        info = parameter.annotation.__metadata__[0]
        if type(info).__name__ == "OptionInfo":
            named = [info.default, *(info.param_decls or ())]
            given = [each for each in named if isinstance(each, str) and each.startswith("--")]
            options += given or [f"--{parameter.name.replace('_', '-')}"]
    return options
