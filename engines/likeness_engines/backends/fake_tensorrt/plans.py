"""What a fake plan file holds, and how ONNX Runtime runs it."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import numpy as np

from likeness_engines.backends.fake_tensorrt.names import DataType, ILogger

TYPES: Final = {
    "tensor(float)": (DataType.FLOAT, np.float32),
    "tensor(float16)": (DataType.HALF, np.float16),
    "tensor(int64)": (DataType.INT64, np.int64),
}


class Plan(msgspec.Struct, frozen=True):
    """What a plan file holds: least, best and largest shape of each input."""

    version: str
    model: bytes
    ranges: dict[str, tuple[tuple[int, ...], ...]]


def complain(logger: ILogger, reason: str) -> None:
    """Log as TensorRT does; what failed answers None or False."""
    logger.log(ILogger.Severity.ERROR, f"Error Code 3: API Usage Error ({reason})")


def open_session(model: bytes) -> Any:
    """ONNX Runtime on one core."""
    from likeness_engines.onnx_runtime import ort  # noqa: PLC0415 - only when there is something to run

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def dims(node: Any) -> tuple[int, ...]:
    """A session's input or output as TensorRT tells its shape."""
    return tuple(size if isinstance(size, int) else -1 for size in node.shape)


def numpy_type(node: Any) -> np.dtype[Any]:
    """A session's input or output as NumPy tells its type."""
    return np.dtype(TYPES[node.type][1])
