"""Lines of all processes on one terminal, each with time and name in front, as honcho prints."""

import os
import sys
from codecs import getincrementaldecoder
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from typing import Any

from honcho import colour, printer

_Printer: Callable[..., Any] = printer.Printer
_get_colours: Callable[[], Iterator[str]] = colour.get_colours
READ_BYTES = 65536
LINE_CHARS = 65536
"""A line longer than this is printed in pieces."""


class Output:
    """Prints what processes say. `width` is the room for a name. A terminal that has gone away
    ends the printing, never the stack."""

    def __init__(self, stream: Any = None, width: int = 18) -> None:
        self.stream = stream if stream is not None else sys.stdout
        self._printer = _Printer(self.stream, width=width)
        self._colours = _get_colours()
        self._colour: dict[str, str] = {}
        self._waiting: list[Any] = []
        self.unfinished = False

    def say(self, text: str, name: str = "moonpool") -> None:
        """Prints lines in the name of a process; they wait while a bare line is unfinished."""
        if name not in self._colour:
            self._colour[name] = next(self._colours)
        line = printer.Message("line", text, datetime.now(), name, self._colour[name])
        self._waiting.append(line)
        if not self.unfinished:
            self.flush()

    def bare(self, text: str) -> None:
        """Prints text as it is, also parts of a line."""
        with suppress(OSError, ValueError):
            self.stream.write(text)
            self.stream.flush()
        self.unfinished = not text.endswith("\n") if text else self.unfinished
        if not self.unfinished:
            self.flush()

    def flush(self) -> None:
        """Prints the lines that wait."""
        self.unfinished = False
        lines, self._waiting = self._waiting, []
        for line in lines:
            with suppress(OSError, ValueError):
                self._printer.write(line)


class Pipe:
    """The reading end of a process's output; prints it line by line, or as it comes if `bare`."""

    def __init__(self, file: Any, name: str, output: Output, *, bare: bool) -> None:
        self.file = file
        self._name = name
        self._output = output
        self._bare = bare
        self._rest = ""
        self._decode = getincrementaldecoder("utf-8")("replace").decode
        os.set_blocking(file.fileno(), False)

    def read(self) -> bool:
        """Prints what has come; False once the other end is closed."""
        try:
            data = os.read(self.file.fileno(), READ_BYTES)
        except BlockingIOError:
            return True
        text = self._decode(data, not data)
        if self._bare:
            self._output.bare(text if data else text + "\n" * self._output.unfinished)
        else:
            self._lines(text, end=not data)
        return bool(data)

    def _lines(self, text: str, *, end: bool) -> None:
        *lines, self._rest = (self._rest + text).split("\n")
        if end or len(self._rest) > LINE_CHARS:
            lines, self._rest = [*lines, self._rest], ""
        for line in lines:
            if line.strip():
                self._output.say(line, self._name)
