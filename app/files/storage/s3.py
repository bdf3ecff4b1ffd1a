"""Files in a bucket of Amazon S3, or of what speaks its protocol.

botocore speaks through Python's own sockets, so under gevent a call that waits lets others go on.
boto3's transfers are not used: they make threads, which gevent turns into greenlets that hang
(https://github.com/boto/boto3/issues/3141).
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any

from botocore.config import Config  # type: ignore[import-untyped]
from botocore.exceptions import (  # type: ignore[import-untyped]
    BotoCoreError,
    ClientError,
    HTTPClientError,
)
from botocore.session import Session  # type: ignore[import-untyped]

from app.errors import NotFound, Unavailable
from app.files.storage.base import PIECE_BYTES, Storage, Writer, place_of
from app.settings import Settings, secret

PART_BYTES = 5_242_880
"""The least that S3 takes as a part of an upload that is not its last, and so what is held of a
file that arrives
(https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html)."""

KEY_ID, SECRET = "MOONPOOL_S3_KEY_ID", "MOONPOOL_S3_SECRET"
CONNECT_S, READ_S = 5, 30
ATTEMPTS = 4
CONNECTIONS = 64
NONE_SUCH = {"NoSuchKey", "404"}


def bucket_of(settings: Settings) -> "Bucket":
    """The bucket of the settings. Without a key in MOONPOOL_S3_KEY_ID it is asked with what
    botocore finds: `AWS_…` variables, files in `~/.aws`, the role of the machine."""
    key_id, key = secret(KEY_ID), secret(SECRET)
    config = Config(
        connect_timeout=CONNECT_S,
        read_timeout=READ_S,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        max_pool_connections=CONNECTIONS,
        # What botocore would do otherwise since 1.36, many that are not Amazon do not understand
        # (https://github.com/boto/boto3/issues/4409).
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"addressing_style": "path" if settings.s3_endpoint else "auto"},
    )
    client = Session().create_client(
        "s3",
        region_name=settings.s3_region or None,
        endpoint_url=settings.s3_endpoint or None,
        aws_access_key_id=key_id or None,
        aws_secret_access_key=key or None,
        config=config,
    )
    return Bucket(client, settings.s3_bucket, settings.s3_prefix)


class Bucket(Storage):
    """A storage in the bucket `name`, under keys that begin with `prefix`."""

    def __init__(self, client: Any, name: str, prefix: str) -> None:
        self.client, self._name, self._prefix = client, name, prefix

    def writer(self, key: str) -> "PartsWriter":
        return PartsWriter(self.client, self._place(key))

    def read(self, key: str, start: int = 0) -> Iterator[bytes]:
        with _told():
            found = self.client.get_object(**self._place(key), Range=f"bytes={start}-")
            with closing(found["Body"]) as body:
                yield from body.iter_chunks(PIECE_BYTES)

    def delete(self, key: str) -> None:
        place = self._place(key)
        with _told():
            self._abort_uploads(place)
            self.client.delete_object(**place)

    def _abort_uploads(self, place: dict[str, str]) -> None:
        """Parts of an upload that never ended are in no list of objects, and paid for."""
        begun = self.client.list_multipart_uploads(Bucket=self._name, Prefix=place["Key"])
        for upload in begun.get("Uploads", ()):
            # Whoever else aborts it at once may have been first.
            with suppress(self.client.exceptions.NoSuchUpload):
                self.client.abort_multipart_upload(**place, UploadId=upload["UploadId"])

    def _place(self, key: str) -> dict[str, str]:
        return {"Bucket": self._name, "Key": self._prefix + place_of(key)}


class PartsWriter(Writer):
    """Sends a file as one object if it is small, else as the parts of an upload."""

    def __init__(self, client: Any, place: dict[str, str]) -> None:
        self._client, self._place = client, place
        self._gathered = bytearray()
        self._upload: dict[str, str] | None = None
        self._parts: list[dict[str, Any]] = []

    def write(self, piece: bytes) -> None:
        self._gathered += piece
        if len(self._gathered) >= PART_BYTES:
            with _told():
                self._send_part()

    def finish(self) -> None:
        with _told():
            if self._upload is None:
                self._client.put_object(**self._place, Body=bytes(self._gathered))
                return
            if self._gathered:
                self._send_part()
            self._client.complete_multipart_upload(
                **self._upload, MultipartUpload={"Parts": self._parts}
            )

    def abandon(self) -> None:
        self._gathered.clear()

    def _send_part(self) -> None:
        if self._upload is None:
            begun = self._client.create_multipart_upload(**self._place)
            self._upload = {**self._place, "UploadId": begun["UploadId"]}
        number = len(self._parts) + 1
        sent = self._client.upload_part(
            **self._upload, PartNumber=number, Body=bytes(self._gathered)
        )
        self._parts.append({"PartNumber": number, "ETag": sent["ETag"]})
        self._gathered.clear()


@contextmanager
def _told() -> Iterator[None]:
    """Tells botocore's errors as ours."""
    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if code in NONE_SUCH:
            raise NotFound("The content of this file is gone.") from error
        raise Unavailable(f"The storage of files refuses: {code}.", retry_after=30) from error
    except (BotoCoreError, HTTPClientError, OSError) as error:
        raise Unavailable("The storage of files does not answer.", retry_after=30) from error
