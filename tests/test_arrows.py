"""The rooms import each other only along the arrows of the design, and nothing heavy at run time."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = {
    "likeness": ROOT / "server" / "likeness",
    "likeness_engines": ROOT / "engines" / "likeness_engines",
    "likeness_plugins": ROOT / "plugins" / "likeness_plugins",
    "likeness_identity": ROOT / "plugins" / "likeness_identity",
    "likeness_styles": ROOT / "styles" / "likeness_styles",
}
ALLOWED = {
    "likeness": {"likeness_engines", "likeness_plugins"},
    "likeness_engines": set(),
    "likeness_plugins": set(),
    "likeness_identity": {"likeness_plugins"},
    "likeness_styles": {"likeness_plugins"},
}
# What a server, a worker and `likeness render` load before they know their backend.
ENTRIES = (
    "likeness.cli.main",
    "likeness.cli.render",
    "likeness.cli.serve",
    "likeness.http.app",
    "likeness.worker.process",
    "likeness_engines",
    "likeness_plugins.testing",
    "likeness_identity",
    "likeness_styles.comic",
)
HEAVY = {"torch", "diffusers", "transformers", "optimum", "onnx", "openvino", "tensorrt", "dlib"}


def imports(path: Path) -> set[str]:
    """The first names of everything a file imports."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    modules = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    modules |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom) and node.level == 0}
    return {module.split(".")[0] for module in modules}


def files(package: str) -> list[Path]:
    found = sorted(PACKAGES[package].rglob("*.py"))
    assert found
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_arrows_between_rooms(package: str) -> None:
    for path in files(package):
        foreign = (imports(path) & set(PACKAGES)) - {package} - ALLOWED[package]
        assert not foreign, f"{path.relative_to(ROOT)} imports {foreign}"


def test_what_serves_and_draws_loads_nothing_heavy() -> None:
    """Modules of backends and of the importer may import torch at their top: nothing imports them until asked for."""
    code = f"import sys, {', '.join(ENTRIES)}; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert set(PACKAGES) <= loaded
    assert not loaded & HEAVY


@pytest.mark.parametrize("package", ["likeness_styles", "likeness_identity"])
def test_only_packs_names_the_built_in_packs(package: str) -> None:
    naming = [path.name for path in files("likeness") if package in path.read_text()]
    assert naming == ["packs.py"]


def test_the_walk_sees_imports_in_functions_and_blocks(tmp_path: Path) -> None:
    sample = tmp_path / "sample.py"
    sample.write_text("import a.b\ntry:\n    from c import d\nfinally:\n    pass\ndef f():\n    import torch\n")
    assert imports(sample) == {"a", "c", "torch"}
