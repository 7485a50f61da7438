"""A pack's hooks for avatars in their own process: what hangs, dies or lies costs one avatar, and leaves nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from likeness_plugins import Look, Style
from likeness_plugins.child_process import PASSED_ON
from likeness_plugins.errors import HookError
from likeness_plugins.hook_process import HookProcess
from tests.patience import patience_s, wait_until

PICTURE = np.zeros((8, 8, 3), np.uint8)
LOOK = Look("l", "p")
HANGING = Look("hang", "p")
STYLE = Style("s", "S", "A style.", (LOOK, HANGING), "MIT", "Me")
HEAD = "import os, time\nfrom pathlib import Path\nfrom likeness_plugins import hookimpl\n"
FINISH = "@hookimpl\ndef likeness_finish_avatar(avatar, look):\n"
HANGS = HEAD + FINISH + "    while look.name == 'hang':\n        time.sleep(1)\n    return avatar + 1\n"


@pytest.fixture
def pack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., HookProcess]]:
    """Write the module `odd`; answers its process, which the test's end ends."""
    monkeypatch.syspath_prepend(str(tmp_path))
    made: list[HookProcess] = []

    def make(code: str, most_s: float = 60.0) -> HookProcess:
        (tmp_path / "odd.py").write_text(code)
        made.append(HookProcess("odd", "odd", most_s))
        return made[-1]

    yield make
    for process in made:
        process.end()


def is_alive(process: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(process, 0)
        return Path(f"/proc/{process}/stat").read_text().split()[2] != "Z" if sys.platform == "linux" else True
    return False


def ends(process: int) -> bool:
    """Wait until it is gone: a signal takes its time on a busy machine."""
    return bool(wait_until(lambda: not is_alive(process)))


def test_one_that_hangs_is_ended_and_the_next_call_is_answered(pack: Callable[..., HookProcess]) -> None:
    process = pack(HANGS)
    assert process.finish(PICTURE, STYLE, LOOK) is not None
    process._most_s = 0.2  # the import had its time
    assert process._running is not None
    process._running._most_s = 0.2
    child = process._running._child.pid
    with pytest.raises(HookError, match=r"takes longer than 0\.2 s"):
        process.finish(PICTURE, STYLE, HANGING)
    assert ends(child)
    process._most_s = 60.0
    finished = process.finish(PICTURE, STYLE, LOOK)
    assert finished is not None
    assert (finished == 1).all()


def test_one_that_fails_each_time_rests_for_a_minute(pack: Callable[..., HookProcess]) -> None:
    process = pack(HEAD + FINISH + "    return os._exit(3) if look.name == 'hang' else None\n")
    for words in [r"its process ended \(exit status 3\)"] * 3 + ["it failed too often, and rests for a minute"] * 2:
        with pytest.raises(HookError, match=words):
            process.finish(PICTURE, STYLE, HANGING)
    with pytest.raises(HookError, match="it failed too often"):
        process.finish(PICTURE, STYLE, LOOK)
    process._rests_until = 0.0  # the minute is over: one more failure, and it rests again
    for words in ("its process ended", "it failed too often"):
        with pytest.raises(HookError, match=words):
            process.finish(PICTURE, STYLE, HANGING)
    process._rests_until = 0.0
    assert process.finish(PICTURE, STYLE, LOOK) is None
    with pytest.raises(HookError, match="its process ended"):
        process.finish(PICTURE, STYLE, HANGING)
    assert process.finish(PICTURE, STYLE, LOOK) is None


def test_what_it_started_goes_with_it(pack: Callable[..., HookProcess], tmp_path: Path) -> None:
    started = "    import subprocess\n    started = subprocess.Popen(['sleep', '600'])\n"
    told = f"    Path({str(tmp_path / 'pid')!r}).write_text(str(started.pid))\n    os.abort()\n"
    process = pack(HEAD + FINISH + started + told)
    with pytest.raises(HookError, match=r"its process ended \(signal 6\)"):
        process.finish(PICTURE, STYLE, LOOK)
    assert ends(int((tmp_path / "pid").read_text()))


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (HEAD + "os.write(CHANNEL, b'\\0\\0\\0\\3abc')\ntime.sleep(600)\n", "it answered what is no answer"),
        (HEAD + "os.write(CHANNEL, b'\\xff' * 9)\ntime.sleep(600)\n", "it answered what is no answer"),
        ("raise RuntimeError('no network')", "it could not be loaded: RuntimeError in odd.py, line 1"),
        ("import sys\nsys.exit(3)", "it could not be loaded: SystemExit in odd.py, line 2"),
        ("import os\nos._exit(3)", r"its process ended \(exit status 3\)"),
    ],
)
def test_one_that_lies_or_does_not_load_is_told_from_one_that_works(
    pack: Callable[..., HookProcess], code: str, words: str
) -> None:
    channel = "next(d for d in map(int, os.listdir('/proc/self/fd')) if os.path.exists(f'/proc/self/fd/{d}')"
    channel += " and os.readlink(f'/proc/self/fd/{d}').startswith('socket'))"
    with pytest.raises(HookError, match=words):
        pack(code.replace("CHANNEL", channel)).finish(PICTURE, STYLE, LOOK)


def test_it_finds_no_secret_and_prints_nowhere(
    pack: Callable[..., HookProcess], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LIKENESS_JWT_SECRET", "hunter2")
    code = "    print('a face', flush=True)\n    return ' '.join(sorted(os.environ))\n"
    process = pack(HEAD + FINISH.replace("finish", "review") + code)
    seen = set((process.review(PICTURE, STYLE, LOOK) or "").split())
    assert {each for each in seen if each.startswith("LIKENESS")} == set()
    ours = {"PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "OPENBLAS_NUM_THREADS", "MALLOC_ARENA_MAX", "LC_CTYPE"}
    assert seen <= {*PASSED_ON, *ours}
    assert capfd.readouterr() == ("", "")


def test_it_ends_with_its_worker_even_while_a_hook_hangs(tmp_path: Path) -> None:
    (tmp_path / "odd.py").write_text(
        HEAD + FINISH + f"    Path({str(tmp_path / 'pid')!r}).write_text(str(os.getpid()))\n    time.sleep(600)\n"
    )
    worker = (
        "import numpy as np, os, sys, threading, time\n"
        "from likeness_plugins import Look, Style\n"
        "from likeness_plugins.hook_process import HookProcess\n"
        "look = Look('l', 'p')\n"
        "given = np.zeros((8, 8, 3), np.uint8), Style('s', 'S', 'D', (look,), 'MIT', 'Me'), look\n"
        "hook = threading.Thread(target=HookProcess('odd', 'odd', 600.0).finish, args=given, daemon=True)\n"
        "hook.start()\n"
        f"while not os.path.exists({str(tmp_path / 'pid')!r}):\n    time.sleep(0.01)\n"
        "time.sleep(0.05)\nos.kill(os.getpid(), 9)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, sys.path)])}
    subprocess.run([sys.executable, "-c", worker], env=environment, check=False, timeout=patience_s())
    child = int((tmp_path / "pid").read_text())
    assert ends(child)
