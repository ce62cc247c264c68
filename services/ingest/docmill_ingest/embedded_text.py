"""What is sent to the embedding model for a passage: its context, then its text.

The title and the headings tell the model what a passage is about that does not say so itself
("It must be replaced every two years."). They are not part of the text that is stored and shown.
"""

from functools import lru_cache
from pathlib import PurePath

import tiktoken

#: Title and headings are cut to this many tokens, so that they cannot crowd out the text.
PREFIX_TOKENS = 200


@lru_cache(maxsize=256)
def prefix(
    file_name: str, heading_path: tuple[str, ...], encoding: tiktoken.Encoding
) -> tuple[str, int]:
    """The context of a passage on one line, and its tokens: at most :data:`PREFIX_TOKENS`."""
    title = PurePath(file_name).stem.replace("_", " ").replace("-", " ")
    line = " > ".join((title, *heading_path))
    tokens = encoding.encode_ordinary(line)
    if len(tokens) > PREFIX_TOKENS:
        tokens = tokens[:PREFIX_TOKENS]
        line = encoding.decode(tokens, errors="ignore")
    return line, len(tokens)
