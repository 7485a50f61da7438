"""Telling plugins what was published, after the answer has gone and in a thread of its own: a plugin that hangs or
fails holds up nobody but other announcements.
"""

from __future__ import annotations

import queue
import threading

from likeness_plugins import Catalogue, Publication


class Announcer:
    """Calls `likeness_avatar_published` in order; what is still waiting when the server ends is not called."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._waiting: queue.SimpleQueue[Publication] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="announcer", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def announce(self, publication: Publication) -> None:
        """Tell the plugins soon."""
        self._waiting.put(publication)

    def _run(self) -> None:
        while True:
            self._catalogue.avatar_published(self._waiting.get())
