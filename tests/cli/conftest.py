"""The command line, run in this process, on a shop's threads whose classes are not here."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from shop_threads import SHOP, Done, Run, fill
from typer.testing import CliRunner

from langgraph_pg_snapshot.cli.app import app


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The application's module while threads are made; its file lies in the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "shop_models.py").write_text(SHOP)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("shop_models")
    sys.modules.pop("shop_models", None)


@pytest.fixture
def threads(ready_database: str, shop: ModuleType) -> str:
    """A database that has the two threads; the module of their classes is gone."""
    fill(ready_database, shop)
    del sys.modules["shop_models"]
    return ready_database


@pytest.fixture
def run_on(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command on a database: ``run_on(dsn, "show", "liam")``."""
    monkeypatch.setenv("COLUMNS", "200")

    def run(dsn: str | None, *args: str, answer: str | None = None) -> Done:
        env = {"DATABASE_URL": dsn}
        result = CliRunner().invoke(app, list(args), env=env, input=answer)
        assert result.exception is None or isinstance(result.exception, SystemExit), args
        return Done(result.exit_code, result.stdout, result.stderr)

    return run


@pytest.fixture
def run(run_on: Run, threads: str) -> Run:
    """Run a command on the two threads."""
    return lambda *args, **options: run_on(threads, *args, **options)
