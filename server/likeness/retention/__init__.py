"""The promise: what is past its deadline is unreadable, gone, and signed for."""

from likeness.retention.erase import (
    erase_account,
    erase_avatars,
    erase_discarded,
    erase_object,
    erase_photos,
    erase_upload,
    sign_deletion,
)
from likeness.retention.sweeper import Sweeper, sweep

__all__ = [
    "Sweeper",
    "erase_account",
    "erase_avatars",
    "erase_discarded",
    "erase_object",
    "erase_photos",
    "erase_upload",
    "sign_deletion",
    "sweep",
]
