"""A class of the application's, in a module that the graph's file imports."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Order:
    number: str
