"""A client of docmill: upload files, search their passages, follow what happens.

    with Client("https://docmill.example", token="dmk_...") as client:
        file = client.upload("report.pdf")
        for passage in client.search("how long does the battery last?").passages:
            print(passage.file_name, passage.page_start, passage.text)
        print(client.chat("how long does the battery last?").answer)

Whatever goes wrong is a :class:`DocmillError`, whose text is a sentence for a person.
"""

from docmill_client.answers import (
    FINAL,
    Chunk,
    Citation,
    Event,
    File,
    Found,
    Json,
    Message,
    Notice,
    Passage,
    Reply,
)
from docmill_client.client import Client
from docmill_client.errors import (
    ApiError,
    Conflict,
    DocmillError,
    DownloadRefused,
    FileChanged,
    Forbidden,
    InvalidRequest,
    NotDocmill,
    NotFound,
    RateLimited,
    ServerFault,
    TimedOut,
    Unauthorized,
    Unavailable,
    Unreachable,
    UploadRefused,
    WaitedTooLong,
    WebhookRejected,
)
from docmill_client.uploads import OnProgress, Uploaded
from docmill_client.waiting import OnLook
from docmill_client.webhooks import verify_webhook

__all__ = [
    "FINAL",
    "ApiError",
    "Chunk",
    "Citation",
    "Client",
    "Conflict",
    "DocmillError",
    "DownloadRefused",
    "Event",
    "File",
    "FileChanged",
    "Forbidden",
    "Found",
    "InvalidRequest",
    "Json",
    "Message",
    "NotDocmill",
    "NotFound",
    "Notice",
    "OnLook",
    "OnProgress",
    "Passage",
    "RateLimited",
    "Reply",
    "ServerFault",
    "TimedOut",
    "Unauthorized",
    "Unavailable",
    "Unreachable",
    "UploadRefused",
    "Uploaded",
    "WaitedTooLong",
    "WebhookRejected",
    "verify_webhook",
]
