"""Model packs, backends and the step-level renderer of Likeness; imports nothing of its other rooms."""

from likeness_engines.backends import BACKENDS, create_backend, create_compiler
from likeness_engines.backends.base import BackendOptions
from likeness_engines.engines import Engines, load_engines
from likeness_engines.errors import (
    BackendError,
    DeviceFullError,
    EngineError,
    ExportError,
    LoraError,
    PackError,
    RenderError,
    ScheduleError,
)
from likeness_engines.lora import Lora, LoraBank
from likeness_engines.lora_file import lora_rank, read_lora
from likeness_engines.pack import (
    BUNDLED_PACK,
    Family,
    ModelPack,
    PackFile,
    bundled_pack,
    installed_packs,
    open_pack,
    read_pack,
)
from likeness_engines.render import Outcome, Render
from likeness_engines.renderer import Renderer
from likeness_engines.schedule import Schedule, make_schedule

__all__ = [
    "BACKENDS",
    "BUNDLED_PACK",
    "BackendError",
    "BackendOptions",
    "DeviceFullError",
    "EngineError",
    "Engines",
    "ExportError",
    "Family",
    "Lora",
    "LoraBank",
    "LoraError",
    "ModelPack",
    "Outcome",
    "PackError",
    "PackFile",
    "Render",
    "RenderError",
    "Renderer",
    "Schedule",
    "ScheduleError",
    "bundled_pack",
    "create_backend",
    "create_compiler",
    "installed_packs",
    "load_engines",
    "lora_rank",
    "make_schedule",
    "open_pack",
    "read_lora",
    "read_pack",
]
