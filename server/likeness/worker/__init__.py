"""The worker: takes generations from the queue and draws several at once, in one batch."""
