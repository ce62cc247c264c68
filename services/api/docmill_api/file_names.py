"""Names of files, as clients give them: shown to people, never used as a path or a key."""

import unicodedata

LONGEST = 255

#: Characters that turn the direction of text, so that "exe.fdp" reads as "pdf.exe".
_BIDIRECTIONAL = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f")


def clean(name: str) -> str:
    """The name without the folders that some clients put before it, in Unicode's form C.

    Raises:
        ValueError: says what is wrong with it.
    """
    cleaned = unicodedata.normalize("NFC", name)
    cleaned = cleaned.replace("\\", "/").rpartition("/")[2].strip()
    if cleaned in {"", ".", ".."}:
        raise ValueError("must name a file")
    if len(cleaned) > LONGEST:
        raise ValueError(f"must have at most {LONGEST} characters")
    if any(_is_invisible(character) for character in cleaned):
        raise ValueError("must not contain control characters")
    return cleaned


def _is_invisible(character: str) -> bool:
    # Cc: controls; Cs: halves of a pair, which UTF-8 cannot carry; Zl, Zp: line separators.
    return (
        unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"} or character in _BIDIRECTIONAL
    )
