"""What can go wrong in the engines room.

EngineError
├── PackError          a model pack is missing, incomplete, damaged or of another format
├── ScheduleError      a scheduler or one of its options has no exact table
├── LoraError          a style's LoRA cannot be read or does not fit the pack
├── BackendError       a backend is not there, or cannot build, load or run a network
│   └── DeviceFullError    the device has no memory left for this batch; a smaller one may fit
├── RenderError        one render's inputs do not fit the pack
└── ExportError        a checkpoint cannot become a pack
"""


class EngineError(Exception):
    """Base of all; the text is for users: it names the thing and ends with the remedy."""


class PackError(EngineError):
    """A model pack cannot be used."""


class ScheduleError(EngineError):
    """A scheduler cannot be written as a table."""


class LoraError(EngineError):
    """A LoRA cannot be used."""


class BackendError(EngineError):
    """A backend failed."""


class DeviceFullError(BackendError):
    """Out of memory on the device."""


class RenderError(EngineError):
    """A render does not fit the pack; the others go on."""


class ExportError(EngineError):
    """An export failed."""
