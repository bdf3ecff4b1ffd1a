"""The values that stand in a text: numbers, quoted words, names, dates, addresses."""

import re
from collections.abc import Callable

TEXT_MAX = 10_000
"""Characters of a text that are read."""

LOOKS_MAX = 5000
"""How often a text is searched for a word: an enumeration may be as long as a request."""

_FORMS = {
    "uuid": re.compile(r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b"),
    "date-time": re.compile(
        r"\b\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)"
    ),
    "date": re.compile(r"\b\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])\b"),
    "email": re.compile(
        r"(?<![\w.+-])[a-zA-Z0-9]{1,64}@[a-zA-Z0-9]{1,63}(?:\.[a-zA-Z]{2,63}){1,4}"
    ),
    "uri": re.compile(r"\bhttps?://[a-zA-Z0-9.-]+(?::\d{1,5})?(?:/[\w/.%-]*)?"),
}
_NUMBER = re.compile(r"(?<![\w.])-?\d{1,15}(?:\.\d{1,15})?(?!\w)")
# What stands before a colon is the name of a value, and is passed over.
_QUOTED = re.compile(
    r'"[^"\n]*"\s*:|"([^"\n]+)"|“([^”\n]+)”|「([^」\n]+)」|«([^»\n]+)»|`([^`\n]+)`'
    r"|(?<!\w)'([^'\n]+)'(?!\w)"
)
# Words with a capital that do not open a sentence.
_NAME = re.compile(r"(?<=[^\s.!?:\n])[ (]([A-Z][\w'-]*(?: [A-Z][\w'-]*)*)")
_ARGUMENT = re.compile(r"(?:\w+\s*[=:]\s*)?([^,]+)")


class Findings:
    """What a text holds, each value given once, in the order in which it stands there.

    `bare`: the text is a list of arguments, so that what stands between its commas is a string
    too. Quoted strings come before names. `given`: how many values have been given.
    """

    def __init__(self, text: str, *, bare: bool = False) -> None:
        text = text[:TEXT_MAX]
        self.given = self._looks = 0
        self._folded = text.casefold()
        self._formed = {name: form.findall(text) for name, form in _FORMS.items()}
        rest = text
        for form in _FORMS.values():
            rest = form.sub(" ", rest)
        self._numbers = _NUMBER.findall(rest)
        self.quoted = [text for found in _QUOTED.findall(text) if (text := "".join(found))]
        self._strings = list(self.quoted)
        if bare and not self._strings:
            parts = (part.strip() for part in _ARGUMENT.findall(text))
            self._strings = [part for part in parts if part and not _NUMBER.fullmatch(part)]
        self._strings += _NAME.findall(_QUOTED.sub(" ", rest))

    def number(self, fits: Callable[[str], bool]) -> str | None:
        """The next number that fits, as it is written."""
        return self._take(self._numbers, fits)

    def string(self, form: str | None, fits: Callable[[str], bool]) -> str | None:
        """The next string that fits: of this JSON Schema format, or quoted, or a name."""
        return self._take(self._formed.get(form, []) if form else self._strings, fits)

    def names(self, member: str) -> bool:
        """Whether the text has this word, in any case. After `LOOKS_MAX` questions it is no."""
        self._looks += 1
        folded = member.casefold()
        if self._looks > LOOKS_MAX or not folded or folded not in self._folded:
            return False
        return re.search(rf"(?<!\w){re.escape(folded)}(?!\w)", self._folded) is not None

    def _take(self, values: list[str], fits: Callable[[str], bool]) -> str | None:
        for place, value in enumerate(values):
            if fits(value):
                self.given += 1
                return values.pop(place)
        return None
