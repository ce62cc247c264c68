"""What a DOCX, PPTX or XLSX archive declares about itself, checked before anything is unpacked.

A zip bomb is a small archive whose members unpack to gigabytes. Of a member that declares less
than it holds, zipfile hands out no more than it declares, but may unpack all of it on the way:
there the child's ceiling on memory is the bound.
"""

import zipfile
from pathlib import Path

from docmill_ingest.limits import ExtractionLimits
from docmill_shared.errors import PermanentError
from docmill_shared.states import FailureReason

#: XML packs 10 to 30 times smaller, a sheet of equal rows 100 times, a bomb 1,000 times.
_MAX_RATIO = 250
#: Below this size a ratio says nothing: the archive is harmless anyway.
_HARMLESS_BYTES = 32 * 1024**2
_ENCRYPTED_FLAG = 0x1


def check(path: Path, limits: ExtractionLimits) -> list[str]:
    """The names of the archive's members.

    Raises PermanentError: TOO_LARGE for a bomb, ENCRYPTED, CORRUPT.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError) as error:
        raise PermanentError(
            FailureReason.CORRUPT,
            "The document is damaged; open it in its program, save it again and upload "
            "the new copy.",
        ) from error
    if any(member.flag_bits & _ENCRYPTED_FLAG for member in members):
        raise PermanentError(
            FailureReason.ENCRYPTED,
            "The document is encrypted; remove the protection and upload it again.",
        )
    unpacked = sum(member.file_size for member in members)
    packed = max(1, path.stat().st_size)
    if unpacked > limits.unpacked_bytes or (
        unpacked > _HARMLESS_BYTES and unpacked / packed > _MAX_RATIO
    ):
        raise PermanentError(
            FailureReason.TOO_LARGE,
            f"The document unpacks to {unpacked / 1024**2:,.0f} MB, which is more than docmill "
            "reads; split it, or remove what is not needed.",
        )
    return [member.filename for member in members]
