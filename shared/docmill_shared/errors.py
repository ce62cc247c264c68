"""What can go wrong, by who must act.

A :class:`PermanentError` fails the file at once, with a reason and a sentence for its owner.
A :class:`TransientError` is retried later. Anything else that is raised is a bug and is loud.
"""

from docmill_shared.states import FailureReason


class DocmillError(Exception):
    """The root of every error that docmill raises on purpose."""


class ConfigurationError(DocmillError):
    """A setting is missing or wrong; the message names the variable."""


class PermanentError(DocmillError):
    """Trying again cannot help: the file FAILED, with this reason and this sentence.

    ``detail`` is one sentence for the file's owner: what is wrong with the file and what to do.
    """

    def __init__(self, reason: FailureReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class TransientError(DocmillError):
    """Something outside was not there; trying again later can help."""


class RateLimited(TransientError):
    """A provider's quota is used up. Waiting for it is not an attempt.

    ``retry_after`` is the provider's wish in seconds, or None when it named none.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ProviderUnavailable(TransientError):
    """A provider did not answer, or answered 5xx or nonsense."""


class TextRejected(DocmillError):
    """A provider refuses one text of a batch for good (too long, blocked).

    ``index`` is its place in the batch, or None when the provider did not say which one.
    """

    def __init__(self, message: str, index: int | None = None) -> None:
        super().__init__(message)
        self.index = index


class ObjectMissing(DocmillError):
    """The object store holds no object under this key."""


class StorageUnavailable(TransientError):
    """The object store cannot be reached or answered 5xx."""


class LeaseLost(DocmillError):
    """This worker's claim on the file ended; it must stop and may write nothing."""
