"""ELIZA: one conversation under a script (J. Weizenbaum, CACM 9(1), January 1966, p. 36-45)."""

import re
from collections import Counter, deque
from collections.abc import Iterator

from workers.providers.builtin.match import decompose, reassemble
from workers.providers.builtin.script import Reassembly, Rule, Script
from workers.providers.builtin.slip import slip_hash

# Numbers with their points and commas, words with inner hyphens and apostrophes, delimiters.
_TOKEN = re.compile(r"\d+(?:[.,]\d+)+|\w+(?:['-]\w+)*|[.,;:!?\n]")
_DELIMITERS = frozenset(".,;:!?\n")
_FIRST_PERSON = frozenset({"I", "I'M", "I'VE", "I'D", "I'LL"})


class Doctor:
    """One conversation: what has been said decides what is said next, and nothing else does."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._used: Counter[Rule] = Counter()
        self._memories: deque[str] = deque()
        self._limit = 1

    def greet(self) -> str:
        """What the script says first."""
        return self._script.greeting

    def reply(self, text: str) -> str:
        """Takes one text of the user and answers it, always with at least one word.

        `_limit` is the paper's "certain counting mechanism" (p. 41), LIMIT in the program: it
        goes 1, 2, 3, 4, 1, … with the texts, and a memory is recalled at 4 (MAD-SLIP listing of
        1965, lines 500-520 and 1130).
        """
        self._limit = self._limit % 4 + 1
        words, keys = self._scan(text)
        if keys:
            self._memorize(keys[0], words)
            answer = self._transform(words, keys)
        elif self._memories and self._limit == 4:
            answer = self._memories.popleft()
        else:
            answer = self._next(self._script.none).template
        return answer[:1].upper() + answer[1:]

    def _scan(self, text: str) -> tuple[list[str], deque[str]]:
        """The first clause with a key, words replaced, and its keys: the keystack (p. 37-39).

        A key of higher rank than all before it goes on top, any other to the bottom, and a word
        is a key once, so that the work is linear in the text. "But" is a delimiter in the
        program, and the paper's conversation needs it (listing, line 660).
        """
        words: list[str] = []
        keys: deque[str] = deque()
        top = 0
        for token in _tokens(text):
            word = token.lower()
            if word in _DELIMITERS or word == "but":
                if keys:
                    break
                words.clear()
                continue
            keyword = self._script.keywords.get(word)
            if keyword and keyword.is_key and word not in keys:
                if keys and keyword.rank <= top:
                    keys.append(word)
                else:
                    keys.appendleft(word)
                    top = keyword.rank
            words.append(keyword.becomes if keyword and keyword.becomes else token)
        return words, keys

    def _memorize(self, key: str, words: list[str]) -> None:
        """Keeps a remark on `words` for later if the highest key is the memory's (p. 41).

        The paper has the remark "randomly selected"; the program hashes the last word to two
        bits (listing, line 1230).
        """
        if key != self._script.memory_keyword:
            return
        rule = self._script.memory_rules[slip_hash(words[-1], 2)]
        parts = decompose(rule.pattern, words)
        if parts is not None:
            self._memories.append(reassemble(self._next(rule).template, parts))

    def _transform(self, words: list[str], keys: deque[str]) -> str:
        """The answer of the first key that has one (p. 38-41).

        A key of which no rule matches gives way to the next, as with NEWKEY. A text whose keys
        all failed gets a remark by the count if a match failed last (listing, lines 2200-2260),
        and one of NONE after a NEWKEY.
        """
        unmatched = False
        while keys:
            keyword = self._script.keywords[keys.popleft()]
            rule, parts = self._match(keyword.rules, words)
            unmatched = rule is None and keyword.link is None
            if rule is None:
                if keyword.link is not None:
                    keys.appendleft(keyword.link)
                continue
            reassembly = self._next(rule)
            if reassembly.kind == "say":
                return reassemble(reassembly.template, parts)
            if reassembly.kind == "pre":
                words = reassemble(reassembly.template, parts).split()
            if reassembly.link:
                keys.appendleft(reassembly.link)
        if unmatched:
            return self._script.no_match[self._limit - 1]
        return self._next(self._script.none).template

    def _match(
        self, rules: tuple[Rule, ...], words: list[str]
    ) -> tuple[Rule | None, list[list[str]]]:
        for rule in rules:
            parts = decompose(rule.pattern, words)
            if parts is not None:
                return rule, parts
        return None, []

    def _next(self, rule: Rule) -> Reassembly:
        """The reassembly rule whose turn it is: in order, then from the first again (p. 41)."""
        turn = self._used[rule]
        self._used[rule] += 1
        return rule.reassemblies[turn % len(rule.reassemblies)]


def _tokens(text: str) -> Iterator[str]:
    """Words and delimiters of `text`, the words spelled as they would be inside a sentence."""
    text = text.replace("\u2019", "'")
    shouted = text.isupper()
    starts = True
    for token in _TOKEN.findall(text):
        if token.upper() in _FIRST_PERSON:
            yield "I" + token[1:].lower()
        elif shouted or (starts and not token.isupper()):
            yield token.lower()
        else:
            yield token
        starts = token in _DELIMITERS
