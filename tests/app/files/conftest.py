"""Files over a real database, in a directory and in the bucket of moto's server."""

from collections.abc import Callable, Iterator

import pytest
from moto.server import ThreadedMotoServer

from app.db.connect import Connection
from app.db.reads import Reads
from app.files.service import Files
from app.files.storage.s3 import Bucket, bucket_of
from app.ids import new_id
from app.settings import Settings
from tests.app.line import tenant


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The address of a server that speaks as S3 does."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3_settings(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Settings of a bucket that nobody has made yet."""
    monkeypatch.setenv("MOONPOOL_S3_KEY_ID", "moon")
    monkeypatch.setenv("MOONPOOL_S3_SECRET", "pool")
    return {
        "s3_bucket": new_id("b").replace("_", "-"),
        "s3_endpoint": s3_server,
        "s3_region": "us-east-1",
    }


@pytest.fixture
def bucket(s3_settings: dict[str, str]) -> Bucket:
    """An empty bucket."""
    made = bucket_of(Settings.model_validate(s3_settings))
    made.client.create_bucket(Bucket=s3_settings["s3_bucket"])
    return made


@pytest.fixture
def database(books: str) -> Iterator[Reads]:
    opened = Reads(books, "test")
    yield opened
    opened.close()


@pytest.fixture
def mine(connection: Connection) -> str:
    return tenant(connection)


@pytest.fixture
def files(database: Reads, line_settings: Callable[..., Settings]) -> Files:
    """Files in a directory."""
    return Files(database, line_settings())
