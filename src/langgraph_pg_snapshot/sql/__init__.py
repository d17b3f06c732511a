"""The SQL of this package: named statements in .sql files, filled in with a saver's table names.

A file holds statements, each under ``-- name: …`` and a line or two that say what it is for.
``{threads}`` and the like stand for the tables, ``{write_columns}`` and the like for parts of
statements that are named in the same way, ``{which}`` for the conditions that a caller picks, and
``{step_metadata}`` for the names in `STEP_METADATA`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property, lru_cache
from hashlib import blake2b
from importlib.resources import files

from psycopg import sql

from langgraph_pg_snapshot._arguments import check_bool, shown
from langgraph_pg_snapshot.errors import ArgumentTypeError, InvalidArgumentError

# PostgreSQL cuts longer identifiers short without an error (NAMEDATALEN - 1).
MAX_IDENTIFIER_BYTES = 63
RELATIONS = (
    *("threads", "history", "items", "writes", "metadata", "erased", "leases", "migrations"),
    *("messages", "steps"),
)
# Those whose rows belong to a tenant, where there are tenants.
TENANTS_TABLES = tuple(
    name for name in RELATIONS if name not in ("migrations", "messages", "steps")
)
# What LangGraph says of a checkpoint (or of a task, or a run) rather than of its thread: the table
# of threads' metadata leaves it out, or it would be written at every step.
STEP_METADATA = (
    *("source", "step", "parents", "run_id", "writes", "counters_since_delta_snapshot"),
    *("thread_id", "checkpoint_id", "checkpoint_ns", "checkpoint_map"),
    *("langgraph_step", "langgraph_node", "langgraph_triggers", "langgraph_path"),
    *("langgraph_checkpoint_ns", "langgraph_request_id"),
)
# A table that every operation needs has another name where there are tenants: so a saver without a
# tenant works on none of them, whatever its role may see, and need not look which kind they are.
_SUFFIXES_FOR_TENANTS = {"history": "history_by_tenant"}
_DEFINITION = re.compile(r"^-- name: (\w+)\n((?:-- .*\n)+)", re.MULTILINE)


@dataclass(frozen=True)
class Migration:
    """One numbered step of the schema, from ``sql/migrations/NNNN_name.sql``."""

    version: int
    name: str
    text: str


@lru_cache(maxsize=1)
def definitions() -> dict[str, str]:
    """Every named statement and part of one, as written in the .sql files."""
    found: dict[str, str] = {}
    for file in sorted(files(__name__).iterdir(), key=lambda f: f.name):
        if file.name.endswith(".sql"):
            pieces = _DEFINITION.split(file.read_text(encoding="utf-8"))
            # split() gives: preamble, then (name, description, body) again and again
            for name, body in zip(pieces[1::3], pieces[3::3], strict=True):
                found[name] = _shortened(body)
    return found


def _shortened(body: str) -> str:
    """A statement on one line, without comments: psycopg parses texts above 4 KB at each call."""
    lines = (line.strip() for line in body.splitlines())
    return " ".join(line for line in lines if line and not line.startswith("--"))


@lru_cache(maxsize=1)
def migrations() -> tuple[Migration, ...]:
    """The schema's steps, oldest first."""
    steps = []
    for file in sorted((files(__name__) / "migrations").iterdir(), key=lambda f: f.name):
        if file.name.endswith(".sql"):
            number, _, name = file.name.removesuffix(".sql").partition("_")
            steps.append(Migration(int(number), name, file.read_text(encoding="utf-8")))
    return tuple(steps)


def check_identifier(argument: str, name: object) -> str:
    """Return a legal identifier, as a plain str.

    Raises:
        InvalidArgumentError: It is none.
    """
    if not isinstance(name, str):
        raise ArgumentTypeError(f"{argument} must be a str, got {type(name).__name__}")
    name = str.__str__(name)  # a subclass may say something else each time
    try:
        encoded = name.encode()
    except UnicodeEncodeError:
        encoded = b""
    if not encoded or b"\x00" in encoded or len(encoded) > MAX_IDENTIFIER_BYTES:
        raise InvalidArgumentError(
            f"{argument} must be a PostgreSQL identifier of 1 to {MAX_IDENTIFIER_BYTES} bytes "
            f"without NUL, got {shown(name)}"
        )
    return name


class Queries:
    """The statements for one set of tables.

    Args:
        table_name: The view's name and the prefix of the tables' names; any legal identifier of at
            most 63 bytes. (Where name and suffix would exceed that, the tables' prefix is cut and
            a hash of the whole name keeps it apart.)
        schema: The schema to place them in; None (default) leaves it to ``search_path``.
        tenants: Whether each row belongs to a tenant; default False.

    Raises:
        InvalidArgumentError: A name is no legal identifier.
    """

    def __init__(
        self, table_name: str, schema: str | None = None, *, tenants: bool = False
    ) -> None:
        self.table_name = prefix = check_identifier("table_name", table_name)
        self.schema = None if schema is None else check_identifier("schema", schema)
        self.tenants = check_bool("tenants", tenants)
        suffixes = {table: table for table in RELATIONS}
        if tenants:
            suffixes |= _SUFFIXES_FOR_TENANTS
        beside = 1 + max(map(len, suffixes.values()))
        if len(prefix.encode()) > MAX_IDENTIFIER_BYTES - beside:
            digest = blake2b(prefix.encode(), digest_size=4).hexdigest()
            room = MAX_IDENTIFIER_BYTES - beside - len(digest) - 1
            prefix = f"{prefix.encode()[:room].decode(errors='ignore')}_{digest}"
        self.relations = {"view": self._quote(self.table_name)} | {
            table: self._quote(f"{prefix}_{suffix}") for table, suffix in suffixes.items()
        }
        self._parts = {
            "step_metadata": f"'{{{','.join(STEP_METADATA)}}}'::text[]",
            "tenant_key": "tenant, " if tenants else "",
            "kept_apart": self._literal([self.relations[name] for name in TENANTS_TABLES]),
        }
        if self.schema is not None:
            self.relations["schema"] = sql.Identifier(self.schema).as_string(None)
        self._texts: dict[tuple[str, tuple[str, ...]], bytes] = {}

    def _quote(self, name: str) -> str:
        parts = (name,) if self.schema is None else (self.schema, name)
        return sql.Identifier(*parts).as_string(None)

    @staticmethod
    def _literal(names: list[str]) -> str:
        return sql.Literal(names).as_string(None).replace("%", "%%")

    @cached_property
    def label(self) -> str:
        """The table's name as messages and log records give it."""
        return self.table_name if self.schema is None else f"{self.schema}.{self.table_name}"

    def __call__(self, name: str, *which: str) -> bytes:
        """Return the statement ``name``, its ``{which}`` being these conditions.

        Args:
            name: A statement of the .sql files.
            which: Names of conditions, all of which must hold; none is always true.
        """
        key = (name, which)
        if (text := self._texts.get(key)) is None:
            # psycopg takes % in a statement with parameters for a placeholder
            names = {key: quoted.replace("%", "%%") for key, quoted in self.relations.items()}
            text = self._texts[key] = self._fill(name, which, names | self._parts).encode()
        return text

    def _fill(self, name: str, which: tuple[str, ...], names: dict[str, str]) -> str:
        body = definitions()[name]
        filled = dict(names)
        for part in set(re.findall(r"(?<!\{)\{(\w+)\}", body)) - filled.keys():
            filled[part] = (
                " AND ".join(self._fill(condition, (), names) for condition in which) or "true"
                if part == "which"
                else self._fill(part, which, names)
            )
        return body.format_map(filled)

    def script(self, text: str) -> bytes:
        """Return DDL with the tables' names filled in; it is run without parameters."""
        return text.format_map(self.relations | self._parts | self._tenancy).encode()

    @cached_property
    def _tenancy(self) -> dict[str, str]:
        """The parts of DDL that only tables for tenants have."""
        parts = dict.fromkeys(("tenant_column", "as_invoker"), "")
        if self.tenants:
            parts["tenant_column"] = self._fill("tenant_column", (), {}) + "\n    "
            parts["as_invoker"] = " WITH (security_invoker = true)"
        for name in TENANTS_TABLES:
            table = {"table": self.relations[name]}
            isolate, rows = "", table["table"]
            if self.tenants:
                isolate = "\n" + self._fill("isolate", (), table) + ";"
                rows = self._fill("rows_of_tenant", (), table)
            parts |= {f"isolate_{name}": isolate, f"rows_of_{name}": rows}
        return parts


# Read with the module, so that the first operation keeps no event loop waiting for a disk.
definitions()
migrations()
