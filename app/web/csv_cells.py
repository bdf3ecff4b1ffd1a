"""Cells of CSV files, which people open in spreadsheets."""

from typing import Any

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What a spreadsheet may take for the beginning of a formula (OWASP, CSV Injection)."""


def csv_cell(value: Any) -> Any:
    """A value as a cell: a text that a spreadsheet would run is made plain by an apostrophe."""
    return "'" + value if isinstance(value, str) and value.startswith(FORMULA) else value
