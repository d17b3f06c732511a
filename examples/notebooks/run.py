"""Runs the notebooks, and keeps what they show.

    python examples/notebooks/run.py [NOTEBOOK …]      # default: all; or: make notebooks

A notebook's kernel is this Python, whatever kernels the machine has. An output that says the same
as the one that is kept, but for ids and times, is left as it is, so that a run changes nothing in
the files unless something changed. DATABASE_URL, if it is set, names the server to use.
"""

from __future__ import annotations

import argparse
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import nbformat
from ipykernel.kernelspec import get_kernel_dict
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbformat import NotebookNode

HERE = Path(__file__).parent

# What differs from one run to the next, and by what it is replaced before two are compared.
_VARYING = {
    r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b": "<id>",
    r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?([+-]\d\d:?\d\d|Z)?": "<time>",
    r"\bdatetime\.datetime\([\d, ]+": "<time>",
    r"\b0x[0-9a-f]+\b": "<address>",
}
# Of a picture, it is its kind that is compared.
_PICTURES = ("image/", "application/pdf")


def notebooks() -> list[Path]:
    """All of them, in the order in which they are meant to be read."""
    return sorted(HERE.glob("*.ipynb"))


def read(path: Path) -> NotebookNode:
    """Read a notebook's file."""
    notebook: NotebookNode = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]  # nbformat's
    return notebook


def text_of(notebook: NotebookNode) -> str:
    """What stands in a notebook's file."""
    return f"{nbformat.writes(notebook)}\n"  # type: ignore[no-untyped-call]  # nbformat's


def executed(path: Path, environment: Mapping[str, str] | None = None) -> NotebookNode:
    """Run a notebook from its first cell to its last, in a kernel of its own.

    Args:
        path: The notebook's file, which is not changed.
        environment: Of the kernel; None (default) is this process's.

    Returns:
        The notebook with the outputs of this run.

    Raises:
        nbclient.exceptions.CellExecutionError: A cell raised an exception.
    """
    notebook = read(path)
    # Everything that a kernel keeps in files, so that nothing of the user's settings matters.
    with tempfile.TemporaryDirectory(prefix="nb") as directory:
        manager = AsyncKernelManager(
            kernel_spec_manager=_ThisPython(),
            connection_file=f"{directory}/kernel.json",
            # Sockets in that directory. Of TCP ports, another kernel may take the chosen ones.
            transport="ipc",
            ip=f"{directory}/kernel",
        )
        client = NotebookClient(
            notebook,
            km=manager,
            resources={"metadata": {"path": str(path.parent)}},
            timeout=120,
            record_timing=False,
            coalesce_streams=True,
        )
        # cleanup_kc: the kernel ends with the run, though the client did not make its manager.
        client.execute(
            cleanup_kc=True, env={**(environment or os.environ), "IPYTHONDIR": directory}
        )
    # Which Python it was that ran it is of no interest.
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    return notebook


class _ThisPython(KernelSpecManager):
    """Knows one kernel: the interpreter that runs this."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        """Return that kernel, by whatever name it is asked for."""
        del kernel_name
        return KernelSpec(**get_kernel_dict())


def says(cell: NotebookNode) -> list[Any]:
    """What a cell shows, without what differs from one run to the next."""
    return [_comparable(output) for output in cell.get("outputs", ())]


def _comparable(output: Any, kind: str = "") -> Any:
    if isinstance(output, Mapping):
        return {key: _comparable(value, key) for key, value in output.items()}
    if isinstance(output, list):
        return [_comparable(value, kind) for value in output]
    if kind.startswith(_PICTURES):
        return "<picture>"
    if isinstance(output, str):
        for pattern, name in _VARYING.items():
            output = re.sub(pattern, name, output)
    return output


def changes(kept: NotebookNode, fresh: NotebookNode) -> Iterator[str]:
    """Tell which cells say something else than they did."""
    for number, (old, new) in enumerate(zip(kept.cells, fresh.cells, strict=True)):
        if says(old) != says(new):
            yield f"cell {number}\n{old.source}\n--- was\n{says(old)}\n--- is\n{says(new)}"


def merged(kept: NotebookNode, fresh: NotebookNode) -> NotebookNode:
    """Return the fresh notebook, with the kept output where a cell says the same."""
    for old, new in zip(kept.cells, fresh.cells, strict=True):
        if says(old) == says(new) and "outputs" in new:
            new.outputs = old.outputs
    return fresh


def main() -> None:
    """Run those that are named, and keep their outputs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("notebooks", nargs="*", type=Path, metavar="NOTEBOOK")
    for path in parser.parse_args().notebooks or notebooks():
        kept, fresh = read(path), executed(path)
        changed = list(changes(kept, fresh))
        path.write_text(text_of(merged(kept, fresh)), encoding="utf-8")
        print(f"{path.name}: {len(changed)} cells changed", *changed, sep="\n")


if __name__ == "__main__":
    main()
