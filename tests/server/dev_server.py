"""A real `langgraph dev`, in a process and a directory of its own."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from langgraph_sdk import get_client, get_sync_client
from langgraph_sdk.client import LangGraphClient, SyncLangGraphClient

HERE = Path(__file__).parent
PAGE = (HERE.parents[1] / "docs" / "server.md").read_text(encoding="utf-8")
OURS = ("LANGCHAIN_", "LANGGRAPH_", "LANGSMITH_", "PG_SNAPSHOT_", "BG_JOB_")
QUIET = {"LANGGRAPH_CLI_NO_ANALYTICS": "1", "LANGSMITH_TRACING": "false", "NO_COLOR": "1"}


def block(language: str, text: str = "") -> str:
    """The page's code block that has this text."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    [found] = [each for each in blocks if text in each]
    return found


def make_project(directory: Path, dsn: str | None, *, own_factory: bool = False) -> None:
    """The files that docs/server.md shows, and the agent that it speaks of."""
    config = json.loads(block("json"))
    if own_factory:
        (directory / "checkpointer.py").write_text(block("python", "strict=True"))
        config["checkpointer"]["path"] = "./checkpointer.py:make_saver"
    (directory / "langgraph.json").write_text(json.dumps(config))
    (directory / ".env").write_text("" if dsn is None else f"DATABASE_URL='{dsn}'\n")
    for name in ("agent.py", "orders.py"):
        shutil.copy(HERE / name, directory)


class DevServer:
    """A running server.

    Attributes:
        process: The process; its log is the file `server.log` of the directory.
        url: Where it listens.
    """

    def __init__(self, directory: Path, port: int, settings: Mapping[str, str]) -> None:
        self.log_file = directory / "server.log"
        self.url = f"http://127.0.0.1:{port}"
        kept = {
            name: text
            for name, text in os.environ.items()
            if not name.startswith(OURS) and name != "DATABASE_URL"
        }
        command = Path(sys.executable).with_name("langgraph")
        options = ["--no-browser", "--no-reload", "--n-jobs-per-worker", "4"]
        with self.log_file.open("w") as log:
            self.process = subprocess.Popen(
                [command, "dev", *options, "--port", str(port)],
                cwd=directory,
                env={**kept, **QUIET, **settings},
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    @property
    def log(self) -> str:
        return self.log_file.read_text(encoding="utf-8")

    @property
    def client(self) -> SyncLangGraphClient:
        return get_sync_client(url=self.url)

    @property
    def async_client(self) -> LangGraphClient:
        return get_client(url=self.url)

    def wait_until_it_answers(self) -> None:
        # What is refused is tried again by the transport, after pauses that grow.
        with httpx.Client(transport=httpx.HTTPTransport(retries=5)) as client:
            while not self._answers(client):
                assert self.process.poll() is None, self.log

    def _answers(self, client: httpx.Client) -> bool:
        try:
            return client.get(f"{self.url}/ok").is_success
        except httpx.ConnectError:
            return False


@contextmanager
def serving(directory: Path, port: int, **settings: str) -> Iterator[DevServer]:
    """A server of the project in a directory, ended as Ctrl-C or an init system would."""
    server = DevServer(directory, port, settings)
    try:
        server.wait_until_it_answers()
        yield server
    finally:
        server.process.terminate()
        server.process.wait()


def user(text: str) -> dict[str, Any]:
    """The input of a run."""
    return {"messages": [{"role": "user", "content": text}]}


def texts(values: Mapping[str, Any]) -> list[str]:
    """What the messages of a state say."""
    return [message["content"] for message in values["messages"]]
