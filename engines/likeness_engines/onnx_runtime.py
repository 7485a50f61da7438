"""ONNX Runtime without its telemetry: whoever needs the library takes `ort` from here.

Since 1.29 the library keeps an identifier in the user's cache folder and reports its use over the network, unless this
variable is set before it is loaded (microsoft/onnxruntime, pull request 27379).
"""

from __future__ import annotations

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime as ort

__all__ = ["ort"]
