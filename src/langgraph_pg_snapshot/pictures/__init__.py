"""How things look: words, trees and tables, and a thread's history as SVG and Mermaid.

All of it is made from plain data. What comes from threads is hostile here: names, ids and questions
may hold markup, and are cleaned and escaped wherever they are put into any.
"""

from langgraph_pg_snapshot.pictures.graph import HistoryGraph
from langgraph_pg_snapshot.pictures.steps import HistoryStep

__all__ = ["HistoryGraph", "HistoryStep"]
