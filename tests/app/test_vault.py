"""Secrets at rest."""

import os
from multiprocessing.pool import ThreadPool
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from app.settings import Settings
from app.vault import KEYS, Vault, VaultError

CONTENT = b"whsec_very secret"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "home")


def key() -> str:
    return Fernet.generate_key().decode()


def test_what_is_sealed_opens_again_and_does_not_show(settings: Settings) -> None:
    sealed = Vault(settings).seal(CONTENT)
    assert "secret" not in sealed
    assert Vault(settings).seal(CONTENT) != sealed
    assert Vault(settings).open(sealed) == CONTENT


def test_the_key_file_is_made_once_and_only_its_owner_reads_it(settings: Settings) -> None:
    assert not settings.home.exists()
    Vault(settings).seal(CONTENT)
    file = settings.home / "encryption.key"
    first = file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    Vault(settings).seal(CONTENT)
    assert file.read_text() == first
    assert os.listdir(settings.home) == ["encryption.key"]


def test_processes_that_begin_at_once_share_one_key(settings: Settings) -> None:
    with ThreadPool(8) as pool:
        sealed = pool.map(lambda _: Vault(settings).seal(CONTENT), range(8))
    assert {Vault(settings).open(text) for text in sealed} == {CONTENT}


def test_opening_makes_no_key(settings: Settings) -> None:
    with pytest.raises(VaultError, match="cannot be read"):
        Vault(settings).open("anything")
    assert not settings.home.exists()


def test_keys_of_the_environment_are_used_and_no_file_is_made(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = key()
    monkeypatch.setenv(KEYS, one)
    sealed = Vault(settings).seal(CONTENT)
    assert Fernet(one).decrypt(sealed) == CONTENT
    assert not settings.home.exists()


def test_a_key_is_rotated_by_putting_a_new_one_in_front(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = key(), key()
    monkeypatch.setenv(KEYS, old)
    before = Vault(settings).seal(CONTENT)
    monkeypatch.setenv(KEYS, f"{new}, {old}")
    assert Vault(settings).open(before) == CONTENT
    after = Vault(settings).seal(CONTENT)
    monkeypatch.setenv(KEYS, new)
    assert Vault(settings).open(after) == CONTENT
    with pytest.raises(VaultError, match="none of the encryption keys"):
        Vault(settings).open(before)


def test_what_was_tampered_with_does_not_open(settings: Settings) -> None:
    sealed = Vault(settings).seal(CONTENT)
    changed = sealed[:40] + ("A" if sealed[40] != "A" else "B") + sealed[41:]
    with pytest.raises(VaultError):
        Vault(settings).open(changed)


@pytest.mark.parametrize("keys", ["short", "not a key at all", "é" * 44])
def test_a_wrong_key_is_told_without_showing_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, keys: str
) -> None:
    monkeypatch.setenv(KEYS, keys)
    with pytest.raises(VaultError, match="no Fernet key") as told:
        Vault(settings).seal(CONTENT)
    assert keys not in str(told.value)
