"""Lunes and documents of a test, over the doors."""

from typing import Any

from werkzeug.test import TestResponse

from app.db.connect import Connection
from tests.app.web.doors import Caller

AT = "/v1/lunes"
TABLES = ("lune_intake", "lune_version", "lune_passage", "lune_word", "lune_lexeme")
WAIT = {"Prefer": "wait=60"}

GUIDE = """# Guide

The moon is far.

## Install

Take a rocket and fly for three days.

## Use

Walk slowly. Plant a flag.
"""


def made(caller: Caller, name: str = "docs", **fields: Any) -> str:
    """A new lune; its id."""
    answer = caller.post(AT, {"name": name, **fields})
    assert answer.status_code == 201, answer.text
    lune_id: str = answer.get_json()["id"]
    return lune_id


def added(caller: Caller, lune_id: str, **fields: Any) -> dict[str, Any]:
    """A document, taken in while the client waits."""
    answer = caller.post(f"{AT}/{lune_id}/documents", fields, **WAIT)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.get_json()
    return told


def uploaded(caller: Caller, lune_id: str, file: Any, **fields: str) -> TestResponse:
    """The answer to a form with a file, `(stream, name, media type)`."""
    return caller.open(
        f"{AT}/{lune_id}/documents", "POST", data={"file": file, **fields}, headers=WAIT
    )


def texts(caller: Caller, lune_id: str, document_id: str) -> list[str]:
    """The passages of a document."""
    at = f"{AT}/{lune_id}/documents/{document_id}/passages?limit=100"
    return [one["text"] for one in caller.get(at).get_json()["data"]]


def rows(connection: Connection, table: str) -> int:
    """How many rows one of TABLES has."""
    from psycopg import sql

    row = connection.execute(
        sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))
    ).fetchone()
    assert row is not None
    return int(row[0])


def counted_right(connection: Connection) -> bool:
    """Whether the counts of lexemes and of lunes are those of what is there."""
    lexemes = connection.execute(
        "SELECT lune, lexeme, count(*) FROM lune_word GROUP BY 1, 2 "
        "EXCEPT SELECT lune, lexeme, passages FROM lune_lexeme"
    ).fetchall()
    more = connection.execute(
        "SELECT lune, lexeme FROM lune_lexeme EXCEPT SELECT lune, lexeme FROM lune_word"
    ).fetchall()
    lunes = connection.execute(
        "SELECT l.id FROM lune AS l WHERE (l.passages, l.words, l.tokens) <> ("
        "SELECT count(*), coalesce(sum(words), 0), coalesce(sum(tokens), 0) "
        "FROM live_passage WHERE lune = l.seq)"
    ).fetchall()
    return not lexemes and not more and not lunes
