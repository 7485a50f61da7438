"""Installing data-only packs: every process has them, nothing bad gets in, what gets in broken harms nothing else."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa

from likeness.database import tables
from likeness.errors import UnknownStyleError
from likeness.records import style_packs
from likeness.retention import reconcile as reconciling
from likeness.retention import sweep
from likeness.retention.promise import check_promise
from likeness.retention.reconcile import reconcile
from likeness.style_packs import Shelf, StylePackError, install_folder, limits, remove
from likeness.style_packs.archive import digest_of
from likeness.vault import StorageError
from likeness_engines import read_lora
from tests.style_packs.conftest import BASE, House
from tests.style_packs.packs import ABOUT, HEAD, pack, write_lora

RECIPE = f"[recipes.{ABOUT.family}]\n"


def problems(shelf: Shelf) -> str:
    return "\n".join(each.sentence for each in shelf.catalogue.problems)


def test_it_reaches_running_processes_and_goes_again(house: House) -> None:
    running = house.shelf()
    before = running.catalogue
    house.install(pack(house.folder / "paper", lora=True))
    assert "paper" not in running.catalogue.styles
    running.look()
    for process in (running, house.shelf()):
        style = process.catalogue.styles["paper"]
        assert style.recipe(ABOUT.family).lora is not None
        assert process.catalogue.packs[-1].version == style.version == "1.0"
        assert not process.catalogue.problems
    assert "paper" not in before.styles  # who has begun with a catalogue goes on with it
    assert remove(house.safe, "paper", base=BASE).version == "1.0"
    running.look()
    assert list(running.catalogue.styles) == list(BASE.styles)


def test_what_was_chosen_before_the_removal_is_drawn_by_old_and_new_processes(house: House) -> None:
    house.install(pack(house.folder / "paper", lora=True))
    running = house.shelf()
    remove(house.safe, "paper", base=BASE)
    running.look()
    for process in (running, house.shelf()):
        assert "paper" not in process.catalogue.styles
        assert [style.name for style in process.choose(["comic", "paper"])] == ["comic", "paper"]


def test_what_was_chosen_a_moment_after_it_was_installed_is_drawn(house: House) -> None:
    worker = house.shelf()
    house.install(pack(house.folder / "paper"))
    assert [style.name for style in worker.choose(["paper"])] == ["paper"]
    with pytest.raises(UnknownStyleError, match="scissors"):
        worker.choose(["scissors"])


def test_another_version_takes_the_place_of_the_one_before(house: House) -> None:
    house.install(pack(house.folder / "1"))
    running = house.shelf()
    house.install(pack(house.folder / "2", version="2.0"))
    running.look()
    assert running.catalogue.styles["paper"].version == "2.0"
    assert running.choose(["paper"])[0].version == "2.0"


def test_the_same_version_with_other_files_is_refused_and_with_the_same_mends(house: House) -> None:
    folder = pack(house.folder / "1")
    lost = house.install(folder)
    house.safe.objects.delete(lost.object)
    assert "Install it again" in problems(house.shelf())
    with pytest.raises(StylePackError, match=r"paper 1\.0 is installed with other files"):
        house.install(pack(house.folder / "2", more='negative_prompt = "blur"\n'))
    house.install(folder)
    assert "paper" in house.shelf().catalogue.styles


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ('colour = "red"\n', "colour"),
        (RECIPE + "steps = 10000\n", "10000 steps"),
        (RECIPE + 'lora = "../style.safetensors"\n', "leads out of the folder"),
        ('preview = "/etc/hostname"\n', "leads out of the folder"),
        (RECIPE + 'lora = "wide.safetensors"\n', "this pack takes"),
        (RECIPE + 'lora = "high.safetensors"\n', "has rank 129"),
        (RECIPE + 'lora = "style.toml"\n', "not safetensors"),
    ],
)
def test_what_is_wrong_is_refused_by_name_and_nothing_of_it_is_kept(house: House, more: str, words: str) -> None:
    folder = pack(house.folder / "paper", more=more)
    write_lora(folder / "wide.safetensors", wider=1)
    write_lora(folder / "high.safetensors", rank=129)
    write_lora(house.folder / "style.safetensors")
    with pytest.raises(StylePackError, match=words):
        house.install(folder)
    assert list(house.safe.objects.names("styles/")) == []
    assert list(house.shelf().catalogue.styles) == list(BASE.styles)


def test_a_link_that_leads_out_is_refused(house: House) -> None:
    folder = pack(house.folder / "paper", more='preview = "preview.png"\n')
    (house.folder / "secret.png").write_bytes(b"\x89PNG")
    (folder / "preview.png").symlink_to(house.folder / "secret.png")
    with pytest.raises(StylePackError, match="leads out of the folder"):
        house.install(folder)


def test_a_name_that_another_pack_has_is_refused(house: House) -> None:
    with pytest.raises(StylePackError, match="already has a style comic"):
        house.install(pack(house.folder / "comic", name="comic"))


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        ({"style_steps": 10}, "style_steps allows 10"),
        ({"style_guidance": 5.0}, "style_guidance allows 5"),
        ({"style_lora_rank": 3}, "style_lora_rank allows 3"),
        ({"style_lora_bytes": 1000}, "style_lora_bytes allows 1000"),
        ({"style_preview_bytes": 5}, "style_preview_bytes allows 5"),
    ],
)
def test_limits_are_settings(house: House, limit: dict[str, object], words: str) -> None:
    more = 'preview = "p.png"\n' + RECIPE + 'lora = "l.safetensors"\nsteps = 20\nguidance = 6.5\n'
    folder = pack(house.folder / "paper", more=more)
    write_lora(folder / "l.safetensors")
    (folder / "p.png").write_bytes(b"\x89PNG....")
    strict = msgspec.structs.replace(house.settings, **limit)  # type: ignore[arg-type]
    with pytest.raises(StylePackError, match=words):
        install_folder(house.safe, strict, folder, base=BASE, model=ABOUT)
    house.install(folder)
    process = house.shelf(**limit)
    assert words in problems(process)
    assert list(process.catalogue.styles) == list(BASE.styles)


@pytest.mark.parametrize(
    "archive",
    [
        b"not what was installed",
        msgspec.msgpack.encode({"style.toml": HEAD.format(name="paper", version="1.0").encode(), "../evil": b"x"}),
        msgspec.msgpack.encode({"style.toml": b"name = 3"}),
    ],
)
@pytest.mark.parametrize("forged", [False, True])
def test_a_corrupted_archive_is_refused_and_harms_nothing_else(house: House, archive: bytes, forged: bool) -> None:
    house.install(pack(house.folder / "card", name="card"))
    paper = house.install(pack(house.folder / "paper"))
    house.safe.objects.put(paper.object, archive)
    if forged:
        row = sa.update(tables.style_packs).where(tables.style_packs.c.id == paper.id)
        house.safe.database.write(lambda connection: connection.execute(row.values(digest=digest_of(archive))))
    process = house.shelf(house.folder / "cache")
    assert list(process.catalogue.styles) == [*BASE.styles, "card"]
    assert "The style pack paper 1.0 cannot be used" in problems(process)
    assert not (house.folder / "evil").exists()
    assert not (house.folder / "cache" / "evil").exists()


def test_a_cache_that_lost_something_is_filled_again(house: House) -> None:
    paper = house.install(pack(house.folder / "paper", lora=True))
    cache = house.folder / "cache"
    house.shelf(cache)
    unpacked = cache / paper.digest / "paper.safetensors"
    unpacked.write_bytes(unpacked.read_bytes()[:-100])
    assert not house.shelf(cache).catalogue.problems
    assert unpacked.read_bytes() == (house.folder / "paper" / "paper.safetensors").read_bytes()
    assert {each.name for each in cache.iterdir()} == {paper.digest, f"{paper.digest}.good"}


def test_a_start_reads_again_only_what_may_have_changed(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[object] = []
    monkeypatch.setattr(limits, "read_lora", lambda *given: read.append(given) or read_lora(*given))
    paper = house.install(pack(house.folder / "paper", lora=True))
    cache = house.folder / "cache"
    for process in (house.shelf(cache), house.shelf(cache)):
        assert "paper" in process.catalogue.styles
    assert len(read) == 2  # before it was installed, and when it was unpacked
    (cache / paper.digest / "paper.safetensors").touch()
    assert not house.shelf(cache).catalogue.problems
    assert len(read) == 3
    strict = house.shelf(cache, style_lora_rank=3)
    assert "style_lora_rank allows 3" in problems(strict)
    assert "paper" in house.shelf(cache).catalogue.styles


def test_only_what_the_description_names_is_packed(house: House) -> None:
    folder = pack(house.folder / "paper", lora=True)
    (folder / "secrets.env").write_text("TOKEN=1")
    (folder / "setup.py").write_text("raise SystemExit")
    paper = house.install(folder)
    house.shelf(house.folder / "cache")
    names = {each.name for each in (house.folder / "cache" / paper.digest).iterdir()}
    assert names == {"style.toml", "paper.safetensors", "preview.png"}


def test_names_that_nobody_installed_are_named(house: House) -> None:
    house.install(pack(house.folder / "paper"))
    with pytest.raises(StylePackError, match=r"No pack card is installed.*paper"):
        remove(house.safe, "card", base=BASE)
    with pytest.raises(StylePackError, match="comes with Likeness"):
        remove(house.safe, "comic", base=BASE)


def test_the_store_is_accounted_for(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconciling, "EVERY_S", 0.0)
    now = house.safe.objects.clock
    monkeypatch.setattr(house.safe.objects, "clock", lambda: now() + 3600)
    offered, removed = (
        house.install(pack(house.folder / "paper")),
        house.install(pack(house.folder / "card", name="card")),
    )
    remove(house.safe, "card", base=BASE)
    house.safe.objects.put("styles/0123456789abcdef01234567/0", b"of an install that died")
    assert [each.kind for each in check_promise(house.safe, days=1).findings] == ["orphan"]
    assert reconcile(house.safe, house.settings).orphans == 1
    assert set(house.safe.objects.names("styles/")) == {offered.object, removed.object}
    assert not check_promise(house.safe, days=1).findings
    due = sa.update(tables.deadlines).where(tables.deadlines.c.subject == removed.object)
    house.safe.database.write(lambda connection: connection.execute(due.values(due_at=0.0)))
    sweep(house.safe, house.settings)
    assert list(house.safe.objects.names("styles/")) == [offered.object]


def test_what_was_withdrawn_long_ago_is_forgotten(house: House) -> None:
    house.install(pack(house.folder / "paper"))
    remove(house.safe, "paper", base=BASE)
    long_ago = sa.update(tables.style_packs).values(withdrawn_at=tables.style_packs.c.withdrawn_at - style_packs.KEPT_S)
    house.safe.database.write(lambda connection: connection.execute(long_ago))
    with pytest.raises(UnknownStyleError):
        house.shelf().choose(["paper"])


def test_while_the_store_does_not_answer_a_pack_waits_and_so_does_who_needs_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(name: str) -> bytes:
        raise StorageError("The store of objects does not answer.")

    house.install(pack(house.folder / "paper"))
    with monkeypatch.context() as patch:
        patch.setattr(house.safe.objects, "get", silent)
        process = house.shelf()
        assert "paper 1.0 waits: The store of objects does not answer." in problems(process)
        assert list(process.catalogue.styles) == list(BASE.styles)
        with pytest.raises(StorageError):
            process.choose(["paper"])
    process.look()
    assert "paper" in process.catalogue.styles
    assert not process.catalogue.problems


def test_a_cache_that_cannot_be_written_is_named(house: House) -> None:
    house.install(pack(house.folder / "paper"))
    (house.folder / "file").touch()
    process = house.shelf(house.folder / "file" / "cache")
    assert "set style_cache" in problems(process)
    assert list(process.catalogue.styles) == list(BASE.styles)


def test_of_two_installs_at_the_same_moment_one_is_offered(house: House) -> None:
    folders = [pack(house.folder / str(n), version=f"{n}.0") for n in range(4)]

    def install(folder: Path) -> bool:
        with suppress(StylePackError):
            house.install(folder)
            return True
        return False

    with ThreadPoolExecutor(4) as pool:
        assert any(pool.map(install, folders))
    [offered] = house.safe.database.read(style_packs.offered)
    assert house.shelf().catalogue.styles["paper"].version == offered.version
