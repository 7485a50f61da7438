"""A checkpoint becomes a model pack: `likeness packs import`. Without the `export` extra this can be imported, and says
what is missing when it is called.
"""

from likeness_engines.importing.compare import ErrorTable, OutputError, read_errors
from likeness_engines.importing.request import ImportRequest
from likeness_engines.importing.sealing import seal_pack
from likeness_engines.importing.stages import import_checkpoint

__all__ = ["ErrorTable", "ImportRequest", "OutputError", "import_checkpoint", "read_errors", "seal_pack"]
