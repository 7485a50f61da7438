"""Discovery: every pack by itself; whatever a stranger's code does, the rest works and the problem is named."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from likeness_plugins import Look, Style, discover, hookimpl


def style(name: str, **changes: Any) -> Style:
    looks = tuple(Look(f"look-{n}", f"{name} {n}") for n in range(10))
    settings: dict[str, Any] = {
        "title": name,
        "description": "A style.",
        "looks": looks,
        "licence": "MIT",
        "author": "Me",
    }
    return Style(name, **{**settings, **changes})


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make a module with the given hooks importable under a name."""

    def make(name: str, **hooks: Any) -> tuple[str, str]:
        created = ModuleType(name)
        for hook, function in hooks.items():
            setattr(created, hook, hookimpl(function))
        monkeypatch.setitem(sys.modules, name, created)
        return name, name

    return make


def test_good_packs_give_their_styles_in_order(module: Any) -> None:
    packs = [module("b", likeness_styles=lambda: [style("zebra")]), module("a", likeness_styles=lambda: [style("ant")])]
    catalogue = discover(packs)
    assert list(catalogue.styles) == ["zebra", "ant"]
    assert not catalogue.problems
    assert catalogue.packs[0].author == "Me"
    assert catalogue.packs[0].distribution == "likeness"


def raising() -> list[Style]:
    raise RuntimeError("no network")


def leaving() -> list[Style]:
    sys.exit(3)


@pytest.mark.parametrize(
    ("hook", "words"),
    [
        (raising, "no network"),
        (leaving, "SystemExit"),
        (lambda: 42, "must return a list"),
        (lambda: ["comic"], "not a Style"),
        (lambda: [style("short", looks=(Look("a", "b"),))], "1 looks"),
        (lambda: [style("Bad Name")], "slug"),
    ],
)
def test_a_bad_pack_is_named_and_the_rest_works(module: Any, hook: Any, words: str) -> None:
    catalogue = discover([module("bad", likeness_styles=hook), module("good", likeness_styles=lambda: [style("fine")])])
    assert list(catalogue.styles) == ["fine"]
    [problem] = catalogue.problems
    assert problem.pack == "bad"
    assert words in problem.sentence


def test_a_pack_that_cannot_be_imported_is_named(module: Any) -> None:
    catalogue = discover([("gone", "there_is_no_such_module"), module("good", likeness_styles=lambda: [style("fine")])])
    assert list(catalogue.styles) == ["fine"]
    assert "there_is_no_such_module" in catalogue.problems[0].sentence


def test_an_unknown_hook_parameter_is_named(module: Any) -> None:
    catalogue = discover([module("odd", likeness_review_photo=lambda picture: None)])
    assert "picture" in catalogue.problems[0].sentence


def test_of_two_styles_with_one_name_the_first_stays(module: Any) -> None:
    packs = [
        module("first", likeness_styles=lambda: [style("same", title="First")]),
        module("second", likeness_styles=lambda: [style("same", title="Second"), style("other")]),
    ]
    catalogue = discover(packs)
    assert catalogue.styles["same"].title == "First"
    assert "other" in catalogue.styles
    assert [problem.pack for problem in catalogue.problems] == ["second"]
    assert "already has a style same" in catalogue.problems[0].sentence


def test_installed_entry_points_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "somebody-1.5.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: somebody\nVersion: 1.5\n")
    (info / "entry_points.txt").write_text("[likeness]\nghost = ghost_pack_module\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    [pack] = [pack for pack in discover().packs if pack.name == "ghost"]
    assert (pack.distribution, pack.version) == ("somebody", "1.5")
    assert "ghost_pack_module" in pack.problems[0]
