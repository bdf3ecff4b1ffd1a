"""Settings: what the environment says is what the one frozen object holds."""

from pathlib import Path

import pytest
from kombu import Connection
from pydantic import ValidationError

from app.queue import LANES
from app.redis import Wire
from app.settings import (
    SOCKET_PATH_MAX,
    Settings,
    child_environment,
    listed,
    override,
    secret,
    settings,
)


def test_reads_its_prefix_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOONPOOL_PORT", "8123")
    monkeypatch.setenv("PORT", "9999")
    monkeypatch.setenv("MOONPOOL_NOBODY_KNOWS", "1")
    assert Settings().port == 8123


def test_is_frozen() -> None:
    with pytest.raises(ValidationError):
        setattr(Settings(), "port", 1)  # noqa: B010


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", 0),
        ("port", 65536),
        ("slots_batch", 0),
        ("lease_seconds", 0),
        ("idle_timeout", -1),
        ("body_limit", 0),
    ],
)
def test_refuses_a_value_out_of_bounds(name: str, value: float) -> None:
    with pytest.raises(ValidationError, match=name):
        Settings.model_validate({name: value})


def test_every_setting_says_what_it_is() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_every_lane_has_slots_and_a_bound() -> None:
    chosen = Settings(slots_batch=7, backlog_system=9)
    assert chosen.slots("batch") == 7
    assert chosen.backlog("system") == 9
    for lane in LANES:
        assert chosen.slots(lane) > 0
        assert Settings().backlog(lane) >= Settings().slots(lane)


def test_addresses_given_are_used() -> None:
    chosen = Settings(database_url="postgresql://db/moon", redis_url="redis://cache:6379/3")
    assert not chosen.embedded_postgres
    assert not chosen.embedded_redis
    assert chosen.postgres == "postgresql://db/moon"
    assert chosen.redis == chosen.broker == "redis://cache:6379/3"


@pytest.mark.parametrize("database", [0, 3])
def test_kombu_reaches_the_same_redis_over_its_socket(redis: str, database: int) -> None:
    chosen = Settings(redis_url=redis.replace("db=0", f"db={database}"))
    with Connection(chosen.broker) as broker:
        broker.default_channel.client.set("left-by", "kombu")
    wire = Wire(chosen.redis)
    assert wire.call(("GET", "left-by")) == [b"kombu"]
    wire.close()


def test_sockets_of_a_deep_data_directory_move_to_a_short_place(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * SOCKET_PATH_MAX)
    here, again, other = (Settings(data_dir=p).socket_dir for p in (deep, deep, deep / "x"))
    assert len(str(here)) <= SOCKET_PATH_MAX
    assert here == again
    assert here != other


def test_is_read_once_until_overridden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOONPOOL_PORT", "8200")
    monkeypatch.setenv("MOONPOOL_DATA_DIR", "elsewhere")
    settings.cache_clear()
    try:
        assert settings() is settings()
        override(port=8201)
        assert (settings().port, settings().home) == (8201, Path.cwd() / "elsewhere")
        child = child_environment(MOONPOOL_LANE="batch")
        assert child["MOONPOOL_PORT"] == "8201"
        assert child["MOONPOOL_DATA_DIR"] == str(Path.cwd() / "elsewhere")
        assert child["MOONPOOL_LANE"] == "batch"
    finally:
        monkeypatch.undo()
        settings.cache_clear()


def test_a_secret_is_the_variable_or_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert secret("MOON_TEST_KEY") == ""
    monkeypatch.setenv("MOON_TEST_KEY", " from-variable\n")
    assert secret("MOON_TEST_KEY") == "from-variable"
    held = tmp_path / "key"
    held.write_text("from-file\n")
    monkeypatch.setenv("MOON_TEST_KEY_FILE", str(held))
    assert secret("MOON_TEST_KEY") == "from-file"
    held.unlink()
    with pytest.raises(OSError, match="key"):
        secret("MOON_TEST_KEY")


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"jwt_issuers": "https://a"}, "MOONPOOL_JWT_AUDIENCES"),
        ({"jwt_issuers": "https://a", "jwt_audiences": " , "}, "MOONPOOL_JWT_AUDIENCES"),
        ({"jwt_issuers": "a.example", "jwt_audiences": "x"}, "MOONPOOL_JWT_ISSUERS"),
        (
            {
                "jwt_issuers": "https://a,https://b",
                "jwt_audiences": "x",
                "jwt_jwks_url": "http://k",
            },
            "MOONPOOL_JWT_JWKS_URL",
        ),
        ({"jwt_jwks_url": "http://k"}, "MOONPOOL_JWT_JWKS_URL"),
        (
            {"jwt_issuers": "https://a", "jwt_audiences": "x", "jwt_jwks_url": "file:///etc/keys"},
            "MOONPOOL_JWT_JWKS_URL",
        ),
        ({"jwt_tenant_claim": ""}, "jwt_tenant_claim"),
    ],
)
def test_jwt_settings_that_do_not_fit_are_refused(values: dict[str, str], named: str) -> None:
    with pytest.raises(ValidationError, match=named):
        Settings.model_validate(values)
    assert listed(" a, ,b ,") == ("a", "b")


@pytest.mark.parametrize(
    "address", ["api.example.com", "ftp://example.com", "https://", "https://a?b"]
)
def test_the_public_address_is_one_of_http(address: str) -> None:
    Settings(public_url="https://api.example.com/moon/")
    with pytest.raises(ValidationError, match="public_url"):
        Settings(public_url=address)
