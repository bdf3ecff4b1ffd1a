"""ELIZA: the published conversation, and the provider around it."""

import re
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.providers.base import Call, ProviderError
from workers.providers.builtin.doctor import Doctor
from workers.providers.builtin.eliza import Eliza
from workers.providers.builtin.script import doctor
from workers.providers.builtin.slip import slip_hash

REASONED: dict[str, object] = {"completion_tokens_details": {"reasoning_tokens": 0}}

# CACM 9(1) 1966, p. 36-37: what the young lady typed, and what ELIZA answered.
PUBLISHED = [
    ("Men are all alike.", "IN WHAT WAY"),
    (
        "They're always bugging us about something or other.",
        "CAN YOU THINK OF A SPECIFIC EXAMPLE",
    ),
    ("Well, my boyfriend made me come here.", "YOUR BOYFRIEND MADE YOU COME HERE"),
    ("He says I'm depressed much of the time.", "I AM SORRY TO HEAR YOU ARE DEPRESSED"),
    (
        "It's true. I am unhappy.",
        "DO YOU THINK COMING HERE WILL HELP YOU NOT TO BE UNHAPPY",
    ),
    (
        "I need some help, that much seems certain.",
        "WHAT WOULD IT MEAN TO YOU IF YOU GOT SOME HELP",
    ),
    (
        "Perhaps I could learn to get along with my mother.",
        "TELL ME MORE ABOUT YOUR FAMILY",
    ),
    ("My mother takes care of me.", "WHO ELSE IN YOUR FAMILY TAKES CARE OF YOU"),
    ("My father.", "YOUR FATHER"),
    ("You are like my father in some ways.", "WHAT RESEMBLANCE DO YOU SEE"),
    (
        "You are not very aggressive but I think you don't want me to notice that.",
        "WHAT MAKES YOU THINK I AM NOT VERY AGGRESSIVE",
    ),
    ("You don't argue with me.", "WHY DO YOU THINK I DON'T ARGUE WITH YOU"),
    ("You are afraid of me.", "DOES IT PLEASE YOU TO BELIEVE I AM AFRAID OF YOU"),
    (
        "My father is afraid of everybody.",
        "WHAT ELSE COMES TO MIND WHEN YOU THINK OF YOUR FATHER",
    ),
    (
        "Bullies.",
        "DOES THAT HAVE ANYTHING TO DO WITH THE FACT THAT YOUR BOYFRIEND MADE YOU COME HERE",
    ),
]


def ask(*texts: Any, **request: Any) -> Call:
    return Call({"messages": [{"role": "user", "content": t} for t in texts], **request}, "eliza")


def answer(*texts: Any, **request: Any) -> str:
    content = Eliza().complete(ask(*texts, **request)).choices[0]["message"]["content"]
    assert isinstance(content, str)
    return content


def as_printed(text: str) -> str:
    return re.sub(r"[^A-Z' ]", "", text.upper())


@pytest.mark.parametrize("turn", range(len(PUBLISHED)))
def test_published_conversation_turn_by_turn(turn: int) -> None:
    said = [user for user, _ in PUBLISHED[: turn + 1]]
    assert as_printed(answer(*said)) == PUBLISHED[turn][1]


def test_published_conversation_in_one_sitting_with_the_answers_in_the_history() -> None:
    messages: list[dict[str, Any]] = [{"role": "system", "content": "You are my computer. Sorry!"}]
    for user, published in PUBLISHED:
        messages.append({"role": "user", "content": [{"type": "text", "text": user}]})
        message = Eliza().complete(Call({"messages": messages}, "eliza")).choices[0]["message"]
        assert as_printed(message["content"]) == published
        messages.append(message)


def test_answers_are_written_as_sentences() -> None:
    assert answer("Men are all alike.") == "In what way?"
    assert answer("MY FATHER.") == "Tell me more about your family."
    assert answer("HE SAID I NEED A DOG") == "What would it mean to you if you got a dog?"
    assert answer("I want a house in Paris") == (
        "What would it mean to you if you got a house in Paris?"
    )
    assert answer("i guess i\u2019ve lost Ann") == "You say you guess I've lost Ann."
    assert answer("You like dogs.", "You are NASA") == "What makes you think I am NASA?"


@pytest.mark.parametrize(("word", "bits", "value"), [("always", 7, 14), ("here", 2, 3)])
def test_slip_hash_gives_the_values_of_the_paper(word: str, bits: int, value: int) -> None:
    assert slip_hash(word, bits) == value


def test_slip_hash_takes_the_last_cell() -> None:
    assert slip_hash("INVENTED", 7) == slip_hash("ED", 7) != slip_hash("INVENT", 7)


def test_reassembly_rules_take_turns_and_start_again() -> None:
    answers = [answer(*["Sorry"] * count) for count in range(1, 6)]
    assert len(set(answers[:4])) == 4
    assert answers[4] == answers[0] == "Please don't apologize."


def test_memory_is_recalled_at_the_fourth_count_only() -> None:
    memory = "Does that have anything to do with the fact that your dog is here?"
    assert answer("My dog is here", "Hm") == "I am not sure I understand you fully."
    assert answer("My dog is here", "Hm", "Hm") == memory
    assert answer("My dog is here", "Hm", "Hm", "Hm") == "Please go on."
    assert answer("Hm", "Hm", "My dog is here", "My cat is there", *["Hm"] * 3) == memory


def test_only_a_text_whose_highest_keyword_is_my_is_memorized() -> None:
    assert answer("I remember my dog", "Hm", "Hm") == "Please go on."


def test_a_long_text_of_one_keyword_takes_no_more_than_linear_time() -> None:
    begun = time.process_time()
    assert answer("like " * 30_000) == "I am not sure I understand you fully."
    assert time.process_time() - begun < 5


def test_a_higher_rank_goes_first_and_an_equal_one_does_not() -> None:
    assert answer("Yes, no") == "You seem quite positive."
    assert answer("I always remember computers") == "Do computers worry you?"


def test_newkey_goes_on_with_the_next_keyword_and_then_with_none() -> None:
    assert answer("I like it") == "You say you like it."
    assert answer("Remember") == "I am not sure I understand you fully."


def test_keywords_without_a_matching_rule_get_a_remark_by_the_count() -> None:
    assert answer("Can they help") == "Hmmm."
    assert answer("Hm", "Can they help") == "Go on, please."
    assert answer("Can they help because of it") == "Is that the real reason?"


def test_pre_rewrites_the_text_for_the_linked_keyword() -> None:
    assert answer("You're tall") == "What makes you think I am tall?"


def test_only_the_first_clause_with_a_keyword_counts() -> None:
    assert answer("Listen: my dog barks! Yes.") == "Your dog barks."
    assert answer("It cost 3.50 for my dog, sorry") == "Your dog."


def test_greets_without_a_user_message_and_answers_an_empty_one() -> None:
    system = Call({"messages": [{"role": "system", "content": "Sorry"}]}, "eliza")
    greeting = Eliza().complete(system).choices[0]["message"]["content"]
    assert greeting == "How do you do. Please tell me your problem."
    assert answer("") == answer([]) == answer(None) == "I am not sure I understand you fully."


@given(st.lists(st.text(max_size=60), min_size=1, max_size=12))
def test_any_conversation_has_one_answer_to_each_text(texts: list[str]) -> None:
    first, second = Doctor(doctor()), Doctor(doctor())
    for text in texts:
        reply = first.reply(text)
        assert reply.strip()
        assert reply == second.reply(text)


VOCABULARY = st.sampled_from(
    [*doctor().keywords, "dog", "sad", "need", "like", "is", "but", ",", "."]
)


@given(st.lists(st.lists(VOCABULARY, max_size=9).map(" ".join), max_size=12))
def test_texts_full_of_keywords_are_answered_without_traces_of_the_script(
    texts: list[str],
) -> None:
    conversation = Doctor(doctor())
    for text in texts:
        reply = conversation.reply(text)
        assert re.fullmatch(r"[A-Z'][A-Za-z',.? -]*[.?]", reply)
        assert "NEWKEY" not in reply


def test_streams_a_word_a_chunk_then_the_reason_then_the_usage() -> None:
    chunks = list(Eliza().stream(ask("Men are all alike.")))
    assert [chunk.choices for chunk in chunks] == [
        [{"index": 0, "delta": {"role": "assistant", "content": "In"}, "finish_reason": None}],
        [{"index": 0, "delta": {"content": " what"}, "finish_reason": None}],
        [{"index": 0, "delta": {"content": " way?"}, "finish_reason": None}],
        [{"index": 0, "delta": {}, "finish_reason": "stop"}],
        [],
    ]
    assert [chunk.usage for chunk in chunks[:-1]] == [None] * 4
    assert chunks[-1].usage == {
        "prompt_tokens": 4,
        "completion_tokens": 3,
        "total_tokens": 7,
        **REASONED,
    }


def test_usage_counts_the_words_of_every_message_and_choice() -> None:
    messages = [
        {"role": "system", "content": "one two"},
        {"role": "user", "content": [{"type": "text", "text": "three"}]},
        {"role": "assistant", "content": None},
        {"role": "user", "content": "My  father."},
    ]
    done = Eliza().complete(Call({"messages": messages, "n": 2}, "eliza"))
    assert done.usage == {
        "prompt_tokens": 5,
        "completion_tokens": 12,
        "total_tokens": 17,
        **REASONED,
    }


@pytest.mark.parametrize(
    ("request_fields", "text", "reason"),
    [
        ({"max_tokens": 2}, "In what", "length"),
        ({"max_tokens": 3}, "In what way?", "stop"),
        ({"max_completion_tokens": 1, "max_tokens": 9}, "In", "length"),
        ({"max_tokens": 0}, "", "length"),
        ({"stop": " way"}, "In what", "stop"),
        ({"stop": ["way", "what"]}, "In ", "stop"),
        ({"stop": "In"}, "", "stop"),
        ({"stop": ["nowhere", ""]}, "In what way?", "stop"),
        ({"stop": "way", "max_tokens": 1}, "In", "length"),
        ({"stop": None, "max_tokens": None, "n": None}, "In what way?", "stop"),
    ],
)
def test_limit_and_stop_sequences(request_fields: dict[str, Any], text: str, reason: str) -> None:
    [choice] = Eliza().complete(ask("Men are all alike.", **request_fields)).choices
    assert (choice["message"]["content"], choice["finish_reason"]) == (text, reason)
    assert choice["message"]["role"] == "assistant"


def test_n_choices_say_the_same() -> None:
    choices = Eliza().complete(ask("My father.", n=3)).choices
    assert [choice["index"] for choice in choices] == [0, 1, 2]
    assert {choice["message"]["content"] for choice in choices} == {
        "Tell me more about your family."
    }


TOOL = {"type": "function", "function": {"name": "f"}}


@pytest.mark.parametrize(
    ("request_fields", "field"),
    [
        ({"messages": None}, "messages"),
        ({"messages": ["hello"]}, "messages"),
        ({"tools": [TOOL]}, "tools"),
        ({"functions": [TOOL["function"]]}, "functions"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"logprobs": True}, "logprobs"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            "messages[0].content[0]",
        ),
        ({"n": 0}, "n"),
        ({"n": 129}, "n"),
        ({"n": True}, "n"),
        ({"max_tokens": "9"}, "max_tokens"),
        ({"max_completion_tokens": -1}, "max_completion_tokens"),
        ({"stop": 5}, "stop"),
        ({"stop": [5]}, "stop"),
    ],
)
def test_refuses_what_it_cannot_do_and_names_the_field(
    request_fields: dict[str, Any], field: str
) -> None:
    with pytest.raises(ProviderError) as caught:
        Eliza().complete(Call({"messages": [], **request_fields}, "eliza"))
    assert caught.value.kind == "invalid"
    assert not caught.value.retryable
    assert caught.value.message.startswith(f"{field}: ")


def test_takes_what_asks_for_nothing_special() -> None:
    assert answer(
        "Hello",
        tools=[TOOL],
        tool_choice="none",
        response_format={"type": "text"},
        logprobs=False,
        temperature=0.3,
        seed=7,
    )


@pytest.mark.parametrize("pace", ["fast", -1, True, float("inf"), float("nan"), None])
def test_refuses_a_pace_that_is_none(pace: Any) -> None:
    call = ask("Hello")
    call.parameters = {"tokens_per_second": pace}
    with pytest.raises(ProviderError, match=r"parameters\.tokens_per_second") as caught:
        Eliza().complete(call)
    assert caught.value.kind == "invalid"
