"""Reads an ELIZA script: keywords with their ranks, substitutions, tags and rules."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import yaml

from workers.providers.builtin.match import Element, Pattern, parts_named

_ELEMENT = re.compile(r"\(([*/])\s*([^)]*)\)|(\S+)")
_PRE = re.compile(r"PRE (?P<template>.+) =(?P<link>\S+)")


@dataclass(frozen=True, slots=True)
class Reassembly:
    """What to do with a decomposed text (CACM 9(1) 1966, p. 38 and 40-41).

    `say`: answer with `template`. `link`: hand over to the keyword `link`. `pre`: replace the
    text by `template`, then hand over. `newkey`: go on with the next keyword of the text.
    """

    kind: Literal["say", "link", "pre", "newkey"]
    template: str = ""
    link: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """A decomposition rule and its reassembly rules. A rule equals only itself: it is counted."""

    pattern: Pattern
    reassemblies: tuple[Reassembly, ...]


@dataclass(frozen=True, slots=True)
class Keyword:
    """A word of the script. With neither rules nor link it is no key, only replaced or tagged."""

    becomes: str | None
    rank: int
    rules: tuple[Rule, ...]
    link: str | None

    @property
    def is_key(self) -> bool:
        return bool(self.rules or self.link)


@dataclass(frozen=True, slots=True)
class Script:
    """A whole script. `keywords` are by their lower-case word; `memory_rules` are four."""

    greeting: str
    none: Rule
    no_match: tuple[str, ...]
    memory_keyword: str
    memory_rules: tuple[Rule, ...]
    keywords: Mapping[str, Keyword]


@cache
def doctor() -> Script:
    """The DOCTOR script that comes with this package."""
    return parse_script(files(__package__).joinpath("doctor.yaml").read_text(encoding="utf-8"))


def parse_script(text: str) -> Script:
    """Reads a script in the form described at the head of doctor.yaml.

    Raises ValueError where a rule names a keyword, tag or part that is not there.
    """
    raw = yaml.safe_load(text)
    entries: dict[str, dict[str, Any]] = {
        key: entry or {} for key, entry in raw["keywords"].items()
    }
    tags: dict[str, set[str]] = {}
    for word, entry in entries.items():
        for tag in entry.get("tags", ()):
            tags.setdefault(tag, set()).add(word)
    keywords = {word: _keyword(entry, tags) for word, entry in entries.items()}
    script = Script(
        greeting=raw["greeting"],
        none=_rule({"match": "0", "say": raw["none"]}, tags),
        no_match=tuple(raw["no_match"]),
        memory_keyword=raw["memory"]["keyword"],
        memory_rules=tuple(_rule(rule, tags) for rule in raw["memory"]["rules"]),
        keywords=keywords,
    )
    _check_links(script)
    return script


def _keyword(entry: dict[str, Any], tags: Mapping[str, set[str]]) -> Keyword:
    return Keyword(
        becomes=entry.get("becomes"),
        rank=entry.get("rank", 0),
        rules=tuple(_rule(rule, tags) for rule in entry.get("rules", ())),
        link=entry.get("link"),
    )


def _rule(entry: dict[str, Any], tags: Mapping[str, set[str]]) -> Rule:
    says = entry["say"] if isinstance(entry["say"], list) else [entry["say"]]
    rule = Rule(_pattern(entry["match"], tags), tuple(_reassembly(say) for say in says))
    for reassembly in rule.reassemblies:
        if max(parts_named(reassembly.template), default=0) > len(rule.pattern):
            raise ValueError(f"{reassembly.template!r} asks for a part {entry['match']!r} lacks")
    return rule


def _pattern(text: str, tags: Mapping[str, set[str]]) -> Pattern:
    """Reads a decomposition rule, for example `0 you (* want need) 0` or `0 your 0 (/family) 0`."""
    elements: list[Element] = []
    for kind, names, word in _ELEMENT.findall(text):
        if kind == "*":
            elements.append(frozenset(name.casefold() for name in names.split()))
        elif kind == "/":
            if not all(tag in tags for tag in names.split()):
                raise ValueError(f"{text!r} names a tag that no keyword has")
            elements.append(frozenset(word for tag in names.split() for word in tags[tag]))
        elif word.isdecimal():
            elements.append(int(word))
        else:
            elements.append(frozenset([word.casefold()]))
    return tuple(elements)


def _reassembly(text: str) -> Reassembly:
    if text == "NEWKEY":
        return Reassembly("newkey")
    if text.startswith("="):
        return Reassembly("link", link=text[1:])
    if pre := _PRE.fullmatch(text):
        return Reassembly("pre", pre["template"], pre["link"])
    return Reassembly("say", text)


def _check_links(script: Script) -> None:
    """Every link leads to a key, and none leads back to where it came from."""
    links = {
        word: {r.link for rule in keyword.rules for r in rule.reassemblies if r.link}
        | ({keyword.link} if keyword.link else set())
        for word, keyword in script.keywords.items()
    }
    for word, targets in links.items():
        reached, ahead = set[str](), targets
        while ahead:
            if word in ahead:
                raise ValueError(f"the links of {word!r} lead back to it")
            for target in ahead:
                if target not in links or not script.keywords[target].is_key:
                    raise ValueError(f"{word!r} links to {target!r}, which is no key")
            reached |= ahead
            ahead = {after for target in ahead for after in links[target]} - reached
