"""The snapshot serializer: agent state as readable JSON that comes back exactly."""

from __future__ import annotations

from .codec import register
from .serializer import SnapshotSerializer

__all__ = ["SnapshotSerializer", "register"]
