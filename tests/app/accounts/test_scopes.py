"""Scopes: known, ordered, and never more than the creator's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.accounts.scopes import ROLES, SCOPES, TENANT_SCOPES, granted
from app.errors import Forbidden, InvalidRequest

some = st.frozensets(st.sampled_from(sorted(SCOPES)))


@given(st.lists(st.sampled_from(sorted(SCOPES)), min_size=1), some)
def test_nobody_gives_what_they_lack(wanted: list[str], creator: frozenset[str]) -> None:
    if set(wanted) <= creator:
        given_away = granted(wanted, creator)
        assert set(given_away) == set(wanted)
        assert given_away == [scope for scope in SCOPES if scope in wanted]
    else:
        with pytest.raises(Forbidden) as refused:
            granted(wanted, creator)
        assert refused.value.param == "scopes"
        assert all(scope in refused.value.message for scope in set(wanted) - creator)


@given(st.text().filter(lambda text: text not in SCOPES), some)
def test_an_unknown_scope_is_refused_to_everybody(unknown: str, creator: frozenset[str]) -> None:
    with pytest.raises(InvalidRequest) as refused:
        granted(["inference", unknown], creator)
    assert refused.value.param == "scopes"


def test_a_key_has_a_scope() -> None:
    with pytest.raises(InvalidRequest):
        granted([], frozenset(SCOPES))


def test_only_an_admin_role_administers() -> None:
    assert set(SCOPES) - TENANT_SCOPES == {"admin"}
    assert {role for role, scopes in ROLES.items() if "admin" in scopes} == {"admin"}
    assert {role for role, scopes in ROLES.items() if "manage" in scopes} == {"admin", "owner"}
    assert all(scopes <= set(SCOPES) for scopes in ROLES.values())
