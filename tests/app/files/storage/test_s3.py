"""A bucket as a storage, at moto's server."""

from typing import Any

import pytest

from app.errors import NotFound, Unavailable
from app.files.storage.base import PIECE_BYTES, place_of
from app.files.storage.s3 import PART_BYTES, Bucket, bucket_of
from app.ids import new_id
from app.settings import Settings


def asked(bucket: Bucket) -> list[str]:
    """The names of the operations that the bucket's client is asked for from now on."""
    found: list[str] = []
    events: Any = bucket.client.meta.events
    events.register("before-call.s3", lambda model, **_: found.append(model.name))
    return found


def test_a_small_file_is_one_request_and_a_large_one_is_sent_in_parts(bucket: Bucket) -> None:
    calls = asked(bucket)
    small, large = bucket.writer(new_id("file")), bucket.writer(new_id("file"))
    small.write(b"moon")
    small.finish()
    assert calls == ["PutObject"]
    calls.clear()
    held = 0
    for _ in range(2 * PART_BYTES // PIECE_BYTES + 1):
        large.write(bytes(PIECE_BYTES))
        held = max(held, len(large._gathered))
    large.finish()
    parts = ["UploadPart"] * 3
    assert calls == ["CreateMultipartUpload", *parts, "CompleteMultipartUpload"]
    assert held < PART_BYTES


def test_keys_begin_with_the_prefix_of_the_settings(bucket: Bucket) -> None:
    writer = Bucket(bucket.client, bucket._name, "moon/").writer(key := new_id("file"))
    writer.finish()
    [found] = bucket.client.list_objects_v2(Bucket=bucket._name)["Contents"]
    assert found["Key"] == "moon/" + place_of(key)


def test_deleting_ends_uploads_that_never_ended_and_no_others(bucket: Bucket) -> None:
    keys = [new_id("file"), new_id("file")]
    for key in keys:
        bucket.writer(key).write(bytes(PART_BYTES))
    bucket.delete(keys[0])
    bucket.delete(keys[0])
    begun = bucket.client.list_multipart_uploads(Bucket=bucket._name)["Uploads"]
    assert [upload["Key"].rpartition("/")[2] for upload in begun] == [keys[1]]


def test_trouble_is_told(bucket: Bucket, s3_settings: dict[str, str]) -> None:
    key = new_id("file")
    with pytest.raises(NotFound, match="gone"):
        next(bucket.read(key))
    with pytest.raises(Unavailable, match="refuses: NoSuchBucket"):
        Bucket(bucket.client, "nobody-made-it", "").writer(key).finish()
    nowhere = {**s3_settings, "s3_endpoint": "http://127.0.0.1:1"}
    away = bucket_of(Settings.model_validate(nowhere))
    for attempt in (lambda: next(away.read(key)), lambda: away.delete(key)):
        with pytest.raises(Unavailable, match="does not answer"):
            attempt()
