"""The LangGraph server needs Python 3.11."""

from __future__ import annotations

import sys

collect_ignore = ["test_dev_server.py"] if sys.version_info < (3, 11) else []
