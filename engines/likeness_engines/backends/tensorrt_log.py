"""What TensorRT says while it works: errors for our exceptions, progress for the log."""

from __future__ import annotations

import logging
from collections import deque
from typing import Any, Final

from likeness_engines.backends.tensorrt_api import ILogger, IProgressMonitor
from likeness_engines.errors import BackendError, DeviceFullError

logger = logging.getLogger(__name__)
_KEPT: Final = 20
# TensorRT has no exception of its own for this: only its messages tell.
_FULL: Final = ("out of memory", "outofmemory", "could not be allocated", "failed to allocate")


class Messages:
    """The errors that TensorRT logged and nobody was told yet. It logs from any thread, and answers None or False."""

    def __init__(self) -> None:
        self._errors: deque[str] = deque(maxlen=_KEPT)

    def add(self, error: str) -> None:
        """Keep one."""
        self._errors.append(error)

    def forget(self) -> None:
        """Begin something new: what was said until now is not the reason if it fails."""
        self._errors.clear()

    def failure(self, problem: str, remedy: str) -> BackendError:
        """The exception for what just failed, DeviceFullError where memory was short; forgets the errors."""
        errors = list(self._errors)
        self.forget()
        text = f"{problem}: {errors[-1].strip().rstrip('.') if errors else 'it says no reason'}."
        if any(word in error.lower() for error in errors for word in _FULL):
            return DeviceFullError(f"{text} Build the engines for fewer rows, or stop what else uses the GPU.")
        return BackendError(f"{text} {remedy}")


def make_logger(trt: Any, messages: Messages) -> ILogger:
    """A logger to hand to TensorRT; it must outlive all that is made with it."""
    severity = trt.ILogger.Severity
    errors = (severity.INTERNAL_ERROR, severity.ERROR)

    class Log(trt.ILogger):  # type: ignore[misc] # only at run time is it known which TensorRT
        def __init__(self) -> None:
            trt.ILogger.__init__(self)  # its bindings want it called by name

        def log(self, severity: object, msg: str) -> None:
            if severity in errors:
                messages.add(msg)
                logger.error("TensorRT: %s", msg)
            elif severity == trt.ILogger.Severity.WARNING:
                logger.warning("TensorRT: %s", msg)

    log: ILogger = Log()
    return log


class Progress:
    """Logs each quarter of the outermost phases of one build. `cancelled` once the user has pressed Ctrl-C."""

    def __init__(self, network: str) -> None:
        self.cancelled = False
        self._network = network
        self._steps: dict[str, int] = {}

    def start(self, phase: str, parent: str | None, steps: int) -> None:
        """Begin a phase."""
        if not parent:
            self._steps[phase] = steps
            logger.info("%s: %s", self._network, phase)

    def step(self, phase: str, step: int) -> bool:
        """Note a step done; answers whether to go on."""
        total = self._steps.get(phase, 0)
        done, before = ((4 * each // total if total else 0) for each in (step + 1, step))
        if done != before:
            logger.info("%s: %s %d%%", self._network, phase, 25 * done)
        return not self.cancelled


def make_monitor(trt: Any, progress: Progress) -> IProgressMonitor:
    """A monitor to hand to TensorRT; it must outlive the build."""

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc] # only at run time is it known which TensorRT
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)  # its bindings want it called by name

        def phase_start(self, phase_name: str, parent_phase: str, num_steps: int) -> None:
            progress.start(phase_name, parent_phase, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            try:
                return progress.step(phase_name, step)
            except KeyboardInterrupt:  # it must not cross TensorRT's frames: the build ends, then it is raised again
                progress.cancelled = True
                return False

        def phase_finish(self, phase_name: str) -> None:
            """Said by the steps."""

    monitor: IProgressMonitor = Monitor()
    return monitor
