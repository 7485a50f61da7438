"""ONNX Runtime reports nothing to anybody, from no process of ours."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
ROOMS = ("server", "engines", "plugins", "styles")


def imports(path: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(path.read_text())))
    modules = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return modules | {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}


def test_one_module_alone_imports_the_library() -> None:
    importing = [path for room in ROOMS for path in (ROOT / room).rglob("*.py") if "onnxruntime" in imports(path)]
    assert [path.name for path in importing] == ["onnx_runtime.py"]


def test_a_process_that_loads_a_network_leaves_no_identifier(tmp_path: Path) -> None:
    code = "from likeness.photos.face_networks import load_networks; load_networks()"
    # It is quiet by itself where it believes to be tested.
    kept = {name: value for name, value in os.environ.items() if name not in ("CI", "ORT_DISABLE_TELEMETRY")}
    subprocess.run([sys.executable, "-c", code], env={**kept, "HOME": str(tmp_path)}, check=True)
    assert not [path for path in tmp_path.rglob("*") if "onnxruntime" in path.name]
