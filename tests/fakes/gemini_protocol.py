"""The Gemini API's REST protocol without a server: what it refuses, and what it answers.

:mod:`tests.fakes.gemini_emulator` serves it. Everything here is a pure function of the request.
"""

import hashlib
import json
import math
import re
from collections import Counter
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

EMBEDDING_METHODS = ("embedContent", "batchEmbedContents")
EMBEDDING_MODELS = ("gemini-embedding-001",)
GENERATION_MODELS = ("gemini-2.5-flash-lite", "gemini-2.5-flash")
TASK_TYPES = {"RETRIEVAL_DOCUMENT", "RETRIEVAL_QUERY", "SEMANTIC_SIMILARITY"}
IMAGE_TYPES = {"image/png", "image/jpeg", "image/webp", "image/heic", "image/heif"}
REQUEST_FIELDS = {"model", "content", "taskType", "title", "outputDimensionality"}
MAX_TEXTS, MAX_TOKENS, FULL_DIMENSIONS = 100, 2048, 3072

STATUS_NAMES = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED"}
STATUS_NAMES |= {404: "NOT_FOUND", 408: "DEADLINE_EXCEEDED", 429: "RESOURCE_EXHAUSTED"}
STATUS_NAMES |= {500: "INTERNAL", 503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED"}

ROUTE = re.compile(r"/v1beta/models/([^/:]+):(\w+)")

TextRequest = tuple[str, str, int]  #: text, task type, dimensions


class Refusal(Exception):
    """An answer other than 200: a google.rpc.Status in JSON."""

    def __init__(self, code: int, message: str, *details: dict[str, Any]) -> None:
        super().__init__(message)
        self.code = code
        status = {"code": code, "message": message, "status": STATUS_NAMES.get(code, "UNKNOWN")}
        self.body = {"error": {**status, "details": list(details)} if details else status}


def text_hash(text: str) -> str:
    """The key of a text in the emulator's ``text_sha256``."""
    return hashlib.sha256(text.encode()).hexdigest()


def retry_info(seconds: float | None) -> list[dict[str, Any]]:
    """The details of a refusal that says when to come back; none for None."""
    if seconds is None:
        return []
    return [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{seconds:g}s"}]


def route(path: str, key: str | None, right_key: str) -> tuple[str, str]:
    """The model and the method of a call that may go on."""
    match = ROUTE.fullmatch(path)
    if not match:
        raise Refusal(404, "Not found.")
    if not key:
        raise Refusal(403, "Method doesn't allow unregistered callers.")
    if key != right_key:
        info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
        raise Refusal(400, "API key not valid. Please pass a valid API key.", info)
    model, method = match.groups()
    served: dict[str, tuple[str, ...]] = dict.fromkeys(EMBEDDING_METHODS, EMBEDDING_MODELS)
    served["generateContent"] = GENERATION_MODELS
    if model not in served.get(method, ()):
        raise Refusal(404, f"models/{model} is not found, or is not supported for {method}.")
    return model, method


def parse(raw: bytes) -> dict[str, Any]:
    """The body of a call. As in all protobuf JSON, mimeType and mime_type are the same field."""
    try:
        body = json.loads(raw, object_pairs_hook=_camel_keys)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise Refusal(400, "Invalid JSON payload received.")
    return body


def _camel_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return {re.sub("_([a-z])", lambda m: m[1].upper(), key): value for key, value in pairs}


def text_requests(
    model: str, method: str, body: dict[str, Any], reject_containing: str | None
) -> list[TextRequest]:
    """The texts of a call that embeds, each checked as the API checks it."""
    requests = [body] if method == "embedContent" else body.get("requests")
    if not isinstance(requests, list) or not requests:
        raise Refusal(400, "* BatchEmbedContentsRequest.requests: requests is not specified")
    if len(requests) > MAX_TEXTS:
        raise Refusal(
            400, "* BatchEmbedContentsRequest.requests: at most 100 requests can be in one batch"
        )
    return [_checked(model, each, n, reject_containing) for n, each in enumerate(requests)]


def _checked(model: str, request: Any, place: int, reject_containing: str | None) -> TextRequest:
    unknown = request.keys() - REQUEST_FIELDS
    if unknown:
        raise Refusal(400, f'Invalid JSON payload received. Unknown name "{min(unknown)}"')
    if request.get("model", f"models/{model}") != f"models/{model}":
        raise Refusal(400, f"* BatchEmbedContentsRequest.requests[{place}].model: does not match")
    text = "".join(texts(request.get("content")))
    task = request.get("taskType", "RETRIEVAL_DOCUMENT")
    size = request.get("outputDimensionality", FULL_DIMENSIONS)
    if task not in TASK_TYPES or not 1 <= size <= FULL_DIMENSIONS:
        raise Refusal(400, f"Invalid value at 'requests[{place}]'")
    marked = reject_containing is not None and reject_containing in text
    broken = any("\ud800" <= character <= "\udfff" for character in text)
    if not text or marked or broken or tokens(text) > MAX_TOKENS:
        path = f"requests[{place}].content"
        # The real API quotes content in places; the client must not pass that on.
        violation = {"field": path, "description": f"cannot be embedded: {text[:40]}"}
        raise Refusal(
            400,
            f"* BatchEmbedContentsRequest.{path}: cannot be embedded: {text[:40]}",
            {"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [violation]},
        )
    return text, task, size


def embed(text: str, task_type: str, dimensions: int) -> list[float]:
    """A bag of hashed words, far from unit length: texts that share words are similar.

    A little of the whole text and of the task type is mixed in, so that no two are equal.
    """
    total = 0.2 * _noise(f"text:{text}")[:dimensions]
    total += 0.1 * _word(f"task:{task_type}")[:dimensions]
    for word, times in Counter(re.findall(r"\w+", text.lower())).items():
        total += times * _word(word)[:dimensions].astype(np.float64)
    values: list[float] = np.round(total / 512, 4).tolist()
    return values


def _noise(seed: str) -> NDArray[np.int8]:
    return np.frombuffer(hashlib.shake_256(seed.encode()).digest(FULL_DIMENSIONS), dtype=np.int8)


_word = lru_cache(maxsize=50_000)(_noise)


def image_parts(contents: Any) -> list[dict[str, Any]]:
    """The images of a prompt, each checked."""
    images = [part["inlineData"] for part in _parts(contents) if "inlineData" in part]
    if not images and not any(texts(contents)):
        raise Refusal(400, "* GenerateContentRequest.contents: contents is not specified")
    for image in images:
        if image.get("mimeType") not in IMAGE_TYPES or not image.get("data"):
            raise Refusal(400, "Unable to process input image.")
    return images


def response_schema(body: dict[str, Any]) -> dict[str, Any] | None:
    """The schema of an answer that must be JSON; None for plain text."""
    config = body.get("generationConfig") or {}
    schema: dict[str, Any] | None = config.get("responseSchema")
    if schema is not None and config.get("responseMimeType") != "application/json":
        raise Refusal(400, "* GenerateContentRequest.generation_config: JSON mode is not enabled")
    return schema


def fitting(schema: dict[str, Any], text: str) -> Any:
    """The plainest value that fits a schema of this API; strings are ``text``."""
    kind = schema["type"].lower()
    if kind == "object":
        return {name: fitting(each, text) for name, each in schema["properties"].items()}
    return {"string": text, "boolean": True, "array": [], "integer": 1, "number": 1.0}[kind]


def generated(text: str) -> dict[str, Any]:
    """An answer with one candidate."""
    content = {"role": "model", "parts": [{"text": text}]}
    return {"candidates": [{"content": content, "finishReason": "STOP", "index": 0}]}


def blocked(where: str) -> dict[str, Any]:
    """A refusal for safety of the "prompt" (no candidate) or the "candidate" (without parts)."""
    if where == "prompt":
        return {"promptFeedback": {"blockReason": "SAFETY"}}
    return {"candidates": [{"finishReason": "SAFETY", "index": 0}]}


def _parts(contents: Any) -> list[dict[str, Any]]:
    contents = contents if isinstance(contents, list) else [contents]
    return [part for each in contents if isinstance(each, dict) for part in each.get("parts", [])]


def texts(contents: Any) -> list[str]:
    """The texts of one Content or of several."""
    return [part["text"] for part in _parts(contents) if "text" in part]


def tokens(text: str) -> int:
    """Google's rule of thumb: a token is about four characters."""
    return math.ceil(len(text) / 4)
