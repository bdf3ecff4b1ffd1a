"""Stands in for curl where a machine has none: the few options that the pages use.

`-s` silent, `-S` show errors, `-N` unbuffered, `-i` print the head, `-X` method, `-H` header,
`-d` body, `-F` a field of a form, `name=value` or `name=@file`.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import httpx


def main() -> None:
    """Makes one request and writes the answer as it comes. Ends with curl's 7 if nobody answers."""
    parser = argparse.ArgumentParser()
    for flag in ("-s", "-S", "-N"):
        parser.add_argument(flag, action="store_true")
    parser.add_argument("-i", dest="head", action="store_true")
    parser.add_argument("-X", dest="method")
    parser.add_argument("-H", dest="headers", action="append", default=[])
    parser.add_argument("-d", dest="body")
    parser.add_argument("-F", dest="form", action="append", default=[])
    parser.add_argument("url")
    asked = parser.parse_args()
    headers = dict(header.split(": ", 1) for header in asked.headers)
    parts = dict(part.split("=", 1) for part in asked.form)
    files = {name: Path(text[1:]) for name, text in parts.items() if text.startswith("@")}
    sent: dict[str, Any] = {"content": asked.body}
    if parts:
        sent = {
            "data": {name: text for name, text in parts.items() if name not in files},
            "files": {name: (path.name, path.read_bytes()) for name, path in files.items()},
        }
    method = asked.method or ("GET" if asked.body is None and not parts else "POST")
    out = sys.stdout.buffer
    try:
        with httpx.stream(
            method, asked.url, headers=headers, timeout=60, trust_env=False, **sent
        ) as answer:
            if asked.head:
                out.write(f"HTTP/1.1 {answer.status_code} {answer.reason_phrase}\r\n".encode())
                for name, value in answer.headers.raw:
                    out.write(name + b": " + value + b"\r\n")
                out.write(b"\r\n")
            for part in answer.iter_bytes():
                out.write(part)
                out.flush()
    except httpx.ConnectError as error:
        sys.exit(f"curl: (7) {error}" if not asked.s or asked.S else 7)


if __name__ == "__main__":
    main()
