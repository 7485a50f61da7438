"""requirements.lock: exact versions of everything that `make run` and `make test` install, from wherever pip looks."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
LINES = (ROOT / "requirements.lock").read_text().splitlines()
CUDA = re.compile(r"cuda-|nvidia-|triton")
PYTHONS = ("3.11", "3.12", "3.13", "3.14")


def locked(python: str) -> dict[str, str]:
    """The version of each package, by its canonical name, on Linux."""
    here = {"python_version": python, "python_full_version": f"{python}.1", "sys_platform": "linux", "os_name": "posix"}
    found: dict[str, str] = {}
    for line in LINES:
        pin, _, marker = line.partition(" ; ")
        if not marker or Marker(marker).evaluate(here):
            name, _, version = pin.partition("==")
            assert name not in found
            found[name] = version
    return found


def asked() -> list[Requirement]:
    """What pyproject.toml asks for, with the extras that the Makefile installs."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    [extras] = re.findall(r"^EXTRAS := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    optional = project["project"]["optional-dependencies"]
    wanted = [*project["build-system"]["requires"], *project["project"]["dependencies"]]
    return [Requirement(each) for each in (*wanted, *(each for extra in extras.split(",") for each in optional[extra]))]


def test_it_names_versions_and_neither_hosts_nor_builds_of_torch() -> None:
    for line in LINES:
        assert re.fullmatch(r"[a-z0-9-]+==[a-z0-9.]+( ; [a-zA-Z0-9_.'<>=!() ]+)?", line), line
        assert not CUDA.match(line), line


@pytest.mark.parametrize("python", PYTHONS)
def test_it_holds_what_the_project_asks_for(python: str) -> None:
    versions = locked(python)
    for requirement in asked():
        assert requirement.specifier.contains(versions[canonicalize_name(requirement.name)]), requirement


def test_it_holds_what_those_need_in_turn() -> None:
    names, waiting, seen = set(locked("3.11")), asked(), set[tuple[str, str]]()
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if CUDA.match(name):
            continue
        assert name in names, requirement
        for extra in {"", *requirement.extras} - {extra for each, extra in seen if each == name}:
            seen.add((name, extra))
            waiting += [each for each in needs(name) if each.marker is None or each.marker.evaluate({"extra": extra})]


def needs(name: str) -> list[Requirement]:
    """What an installed package asks for."""
    try:
        return [Requirement(each) for each in requires(name) or ()]
    except PackageNotFoundError:  # installed by another of the make targets
        return []
