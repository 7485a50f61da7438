"""MediaPipe's face networks in ONNX Runtime; `server/face_networks/` says where they come from."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from likeness_engines.onnx_runtime import ort

# Both networks read uint8 pictures of this side, as float32 [1, SIDE, SIDE, 3].
SIDE: Final = 192
_FOLDER: Final = files("likeness.photos") / "networks"


def run_detector(rgb: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """For each of 2,304 anchors 16 numbers (centre, size, six keypoints; in pixels, relative to it) and a logit."""
    boxes, logits = _session("face_detector").run(None, {"input": rgb[None].astype(np.float32) / 127.5 - 1})
    return boxes[0], logits[0, :, 0]


def run_landmarks(rgb: NDArray[np.uint8]) -> tuple[NDArray[np.float32], float]:
    """The 468 points of a levelled face, float32 [468, 3] (x and y in pixels, z alike), and the presence's logit."""
    points, logit = _session("face_landmarks").run(None, {"input_1": rgb[None].astype(np.float32) / 255})
    return points.reshape(-1, 3), float(logit.item())


def load_networks() -> None:
    """Load all that a photo needs, for a process that may open no more files afterwards."""
    for name in ("face_detector", "face_landmarks"):
        _session(name)
    feature_templates()


@cache
def feature_templates() -> dict[str, NDArray[np.float32]]:
    """Mean pictures of eyes and mouths, float32 [n, h, w], as `canonical` crops of 192 pixels show them."""
    with (_FOLDER / "face_features.npz").open("rb") as file, np.load(file) as stored:
        return {name: stored[name].astype(np.float32) for name in stored.files}


@cache
def _session(name: str) -> Any:
    """Load once, on one thread: a call takes 5 ms, and a decoder process has little room for threads."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession((_FOLDER / f"{name}.onnx").read_bytes(), options, ["CPUExecutionProvider"])
