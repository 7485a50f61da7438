"""Packs with code are tried before they are installed or loaded: what hangs or crashes is named and harms nothing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import pytest

from likeness.code_packs import admission
from likeness.code_packs.admission import admit
from likeness.packs import BUILTIN_PACKS, load_tried
from likeness_plugins import discover, trial
from likeness_plugins.trial import try_pack

HANGS = "import threading\nthreading.Event().wait()\n"
CRASHES = "import os\nos.abort()\n"
RAISES = "raise RuntimeError('no network')\n"


def written(folder: Path, code: str, name: str = "stranger") -> EntryPoint:
    """A distribution as pip leaves it, on whose module the entry point is."""
    info = folder / f"{name}-1.5.dist-info"
    info.mkdir(exist_ok=True)
    (folder / f"{name}_module.py").write_text(code)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.5\n")
    (info / "entry_points.txt").write_text(f"[likeness]\n{name} = {name}_module\n")
    (info / "RECORD").write_text(f"{name}_module.py,sha256=abc,{len(code)}\n{name}-1.5.dist-info/RECORD,,\n")
    [entry] = entry_points(group="likeness", name=name)
    return entry


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of installed packages, here and in what is started; nothing was tried before."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", ":".join([str(tmp_path), *filter(None, sys.path)]))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


@pytest.mark.parametrize(
    ("code", "words"), [(HANGS, "is not done after 2 s: let nothing"), (CRASHES, "ended its process (signal 6): let")]
)
def test_what_hangs_or_crashes_is_named_and_the_rest_works(
    site: Path, monkeypatch: pytest.MonkeyPatch, code: str, words: str
) -> None:
    monkeypatch.setattr(trial, "SECONDS", 60.0 if code == CRASHES else 2.0)
    written(site, code)
    catalogue = discover(BUILTIN_PACKS, admit)
    assert list(catalogue.styles) == [name for name, _ in BUILTIN_PACKS]
    assert catalogue.unloaded == ("stranger",)
    [problem] = catalogue.problems
    assert problem.sentence.startswith(f"The pack stranger {words}")
    assert "It is not loaded. Update or remove stranger, or install it again" in problem.sentence
    assert "stranger_module" not in sys.modules


def test_a_child_leaves_out_what_its_parent_could_not_load(site: Path) -> None:
    written(site, HANGS)
    catalogue = load_tried(("stranger",))
    assert list(catalogue.styles) == [name for name, _ in BUILTIN_PACKS]
    assert "stranger_module" not in sys.modules


def test_a_pack_finds_no_secrets_and_cannot_answer_for_itself(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIKENESS_JWT_SECRET", "hunter2")
    entry = written(
        site, "import os\nprint('{}', flush=True)\nassert not [n for n in os.environ if n.startswith('LIKENESS')]\n"
    )
    assert try_pack(entry.name, entry.value).problems == []


def test_a_verdict_is_trusted_until_a_file_changes(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []
    monkeypatch.setattr(admission, "try_pack", lambda *given: tried.append(given) or try_pack(*given))
    for code, may_be_loaded in (("", True), (CRASHES, False), (RAISES, True)):  # the last is named by what loads it
        tried.clear()
        entry = written(site, code)
        verdict = admit(entry)
        assert (verdict is None) == may_be_loaded
        assert admit(entry) == verdict
        assert len(tried) == 1


def test_a_wheel_is_tried_then_installed(
    fresh_python: Path, build_wheel: Callable[[Path], Path], tmp_path: Path
) -> None:
    project = tmp_path / "project"
    (project / "stranger").mkdir(parents=True)
    (project / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
        '[project]\nname = "stranger"\nversion = "1.5"\n[project.entry-points.likeness]\nstranger = "stranger"\n'
    )
    code = project / "stranger" / "__init__.py"

    def install() -> subprocess.CompletedProcess[str]:
        command = [str(fresh_python), "-m", "likeness", "styles", "install", str(build_wheel(project))]
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)

    def installed() -> bool:
        return (
            subprocess.run([str(fresh_python), "-c", "import stranger"], check=False, capture_output=True).returncode
            == 0
        )

    for bad, words in ((CRASHES, "ended its process (signal 6)"), (RAISES, "no network")):
        code.write_text(bad)
        done = install()
        assert done.returncode == 2
        assert words in done.stderr
        assert "Traceback" not in done.stderr
        assert not installed()
    code.write_text("")
    done = install()
    assert done.returncode == 0, done.stderr
    assert "from their next start" in done.stdout
    assert installed()
