"""The loop that everybody writes first: ``dramatiq tests.chaos.naive_worker``.

A faithful copy, in Python, of the ingestion worker that docmill's seed documents: the file whole
in memory, one embedding call per chunk, one INSERT each, COMPLETED at the end, FAILED in the catch
block, retries left to the queue; on Dramatiq's own Redis broker with its own defaults. It is kept
to show what the chaos suite finds. Not an example.
"""

import hashlib
import json
import os
import urllib.request
from typing import Any
from uuid import uuid4

import dramatiq
import psycopg
from dramatiq.brokers.redis import RedisBroker
from minio import Minio
from minio.error import S3Error

from tests.chaos.naive_text import extract, split

broker = RedisBroker(url=os.environ["REDIS_URL"])  # type: ignore[no-untyped-call]
dramatiq.set_broker(broker)

s3 = Minio(
    os.environ["S3_ENDPOINT"].removeprefix("http://"),
    access_key=os.environ["S3_ACCESS_KEY"],
    secret_key=os.environ["S3_SECRET_KEY"],
    region=os.environ["S3_REGION"],
    secure=False,
)
BUCKET = os.environ["S3_BUCKET"]
DATABASE = os.environ["DATABASE_URL"].replace("+psycopg", "")
MODEL = "gemini-embedding-001"


@dramatiq.actor
def ingest(file_id: str) -> None:
    with psycopg.connect(DATABASE, autocommit=True) as database:
        file = database.execute(
            "select id, owner_id, object_key, media_type from files where id = %s", [file_id]
        ).fetchone()
        if file is None:
            return
        database.execute("update files set status = 'PROCESSING' where id = %s", [file_id])
        try:
            process(database, *file)
        except Exception:
            database.execute("update files set status = 'FAILED' where id = %s", [file_id])
            raise


def process(
    database: psycopg.Connection[Any], file_id: object, owner_id: object, key: str, media_type: str
) -> None:
    try:
        response = s3.get_object(BUCKET, key)
    except S3Error as error:
        if error.code == "NoSuchKey":
            database.execute("delete from files where id = %s", [file_id])
            return
        raise
    content = response.read()
    response.close()
    response.release_conn()

    sha256 = hashlib.sha256(content).digest()
    twin = database.execute(
        "select id from files where owner_id = %s and sha256 = %s and status = 'COMPLETED'"
        " and id <> %s",
        [owner_id, sha256, file_id],
    ).fetchone()
    if twin is not None:
        s3.remove_object(BUCKET, key)
        database.execute(
            "update files set status = 'DUPLICATE', duplicate_of = %s where id = %s",
            [twin[0], file_id],
        )
        return

    for ordinal, passage in enumerate(split(extract(content, media_type))):
        database.execute(
            "insert into chunks (id, file_id, owner_id, visibility, ordinal, text, token_count,"
            " heading_path, char_start, char_end, embedding)"
            " values (%s, %s, %s, 'private', %s, %s, 0, '{}', 0, 0, %s::halfvec)",
            [uuid4(), file_id, owner_id, ordinal, passage, str(embed(passage))],
        )
    database.execute(
        "update files set status = 'COMPLETED', sha256 = %s where id = %s", [sha256, file_id]
    )


def embed(text: str) -> list[float]:
    body = {
        "model": f"models/{MODEL}",
        "content": {"parts": [{"text": text}]},
        "taskType": "RETRIEVAL_DOCUMENT",
        "outputDimensionality": 768,
    }
    request = urllib.request.Request(
        f"{os.environ['GEMINI_BASE_URL']}/v1beta/models/{MODEL}:embedContent",
        data=json.dumps(body).encode(),
        headers={"x-goog-api-key": os.environ["GEMINI_API_KEY"]},
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        values: list[float] = json.load(response)["embedding"]["values"]
        return values
