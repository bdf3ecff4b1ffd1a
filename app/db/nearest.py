"""The nearest vectors by an index that may miss one."""

from collections.abc import Mapping
from typing import Any, LiteralString

from app.db.connect import Connection

EXPLORED = 200
"""How many the vectors' index looks at together (`hnsw.ef_search`), more than are taken of them,
since it errs at the end of its list."""


def by_index(
    connection: Connection, statement: LiteralString, given: Mapping[str, Any]
) -> list[tuple[Any, ...]]:
    """The rows of a statement that orders by distance, found by its HNSW index (Malkov and
    Yashunin 2018). While what is found does not match the statement's other conditions it looks
    on, up to a bound (`hnsw.max_scan_tuples`)."""
    with connection.transaction():
        connection.execute(
            "SELECT set_config('enable_sort', 'off', true), "
            "set_config('hnsw.iterative_scan', 'relaxed_order', true), "
            "set_config('hnsw.ef_search', %s, true)",
            (str(EXPLORED),),
        )
        return connection.execute(statement, given, prepare=False).fetchall()
