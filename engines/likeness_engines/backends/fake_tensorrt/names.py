"""The fake's enumerations, with the numbers of TensorRT 11, and the bases of what is handed in."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

VERSION: Final = "11.4.0.106"


class ILogger:
    """Base of loggers."""

    class Severity(IntEnum):
        INTERNAL_ERROR = 0
        ERROR = 1
        WARNING = 2
        INFO = 3
        VERBOSE = 4

    def log(self, severity: Severity, msg: str) -> None:
        """To be overridden."""
        raise NotImplementedError


class IProgressMonitor:
    """Base of monitors."""

    def phase_start(self, phase_name: str, parent_phase: str, num_steps: int) -> None:
        """To be overridden."""
        raise NotImplementedError

    def step_complete(self, phase_name: str, step: int) -> bool:
        """To be overridden."""
        raise NotImplementedError

    def phase_finish(self, phase_name: str) -> None:
        """To be overridden."""
        raise NotImplementedError


class NetworkDefinitionCreationFlag(IntEnum):
    STRONGLY_TYPED = 0


class MemoryPoolType(IntEnum):
    WORKSPACE = 0


class BuilderFlag(IntEnum):
    TF32 = 6


class TensorIOMode(IntEnum):
    INPUT = 1
    OUTPUT = 2


class ExecutionContextAllocationStrategy(IntEnum):
    USER_MANAGED = 2


class DataType(IntEnum):
    FLOAT = 0
    HALF = 1
    INT64 = 8
