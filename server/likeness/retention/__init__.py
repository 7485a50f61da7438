"""The promise: what is past its deadline is unreadable, gone, and signed for."""

from likeness.retention.erase import (
    destroy_key,
    erase_account,
    erase_avatars,
    erase_discarded,
    erase_object,
    erase_photos,
    erase_upload,
    sign_deletion,
)
from likeness.retention.sweeper import Sweeper, destroy_due_keys, sweep

__all__ = [
    "Sweeper",
    "destroy_due_keys",
    "destroy_key",
    "erase_account",
    "erase_avatars",
    "erase_discarded",
    "erase_object",
    "erase_photos",
    "erase_upload",
    "sign_deletion",
    "sweep",
]
