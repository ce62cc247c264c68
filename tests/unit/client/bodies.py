"""What the api says of files."""

from tests.fakes.stub_api import Answer


def file_body(**changes: object) -> dict[str, object]:
    progress = {"pages_done": 0, "page_count": None, "chunks_done": 0, "chunk_count": None}
    nothing = dict.fromkeys(
        ("stage", "failure", "duplicate_of", "sha256", "queued_at", "finished_at")
    )
    named = {"id": "f1", "name": "a.bin", "media_type": "x/y", "size_bytes": 3}
    state = {"visibility": "private", "status": "QUEUED", "created_at": "2026-01-01T00:00:00Z"}
    return {**nothing, **named, **state, "progress": progress, **changes}


def listing(*files: dict[str, object], more: str | None = None) -> Answer:
    return 200, {"items": list(files), "next_cursor": more}


def citation_body(number: int = 1, **changes: object) -> dict[str, object]:
    """What a chat's answer rests on."""
    place = {"page_start": 5, "page_end": 6, "heading_path": ["4 Power", "4.1 Battery"]}
    file = {"id": "f1", "name": "handbook.pdf"}
    words = {"text": "Without sun it lasts ten days.", "quote": "it lasts ten days"}
    return {"number": number, "chunk_id": "c1", "file": file, **place, **words, **changes}


def chat_body(answer: str = "Ten days [1].", **changes: object) -> dict[str, object]:
    """What a model has answered."""
    said = {"answer": answer, "answered": True, "citations": [citation_body()]}
    return {**said, "model": "m-1", "notice": None, "degraded": False, "took_ms": 1.5, **changes}
