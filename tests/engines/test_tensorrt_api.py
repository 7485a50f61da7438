"""Every name of TensorRT that we use, held against the real Python bindings of two versions.

The bindings are a wheel of a few megabytes that wants three libraries of gigabytes. Empty stand-ins, compiled here, are
enough to import them and to read every class, signature and enumeration; nothing can be built or run with them.
"""

from __future__ import annotations

import ast
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from likeness_engines.backends import tensorrt_api

VERSIONS = ("10.16.1.11", "11.4.0.106")
BACKENDS = Path(tensorrt_api.__file__).parent
SOURCES = [path for path in sorted(BACKENDS.glob("tensorrt_*.py")) if path.name != "tensorrt_api.py"]
LIBRARIES = ("nvinfer", "nvinfer_plugin", "nvonnxparser")
# The classes whose methods we call, or that call ours; mypy holds the code to them.
TABLE = {
    name: each
    for name, each in vars(tensorrt_api).items()
    if inspect.isclass(each) and each.__module__ == tensorrt_api.__name__
}

# Runs where the bindings can be imported: for every class its members, each with its kind and documentation.
LOOK = """
import json, sys, tensorrt_bindings as trt
def members(owner):
    found = {}
    for name in dir(owner):
        value = getattr(owner, name)
        if is_class(value) and not name.startswith("_") and value is not owner:
            found[name] = {"kind": "class", "members": members(value)}
        else:
            kind = "property" if isinstance(value, property) else "method" if callable(value) else "value"
            found[name] = {"kind": kind, "doc": getattr(value, "__doc__", None) or ""}
    return found
def is_class(value):
    return isinstance(value, type)
classes = {name: value for name, value in vars(trt).items() if is_class(value)}
found = {name: {"kind": "class", "members": members(value)} for name, value in classes.items()}
json.dump({"version": trt.__version__, "names": found}, sys.stdout)
"""


@pytest.fixture(scope="module", params=VERSIONS)
def names(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The classes of one version of the bindings, by name."""
    site = Path(sys.prefix) / "tensorrt" / request.param
    if not (site / "tensorrt_bindings").is_dir():
        pytest.skip(f"the bindings of TensorRT {request.param} are not in {site}; `make test` puts them there")
    if not (shutil.which("cc") and shutil.which("nm")):
        pytest.skip("there is no C compiler to make the libraries that the bindings of TensorRT want")
    stand_ins = tmp_path_factory.mktemp("lib")
    compile_stand_ins(site / "tensorrt_bindings" / "tensorrt.so", stand_ins, request.param.split(".")[0])
    environment = {**os.environ, "LD_LIBRARY_PATH": str(stand_ins), "PYTHONPATH": str(site)}
    look = subprocess.run([sys.executable, "-c", LOOK], env=environment, check=True, capture_output=True, text=True)
    found = json.loads(look.stdout)
    assert found["version"] == request.param
    names: dict[str, Any] = found["names"]
    return names


def compile_stand_ins(bindings: Path, folder: Path, major: str) -> None:
    """Libraries in which every C function that the bindings want returns null."""
    listing = subprocess.run(["nm", "-D", "--undefined-only", bindings], check=True, capture_output=True, text=True)
    symbols = [line.split()[-1].partition("@")[0] for line in listing.stdout.splitlines()]
    wanted = [
        name for name in symbols if re.match("create|get(Plugin|Builder|NvOnnx|Infer|Logger)|initLib|setInternal", name)
    ]
    source = folder / "stand_in.c"
    source.write_text("".join(f"void *{name}(void) {{ return 0; }}\n" for name in sorted(set(wanted))))
    for library in LIBRARIES:
        file = f"lib{library}.so.{major}"
        command = ["cc", "-shared", "-fPIC", f"-Wl,-soname,{file}", "-o", folder / file, source]
        subprocess.run(command, check=True, capture_output=True)


# What the code uses


def chains(path: Path) -> Iterator[tuple[str, ...]]:
    """Every `trt.X.Y`, also of `self._trt`, as (X, Y); a local like `severity = trt.ILogger.Severity` is followed."""
    tree = ast.parse(path.read_text())
    known = {"trt": (), "self._trt": ()}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.value, ast.Attribute):
            text = ast.unparse(node.value)
            if re.match(r"(self\._)?trt\.", text):
                known[ast.unparse(node.targets[0])] = tuple(text.removeprefix("self._").split(".")[1:])
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            owner, _, last = ast.unparse(node).rpartition(".")
            start = next((key for key in known if owner == key or owner.startswith(f"{key}.")), None)
            if start is not None:
                inner = owner.removeprefix(start).strip(".")
                yield (*known[start], *(inner.split(".") if inner else ()), last)


USED = sorted({chain for path in SOURCES for chain in chains(path)})


def made(path: Path) -> Iterator[tuple[str, str | None, int]]:
    """What is made by calling a class of the module: its name, the type it is annotated with, how many arguments."""
    for node in ast.walk(ast.parse(path.read_text())):
        value = getattr(node, "value", None)
        if isinstance(value, ast.Call) and re.fullmatch(r"(self\._)?trt\.\w+", ast.unparse(value.func)):
            annotation = ast.unparse(node.annotation) if isinstance(node, ast.AnnAssign) else None
            yield ast.unparse(value.func).rpartition(".")[2], annotation, len(value.args) + len(value.keywords)


MADE = [each for path in SOURCES for each in made(path)]


def declared(owner: type) -> dict[str, inspect.Signature | None]:
    """A class of the table: its methods with their signatures, its properties with None."""
    found: dict[str, inspect.Signature | None] = dict.fromkeys(owner.__annotations__)
    found |= {name: inspect.signature(value) for name, value in vars(owner).items() if inspect.isfunction(value)}
    return {name: signature for name, signature in found.items() if not name.startswith("_")}


# How the bindings document a signature


def split(text: str) -> list[str]:
    """Split at the commas outside all brackets."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter in "([{<") - (letter in ")]}>")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts if part.strip()]


def signatures(name: str, doc: str) -> list[tuple[list[tuple[str, str, bool]], str]]:
    """Every overload: (parameter, type, whether it has a default) after self, and what it returns."""
    found = []
    for inside, returned in re.findall(rf"^(?:\d+\. )?{name}\((.*)\) -> (.*)$", doc, re.MULTILINE):
        parameters = []
        for part in split(inside):
            key, _, rest = part.partition(":")
            kind, default, _ = rest.partition(" = ")
            parameters.append((key.strip(), short(kind), bool(default)))
        found.append((parameters[1:] if parameters and parameters[0][0] == "self" else parameters, short(returned)))
    return found


def short(kind: str) -> str:
    """A type as the table writes it: without modules, without None, dimensions and buffers by our names."""
    text = re.sub(r"\b(?:\w+(?:\.|::))+(\w+)", r"\1", kind).replace(" | None", "").strip().rstrip(":")
    words = {"SupportsInt": "int", "Buffer": "bytes", "buffer": "bytes", "List": "list", "IParserError": "ParserError"}
    return re.sub(r"\w+", lambda word: words.get(word[0], word[0]), text)


def agrees(ours: inspect.Signature, theirs: tuple[list[tuple[str, str, bool]], str]) -> bool:
    """The same names in the same order, what we leave out has a default, and types are the same where we say one."""
    parameters, returned = theirs
    mine = [each for each in ours.parameters.values() if each.name != "self"]
    if len(mine) > len(parameters) or not all(has_default for _, _, has_default in parameters[len(mine) :]):
        return False
    for each, (name, kind, _) in zip(mine, parameters, strict=False):
        stated = short(str(each.annotation))
        stated = "tuple" if stated.startswith("tuple") else stated
        if each.name != name or stated not in ("object", kind):
            return False
    return short(str(ours.return_annotation)) in ("object", returned)


# The tests


def test_the_walk_finds_what_the_code_uses() -> None:
    """By example, lest the tests below hold nothing."""
    assert {
        ("Builder",),
        ("MemoryPoolType", "WORKSPACE"),
        ("ILogger", "Severity", "ERROR"),
        ("DataType", "HALF"),
        ("ExecutionContextAllocationStrategy", "USER_MANAGED"),
        ("__version__",),
    } <= set(USED)
    assert {name for name, _, _ in MADE} == {"Builder", "OnnxParser", "Runtime"}


def test_what_is_made_is_annotated_with_its_class_of_the_table() -> None:
    """So that mypy holds every later use of it to the table."""
    for name, annotation, _ in MADE:
        assert annotation == name
        assert name in TABLE


def test_no_object_of_tensorrt_is_untyped() -> None:
    """Any is for the module alone: whatever else were Any, mypy would hold to nothing."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.arg) and node.annotation is not None and "Any" in ast.unparse(node.annotation):
                assert node.arg == "trt", f"{path.name}: {node.arg}"


def test_the_table_has_nothing_that_is_not_used() -> None:
    text = "".join(path.read_text() for path in SOURCES)
    for owner, each in TABLE.items():
        for name in declared(each):
            assert re.search(rf"\b{name}\b", text), f"{owner}.{name}"


@pytest.mark.parametrize("chain", USED, ids=".".join)
def test_the_module_has_what_the_code_names(names: dict[str, Any], chain: tuple[str, ...]) -> None:
    if chain == ("__version__",):
        return
    owner: dict[str, Any] = names
    for name in chain:
        assert name in owner, f"{'.'.join(chain)} is not in these bindings"
        owner = owner[name].get("members", {})


@pytest.mark.parametrize("owner", TABLE)
def test_the_table_is_true(names: dict[str, Any], owner: str) -> None:
    members = names[owner]["members"]
    for name, ours in declared(TABLE[owner]).items():
        assert name in members, f"{owner} has no {name}"
        if ours is None:
            assert members[name]["kind"] == "property", f"{owner}.{name}"
            continue
        theirs = signatures(name, members[name]["doc"])
        assert any(agrees(ours, each) for each in theirs), f"{owner}.{name}{ours} is {members[name]['doc'][:600]}"


def test_constructors_take_what_they_are_given(names: dict[str, Any]) -> None:
    for name, _, count in MADE:
        found = signatures("__init__", names[name]["members"]["__init__"]["doc"])
        assert any(len(parameters) == count for parameters, _ in found), name


def test_the_fake_has_no_name_that_tensorrt_lacks(names: dict[str, Any]) -> None:
    fake = pytest.importorskip("likeness_engines.backends.fake_tensorrt")
    for owner in fake.__all__:
        if owner == "__version__":
            continue
        members = names[owner]["members"]
        for name, value in vars(getattr(fake, owner)).items():
            if name.startswith("_"):
                continue
            assert name in members, f"the fake's {owner}.{name}"
            if inspect.isfunction(value):
                parameters = list(inspect.signature(value).parameters)[1:]
                known = [[key for key, _, _ in each] for each, _ in signatures(name, members[name]["doc"])]
                assert any(parameters == each[: len(parameters)] for each in known), f"the fake's {owner}.{name}"


def test_the_fake_has_all_that_is_used() -> None:
    """So that whatever the code does with TensorRT is done in `test_tensorrt.py`."""
    fake = pytest.importorskip("likeness_engines.backends.fake_tensorrt")
    for chain in USED:
        found = fake
        for name in chain:
            found = getattr(found, name)
    for owner, each in TABLE.items():
        made_up = getattr(fake, owner)
        fields = {*dir(made_up), *getattr(made_up, "__struct_fields__", ())}
        for name in declared(each):
            assert name in fields or name == "progress_monitor", f"{owner}.{name}"
