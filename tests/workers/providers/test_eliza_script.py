"""The script reader refuses a script that could not be followed."""

from typing import Any

import pytest
import yaml

from workers.providers.builtin.script import doctor, parse_script


def script(keywords: dict[str, Any]) -> str:
    memory = {"keyword": "my", "rules": [{"match": "0", "say": "1"}] * 4}
    return yaml.safe_dump(
        {
            "greeting": "Hello.",
            "none": ["Go on."],
            "no_match": ["Hm."] * 4,
            "memory": memory,
            "keywords": keywords,
        }
    )


def saying(*says: str, match: str = "0") -> dict[str, Any]:
    return {"rules": [{"match": match, "say": list(says)}]}


def test_reads_every_kind_of_rule() -> None:
    read = parse_script(
        script(
            {
                "you": saying("Yes 3.", "NEWKEY", match="0 (/Kin) 2 (* a B)"),
                "i'm": saying("PRE you are 1 =you", "=you"),
                "mum": {"becomes": "mother", "rank": 3, "tags": ["Kin"]},
            }
        )
    )
    [rule] = read.keywords["you"].rules
    assert rule.pattern == (0, frozenset({"mum"}), 2, frozenset({"a", "b"}))
    assert [r.kind for r in rule.reassemblies] == ["say", "newkey"]
    [rule] = read.keywords["i'm"].rules
    assert [(r.kind, r.template, r.link) for r in rule.reassemblies] == [
        ("pre", "you are 1", "you"),
        ("link", "", "you"),
    ]
    assert not read.keywords["mum"].is_key


@pytest.mark.parametrize(
    ("keywords", "problem"),
    [
        ({"a": {"link": "b"}}, "'a' links to 'b', which is no key"),
        ({"a": {"link": "b"}, "b": {"tags": ["t"]}}, "'a' links to 'b', which is no key"),
        ({"a": saying("=b"), "b": {"link": "a"}}, "the links of 'a' lead back to it"),
        ({"a": saying("PRE x =a")}, "the links of 'a' lead back to it"),
        ({"a": saying("No.", match="0 (/kin) 0")}, "names a tag that no keyword has"),
        ({"a": saying("Your 4.", match="0 a 0")}, "asks for a part"),
    ],
)
def test_refuses_what_leads_nowhere(keywords: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem.replace("(", r"\(")):
        parse_script(script(keywords))


def test_doctor_has_what_the_paper_asks_for() -> None:
    assert len(doctor().memory_rules) == 4
    assert len(doctor().no_match) == 4
    assert doctor().keywords[doctor().memory_keyword].is_key
