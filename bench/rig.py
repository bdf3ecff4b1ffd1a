"""What is measured: the mock provider, and Moonpool in front of it with data of its own."""

import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from app.accounts.store import create_key
from app.accounts.tenants import create_tenant
from app.db.connect import connect
from app.ledger.store import add_credit
from app.money import NANOS
from app.settings import Settings, child_environment
from app.stack.child import Child
from app.stack.client import readiness
from app.stack.program import Program
from app.stack.record import read_record
from app.stack.up import PROCFILE
from bench.processes import Roles
from bench.running import BenchError, running

BENCH = Path(__file__).resolve().parent
GUNICORN = BENCH.parent / "deploy" / "gunicorn.py"
UP = (sys.executable, "-m", "app.cli.main", "up", "--no-greeting")
UPSTREAM_S = 20.0
START_S = 180.0
STOP_S = 45.0
CREDIT = 1_000_000 * NANOS

LINE = f"web: gunicorn -c {GUNICORN}\nworker_interactive: moonpool worker interactive\n"
LINE_AND_FLOWER = LINE + "flower: moonpool flower\n"
WHOLE = PROCFILE.read_text().replace("deploy/gunicorn.py", str(GUNICORN))

CATALOGUE = """\
providers:
  mock: {{kind: openai, base_url: "{url}/v1"}}
models:
  mock:
    owned_by: bench
    price: {{input: 0.15, output: 0.60}}
    max_output: 1024
    routes: [{{provider: mock, model: mock}}]
"""


@dataclass(frozen=True, slots=True)
class Target:
    """Something that answers chat completions at `url`, and the processes that it consists of."""

    name: str
    url: str
    key: str = field(repr=False)
    roles: Roles


@dataclass(frozen=True, slots=True)
class Provider:
    """The mock provider while it runs."""

    base: str
    pid: int

    def pace(self, ttft_ms: float, itl_ms: float, chunks: int) -> None:
        """Sets the pace of the answers to later requests."""
        pace = {"ttft_ms": ttft_ms, "itl_ms": itl_ms, "chunks": chunks}
        httpx.post(f"{self.base}/_config", json=pace, trust_env=False).raise_for_status()

    def streams(self) -> int:
        """How many streams have been asked for since the start."""
        return int(httpx.get(f"{self.base}/_stats", trust_env=False).json()["streams"])

    @property
    def target(self) -> Target:
        """The provider called directly."""
        return Target("direct", f"{self.base}/v1/chat/completions", "sk-bench", {})


def free_port() -> int:
    """A port that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(url: str, key: str = "") -> bool:
    """Whether a GET on `url` is answered with 200."""
    try:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        return httpx.get(url, headers=headers, trust_env=False, timeout=3).status_code == 200
    except httpx.HTTPError:
        return False


@contextmanager
def provider(folder: Path) -> Iterator[Provider]:
    """The mock provider on a free port."""
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    argv = [sys.executable, str(BENCH / "upstream.py"), "--port", str(port)]
    program = Program("upstream", argv, child_environment(), folder, log=folder / "upstream.log")
    with running(program, lambda _: answers(f"{base}/v1/models"), UPSTREAM_S) as child:
        yield Provider(base, child.pid or 0)


@contextmanager
def moonpool(
    name: str, folder: Path, upstream: Provider, *, processes: str = LINE, events: bool = True,
    catalogue: str = CATALOGUE, **more: str,
) -> Iterator[Target]:  # fmt: skip
    """A stack of its own in `folder`, with embedded Postgres and Redis, whose one model `mock` is
    the mock provider, and a tenant with a key and a million dollars. `processes` is a Procfile;
    `more` is put into its environment. Raises BenchError if it does not start."""
    folder.mkdir()
    (folder / "catalogue.yaml").write_text(catalogue.format(url=upstream.base))
    (folder / "Procfile").write_text(processes)
    now = Settings(data_dir=folder / "data", port=free_port(), database_url="", redis_url="")
    program = Program(
        name,
        [*UP, "--procfile", str(folder / "Procfile")],
        child_environment(
            MOONPOOL_DATA_DIR=str(now.home),
            MOONPOOL_PORT=str(now.port),
            MOONPOOL_CATALOGUE=str(folder / "catalogue.yaml"),
            MOONPOOL_TASK_EVENTS="all" if events else "none",
            MOONPOOL_DATABASE_URL="",
            MOONPOOL_REDIS_URL="",
            MOONPOOL_OLLAMA_URL="",
            **more,
        ),
        folder,
        log=folder / "up.log",
        stop=((signal.SIGTERM, STOP_S),),
    )
    with running(program, lambda child: _ready(child, now), START_S) as child:
        roles = _roles(child, now)
        url = f"{now.base_url}/chat/completions"
        yield Target(name, url, _fund(now), roles)
        if _roles(child, now) != roles:
            raise BenchError(f"{name}: a process died meanwhile; the figures are worth nothing")


def _ready(child: Child, now: Settings) -> bool:
    record = read_record(now.home)
    if record is None or record.pid != child.pid or not record.complete:
        return False
    return readiness(now.web_address)[0]


def _roles(child: Child, now: Settings) -> Roles:
    record = read_record(now.home)
    assert record is not None
    return {"supervisor": child.pid or 0} | {p.name: p.pid or 0 for p in record.processes}


def _fund(now: Settings) -> str:
    with connect(now.postgres, "bench") as connection, connection.transaction():
        tenant_id = create_tenant(connection, "bench")
        add_credit(connection, tenant_id, CREDIT, "bench credit")
        return create_key(connection, tenant_id, "bench").key
