"""The rooms import each other only along the arrows of the design, and nothing heavy at run time."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = {
    "likeness": ROOT / "server" / "likeness",
    "likeness_engines": ROOT / "engines" / "likeness_engines",
    "likeness_plugins": ROOT / "plugins" / "likeness_plugins",
    "likeness_styles": ROOT / "styles" / "likeness_styles",
}
ALLOWED = {
    "likeness": {"likeness_engines", "likeness_plugins"},
    "likeness_engines": set(),
    "likeness_plugins": set(),
    "likeness_styles": {"likeness_plugins"},
}
HEAVY = {"torch", "diffusers", "transformers", "optimum", "onnx", "openvino", "tensorrt"}


def imports(path: Path, *, top_level: bool = False) -> set[str]:
    """The first names of everything a file imports; `top_level` leaves out what functions import."""
    tree = ast.parse(path.read_text())
    nodes = _outside_functions(tree) if top_level else list(ast.walk(tree))
    modules = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    modules |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom) and node.level == 0}
    return {module.split(".")[0] for module in modules}


def _outside_functions(node: ast.AST) -> list[ast.AST]:
    found: list[ast.AST] = []
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            found += [child, *_outside_functions(child)]
    return found


def files(package: str) -> list[Path]:
    found = sorted(PACKAGES[package].rglob("*.py"))
    assert found
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_arrows_between_rooms(package: str) -> None:
    for path in files(package):
        foreign = (imports(path) & set(PACKAGES)) - {package} - ALLOWED[package]
        assert not foreign, f"{path.relative_to(ROOT)} imports {foreign}"


@pytest.mark.parametrize("package", PACKAGES)
def test_nothing_heavy_at_import(package: str) -> None:
    for path in files(package):
        heavy = imports(path, top_level=True) & HEAVY
        assert not heavy, f"{path.relative_to(ROOT)} imports {heavy} at import time"


def test_only_packs_names_the_built_in_styles() -> None:
    naming = [path.name for path in files("likeness") if "likeness_styles" in path.read_text()]
    assert naming == ["packs.py"]


def test_the_walk_sees_imports_in_functions_and_blocks(tmp_path: Path) -> None:
    sample = tmp_path / "sample.py"
    sample.write_text("import a.b\ntry:\n    from c import d\nfinally:\n    pass\ndef f():\n    import torch\n")
    assert imports(sample) == {"a", "c", "torch"}
    assert imports(sample, top_level=True) == {"a", "c"}
