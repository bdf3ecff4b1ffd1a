"""The console's pages as they are served: shells without data."""

import re

import pytest
from flask import Flask


@pytest.mark.parametrize("path", ["/console", "/console/", "/console/router"])
def test_a_page_is_public_and_takes_its_parts_from_here_alone(app: Flask, path: str) -> None:
    client = app.test_client()
    page = client.get(path)
    assert (page.status_code, page.mimetype) == (200, "text/html")
    rules = dict(part.split(" ", 1) for part in page.headers["Content-Security-Policy"].split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == rules["style-src"] == rules["connect-src"] == "'self'"
    assert rules["img-src"] == "'self' blob:"
    assert page.headers["Cache-Control"] == "no-store"
    assert page.headers["Referrer-Policy"] == "no-referrer"
    addresses = re.findall(r'(?:src|href)="([^"]*)"', page.text)
    assert len(addresses) == 4
    for address in addresses:
        assert client.get(address).status_code == 200
    assert "<style" not in page.text
    assert re.search(r"<script(?![^>]* src=)|\bon\w+=|\bstyle=", page.text) is None
