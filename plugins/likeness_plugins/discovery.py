"""Finding packs: built-in ones that the caller names, then everything installed under the entry-point group
`likeness`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pluggy

from likeness_plugins import hookspecs
from likeness_plugins.catalogue import Catalogue, Pack
from likeness_plugins.checks import style_problems
from likeness_plugins.errors import PluginError
from likeness_plugins.hook_process import HookProcess
from likeness_plugins.style import Style

if TYPE_CHECKING:
    from importlib import metadata

GROUP: Final = "likeness"
HOOK_S: Final = 10.0


class _NotAdmittedError(Exception):
    """Whoever runs the discovery does not let a pack in; the text is the problem."""


class Candidate(NamedTuple):
    """A pack that may work: its name, whose it is, and what imports it here; `value`, as in an entry point, does so in
    the process of its hooks for avatars.
    """

    name: str
    distribution: str
    version: str
    load: Callable[[], Any]
    value: str = ""


def discover(
    builtin: Iterable[tuple[str, str]] = (),
    admit: Callable[[metadata.EntryPoint], str | None] = lambda _: None,
    hook_s: float = HOOK_S,
) -> Catalogue:
    """Load every pack by itself: (name, module) pairs of the caller's distribution first, then entry points by name,
    but none for which `admit` answers what is wrong with it.

    A pack that fails to import, whose hook fails, or whose styles are not valid is listed with its problems, and the
    rest works. Of two styles with one name the one found first stays; the later pack has a problem. A hook for an
    avatar that takes longer than `hook_s` has failed.
    """
    return load_packs((*builtin_packs(builtin), *_installed(admit)), hook_s)


def load_packs(candidates: Iterable[Candidate], hook_s: float = HOOK_S) -> Catalogue:
    """The same for these packs alone, whatever else is installed."""
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    packs: list[Pack] = []
    styles: dict[str, Style] = {}
    processes: dict[str, HookProcess] = {}
    for candidate in candidates:
        packs.append(_load(candidate, manager, styles))
        processes[candidate.name] = HookProcess(candidate.name, candidate.value, hook_s)
    return Catalogue(manager, packs, styles, processes)


def builtin_packs(modules: Iterable[tuple[str, str]]) -> Iterator[Candidate]:
    """The packs of the distribution `likeness` itself, given as (name, module)."""
    from importlib import import_module, metadata  # noqa: PLC0415 - importing this package must stay cheap

    for name, module in modules:
        yield Candidate(name, "likeness", metadata.version("likeness"), partial(import_module, module), module)


def _installed(admit: Callable[[metadata.EntryPoint], str | None]) -> Iterator[Candidate]:
    from importlib import metadata  # noqa: PLC0415

    for entry in sorted(metadata.entry_points(group=GROUP), key=lambda entry: entry.name):
        distribution, version = (entry.dist.name, entry.dist.version) if entry.dist else ("unknown", "unknown")
        problem = admit(entry)
        load = entry.load if problem is None else partial(_refuse, problem)
        yield Candidate(entry.name, distribution, version, load, entry.value)


def _refuse(problem: str) -> None:
    raise _NotAdmittedError(problem)


def _load(candidate: Candidate, manager: pluggy.PluginManager, styles: dict[str, Style]) -> Pack:
    """Import, register and ask one pack; a stranger's code may raise anything, SystemExit included."""
    problems: list[str] = []
    found: list[Style] = []
    try:
        plugin = candidate.load()
        manager.register(plugin, candidate.name)
        manager.check_pending()
        found = _styles(plugin, problems)
    except _NotAdmittedError as error:
        problems.append(str(error))
    except (Exception, SystemExit) as error:
        what = str(error) if isinstance(error, PluginError) else f"{error!r}."
        problems.append(
            f"The pack {candidate.name} cannot be loaded: {what} Update or remove {candidate.distribution}."
        )
        if manager.has_plugin(candidate.name):
            manager.unregister(name=candidate.name)
    kept = [style for style in found if _keep(style, styles, problems)]
    return Pack(
        name=candidate.name,
        distribution=candidate.distribution,
        version=candidate.version,
        author=", ".join(dict.fromkeys(style.author for style in kept)),
        licence=" AND ".join(dict.fromkeys(style.licence for style in kept)),
        styles=tuple(style.name for style in kept),
        problems=tuple(problems),
    )


def _styles(plugin: Any, problems: list[str]) -> list[Style]:
    """The valid styles of one plugin; a pack of hooks alone has none."""
    if not hasattr(plugin, "likeness_styles"):
        return []
    styles = plugin.likeness_styles()
    if not isinstance(styles, list | tuple):
        problems.append(f"likeness_styles must return a list of Style, not {styles!r:.60}: correct the pack.")
        return []
    valid = []
    for style in styles:
        wrong = style_problems(style)
        problems.extend(wrong)
        if not wrong:
            valid.append(style)
    return valid


def _keep(style: Style, styles: dict[str, Style], problems: list[str]) -> bool:
    if style.name in styles:
        problems.append(f"Another pack already has a style {style.name}: rename one of them, or remove a pack.")
        return False
    styles[style.name] = style
    return True
