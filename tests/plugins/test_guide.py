"""The author's guide tells the truth: hooks, words, keys, samples and messages are the code's own."""

from __future__ import annotations

import ast
import inspect
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pluggy
import pytest

from likeness_engines import BUNDLED_PACK, read_pack
from likeness_plugins import Look, Publication, Recipe, Style, hookspecs, style_from_folder
from likeness_plugins.checks import FAMILIES, FEWEST_LOOKS, PREVIEW_BYTES, PROMPT_LETTERS
from likeness_plugins.new_pack import TEMPLATE
from miniature.vocabulary import COLOURS, INKS, KINDS, PAPERS, TEMPLATES, TOUCHES, words

ROOT = Path(__file__).parent.parent.parent
GUIDE = (ROOT / "plugins" / "README.md").read_text()
NEW_STYLE = (TEMPLATE / "folder" / "style.toml").read_text()
HOOKS = {name: hook for name, hook in vars(hookspecs).items() if name.startswith("likeness_")}
WORDS = "The miniature's words"
SOURCES = [ROOT / "plugins", ROOT / "server" / "likeness", ROOT / "engines" / "likeness_engines", pluggy]


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)


def section(title: str) -> str:
    """What stands below a heading, up to the next one."""
    [found] = re.findall(rf"^##+ {re.escape(title)}\n(.*?)(?=^##|\Z)", GUIDE, re.DOTALL | re.MULTILINE)
    return str(found)


def rows(text: str) -> list[list[str]]:
    """The cells of all tables in a text, without their headings."""
    lines = [line.strip("|").split(" | ") for line in text.splitlines() if line.startswith("|")]
    ruled = [place for place, cells in enumerate(lines) if set("".join(cells)) <= set("-|")]
    skipped = {place - 1 for place in ruled} | set(ruled)
    return [[cell.strip() for cell in cells] for place, cells in enumerate(lines) if place not in skipped]


def names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")]


# Hooks


def described() -> dict[str, str]:
    [block] = [block for block in blocks("python") if "likeness_review_photos" in block]
    hooks = [node for node in ast.parse(block).body if isinstance(node, ast.FunctionDef)]
    return {
        hook.name: f"({ast.unparse(hook.args)}) -> {ast.unparse(hook.returns or ast.Constant(0))}" for hook in hooks
    }


def test_the_guide_has_every_hook_with_its_signature_and_no_other() -> None:
    assert described() == {
        name: str(inspect.signature(hook)).replace("'", "").replace('"', "") for name, hook in HOOKS.items()
    }


def test_the_guide_says_of_every_hook_when_it_is_asked_and_where_it_runs() -> None:
    asked, where = (rows(part) for part in section("Hooks").split("**Where they run.**"))
    assert [cells[0].strip("`") for cells in asked] == list(described())
    kinds = {
        "for photos": ["likeness_prepare_reviews", "likeness_review_photo", "likeness_review_photos"],
        "for avatars": ["likeness_finish_avatar", "likeness_review_avatar"],
    }
    placed = [hook for cells in where for hook in kinds.get(cells[0], [cells[0].strip("`")])]
    assert ["likeness_styles", *placed] == list(described())


def test_the_guide_names_the_fields_of_a_publication() -> None:
    [sentence] = re.findall(r"`Publication` has ([^|]*)\|", GUIDE)
    assert set(Publication.__struct_fields__) <= set(re.findall(r"\w+", sentence))


# Words of the miniature


def test_the_sentences_are_those_of_the_miniature() -> None:
    found = {first: (sentence.strip("`"), choices) for first, sentence, choices in rows(section(WORDS))[:5]}
    assert {first: sentence for first, (sentence, _) in found.items()} == TEMPLATES
    for first, (_, choices) in found.items():
        listed = {name: tuple(names(values)) for name, values in re.findall(r"(\w+): ([^;]+)", choices)}
        assert listed == {"kind": KINDS[first]} | ({"touch": TOUCHES[first]} if first in TOUCHES else {})


def test_the_colours_are_those_of_the_miniature() -> None:
    colours, inks, papers = (tuple(names(cells[1])) for cells in rows(section(WORDS))[5:])
    assert (colours, inks, papers) == (tuple(COLOURS), INKS, PAPERS)


def test_the_words_are_counted() -> None:
    card = (ROOT / "engines" / "miniature" / "README.md").read_text()
    counts = re.findall(r"knows (\d+) words", section(WORDS) + card)
    assert counts == [str(len([word for word in words() if word.isalpha()]))] * 2


def test_what_is_read_of_a_prompt_is_the_miniatures() -> None:
    read = f"{read_pack(BUNDLED_PACK).prompt_length - 2} words and commas"
    assert read in section(WORDS)
    assert read in NEW_STYLE


def test_a_new_style_has_the_words_of_the_miniature_in_its_comments() -> None:
    """An author who has the wheel alone has no model card."""
    comments = [line[1:].strip() for line in NEW_STYLE.splitlines() if line.startswith("#")]
    for first, sentence in TEMPLATES.items():
        choices = {"kind": KINDS[first], "touch": TOUCHES.get(first, ())}
        listed = {name: f"({' | '.join(values)})" for name, values in choices.items()}
        assert sentence.format(a="COLOUR", b="COLOUR", **listed) in comments
    assert f"COLOUR is one of: {', '.join(COLOURS)}." in " ".join(comments)


def test_the_joined_prompts_are_in_these_words() -> None:
    prompts = [cells[0].strip("`") for cells in rows(section("Joining them"))]
    assert len(prompts) >= 5
    for prompt in prompts:
        assert set(prompt.replace(",", " ").split()) <= set(words())


# Samples


def sample() -> str:
    [block] = [block for block in blocks("toml") if "[[looks]]" in block]
    return block


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of the guide's style, with what it names and as many looks as it needs."""
    more = (f'\n[[looks]]\nname = "more-{n}"\nprompt = "oil portrait {n}"\n' for n in range(FEWEST_LOOKS - 1))
    (tmp_path / "style.toml").write_text(sample() + "".join(more))
    (tmp_path / "preview.webp").write_bytes(b"RIFF....")
    (tmp_path / "poster.safetensors").write_bytes(b"weights")
    return tmp_path


def test_the_style_of_the_guide_is_read(folder: Path) -> None:
    style = style_from_folder(folder)
    assert (style.name, style.recipe("sd").strength) == ("poster", 0.65)


def test_it_has_every_key_and_no_other() -> None:
    toml = tomllib.loads(sample())
    assert set(toml) == set(Style.__struct_fields__)
    assert set(toml["recipes"]["sd"]) == set(Recipe.__struct_fields__)
    assert set(toml["looks"][0]) == set(Look.__struct_fields__)


def test_its_limits_are_the_codes_own() -> None:
    remarks = section("`style.toml`")
    assert f"up to {PREVIEW_BYTES // 1000} kB" in remarks
    assert f"up to {PROMPT_LETTERS} letters" in remarks
    assert f"one a family: {', '.join(FAMILIES)}" in remarks


def test_code_of_the_guide_compiles() -> None:
    for block in blocks("python"):
        compile(block, "plugins/README.md", "exec")


def test_the_pack_of_the_guide_passes_its_own_test(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (folder / "style.toml").read_text()
    (folder / "style.toml").write_text(text.replace('name = "poster"', 'name = "my-style"'))
    pack = ModuleType("my_style_pack")
    pack.__file__ = str(folder / "__init__.py")
    for block in blocks("python"):
        if "@hookimpl" in block and "KeyStore" not in block:
            exec(block, vars(pack))
    assert set(vars(pack)) > {"likeness_styles", "likeness_finish_avatar"}
    monkeypatch.setitem(sys.modules, "my_style_pack", pack)
    [test] = [block for block in blocks("python") if "def test_the_pack" in block]
    written: dict[str, Any] = {}
    exec(test, written)
    written["test_the_pack_conforms"]()


# Messages


def texts(node: ast.AST) -> Iterator[str]:
    """The texts of a module, what is filled in as …, parts that follow each other joined."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in inner.values)
        elif isinstance(inner, ast.Constant) and isinstance(inner.value, str):
            yield inner.value


@pytest.fixture(scope="module")
def said() -> list[str]:
    """Whatever Likeness and pluggy can say, and msgspec of a bad file."""
    folders = [Path(inspect.getfile(each)).parent if isinstance(each, ModuleType) else each for each in SOURCES]
    files = [path for folder in folders for path in folder.rglob("*.py") if "template" not in path.parts]
    found = [text for path in files for text in texts(ast.parse(path.read_text()))]
    for wrong in (b"colour = 1", b"name = 'x'"):
        with pytest.raises(msgspec.ValidationError) as caught:
            msgspec.toml.decode(wrong, type=Style)
        found.append(str(caught.value))
    return found


@pytest.mark.parametrize(
    "message",
    [part for cells in rows(section("When something goes wrong")) for part in re.findall("`(.+?)`", cells[0])],
)
def test_every_message_that_the_guide_explains_is_said(said: list[str], message: str) -> None:
    """Between what is filled in, the parts stand in one text, in this order."""
    parts = ".*".join(re.escape(part.strip()) for part in message.split("…"))
    assert any(re.search(parts, text, re.DOTALL) for text in said), message
