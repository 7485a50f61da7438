"""A fake of the module `tensorrt`, for tests: a plan is the ONNX model, and ONNX Runtime runs it on a CPU.

It has only the names that the backend uses, and answers as TensorRT does: None or False and a line in the log, not an
exception. It refuses what TensorRT would refuse: shapes outside the profile, addresses or memory not set, plans of
another version. Kernels read and write raw addresses. It says nothing about TensorRT's own kernels, types or speed.
"""

from likeness_engines.backends.fake_tensorrt.building import (
    Builder,
    IBuilderConfig,
    IHostMemory,
    INetworkDefinition,
    IOptimizationProfile,
    ITensor,
    ITimingCache,
    OnnxParser,
    ParserError,
)
from likeness_engines.backends.fake_tensorrt.names import (
    VERSION,
    BuilderFlag,
    DataType,
    ExecutionContextAllocationStrategy,
    ILogger,
    IProgressMonitor,
    MemoryPoolType,
    NetworkDefinitionCreationFlag,
    TensorIOMode,
)
from likeness_engines.backends.fake_tensorrt.running import ICudaEngine, IExecutionContext, Runtime

__version__ = VERSION
__all__ = [
    "Builder",
    "BuilderFlag",
    "DataType",
    "ExecutionContextAllocationStrategy",
    "IBuilderConfig",
    "ICudaEngine",
    "IExecutionContext",
    "IHostMemory",
    "ILogger",
    "INetworkDefinition",
    "IOptimizationProfile",
    "IProgressMonitor",
    "ITensor",
    "ITimingCache",
    "MemoryPoolType",
    "NetworkDefinitionCreationFlag",
    "OnnxParser",
    "ParserError",
    "Runtime",
    "TensorIOMode",
    "__version__",
]
