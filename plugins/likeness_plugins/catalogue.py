"""What was discovered: packs, their styles, their problems, and the hooks that callers call."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import msgspec

from likeness_plugins.errors import HookError, PluginError, where
from likeness_plugins.key_store import KeyStore
from likeness_plugins.publication import Publication
from likeness_plugins.refused_photos import RefusedPhotos
from likeness_plugins.style import Look, Style

if TYPE_CHECKING:
    import pluggy

    from likeness_plugins.hook_process import HookProcess
    from likeness_plugins.hookspecs import Picture

REFUSED_BY_FAILURE = "It could not be reviewed, so it is not used."


class Problem(msgspec.Struct, frozen=True):
    """Something wrong with a pack, in one sentence for whoever runs the server."""

    pack: str
    sentence: str


class Pack(msgspec.Struct, frozen=True):
    """One style pack: its entry point's name, the distribution it came with, and what it gave."""

    name: str
    distribution: str
    version: str
    author: str
    licence: str
    styles: tuple[str, ...]
    problems: tuple[str, ...]


class Catalogue:
    """All packs that work, behind one object; a pack that fails in a hook never takes the others along. Threads share
    it: packs and styles never change, `with_styles` makes another one.

    Reviews fail closed: a plugin that raises, or returns neither a reason nor None, refuses. Finishing, and opening
    keys, fail loudly: PluginError, so that this one render, or the start, fails.
    """

    def __init__(
        self,
        manager: pluggy.PluginManager,
        packs: Sequence[Pack],
        styles: Mapping[str, Style],
        processes: Mapping[str, HookProcess],
    ) -> None:
        self._manager = manager
        self._processes = processes
        self.packs = tuple(packs)
        self.styles = MappingProxyType(dict(styles))
        self._late_problems: list[Problem] = []

    def with_styles(self, packs: Sequence[Pack], styles: Mapping[str, Style]) -> Catalogue:
        """Another catalogue of these packs and styles, with the same hooks and what is known to be wrong with them."""
        other = Catalogue(self._manager, packs, styles, self._processes)
        other._late_problems = self._late_problems
        return other

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Everything wrong with any pack so far."""
        found = [Problem(pack.name, sentence) for pack in self.packs for sentence in pack.problems]
        return (*found, *self._late_problems)

    @property
    def unloaded(self) -> tuple[str, ...]:
        """Packs that could not be loaded, by name; of those with other problems some of it works."""
        return tuple(pack.name for pack in self.packs if not self._manager.has_plugin(pack.name))

    def prepare_reviews(self) -> None:
        """Let every pack load what its reviews of photos need; one that fails is noted, and fails again at a review."""
        self._call_all("likeness_prepare_reviews")

    def review_photo(self, photo: Picture) -> str | None:
        """The first reason to refuse a crop, or None."""
        hook = "likeness_review_photo"
        return self._first_reason(hook, self._asking(hook, photo=photo))

    def review_photos(self, crops: Sequence[Picture], user: str) -> list[str | None]:
        """The first reason to refuse each crop of a set, or None; a pack gets the crops that those before it let
        pass.
        """
        reasons: list[str | None] = [None] * len(crops)
        for name, call in self._calls("likeness_review_photos"):
            left = [index for index, reason in enumerate(reasons) if reason is None]
            if left:
                for place, reason in self._review_set(name, call, [crops[index] for index in left], user):
                    reasons[left[place]] = reason
        return reasons

    def review_avatar(self, avatar: Picture, style: Style, look: Look) -> str | None:
        """The first reason to refuse an avatar, or None."""
        hook = "likeness_review_avatar"
        asking = ((name, partial(process.review, avatar, style, look)) for name, process in self._apart(hook))
        return self._first_reason(hook, asking)

    def finish_avatar(self, avatar: Picture, style: Style, look: Look) -> Picture:
        """The avatar after every pack's finishing; raises PluginError naming the pack that failed."""
        for name, process in self._apart("likeness_finish_avatar"):
            try:
                finished = process.finish(avatar, style, look)
            except HookError as error:
                raise PluginError(
                    f"The pack {name} failed to finish an avatar: {error}. Update or remove it."
                ) from error
            avatar = avatar if finished is None else finished
        return avatar

    def avatar_published(self, publication: Publication) -> None:
        """Tell every pack; one that fails is noted, and the others are told all the same."""
        self._call_all("likeness_avatar_published", publication=publication)

    def key_store(self, location: str) -> tuple[str, KeyStore] | None:
        """The first pack that knows this `keys` setting, and its store; raises PluginError naming one that failed."""
        for name, call in self._calls("likeness_key_store"):
            try:
                store = call(location=location)
            except Exception as error:
                raise PluginError(
                    f"The pack {name} failed to open the keys: {where(error)}. Update or remove it."
                ) from error
            if store is None:
                continue
            if not isinstance(store, KeyStore):
                raise PluginError(
                    f"The pack {name} opened a {type(store).__name__} for the keys, which is no KeyStore. Update or"
                    " remove it."
                )
            return name, store
        return None

    def _call_all(self, hook: str, **arguments: Any) -> None:
        for name, call in self._calls(hook):
            try:
                call(**arguments)
            except Exception as error:
                self._note(name, f"{hook} failed: {where(error)}.")

    def _review_set(
        self, name: str, call: Callable[..., Any], crops: Sequence[Picture], user: str
    ) -> Iterator[tuple[int, str]]:
        """The places of the crops that one pack refuses, with its reason."""

        def is_reason(given: object) -> bool:
            return given.is_valid(len(crops)) if isinstance(given, RefusedPhotos) else _is_text(given)

        review = partial(call, crops=crops, user=user)
        wanted = "a text, RefusedPhotos with a reason and places of these crops, or None"
        refusal = self._review("likeness_review_photos", name, review, is_reason, wanted)
        if isinstance(refusal, RefusedPhotos):
            yield from ((place, refusal.reason) for place in refusal.photos)
        elif refusal is not None:
            yield from ((place, refusal) for place in range(len(crops)))

    def _first_reason(self, hook: str, reviews: Iterable[tuple[str, Callable[[], Any]]]) -> str | None:
        for name, review in reviews:
            reason: str | None = self._review(hook, name, review, _is_text, "a text or None")
            if reason is not None:
                return reason
        return None

    def _review(
        self, hook: str, name: str, review: Callable[[], Any], is_reason: Callable[[object], bool], wanted: str
    ) -> Any:
        """What one pack's review returns; REFUSED_BY_FAILURE when it raises, or returns neither None nor a reason."""
        try:
            reason = review()
        except Exception as error:
            self._note(name, f"{hook} failed: {error if isinstance(error, HookError) else where(error)}.")
            return REFUSED_BY_FAILURE
        if reason is None or is_reason(reason):
            return reason
        self._note(name, f"{hook} must return {wanted}, not {reason!r:.60}.")
        return REFUSED_BY_FAILURE

    def _note(self, pack: str, sentence: str) -> None:
        problem = Problem(pack, sentence)
        if problem not in self._late_problems:
            self._late_problems.append(problem)

    def _asking(self, hook: str, **arguments: Any) -> Iterator[tuple[str, Callable[[], Any]]]:
        return ((name, partial(call, **arguments)) for name, call in self._calls(hook))

    def _calls(self, hook: str) -> Iterator[tuple[str, Callable[..., Any]]]:
        """One caller a plugin, in the order of discovery, so that each can fail by itself."""
        plugins = self._manager.list_name_plugin()
        for name, plugin in plugins:
            if plugin is not None and hasattr(plugin, hook):
                others = [other for _, other in plugins if other is not None and other is not plugin]
                caller = self._manager.subset_hook_caller(hook, remove_plugins=others)
                yield name, lambda caller=caller, **arguments: _only(caller(**arguments))

    def _apart(self, hook: str) -> Iterator[tuple[str, HookProcess]]:
        """The same of hooks that run in processes of their own."""
        return ((name, self._processes[name]) for name, _ in self._calls(hook))


def _is_text(given: object) -> bool:
    return isinstance(given, str) and bool(given.strip())


def _only(results: list[Any]) -> Any:
    """pluggy leaves None out of a hook's results."""
    return results[0] if results else None
