"""The key set: what is taken into it, and that the issuer neither wipes it nor is worn by it."""

import gzip
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gevent
import gevent.socket
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from app.accounts import jwks
from app.accounts.jwks import BODY_MAX, BadKeySet, JwksCache, fetch, read_key, read_keys
from tests.issuer import Issuer, ec_key, eventually, number, rsa_key

ROOT = Path(__file__).resolve().parents[3]
RSA, EC = rsa_key("rsa-1"), ec_key("ec-1")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with Issuer(RSA, EC) as running:
        yield running


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The cache's monotonic clock."""
    now = [1000.0]
    monkeypatch.setattr(jwks, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jwks, "RETRY_FIRST_S", 0.01)
    monkeypatch.setattr(jwks, "RETRY_LAST_S", 0.02)


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Issuer], JwksCache]]:
    """Makes started caches over gevent's sockets, as in a process that is patched."""
    monkeypatch.setattr("httpcore._backends.sync.socket", gevent.socket)
    made: list[JwksCache] = []

    def start(issuer: Issuer) -> JwksCache:
        cache = JwksCache(issuer.jwks_url)
        made.append(cache)
        cache.start()
        return cache

    yield start
    gevent.killall([cache._fetcher for cache in made])


def loaded(cache: JwksCache, *kids: str) -> None:
    eventually(lambda: cache.keys is not None and set(cache.keys) == set(kids), f"keys {kids}")


def requested(issuer: Issuer, times: int) -> bool:
    return len(issuer.requests) == times


def document(*entries: Any) -> bytes:
    return json.dumps({"keys": entries}).encode()


def test_rsa_and_p256_keys_are_read_with_the_one_algorithm_each_proves() -> None:
    keys = read_keys(document(RSA.jwk(), EC.jwk()))
    assert {kid: key.algorithm for kid, key in keys.items()} == {"rsa-1": "RS256", "ec-1": "ES256"}
    assert keys["rsa-1"].public == RSA.private.public_key()
    assert keys["ec-1"].public == EC.private.public_key()


def test_use_alg_and_key_ops_may_be_left_out() -> None:
    bare = {name: value for name, value in RSA.jwk().items() if name not in ("use", "alg")}
    assert read_key(bare) is not None
    assert read_key(RSA.jwk(key_ops=["verify"])) is not None


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param(RSA.jwk(use="enc"), id="for encryption"),
        pytest.param(RSA.jwk(key_ops=["encrypt"]), id="not for verifying"),
        pytest.param(RSA.jwk(key_ops=7), id="key_ops no list"),
        pytest.param(RSA.jwk(alg="RS512"), id="another algorithm"),
        pytest.param(EC.jwk(alg="RS256"), id="an algorithm of another type"),
        pytest.param(rsa_key("weak", 1024).jwk(), id="1024 bits"),
        pytest.param(RSA.jwk(n=number((1 << 9000) + 1)), id="9001 bits"),
        pytest.param(RSA.jwk(e=number(1)), id="exponent one"),
        pytest.param(ec_key("p384", ec.SECP384R1).jwk(alg="ES256"), id="P-384"),
        pytest.param(EC.jwk(crv="P-384"), id="a curve it is not on"),
        pytest.param(EC.jwk(x=number(1, 32)), id="a point beside the curve"),
        pytest.param(RSA.jwk(d="AQAB"), id="a published private key"),
        pytest.param({"kty": "oct", "kid": "hs", "k": "c2VjcmV0", "alg": "HS256"}, id="symmetric"),
        pytest.param({**RSA.jwk(), "kid": None}, id="no kid"),
        pytest.param({**RSA.jwk(), "kid": 7}, id="a number for a kid"),
        pytest.param({**RSA.jwk(), "n": 7}, id="a number for n"),
        pytest.param({**RSA.jwk(), "n": "é"}, id="n not base64"),
        pytest.param({"kty": "RSA", "kid": "x"}, id="no n"),
        pytest.param("text", id="no object"),
        pytest.param(None, id="null"),
    ],
)
def test_a_bad_entry_is_skipped_and_the_others_stay(entry: Any) -> None:
    assert read_key(entry) is None
    good = rsa_key("good").jwk()
    assert set(read_keys(document(entry, good))) == {"good"}


def test_the_first_of_two_keys_with_one_kid_counts() -> None:
    other = rsa_key("other").jwk(kid=RSA.kid)
    assert read_keys(document(RSA.jwk(), other))["rsa-1"].public == RSA.private.public_key()


@pytest.mark.parametrize(
    "body",
    [
        b"", b"<html>", b"null", b"[]", b"{}", b'{"keys": {}}', b'{"keys": null}', b'{"keys": []}',
        b"[" * 100_000, b"\xff\xfe", document(rsa_key("weak", 1024).jwk()),
    ],
    ids=range(11),
)  # fmt: skip
def test_what_is_no_usable_set_is_refused_as_a_whole(body: bytes) -> None:
    with pytest.raises(BadKeySet):
        read_keys(body)


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.sampled_from([*RSA.jwk(), *EC.jwk(), "key_ops", "d"]), JSON), JSON)
def test_no_entry_upsets_the_reader(fields: dict[str, Any], other: Any) -> None:
    for entry in ({**RSA.jwk(), **fields}, {**EC.jwk(), **fields}, other):
        read_key(entry)


@given(st.binary(max_size=200))
def test_no_body_upsets_the_reader(body: bytes) -> None:
    with pytest.raises(BadKeySet):
        read_keys(body)


def test_a_set_of_the_greatest_size_is_taken_and_a_greater_one_refused(issuer: Issuer) -> None:
    good = issuer.jwks()
    issuer.body = good.ljust(BODY_MAX)
    assert set(read_keys(fetch(issuer.jwks_url))) == {"rsa-1", "ec-1"}
    issuer.body = good.ljust(BODY_MAX + 1)
    with pytest.raises(BadKeySet, match="bytes"):
        fetch(issuer.jwks_url)


def test_a_compressed_set_is_not_unfolded(issuer: Issuer) -> None:
    issuer.body = gzip.compress(issuer.jwks())
    issuer.headers = {"Content-Encoding": "gzip"}
    assert fetch(issuer.jwks_url) == issuer.body


def test_a_redirect_is_not_followed(issuer: Issuer) -> None:
    with Issuer(rsa_key("other")) as other:
        issuer.status, issuer.headers = 302, {"Location": other.jwks_url}
        with pytest.raises(BadKeySet, match="302"):
            fetch(issuer.jwks_url)
        assert other.requests == []


def test_no_proxy_of_the_environment_is_asked(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Issuer(rsa_key("other")) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("ALL_PROXY", proxy.url)
        assert fetch(issuer.jwks_url) == issuer.jwks()
        assert proxy.requests == []


def test_it_fetches_in_the_background_and_starting_again_adds_nothing(
    issuer: Issuer, make: Callable[[Issuer], JwksCache]
) -> None:
    issuer.open.clear()
    cache = make(issuer)
    assert cache.keys is None
    assert issuer.requests == []
    eventually(lambda: issuer.requests, "a request")
    first = cache._fetcher
    cache.start()
    assert cache._fetcher is first
    issuer.open.set()
    loaded(cache, "rsa-1", "ec-1")
    cache.start()
    gevent.sleep(0.05)
    assert len(issuer.requests) == 1


def test_a_slow_issuer_is_given_up_and_asked_again(
    issuer: Issuer,
    make: Callable[[Issuer], JwksCache],
    impatient: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(jwks, "STEP_TIMEOUT_S", 60.0)
    monkeypatch.setattr(jwks, "FETCH_TIMEOUT_S", 0.05)
    issuer.open.clear()
    cache = make(issuer)
    eventually(lambda: len(issuer.requests) >= 2, "a second request")
    monkeypatch.setattr(jwks, "FETCH_TIMEOUT_S", 5.0)
    issuer.open.set()
    loaded(cache, "rsa-1", "ec-1")


def test_an_old_set_is_fetched_anew_and_so_a_rotation_seen(
    issuer: Issuer, make: Callable[[Issuer], JwksCache], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jwks, "TTL_S", 0.05)
    cache = make(issuer)
    loaded(cache, "rsa-1", "ec-1")
    issuer.rotate(rsa_key("rsa-2"))
    loaded(cache, "rsa-2")


@pytest.mark.parametrize(
    ("status", "body"),
    [(500, None), (404, None), (204, b""), (200, b"broken"), (200, b'{"keys": []}')],
)
def test_a_broken_issuer_keeps_the_last_good_set_and_is_asked_again(
    issuer: Issuer,
    make: Callable[[Issuer], JwksCache],
    impatient: None,
    status: int,
    body: bytes | None,
) -> None:
    cache = make(issuer)
    loaded(cache, "rsa-1", "ec-1")
    issuer.status, issuer.body = status, body
    cache.ask()
    eventually(lambda: len(issuer.requests) >= 3, "more requests")
    assert set(cache.keys or ()) == {"rsa-1", "ec-1"}
    issuer.status = 200
    issuer.rotate(rsa_key("rsa-2"))
    loaded(cache, "rsa-2")


def test_an_issuer_that_is_down_keeps_the_last_good_set_until_it_is_back(
    issuer: Issuer,
    make: Callable[[Issuer], JwksCache],
    impatient: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tries: list[str] = []

    def counted(url: str) -> bytes:
        tries.append(url)
        return fetch(url)

    monkeypatch.setattr(jwks, "fetch", counted)
    cache = make(issuer)
    loaded(cache, "rsa-1", "ec-1")
    issuer.down()
    cache.ask()
    eventually(lambda: len(tries) >= 3, "tries while it is down")
    assert set(cache.keys or ()) == {"rsa-1", "ec-1"}
    issuer.rotate(rsa_key("rsa-2"))
    issuer.up()
    loaded(cache, "rsa-2")


def test_errors_are_retried_ever_more_slowly_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """1, 2, 4 … 60 s; the first good answer begins anew."""
    waits: list[float] = []
    outcomes = iter([False] * 8 + [True, False])
    cache = JwksCache("http://127.0.0.1:1")
    cache._fetcher = gevent.getcurrent()

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 10:
            cache._fetcher = None

    monkeypatch.setattr(cache, "_refresh", lambda: next(outcomes))
    signal = SimpleNamespace(clear=lambda: None, wait=wait)
    monkeypatch.setattr(cache, "_signal", signal)
    cache._run()
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 600, 1]


def test_asking_is_heard_once_in_thirty_seconds(
    issuer: Issuer, make: Callable[[Issuer], JwksCache], clock: list[float]
) -> None:
    cache = make(issuer)
    loaded(cache, "rsa-1", "ec-1")
    for asked in (2, 3):
        cache.ask()
        eventually(partial(requested, issuer, asked), f"request {asked}")
        clock[0] += 29.9
        for _ in range(100):
            cache.ask()
        gevent.sleep(0.05)
        assert len(issuer.requests) == asked
        clock[0] += 0.2


def test_a_fetcher_that_died_is_started_anew(
    issuer: Issuer, make: Callable[[Issuer], JwksCache]
) -> None:
    cache = make(issuer)
    loaded(cache, "rsa-1", "ec-1")
    cache._fetcher.kill()
    issuer.rotate(rsa_key("rsa-2"))
    cache.start()
    loaded(cache, "rsa-2")


FORKED = """
from gevent import monkey
monkey.patch_all()
import os, sys, gevent
from app.accounts.jwks import JwksCache
cache = JwksCache(sys.argv[1])
cache.start()
while cache.keys is None:
    gevent.sleep(0.005)
before = cache.keys
pid = os.fork()
if pid == 0:
    with gevent.Timeout(10):
        for _ in range(2):
            cache.start()
        while cache.keys is before:
            gevent.sleep(0.005)
        gevent.sleep(0.1)
        os._exit(7)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


def test_a_forked_child_fetches_for_itself_once(issuer: Issuer) -> None:
    """Runs in a process that gevent has patched, as the web is."""
    begun = time.monotonic()
    command = [sys.executable, "-c", FORKED, issuer.jwks_url]
    done = subprocess.run(command, cwd=ROOT, timeout=30, capture_output=True, check=False)
    assert done.returncode == 7, done.stderr.decode()
    assert len(issuer.requests) == 2
    assert time.monotonic() - begun < 20
