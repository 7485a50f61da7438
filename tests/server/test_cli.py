"""The command line, as a shell sees it: files, exit codes, and one clear sentence for every bad input."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

import likeness.cli.render as render_module
from likeness.cli import main
from likeness.packs import is_identity_installed
from likeness.provenance import COMPOSITE_SOURCE_TYPE, DIGITAL_SOURCE_TYPE, read_provenance
from likeness_engines import bundled_pack
from tests.certificates import Authority
from tests.faces import traces_of
from tests.style_packs.packs import pack

QUICK = ("--count", "3", "--steps", "1", "--seed", "5")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def run(photos: list[Path], *options: str) -> int:
    return main(["render", *map(str, photos), *QUICK, *options])


def refusal(capsys: pytest.CaptureFixture[str]) -> str:
    """What stderr says; nothing that looks like a traceback."""
    said = capsys.readouterr().err
    assert said.strip()
    assert "Traceback" not in said
    return said


def listing(out: Path) -> dict[str, Any]:
    return dict(json.loads((out / "avatars.json").read_text()))


def test_avatars_a_sheet_and_a_list(photos: list[Path], out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(photos, "--styles", "comic,neon", "--out", str(out)) == 0
    described = listing(out)
    assert [entry["style"] for entry in described["avatars"]] == ["comic", "neon", "comic"]
    names = {entry["file"] for entry in described["avatars"]}
    assert {path.name for path in out.iterdir()} == names | {"avatars.json", "sheet.webp"}
    for name in names:
        with Image.open(out / name) as picture:
            assert picture.size == (256, 256)
            assert DIGITAL_SOURCE_TYPE in picture.info["xmp"].decode()
    assert described["timings"]["total_s"] > 0
    assert "3 of 3 avatars" in capsys.readouterr().out


def test_the_same_seed_gives_the_same_pictures(photos: list[Path], tmp_path: Path) -> None:
    for name in ("a", "b"):
        assert run(photos, "--out", str(tmp_path / name)) == 0
    for path in sorted((tmp_path / "a").glob("0*.webp")):
        with Image.open(path) as first, Image.open(tmp_path / "b" / path.name) as second:
            assert first.tobytes() == second.tobytes()  # the files differ in their signatures


def test_a_style_that_was_installed_without_code_is_drawn(photos: list[Path], out: Path, tmp_path: Path) -> None:
    data = ["--data", str(tmp_path / "data")]
    assert main(["styles", "install", str(pack(tmp_path / "paper", lora=True)), *data]) == 0
    assert run(photos, "--styles", "paper,comic", *data, "--out", str(out)) == 0
    assert {avatar["style"] for avatar in listing(out)["avatars"]} == {"paper", "comic"}


def test_every_file_is_signed_as_made_by_a_model(photos: list[Path], out: Path, tmp_path: Path) -> None:
    certificate, key = Authority().issue(tmp_path)
    assert run(photos, "--out", str(out), "--certificate", str(certificate), "--key", str(key)) == 0
    for path in out.glob("*.webp"):
        found = read_provenance(path.read_bytes())
        assert (found.by_model, found.signature) == (True, "untrusted")
        assert found.origin is not None
        assert found.origin.signed_by == "Social Network Ltd, Avatars"
        is_sheet = path.name == "sheet.webp"  # with the photos on it
        assert found.xmp == (COMPOSITE_SOURCE_TYPE if is_sheet else DIGITAL_SOURCE_TYPE)


def test_a_wrong_key_is_said_before_anything_is_drawn(
    photos: list[Path], out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    certificate, key = Authority().issue(tmp_path)
    key.unlink()
    assert run(photos, "--out", str(out), "--certificate", str(certificate), "--key", str(key)) == 2
    assert "c2pa_key" in refusal(capsys)
    assert not out.exists()


def test_without_out_a_new_folder_each_time(
    photos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert run(photos) == 0
    assert (tmp_path / "avatars" / "sheet.webp").exists()
    assert (tmp_path / "avatars-2" / "sheet.webp").exists()


def test_bad_photos_are_all_named(
    photos: list[Path], tmp_path: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.jpg").write_text("hello")
    (tmp_path / "empty.png").touch()
    assert run([*photos[:2], tmp_path / "notes.jpg", tmp_path / "empty.png"], "--out", str(out)) == 2
    said = refusal(capsys)
    assert "notes.jpg: This is not a picture." in said
    assert "empty.png: The file is empty." in said
    assert "2 of 4 photos can be used. Give at least 1 more that can." in said
    assert not out.exists()


def test_what_is_left_out_is_printed_and_listed_and_avatars_name_their_photos(
    photos: list[Path], tmp_path: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes [1].jpg").write_text("hello")
    shutil.copy(photos[0], tmp_path / "again.jpg")
    given = [tmp_path / "notes [1].jpg", *photos, tmp_path / "again.jpg"]
    assert run(given, "--out", str(out)) == 0
    same = f"This is the same picture as {photos[0]}. Use another one."
    said = capsys.readouterr().out
    assert f"Left out {given[0]}: This is not a picture. Use a" in said
    assert f"Left out {given[4]}: {same}" in said
    described = listing(out)
    left_out = {"file": str(given[4]), "accepted": False, "reason": "duplicate", "message": same}
    assert described["photos"][1:] == [*({"file": str(photo), "accepted": True} for photo in photos), left_out]
    assert described["photos"][0]["reason"] == "not_an_image"
    assert described["faces_compared"] is is_identity_installed()
    assert ("compared with each other" in said) is described["faces_compared"]
    assert {avatar["photo"] for avatar in described["avatars"]} <= set(map(str, photos))


@pytest.mark.skipif(not is_identity_installed(), reason="needs the extra identity")
def test_no_embedding_is_left_in_the_temporary_folder_or_with_the_avatars(
    photos: list[Path], tmp_path: Path, out: Path
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    command = [sys.executable, "-m", "likeness", "render", *map(str, photos), *QUICK, "--out", str(out)]
    subprocess.run(command, env=os.environ | {"TMPDIR": str(temporary)}, check=True, capture_output=True)
    traces = traces_of([photo.read_bytes() for photo in photos])
    for path in (path for folder in (temporary, out) for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        assert not [trace for trace in traces if trace in content], path


def test_missing_files_and_folders_are_named(
    photos: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*photos, tmp_path / "nowhere.jpg", tmp_path]) == 2
    said = refusal(capsys)
    assert "nowhere.jpg: There is no such file." in said
    assert f"{tmp_path}: This is a folder." in said


@pytest.mark.parametrize("count", [1, 2, 11])
def test_three_to_ten_photos(photos: list[Path], count: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert run((photos * 4)[:count]) == 2
    assert "give 3 to 10 photos" in refusal(capsys)


def test_an_unknown_style_is_named_with_the_known(photos: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(photos, "--styles", "comic,cubist") == 2
    said = refusal(capsys)
    assert "cubist" in said
    assert "watercolour" in said


@pytest.mark.parametrize("option", [("--colour", "red"), ("--count", "0"), ("--steps", "x"), ("--styles", ",")])
def test_a_wrong_option_is_named(
    photos: list[Path], option: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["render", *map(str, photos), *option])
    assert caught.value.code == 2
    assert option[0] in refusal(capsys)


def test_a_folder_in_use_is_left_alone(photos: list[Path], out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out.mkdir()
    (out / "mine.txt").write_text("keep")
    assert run(photos, "--out", str(out)) == 2
    assert "is not empty" in refusal(capsys)
    assert [path.name for path in out.iterdir()] == ["mine.txt"]
    assert run(photos, "--out", str(out / "mine.txt")) == 2
    assert "Cannot write to the folder" in refusal(capsys)


def test_an_unknown_backend_names_the_known(photos: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(photos, "--backend", "abacus") == 1
    assert "onnxruntime, openvino" in refusal(capsys)


def copy_pack(tmp_path: Path) -> Path:
    return shutil.copytree(bundled_pack().folder, tmp_path / "pack")


def test_a_folder_without_a_pack(photos: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(photos, "--pack", str(tmp_path)) == 1
    assert "pack.toml is missing" in refusal(capsys)


def test_a_damaged_pack_names_the_file(photos: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pack = copy_pack(tmp_path)
    with (pack / "onnx" / "unet.onnx").open("r+b") as file:
        file.seek(1000)
        file.write(b"damage")
    assert run(photos, "--pack", str(pack)) == 1
    assert "onnx/unet.onnx is damaged" in refusal(capsys)


def test_an_incomplete_pack_names_the_file(
    photos: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pack = copy_pack(tmp_path)
    (pack / "vae" / "config.json").unlink()
    assert run(photos, "--pack", str(pack)) == 1
    assert "lacks the file vae/config.json" in refusal(capsys)


def test_no_room_on_the_disk(
    photos: list[Path], out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    usage = shutil.disk_usage("/")._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    assert run(photos, "--out", str(out)) == 1
    assert "Free some room" in refusal(capsys)


def test_the_disk_fills_up_half_way(
    photos: list[Path], out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was written before stays whole and listed; nothing half-written is left."""
    write = Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        if path.name.startswith(".03"):
            write(path, data[: len(data) // 2])
            raise OSError(28, "No space left on device")
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    assert run(photos, "--out", str(out)) == 1
    assert "the disk is full" in refusal(capsys)
    kept = {entry["file"] for entry in listing(out)["avatars"]}
    assert len(kept) == 2
    assert {path.name for path in out.iterdir()} == kept | {"avatars.json"}


def test_ctrl_c_half_way_keeps_and_lists_what_is_done(
    photos: list[Path], out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = render_module.draw

    def interrupted(*arguments: Any) -> Any:
        for number, result in enumerate(draw(*arguments)):
            if number == 2:
                raise KeyboardInterrupt
            yield result

    monkeypatch.setattr(render_module, "draw", interrupted)
    assert run(photos, "--out", str(out)) == 130
    kept = {entry["file"] for entry in listing(out)["avatars"]}
    assert len(kept) == 2
    assert {path.name for path in out.iterdir()} == kept | {"avatars.json", "sheet.webp"}


def test_help_waits_for_nothing_heavy() -> None:
    code = "import sys; from likeness.cli import main\ntry: main(['--help'])\nexcept SystemExit: print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"numpy", "cv2", "onnxruntime", "PIL"} & set(done.stdout.split())


def test_styles_and_packs_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["styles", "--json"]) == 0
    styles = json.loads(capsys.readouterr().out)
    assert [style["name"] for style in styles["styles"]][:5] == ["comic", "sketch", "neon", "watercolour", "oil"]
    assert all(style["looks"] >= 10 and Path(style["preview"]).is_file() for style in styles["styles"][:5])
    assert main(["packs", "--json"]) == 0
    [pack] = [pack for pack in json.loads(capsys.readouterr().out) if pack["name"] == "miniature"]
    assert (pack["family"], pack["resolution"], pack["licence"]) == ("pix2pix", 256, "Apache-2.0")
    assert Path(pack["preview"]).is_file()
    assert pack["problem"] is None


def test_styles_and_packs_as_tables(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["styles"]) == 0
    assert "watercolour" in capsys.readouterr().out
    assert main(["packs"]) == 0
    assert "miniature" in capsys.readouterr().out


def test_avatars_are_not_all_the_same(photos: list[Path], out: Path) -> None:
    assert run(photos, "--out", str(out)) == 0
    pictures = [cv2.imread(str(path)).astype(int) for path in sorted(out.glob("0*.webp"))]
    assert np.abs(pictures[0] - pictures[1]).mean() > 10


def test_names_that_are_not_utf_8_are_listed_and_printed_with_their_bytes(photos: list[Path], tmp_path: Path) -> None:
    """What a shell hands over of a file that was named on an old system, in a folder whose name looks like markup."""
    folder = os.fsencode(tmp_path) + b"/caf\xe9 [/bold]"
    Path(os.fsdecode(folder)).mkdir(parents=True)
    names = [folder + b"/photo-\xff%d.jpg" % index for index in range(3)]
    for name, photo in zip(names, photos, strict=True):
        Path(os.fsdecode(name)).write_bytes(photo.read_bytes())
    out = folder + b"/out"
    done = _likeness(b"render", *names, *map(str.encode, QUICK), b"--out", out)
    assert (done.returncode, done.stderr) == (0, b"")
    assert rb"caf\xe9 [/bold]/out/sheet.webp" in done.stdout
    listed = json.loads(Path(os.fsdecode(out + b"/avatars.json")).read_text())
    assert all(r"caf\xe9 [/bold]/photo-\xff" in avatar["photo"] for avatar in listed["avatars"])
    first = out + b"/" + listed["avatars"][0]["file"].encode()
    assert rb"caf\xe9 [/bold]/out/" in _likeness(b"provenance", b"--json", first).stdout.replace(rb"\\", b"\\")
    Path(os.fsdecode(names[0])).write_bytes(b"no photo")
    refused = _likeness(b"render", *names, b"missing-\xff", b"--out", out)
    assert refused.returncode == 2
    assert refused.stderr == b"missing-\\xff: There is no such file. Check the name.\n"
    refused = _likeness(b"render", *names, b"--out", out)
    assert refused.returncode == 2
    assert rb"photo-\xff0.jpg: This is not a picture." in refused.stderr
    assert b"Traceback" not in refused.stderr


def _likeness(*arguments: bytes) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([sys.executable, "-m", "likeness", *arguments], check=False, capture_output=True, timeout=300)
