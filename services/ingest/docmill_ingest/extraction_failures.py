"""How an extraction can end badly, in the words that a file's owner reads.

Used by :mod:`extraction`; what a parser itself finds wrong is worded where it is found.
"""

import signal

from docmill_ingest.child_process import ChildGone, ChildProcess
from docmill_ingest.limits import ExtractionLimits
from docmill_shared.errors import DocmillError, PermanentError, TransientError
from docmill_shared.states import FailureReason

#: The exit status of a child that found no memory even to say so.
EXIT_OUT_OF_MEMORY = 71
#: A child that dies with this share of its memory used died of that: native libraries abort, or
#: follow a null pointer, when an allocation fails.
_NEAR_CAP = 0.6
#: One that aborts, as native libraries do on purpose, died of it from this share on: an array that
#: doubles asks for twice what it has while it still has that.
_NEAR_CAP_OF_ABORT = 0.3
_CRASHES = frozenset(
    {
        -signal.SIGSEGV,
        -signal.SIGABRT,
        -signal.SIGBUS,
        -signal.SIGILL,
        -signal.SIGFPE,
        -signal.SIGTRAP,
        -signal.SIGSYS,
    }
)
_MEMORY_WORDS = ("bad_alloc", "MemoryError", "out of memory")


def of_a_child(
    gone: ChildGone, child: ChildProcess, base: int, limits: ExtractionLimits
) -> DocmillError:
    """Why a child ended in the middle of a file; ``base`` is its address space before the file."""
    share = _NEAR_CAP_OF_ABORT if gone.returncode == -signal.SIGABRT else _NEAR_CAP
    near_cap = (
        child.peak_address_space - base > limits.memory_bytes * share
        or child.peak_resident > limits.memory_bytes * _NEAR_CAP
    )
    if gone.returncode == -signal.SIGXCPU:
        return too_slow(limits)
    if gone.returncode == EXIT_OUT_OF_MEMORY or (
        gone.returncode in _CRASHES | {-signal.SIGKILL}
        and (near_cap or any(word in gone.last_words for word in _MEMORY_WORDS))
    ):
        return too_much_memory(limits)
    if gone.returncode in {-signal.SIGKILL, -signal.SIGTERM}:
        # Nothing of ours: the machine is short of memory through others, or is going down.
        return TransientError("the extraction child was killed from outside")
    return PermanentError(
        FailureReason.CORRUPT,
        "The parser crashed on this file; it is probably damaged. Open it in its program, "
        "save it again and upload the new copy.",
    )


def in_a_word(error: BaseException | None) -> str:
    """Why a child ended with a file, for a metric's label: the file's failure or one of three."""
    match error:
        case None:
            return "recycled"
        case PermanentError():
            return str(error.reason)
        case TransientError():
            return "killed_from_outside"
        case _:  # the lease is lost, the worker ends, or a later stage failed
            return "stopped"


def of_a_lie() -> PermanentError:
    """The child said what no parser says."""
    return PermanentError(
        FailureReason.CORRUPT,
        "Reading this file confused its parser; it is damaged or was made to harm.",
    )


def too_slow(limits: ExtractionLimits) -> PermanentError:
    """The deadline passed."""
    return PermanentError(
        FailureReason.EXTRACTION_TIMEOUT,
        f"Reading this file took longer than {limits.seconds:,.0f} seconds; "
        "it is very large or damaged. Split it, or save it again.",
    )


def too_much_memory(limits: ExtractionLimits) -> PermanentError:
    """The cap on memory was reached."""
    return PermanentError(
        FailureReason.EXTRACTION_MEMORY,
        f"Reading this file takes more than {limits.memory_bytes / 1024**2:,.0f} MB of memory; "
        "split it.",
    )


def too_much_text(limits: ExtractionLimits) -> PermanentError:
    """The file holds more text than anybody wrote."""
    return PermanentError(
        FailureReason.TOO_LARGE,
        f"This file holds more than {limits.characters / 1e6:,.0f} million characters of text; "
        "split it.",
    )
