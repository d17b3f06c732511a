"""The notebooks run from the first cell to the last, and show what they were kept with."""

from __future__ import annotations

import json
import os
import platform
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
import psycopg
import pytest
from examples.notebooks.run import changes, executed, merged, notebooks, read, text_of
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook, new_output

ROOT = Path(__file__).parents[2]
PATHS = [pytest.param(path, id=path.stem) for path in notebooks()]


def environment(**more: str) -> dict[str, str]:
    """This process's, without a server that the notebooks would take for theirs."""
    kept = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    return {**kept, **more}


def notebook_of(*sources: str) -> NotebookNode:
    return new_notebook(cells=[new_code_cell(source) for source in sources])


def written(notebook: NotebookNode, directory: Path) -> Path:
    path = directory / "some.ipynb"
    path.write_text(text_of(notebook), encoding="utf-8")
    return path


@pytest.mark.parametrize("path", PATHS)
def test_it_shows_what_is_kept(path: Path, database: str):
    kept, fresh = read(path), executed(path, environment(DATABASE_URL=database))
    assert "\n".join(changes(kept, fresh)) == ""
    # And to keep it again would change nothing in the file.
    assert text_of(merged(kept, fresh)) == path.read_text(encoding="utf-8")
    with psycopg.connect(database) as connection:
        schemas = "SELECT nspname FROM pg_namespace WHERE nspname LIKE '%notebook%'"
        assert connection.execute(schemas).fetchall() == []


def test_without_a_server_it_brings_one():
    path = notebooks()[0]
    assert "\n".join(changes(read(path), executed(path, environment()))) == ""


def test_kernel_is_this_python_whatever_the_machine_has(tmp_path: Path):
    spec = tmp_path / "kernels" / "python3" / "kernel.json"
    spec.parent.mkdir(parents=True)
    spec.write_text(json.dumps({"argv": ["false"], "display_name": "x", "language": "python"}))
    path = written(notebook_of("import sys", "print(sys.executable)"), tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_PATH", str(tmp_path))
        ran = executed(path, environment())
    assert ran.cells[1].outputs[0].text == f"{sys.executable}\n"


def test_exception_in_a_cell_is_one_of_the_run(tmp_path: Path):
    path = written(notebook_of("1 / 0"), tmp_path)
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        executed(path, environment())


# -- What counts as a change -------------------------------------------------------------------


def stream(text: str) -> NotebookNode:
    return new_output("stream", name="stdout", text=text)


def shown(**data: str) -> NotebookNode:
    return new_output("display_data", data={k.replace("_", "/"): v for k, v in data.items()})


SAME = {
    "id": [
        stream("1f1e0a5c-2b7e-6a10-8000-0123456789ab"),
        stream(f"{'0' * 8}{'-0000' * 3}-{'0' * 12}"),
    ],
    "time": [stream("2026-01-02 03:04:05.678+00:00 x"), stream("2027-11-12T13:14Z x")],
    "time-of-python": [
        stream("datetime.datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=utc)"),
        stream("datetime.datetime(2027, 11, 12, 13, 14, tzinfo=utc)"),
    ],
    "address": [stream("<A object at 0x7f0011>"), stream("<A object at 0x7f22>")],
    "picture": [shown(image_png="aaaa"), shown(image_png="bbbb")],
}
DIFFERENT = {
    "text": [stream("4 messages"), stream("5 messages")],
    "nothing": [stream("4 messages"), None],
    "stream": [stream("x"), new_output("stream", name="stderr", text="x")],
    "no-picture": [shown(image_png="aaaa", text_plain="x"), shown(text_plain="x")],
    "kind-of-picture": [shown(image_png="aaaa"), shown(image_jpeg="aaaa")],
    "beside-an-id": [
        stream(f"{'0' * 8}{'-0000' * 3}-{'0' * 12} a"),
        stream(f"{'0' * 8}{'-0000' * 3}-{'0' * 12} b"),
    ],
}


@pytest.mark.parametrize(
    ("outputs", "count"),
    [pytest.param(o, 0, id=f"same-{n}") for n, o in SAME.items()]
    + [pytest.param(o, 1, id=f"different-{n}") for n, o in DIFFERENT.items()],
)
def test_what_counts_as_a_change(outputs: list[NotebookNode | None], count: int):
    kept, fresh = notebook_of("x"), notebook_of("x")
    for notebook, output in zip((kept, fresh), outputs, strict=True):
        notebook.cells[0].outputs = [] if output is None else [output]
    assert len(list(changes(kept, fresh))) == count
    expected = outputs[1] if count else outputs[0]
    assert merged(kept, fresh).cells[0].outputs == ([] if expected is None else [expected])


# -- What is kept ------------------------------------------------------------------------------

# What a run would tell of the machine that it was on.
TELLTALE = {
    "a path": r"(?<![\w<])/(home|root|tmp|var|usr|opt|work|Users|private)/|site-packages|\.venv",
    "a path of Windows": r"[A-Z]:\\",
    "a port or host": r"localhost|127\.0\.0\.1|\[::1\]|\bport=\d|\bhost=",
    "an address in memory": r"\b0x[0-9a-f]{6,}\b",
    "a password": r"password",
    "a process": r"\bpid\b",
}


def texts(output: NotebookNode) -> Iterator[str]:
    """What can be read in an output; an image in base64 is none of it."""
    if output.output_type == "stream":
        yield output.text
    for kind, content in output.get("data", {}).items():
        if kind.startswith("text/") or kind.endswith(("svg+xml", "json")):
            yield content if isinstance(content, str) else json.dumps(content)


@pytest.mark.parametrize("path", PATHS)
def test_kept_outputs_tell_nothing_of_the_machine(path: Path):
    outputs = [output for cell in read(path).cells for output in cell.get("outputs", ())]
    everything = "\n".join(text for output in outputs for text in texts(output))
    assert everything
    names = (re.escape(str(ROOT)), rf"\b{re.escape(platform.node())}\b")
    patterns = [*TELLTALE.values(), *names]
    assert [match[0] for p in patterns for match in re.finditer(p, everything)] == []


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("File /home/me/x.py", "a path"),
        ("see .venv/lib", "a path"),
        (r"C:\Users\me", "a path of Windows"),
        ("http://127.0.0.1:8000/", "a port or host"),
        ("host=db dbname=x", "a port or host"),
        ("<A object at 0x7f3a2c1b>", "an address in memory"),
    ],
)
def test_telltale_text_is_found(text: str, kind: str):
    assert re.search(TELLTALE[kind], text)


@pytest.mark.parametrize("path", PATHS)
def test_kept_file_is_of_one_whole_run(path: Path):
    notebook = read(path)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert {json.dumps(cell.metadata) for cell in cells} == {"{}"}  # when it ran, for example
    outputs = [output for cell in cells for output in cell.outputs]
    assert {output.output_type for output in outputs} <= {
        "stream",
        "execute_result",
        "display_data",
    }
    assert {output.name for output in outputs if output.output_type == "stream"} <= {"stdout"}
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert notebook.metadata.language_info == {"name": "python"}


@pytest.mark.parametrize("path", PATHS)
def test_cells_are_short_and_explained(path: Path):
    notebook = read(path)
    assert notebook.cells[0].cell_type == "markdown"
    assert notebook.cells[0].source.startswith("# ")
    assert max(len(cell.source.splitlines()) for cell in notebook.cells) <= 32
    # The set-up is one cell, and the same in all of them but for what it imports of the kit.
    assert re.fullmatch(
        r"from notebook_kit import [\w, ]+\n\nDATABASE_URL = database\(\)", notebook.cells[1].source
    )


@pytest.mark.parametrize("page", ["README.md", "examples/notebooks/README.md"])
def test_each_is_named_on_the_page(page: str):
    links = re.findall(r"\]\((\S+\.ipynb)\)", (ROOT / page).read_text(encoding="utf-8"))
    here = (ROOT / page).parent
    assert [here / link for link in links] == notebooks()
