"""Model packs, backends and the step-level renderer of Likeness; imports nothing of its other rooms."""

from likeness_engines.backends import BACKENDS, create_backend
from likeness_engines.engines import Engines, load_engines
from likeness_engines.errors import BackendError, EngineError, ExportError, PackError, RenderError, ScheduleError
from likeness_engines.lora import LoraBank
from likeness_engines.pack import ModelPack, PackFile, bundled_pack, installed_packs, open_pack
from likeness_engines.renderer import Outcome, Render, Renderer
from likeness_engines.schedule import Schedule, make_schedule

__all__ = [
    "BACKENDS",
    "BackendError",
    "EngineError",
    "Engines",
    "ExportError",
    "LoraBank",
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
    "installed_packs",
    "load_engines",
    "make_schedule",
    "open_pack",
]
