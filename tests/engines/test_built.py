"""The cache of built engines: exactly the right ones are found, nothing half-built or damaged is loaded."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from likeness_engines import BackendError, BackendOptions, ModelPack, bundled_pack, create_backend, create_compiler
from likeness_engines.backends.base import Target
from likeness_engines.backends.onnxruntime_engine import OnnxRuntimeCompiler
from likeness_engines.building import build_engines, whole_build
from likeness_engines.built import (
    ABOUT,
    Built,
    BuiltNetwork,
    built_folders,
    cache_folder,
    find_built,
    list_built,
    read_built,
)
from likeness_engines.hardware import cpu_name
from likeness_engines.onnx_runtime import ort
from likeness_engines.pack import file_digest, read_pack
from likeness_engines.verify import BOUNDS, verify_built, why_not_here

README = Path(__file__).parents[2] / "engines" / "README.md"
HERE = Target("onnxruntime", ort.__version__, cpu_name(), "fp32", 4)


def silent(network: str, built: BuiltNetwork | None) -> None:
    """A report that no one reads."""


@pytest.fixture(scope="module")
def pack() -> ModelPack:
    return bundled_pack()


@pytest.fixture(scope="module")
def real(pack: ModelPack, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with one true build."""
    cache = tmp_path_factory.mktemp("engines")
    build_engines(pack, create_compiler("onnxruntime"), HERE, cache, silent)
    return cache


@pytest.fixture
def cache(real: Path, tmp_path: Path) -> Path:
    """A copy of it, to damage."""
    return shutil.copytree(real, tmp_path / "cache")


class Scribe:
    """Builds nothing: writes the network's name, and notes that it did. What it is told to fail at, it does."""

    def __init__(self, fail_at: str = "", error: Exception | None = None) -> None:
        self.built: list[str] = []
        self._fail_at, self._error = fail_at, error or BackendError("Out of luck. Try again.")

    def target(self, rows: int, precision: str | None = None) -> Target:
        raise NotImplementedError

    def free_memory(self) -> int:
        raise NotImplementedError

    def build(self, pack: ModelPack, network: str, target: Target, folder: Path) -> None:
        (folder / f"{network}.engine").write_text(network)
        if network == self._fail_at:
            (folder / f"{network}.scratch").mkdir()
            raise self._error
        self.built.append(network)


def scribble(pack: ModelPack, cache: Path, **changes: object) -> Built:
    return build_engines(pack, Scribe(), msgspec.structs.replace(HERE, **changes), cache, silent)


def find(pack: ModelPack, cache: Path) -> Built:
    return find_built(cache, pack, HERE.backend, HERE.version, HERE.device)


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def with_title(pack: ModelPack, folder: Path, title: str) -> ModelPack:
    shutil.copytree(pack.folder, folder)
    description = folder / "pack.toml"
    description.write_text(description.read_text().replace('title = "Miniature"', f'title = "{title}"'))
    return ModelPack(folder, read_pack(folder))


def test_what_was_built_is_found_whole(pack: ModelPack, real: Path) -> None:
    built = find(pack, real)
    assert built.target == HERE
    assert (built.about.pack, built.about.source, built.about.pack_digest) == ("miniature", "miniature", pack.digest)
    assert tuple(built.about.networks) == pack.networks
    on_disk = {path.name for path in built.folder.iterdir()}
    assert on_disk == built.about.files.keys() | {ABOUT}
    assert all(file_digest(built.folder / name) == digest for name, digest in built.about.files.items())
    assert built.bytes == sum((built.folder / name).stat().st_size for name in built.about.files)
    assert built.folder.name.startswith(f"miniature-onnxruntime-{ort.__version__}-")
    assert "-fp32-rows4-" in built.folder.name


def test_the_backend_loads_it_and_computes_the_same(pack: ModelPack, real: Path, tmp_path: Path) -> None:
    plain = create_backend("onnxruntime", BackendOptions(cache=tmp_path))
    fast = create_backend("onnxruntime", BackendOptions(cache=real))
    latents = {"latents": np.random.default_rng(1).standard_normal((3, *pack.about.latents)).astype(np.float32)}
    [expected] = plain.load(pack, "vae_decoder").run(latents).values()
    [got] = fast.load(pack, "vae_decoder").run(latents).values()
    np.testing.assert_allclose(got, expected, atol=1e-5)
    assert (plain.max_rows, fast.max_rows) == (10, 4)


def test_verify_finds_it_good(pack: ModelPack, real: Path) -> None:
    verdicts = list(verify_built(find(pack, real), pack))
    assert tuple(verdict.network for verdict in verdicts) == pack.networks
    assert all(verdict.good and verdict.largest < 1e-4 for verdict in verdicts)


def test_verify_is_repeatable_and_takes_other_seeds(pack: ModelPack, real: Path) -> None:
    built = find(pack, real)
    first, again, other = (list(verify_built(built, pack, seed)) for seed in (0, 0, 1))
    assert first == again != other


def test_verify_finds_engines_of_other_weights(pack: ModelPack, tmp_path: Path) -> None:
    other = with_title(pack, tmp_path / "pack", "Other")
    weights = load_file(other.weights("text_encoder"))
    changed = {name: values * np.float16(1.1) for name, values in weights.items()}
    save_file(changed, other.weights("text_encoder"))

    class Wrong(OnnxRuntimeCompiler):
        def build(self, pack: ModelPack, network: str, target: Target, folder: Path) -> None:
            super().build(other, network, target, folder)

    built = build_engines(pack, Wrong(), HERE, tmp_path / "cache", silent)
    verdicts = {verdict.network: verdict.good for verdict in verify_built(built, pack)}
    assert verdicts == {"text_encoder": False, "vae_encoder": True, "vae_decoder": True, "unet": True}


def test_nothing_is_built_twice(pack: ModelPack, cache: Path) -> None:
    scribe = Scribe()
    assert build_engines(pack, scribe, HERE, cache, silent) == find(pack, cache)
    assert scribe.built == []


@pytest.mark.parametrize("name", ["unet.onnx", "unet.onnx.data"])
def test_a_damaged_file_is_refused_and_built_again(pack: ModelPack, cache: Path, name: str) -> None:
    damage(find(pack, cache).folder / name)
    backend = create_backend("onnxruntime", BackendOptions(cache=cache))
    command = f"likeness engines build miniature --backend onnxruntime --rows 4 --precision fp32 --cache {cache}"
    with pytest.raises(BackendError, match=f"{name} is missing or damaged. Run `{command}`"):
        backend.load(pack, "unet")
    backend.load(pack, "vae_decoder")  # whose files are whole
    with pytest.raises(BackendError, match="damaged"):
        list(verify_built(find(pack, cache), pack))
    build_engines(pack, OnnxRuntimeCompiler(), HERE, cache, silent)
    backend.load(pack, "unet")


def test_a_missing_file_is_refused(pack: ModelPack, cache: Path) -> None:
    (find(pack, cache).folder / "unet.onnx.data").unlink()
    with pytest.raises(BackendError, match=r"unet.onnx.data is missing or damaged"):
        create_backend("onnxruntime", BackendOptions(cache=cache)).load(pack, "unet")


def test_engines_of_another_device_or_version_are_refused_by_name(pack: ModelPack, tmp_path: Path) -> None:
    scribble(pack, tmp_path, backend="tensorrt", version="10.13", device="NVIDIA A100", precision="fp16", rows=60)
    command = f"likeness engines build miniature --backend tensorrt --rows 60 --precision fp16 --cache {tmp_path}"
    for version, device in (("10.13", "NVIDIA H200"), ("11.4", "NVIDIA A100")):
        with pytest.raises(BackendError) as caught:
            find_built(tmp_path, pack, "tensorrt", version, device)
        said = str(caught.value)
        assert f"were built for NVIDIA A100 with tensorrt 10.13; this machine has {device} with tensorrt" in said
        assert said.endswith(f"Run `{command}`.")


def test_engines_of_another_backend_are_none(pack: ModelPack, tmp_path: Path) -> None:
    scribble(pack, tmp_path)
    with pytest.raises(BackendError, match=r"There are no engines of miniature for torch .*--backend torch --rows 60"):
        find_built(tmp_path, pack, "torch", HERE.version, HERE.device)


def test_engines_of_another_version_of_the_pack_are_refused(pack: ModelPack, tmp_path: Path) -> None:
    scribble(pack, tmp_path / "cache")
    changed = with_title(pack, tmp_path / "a pack", "Other")
    with pytest.raises(BackendError, match=r"another version of the pack, .* Run `likeness engines build '.*/a pack'"):
        find(changed, tmp_path / "cache")
    with pytest.raises(BackendError, match="another version"):
        list(verify_built(find(pack, tmp_path / "cache"), changed))


def test_most_rows_then_the_newest(pack: ModelPack, tmp_path: Path) -> None:
    for precision, rows in (("fp16", 8), ("fp32", 8), ("bf16", 4)):
        scribble(pack, tmp_path, precision=precision, rows=rows)
    assert len(list_built(tmp_path)) == 3
    assert (find(pack, tmp_path).target.rows, find(pack, tmp_path).target.precision) == (8, "fp32")


def test_a_build_that_broke_off_goes_on_and_is_never_loaded(pack: ModelPack, tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="Out of luck"):
        build_engines(pack, Scribe(fail_at="vae_decoder"), HERE, tmp_path, silent)
    assert len(list(tmp_path.glob("*.partial"))) == 1
    assert list_built(tmp_path) == []
    with pytest.raises(BackendError, match="There are no engines"):
        find(pack, tmp_path)
    said: list[tuple[str, bool]] = []
    second = Scribe()
    built = build_engines(pack, second, HERE, tmp_path, lambda name, done: said.append((name, done is not None)))
    assert second.built == ["vae_decoder", "unet"]
    assert said == [(network, done) for network in pack.networks for done in (False, True)]
    assert {path.name for path in built.folder.iterdir()} == {ABOUT, *(f"{name}.engine" for name in pack.networks)}
    assert not list(tmp_path.glob("*.partial"))


def test_a_true_build_goes_on_too(pack: ModelPack, tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="Out of luck"):
        build_engines(pack, Broken(), HERE, tmp_path, silent)
    built = build_engines(pack, OnnxRuntimeCompiler(), HERE, tmp_path, silent)
    assert all(verdict.good for verdict in verify_built(built, pack))


class Broken(OnnxRuntimeCompiler):
    """Breaks off before the UNet, having written half of it."""

    def build(self, pack: ModelPack, network: str, target: Target, folder: Path) -> None:
        super().build(pack, network, target, folder)
        if network == "unet":
            raise BackendError("Out of luck. Try again.")


def test_what_is_damaged_of_a_broken_off_build_is_built_again(pack: ModelPack, tmp_path: Path) -> None:
    with pytest.raises(BackendError):
        build_engines(pack, Scribe(fail_at="unet"), HERE, tmp_path, silent)
    [partial] = tmp_path.glob("*.partial")
    damage(partial / "vae_encoder.engine")
    second = Scribe()
    build_engines(pack, second, HERE, tmp_path, silent).verify()
    assert second.built == list(pack.networks)


def test_two_builds_of_one_target_do_not_mix(pack: ModelPack, tmp_path: Path) -> None:
    def second(network: str, built: BuiltNetwork | None) -> None:
        scribble(pack, tmp_path, rows=5)  # another target is free
        with pytest.raises(BackendError, match="Another process is building miniature-"):
            scribble(pack, tmp_path)

    build_engines(pack, Scribe(), HERE, tmp_path, second).verify()


def test_a_full_disk_is_said(pack: ModelPack, tmp_path: Path) -> None:
    full = Scribe(fail_at="unet", error=OSError(28, "No space left on device"))
    with pytest.raises(BackendError, match=r"No space left on device\. Free some room"):
        build_engines(pack, full, HERE, tmp_path, silent)


def test_a_folder_that_cannot_be_made_is_said(pack: ModelPack, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BackendError, match="another folder with --cache"):
        scribble(pack, tmp_path / "file" / "cache")


@pytest.mark.parametrize(
    "spoil", [lambda text: text[:40], lambda text: text.replace('"format": 1', '"format": 99'), lambda text: "[]"]
)
def test_an_unreadable_description_is_left_out(pack: ModelPack, tmp_path: Path, spoil: Callable[[str], str]) -> None:
    folder = scribble(pack, tmp_path).folder
    (folder / ABOUT).write_text(spoil((folder / ABOUT).read_text()))
    assert list_built(tmp_path) == []
    assert built_folders(tmp_path) == [folder]
    with pytest.raises(BackendError, match=r"[Bb]uild"):
        read_built(folder)
    assert whole_build(pack, HERE, tmp_path) is None
    scribble(pack, tmp_path).verify()


def test_the_users_own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder(None) == tmp_path / "likeness" / "engines"
    assert cache_folder(Path("given")) == Path("given")
    assert list_built(None) == []
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_folder(None) == tmp_path / "home" / ".cache" / "likeness" / "engines"


def test_onnxruntime_builds_single_precision_alone() -> None:
    compiler = OnnxRuntimeCompiler()
    assert compiler.target(4) == compiler.target(4, "fp32") == HERE
    assert compiler.free_memory() > 1_000_000
    with pytest.raises(BackendError, match="builds fp32 engines alone, not bf16"):
        compiler.target(4, "bf16")


def test_why_engines_do_not_run_here() -> None:
    assert why_not_here(HERE) is None
    assert "Built for Abacus" in str(why_not_here(msgspec.structs.replace(HERE, device="Abacus")))
    assert "There is no backend" in str(why_not_here(msgspec.structs.replace(HERE, backend="abacus")))


def test_the_bounds_are_documented() -> None:
    table = README.read_text().partition("| precision | largest error | mean error |")[2]
    for precision, bound in BOUNDS.items():
        assert f"| {precision} | {bound.largest} | {bound.mean} |" in table
