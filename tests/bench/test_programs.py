"""The programs as a user starts them: the load client against the mock provider, and the helps."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from bench.processes import cpu_seconds, families
from bench.rig import Provider, provider
from bench.tables import place

ROOT = Path(__file__).resolve().parents[2]
PLACES = (
    "machine", "throughput", "cpu", "ttft", "memory", "peers", "batch", "batch memory",
    "batch beside",
)  # fmt: skip


def output(*argv: str) -> str:
    """What a Python program prints that is started in another folder than the project's."""
    command = [sys.executable, *argv]
    return subprocess.run(command, cwd="/", capture_output=True, text=True, check=True).stdout


def load(upstream: Provider, *more: str) -> dict[str, Any]:
    path = str(ROOT / "bench" / "load.py")
    args = ("-c", "4", "-d", "20", "-w", "0", "-n", "40", *more)
    found: dict[str, Any] = json.loads(output(path, upstream.target.url, *args))
    return found


@pytest.fixture(scope="module")
def upstream(servers_folder: Path) -> Iterator[Provider]:
    with provider(servers_folder) as running:
        yield running


def test_whole_answers_are_counted(upstream: Provider) -> None:
    found = load(upstream)
    assert found["total"] >= 40
    assert found["errors"] == {}
    assert found["p50_ms"] <= found["p99_ms"]


def test_streams_carry_their_pace(upstream: Provider) -> None:
    before = upstream.streams()
    upstream.pace(30, 1, 8)
    try:
        found = load(upstream, "--stream", "--expect", "8")
    finally:
        upstream.pace(0, 0, 32)
    assert found["errors"] == {}
    assert found["ttft_p50_ms"] > 29
    assert found["p50_ms"] >= found["ttft_p50_ms"] + 7
    assert found["events"] == found["total"] * (1 + 8 + 1 + 1 + 1)
    assert upstream.streams() - before == found["total"]


def test_a_short_stream_is_an_error(upstream: Provider) -> None:
    found = load(upstream, "--stream", "--expect", "33")
    assert found["errors"] == {"content deltas 32 != 33": found["total"]}
    assert found["n"] == 0


def test_another_status_is_an_error(upstream: Provider) -> None:
    assert set(load(upstream, "--body", "{")["errors"]) == {"status 400"}


def test_a_chunked_request_is_read_whole(upstream: Provider) -> None:
    parts = iter([b'{"model":"a', b'b","stream":false}'])
    answer = httpx.post(upstream.target.url, content=parts, trust_env=False).json()
    assert answer["model"] == "ab"
    assert answer["usage"]["total_tokens"] == 21 + 32


def test_a_role_ends_where_another_begins() -> None:
    """The CPU of a child that has ended stays with its parent."""
    burn = "import time\nwhile time.process_time() < 0.2: pass"
    code = (
        "import subprocess, sys\n"
        f"subprocess.run([sys.executable, '-c', {burn!r}])\n"
        "other = subprocess.Popen(['cat'], stdin=subprocess.PIPE)\n"
        "print(other.pid, flush=True)\n"
        "input()\n"
    )
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe) as parent:
        assert parent.stdout is not None
        other = int(parent.stdout.readline())
        found = families({"parent": parent.pid, "other": other})
        assert {role: [p.pid for p in all_of] for role, all_of in found.items()} == {
            "parent": [parent.pid],
            "other": [other],
        }
        assert [p.pid for p in families({"parent": parent.pid})["parent"]] == [parent.pid, other]
        used = cpu_seconds({"parent": parent.pid, "other": other})
        assert used["parent"] >= 0.2 > used["other"]
        parent.communicate(b"\n")


@pytest.mark.parametrize("name", ["run", "peers", "batch", "load", "upstream"])
def test_each_program_runs_as_a_file(name: str) -> None:
    assert "--" in output(str(ROOT / "bench" / f"{name}.py"), "--help")


def test_the_page_has_a_place_for_each_table() -> None:
    page = (ROOT / "docs" / "performance.md").read_text()
    for name in PLACES:
        assert f"<!-- begin {name} -->\nhere\n<!--" in place(page, name, "here")
