"""Names of files, as clients give them: shown to people, never used as a path or a key."""

import re
import unicodedata
from urllib.parse import quote

LONGEST = 255

#: Characters that turn the direction of text, so that "exe.fdp" reads as "pdf.exe".
_BIDIRECTIONAL = frozenset(
    "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
)
#: Invisible and without meaning in a name: two names that look the same should be the same.
_DROPPED = dict.fromkeys(map(ord, "\u00ad\u200b\u2060\ufeff"))
#: On Windows these are devices, whatever comes behind the first dot.
_DEVICE = re.compile(
    r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9\u00b9\u00b2\u00b3])[ .]*(\.|$)", re.IGNORECASE
)
#: What a quoted string in a header can hold and every file system can store.
_NOT_PLAIN = re.compile(r"[^ !#$&()+,\-.0-9;=@A-Z\[\]^_`a-z{}~]")


def clean(name: str) -> str:
    """The name without the folders that some clients put before it, in Unicode's form C.

    Nor does it end in dots or spaces, which Windows cannot store, and the name of a Windows device
    has an underscore before it.

    Raises:
        ValueError: says what is wrong with it.
    """
    cleaned = unicodedata.normalize("NFC", name.translate(_DROPPED))
    cleaned = cleaned.replace("\\", "/").rpartition("/")[2].strip()
    while cleaned.endswith((".", " ")):
        cleaned = cleaned[:-1].rstrip()
    if not cleaned:
        raise ValueError("must name a file")
    if _DEVICE.match(cleaned):
        cleaned = f"_{cleaned}"
    if len(cleaned) > LONGEST:
        raise ValueError(f"must have at most {LONGEST} characters")
    if any(_is_invisible(character) for character in cleaned):
        raise ValueError("must not contain control characters")
    return cleaned


def attachment(name: str) -> str:
    """The Content-Disposition under which a browser saves the file by this name (RFC 6266).

    The plain form is for clients that do not know the extended one.
    """
    letters = (c for c in unicodedata.normalize("NFKD", name) if not unicodedata.combining(c))
    plain = _NOT_PLAIN.sub("_", "".join(letters))
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def _is_invisible(character: str) -> bool:
    # Cc: controls; Cs: halves of a pair, which UTF-8 cannot carry; Zl, Zp: line separators.
    return (
        unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"} or character in _BIDIRECTIONAL
    )
