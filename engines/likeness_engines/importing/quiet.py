"""Importing without the libraries' own talk."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the libraries' own warnings and bars out of the progress; what matters is raised or reported here."""
    loggers = [logging.getLogger(library) for library in ("optimum", "torch.onnx", "diffusers.utils.import_utils")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from diffusers.utils import logging as diffusers  # noqa: PLC0415
        from transformers.utils import logging as transformers  # noqa: PLC0415

        before = [library.get_verbosity() for library in (diffusers, transformers)]
        for library in (diffusers, transformers):
            library.set_verbosity_error()
            library.disable_progress_bar()
        try:
            yield
        finally:
            for library, verbosity in zip((diffusers, transformers), before, strict=True):
                library.set_verbosity(verbosity)
                library.enable_progress_bar()
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
