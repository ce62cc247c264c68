"""What webhooks hear of, and the states of a delivery."""

from enum import StrEnum


class FileEvent(StrEnum):
    """What a webhook can be told of. The trigger ``tell_webhooks`` knows the same names."""

    COMPLETED = "file.completed"
    FAILED = "file.failed"
    DUPLICATE = "file.duplicate"
    DELETED = "file.deleted"


#: Sent on demand, whatever the webhook hears of otherwise.
TEST_EVENT = "webhook.test"


class DeliveryStatus(StrEnum):
    """How far a delivery is."""

    PENDING = "PENDING"  #: due now or later, or just being sent
    DELIVERED = "DELIVERED"  #: the target answered 2xx
    FAILED = "FAILED"  #: given up
