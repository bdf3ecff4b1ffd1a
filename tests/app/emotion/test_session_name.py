import pytest

from app.emotion.session_name import RESERVED, SESSION_MAX, checked_session
from app.errors import InvalidRequest


@pytest.mark.parametrize(
    "name", ["user-123", "a", "x" * SESSION_MAX, "auth0|5", "a+b@c.com", "Jürgen 7", "Weather"]
)
def test_names_that_clients_use_are_names(name: str) -> None:
    assert checked_session(name) == name


@pytest.mark.parametrize(
    "name", ["", "x" * (SESSION_MAX + 1), "a/b", "a\0b", "a\n", *sorted(RESERVED)]
)
def test_what_cannot_stand_in_an_address_is_no_name(name: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        checked_session(name)
    assert caught.value.param == "session_id"


def test_the_words_of_addresses_are_reserved() -> None:
    assert {"weather", "reset", "ripple"} <= RESERVED
