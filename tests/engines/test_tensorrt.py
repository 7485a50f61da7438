"""The TensorRT backend on a fake of TensorRT that executes the ONNX: what is built, bound, recorded, replayed, refused.

Nothing here touches a GPU. ONNX Runtime computes half precision in float32 between the roundings that it cannot leave
out, so that half precision is held to its types and wiring, not to TensorRT's rounding.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from likeness_engines import (
    BackendError,
    BackendOptions,
    DeviceFullError,
    Engines,
    Lora,
    ModelPack,
    Render,
    Renderer,
    bundled_pack,
    create_backend,
    load_engines,
)
from likeness_engines.backends import create_compiler
from likeness_engines.building import build_engines
from likeness_engines.built import Built

torch = pytest.importorskip("torch", reason="the tensorrt extra is not installed")
pytest.importorskip("onnx", reason="the tensorrt extra is not installed")

from likeness_engines.backends import fake_tensorrt  # noqa: E402 - needs torch
from likeness_engines.backends.fake_cuda import FakeDevice  # noqa: E402
from likeness_engines.backends.fake_tensorrt import building, running  # noqa: E402
from likeness_engines.backends.tensorrt_build import TensorRtCompiler, timing_cache_name  # noqa: E402
from likeness_engines.backends.tensorrt_engine import TensorRtBackend  # noqa: E402
from likeness_engines.backends.turns import most_at_once  # noqa: E402

PACK = bundled_pack()
RNG = np.random.default_rng(0)
SOURCES = [RNG.standard_normal(PACK.about.latents).astype(np.float32) for _ in range(3)]
ROWS = 5
Inputs = dict[str, NDArray[Any]]


def build(cache: Path, precision: Any = "fp32", rows: int = ROWS, pack: ModelPack = PACK) -> Built:
    compiler = TensorRtCompiler(fake_tensorrt, FakeDevice())
    return build_engines(pack, compiler, compiler.target(rows, precision), cache, lambda *_: None)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Engines in float32."""
    folder = tmp_path_factory.mktemp("engines")
    build(folder)
    return folder


@pytest.fixture
def device() -> FakeDevice:
    return FakeDevice()


@pytest.fixture
def backend(cache: Path, device: FakeDevice) -> TensorRtBackend:
    return TensorRtBackend(fake_tensorrt, device, cache)


def words(rows: int) -> Any:
    return torch.from_numpy(np.random.default_rng(rows).integers(0, 99, (rows, PACK.about.prompt_length)))


def unet_inputs(rows: int, bank: NDArray[Any] | None = None) -> Inputs:
    """Random rows, each with another timestep and slot; without `bank`, one of small random numbers."""
    rng = np.random.default_rng(rows)
    channels, height, width = PACK.about.latents
    states = (rows, PACK.about.prompt_length, 128)
    inputs: Inputs = {
        "sample": rng.standard_normal((rows, 2 * channels, height, width)).astype(np.float32),
        "timestep": np.linspace(999, 2.5, rows, dtype=np.float32),
        "encoder_hidden_states": rng.standard_normal(states).astype(np.float32),
        "lora_slot": np.arange(rows) % PACK.about.lora.slots,
    }
    for name, shape in PACK.about.lora.shapes().items():
        inputs[name] = (rng.standard_normal(shape) * 0.05).astype(np.float16).astype(np.float32)
    return inputs


def tensors(inputs: Inputs, engine: Any) -> dict[str, Any]:
    return {name: torch.from_numpy(values.astype(engine.inputs[name].dtype)) for name, values in inputs.items()}


@pytest.fixture(scope="module")
def reference() -> Any:
    return create_backend("onnxruntime", BackendOptions(threads=2)).load(PACK, "unet")


class Spy:
    """Sees what the kernels of an engine read."""

    def __init__(self, engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[Inputs] = []
        session = engine._engine._run
        run = session.run

        def spied(names: list[str], feeds: Inputs) -> Any:
            self.calls.append({name: values.copy() for name, values in feeds.items()})
            return run(names, feeds)

        monkeypatch.setattr(session, "run", spied)


# What is built


def test_a_build_has_one_plan_a_network_and_nothing_else(cache: Path) -> None:
    [built] = cache.glob("miniature-*/")
    assert {path.name for path in built.iterdir()} == {"engine.json", *(f"{each}.plan" for each in PACK.networks)}


def test_profiles_reach_from_one_row_to_what_was_asked_for(backend: TensorRtBackend) -> None:
    assert backend.max_rows == 1
    unet = backend.load(PACK, "unet")
    assert backend.max_rows == ROWS
    assert [shape[0] for shape in unet._engine.get_tensor_profile_shape("sample", 0)] == [1, ROWS, ROWS]
    bank = unet._engine.get_tensor_profile_shape("lora_up_176", 0)
    assert bank == [(8, 32, 8, 176)] * 3


def test_encoders_and_decoder_take_what_memory_allows() -> None:
    def at(resolution: int) -> ModelPack:
        return msgspec.structs.replace(PACK, about=msgspec.structs.replace(PACK.about, resolution=resolution))

    assert most_at_once("tensorrt", at(512), "unet", 60) == 60
    assert [most_at_once("tensorrt", at(side), "vae_decoder", 60) for side in (256, 512, 1024, 4096)] == [16, 8, 2, 1]
    assert most_at_once("tensorrt", at(1024), "text_encoder_2", 60) == 16


def test_timings_outlive_a_build_and_those_of_another_driver_are_replaced(tmp_path: Path) -> None:
    target = build(tmp_path).target
    timings = tmp_path / timing_cache_name(target)
    first = timings.read_bytes()
    timings.write_bytes(b"of another driver")
    build(tmp_path, rows=ROWS + 1)
    assert timings.read_bytes() == first


def test_only_float32_engines_do_without_tf32(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configs: list[building.IBuilderConfig] = []
    made = building.Builder.build_serialized_network

    def seen(self: Any, network: Any, config: Any) -> Any:
        configs.append(config)
        return made(self, network, config)

    monkeypatch.setattr(building.Builder, "build_serialized_network", seen)
    build(tmp_path, "fp32")
    build(tmp_path, "fp16")
    assert [bool(config._flags) for config in configs] == [False] * 4 + [True] * 4
    assert {config._limits[building.MemoryPoolType.WORKSPACE] for config in configs} == {4 << 30}


def test_the_compiler_refuses_what_it_cannot_build(device: FakeDevice, tmp_path: Path) -> None:
    compiler = TensorRtCompiler(fake_tensorrt, device)
    assert compiler.target(60).precision == "fp16"
    with pytest.raises(BackendError, match="fp8"):
        compiler.target(60, "fp8")
    with pytest.raises(BackendError, match="at least 1"):
        compiler.target(0)
    with pytest.raises(BackendError, match="bfloat16"):
        TensorRtCompiler(fake_tensorrt, FakeDevice(bfloat16=False)).target(60, "bf16")
    elsewhere = msgspec.structs.replace(compiler.target(60), device="another GPU")
    with pytest.raises(BackendError, match="another GPU"):
        compiler.build(PACK, "unet", elsewhere, tmp_path)


def test_errors_of_the_parser_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "open_session", lambda _: 1 / 0)
    with pytest.raises(BackendError, match=r"graph of text_encoder: division by zero"):
        build(tmp_path)


def test_a_build_that_fails_tells_the_last_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Any, *_: Any) -> None:
        self._logger.log(building.ILogger.Severity.ERROR, "Could not find any implementation for node Conv_0.")

    monkeypatch.setattr(building.Builder, "build_serialized_network", fail)
    with pytest.raises(BackendError, match="could not build text_encoder: Could not find any implementation"):
        build(tmp_path)


def test_ctrl_c_ends_a_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from likeness_engines.backends.tensorrt_log import Progress

    def interrupt(*_: Any) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(Progress, "step", interrupt)
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path)


def test_progress_is_logged_by_quarters(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        build(tmp_path)
    assert [text for text in caplog.messages if text.startswith("unet")] == [
        "unet: Building Engine",
        *(f"unet: Building Engine {part}%" for part in (25, 50, 75, 100)),
    ]


# Buckets, recordings, the bank


def test_any_number_of_rows_is_filled_up_to_a_bucket_and_recorded_once(
    backend: TensorRtBackend, device: FakeDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = backend.load(PACK, "text_encoder")
    expected = create_backend("onnxruntime", BackendOptions(threads=1)).load(PACK, "text_encoder")
    spy = Spy(encoder, monkeypatch)
    records = []
    for rows in (1, 2, 3, 4, 3, 1, 16, 13):
        states = encoder.run({"input_ids": words(rows)})["last_hidden_state"]
        assert states.shape[0] == rows
        np.testing.assert_allclose(
            states, expected.run({"input_ids": words(rows).numpy()})["last_hidden_state"], atol=1e-5
        )
        records.append(device.records)
    assert records == [1, 2, 3, 3, 3, 3, 4, 4]
    assert device.replays == 8
    assert {len(call["input_ids"]) for call in spy.calls} == {1, 2, 4, 16}


def test_a_bucket_is_filled_up_with_its_first_row(backend: TensorRtBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    decoder = backend.load(PACK, "vae_decoder")
    spy = Spy(decoder, monkeypatch)
    decoder.run({"latents": torch.full((4, *PACK.about.latents), float("nan"))})
    latents = torch.from_numpy(np.stack(SOURCES))
    decoder.run({"latents": latents})
    np.testing.assert_array_equal(spy.calls[-1]["latents"], latents[[0, 1, 2, 0]])


def test_answers_are_the_callers_to_keep(backend: TensorRtBackend) -> None:
    encoder = backend.load(PACK, "text_encoder")
    first = encoder.run({"input_ids": words(2)})["last_hidden_state"]
    kept = first.clone()
    encoder.run({"input_ids": words(2) + 1})
    assert torch.equal(first, kept)


def test_more_rows_than_were_built_run_in_turns(backend: TensorRtBackend, device: FakeDevice) -> None:
    unet = backend.load(PACK, "unet")
    inputs = tensors(unet_inputs(ROWS + 2), unet)
    together = unet.run(inputs)["prediction"]
    assert device.replays == 2
    rows = [name for name, spec in unet.inputs.items() if spec.shape[0] is None]
    last = unet.run({name: each[ROWS:] if name in rows else each for name, each in inputs.items()})["prediction"]
    np.testing.assert_allclose(together[ROWS:], last, atol=1e-5)


def test_a_replay_reads_the_bank_where_it_lies(backend: TensorRtBackend, device: FakeDevice, reference: Any) -> None:
    unet = backend.load(PACK, "unet")
    host = unet_inputs(2)
    inputs = tensors(host, unet)
    before = unet.run(inputs)["prediction"]
    np.testing.assert_allclose(before, reference.run(host)["prediction"], atol=1e-3)
    for name in PACK.about.lora.shapes():
        inputs[name][1] *= -2
        host[name][1] *= -2
    after = unet.run(inputs)["prediction"]
    assert device.records == 1
    assert torch.equal(after[0], before[0])
    assert not torch.allclose(after[1], before[1], atol=1e-3)
    np.testing.assert_allclose(after, reference.run(host)["prediction"], atol=1e-3)


def test_a_bank_elsewhere_is_recorded_anew(backend: TensorRtBackend, device: FakeDevice, reference: Any) -> None:
    unet = backend.load(PACK, "unet")
    first, other = tensors(unet_inputs(2), unet), unet_inputs(2)
    for name in PACK.about.lora.shapes():
        other[name] = -3 * other[name]
    unet.run(first)
    moved = tensors(other, unet)
    found = unet.run(moved)["prediction"]
    assert device.records == 2
    np.testing.assert_allclose(found, reference.run(other)["prediction"], atol=1e-3)
    unet.run(moved)
    assert device.records == 2


def test_nothing_but_launches_touches_a_context_that_is_recorded(
    backend: TensorRtBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TensorRT puts off work after a change of shape or address to the next launch, which then cannot be recorded."""
    calls: list[str] = []
    for name in ("set_input_shape", "set_tensor_address", "execute_async_v3"):
        method = getattr(running.IExecutionContext, name)

        def called(self: Any, *args: Any, name: str = name, method: Any = method) -> Any:
            calls.append(name)
            return method(self, *args)

        monkeypatch.setattr(running.IExecutionContext, name, called)
    encoder = backend.load(PACK, "text_encoder")
    calls.clear()
    encoder.run({"input_ids": words(2)})
    launches = calls.index("execute_async_v3")
    assert set(calls[launches:]) == {"execute_async_v3"}
    assert len(calls[launches:]) >= 2


def test_buckets_share_the_memory_of_activations(backend: TensorRtBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    places: set[tuple[int, int]] = set()
    give = running.IExecutionContext.set_device_memory

    def seen(self: Any, memory: int, size: int) -> None:
        places.add((memory, size))
        give(self, memory, size)

    monkeypatch.setattr(running.IExecutionContext, "set_device_memory", seen)
    encoder = backend.load(PACK, "text_encoder")
    for rows in (1, 2, 4):
        encoder.run({"input_ids": words(rows)})
    assert len(encoder._contexts) == 4
    assert len(places) == 1


# What is refused, and what is told


def test_engines_for_another_gpu_version_or_pack_are_not_loaded(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = TensorRtBackend(fake_tensorrt, FakeDevice("Other GPU sm_99"), cache)
    with pytest.raises(BackendError, match=r"built for Fake GPU sm_00.*likeness engines build miniature"):
        other.load(PACK, "unet")
    with pytest.raises(BackendError, match="no engines of miniature"):
        TensorRtBackend(fake_tensorrt, FakeDevice(), tmp_path).load(PACK, "unet")
    changed = tmp_path / "miniature"
    changed.mkdir()
    text = (PACK.folder / "pack.toml").read_text().replace("1.0.0", "1.0.1")
    (changed / "pack.toml").write_text(text)
    with pytest.raises(BackendError, match="another version of the pack"):
        TensorRtBackend(fake_tensorrt, FakeDevice(), cache).load(ModelPack(changed, PACK.about), "unet")
    monkeypatch.setattr(fake_tensorrt, "__version__", "10.16.1.11")
    with pytest.raises(BackendError, match=r"tensorrt 10\.16\.1\.11"):
        TensorRtBackend(fake_tensorrt, FakeDevice(), cache).load(PACK, "unet")


def test_a_plan_that_the_library_refuses_is_told(
    backend: TensorRtBackend, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(running, "VERSION", "11.5.0.0")
    with pytest.raises(
        BackendError, match=r"cannot load .*unet\.plan.* expecting 11\.5\.0\.0.*build the engines again"
    ):
        backend.load(PACK, "unet")
    assert any("expecting 11.5.0.0" in message for message in caplog.messages)


def test_inputs_that_do_not_fit_are_refused_and_the_engine_works_on(backend: TensorRtBackend) -> None:
    unet = backend.load(PACK, "unet")
    good = tensors(unet_inputs(2), unet)
    with pytest.raises(BackendError, match="sample"):
        unet.run({**good, "sample": good["sample"][:, :3]})
    with pytest.raises(BackendError, match=r"lora_up_176 is torch\.float64"):
        unet.run({**good, "lora_up_176": good["lora_up_176"].double()})
    gaps = torch.empty((8, 32, 176, 8)).transpose(2, 3)
    with pytest.raises(BackendError, match="view with gaps"):
        unet.run({**good, "lora_up_176": gaps})
    with pytest.raises(BackendError, match="could not run a batch"):
        unet.run({**good, "timestep": good["timestep"][[0, 1, 0]]})
    assert unet.run(good)["prediction"].isfinite().all()


def test_the_fake_refuses_shapes_outside_the_profile_and_what_is_not_set(backend: TensorRtBackend) -> None:
    encoder = backend.load(PACK, "text_encoder")
    context = encoder._engine.create_execution_context(fake_tensorrt.ExecutionContextAllocationStrategy.USER_MANAGED)
    length = PACK.about.prompt_length
    assert context.set_input_shape("input_ids", (16, length))
    assert not context.set_input_shape("input_ids", (17, length))
    assert not context.set_input_shape("input_ids", (1, length + 1))
    assert not context.execute_async_v3(1)
    assert "outside the profile" in str(backend._messages._errors)
    assert "memory for activations" in str(backend._messages.failure("It failed", ""))


def refuse(reason: str) -> Any:
    def execute(self: Any, stream_handle: int) -> bool:
        self._engine._logger.log(running.ILogger.Severity.ERROR, reason)
        return False

    return execute


def test_running_out_of_memory_is_told_apart(backend: TensorRtBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = backend.load(PACK, "text_encoder")
    with monkeypatch.context() as patch:
        patch.setattr(
            running.IExecutionContext, "execute_async_v3", refuse("Error Code 1: Cuda Runtime (out of memory)")
        )
        with pytest.raises(DeviceFullError, match="fewer rows"):
            encoder.run({"input_ids": words(2)})
        patch.setattr(running.IExecutionContext, "execute_async_v3", refuse("an illegal memory access"))
        with pytest.raises(BackendError, match="illegal memory access") as failed:
            encoder.run({"input_ids": words(2)})
        assert not isinstance(failed.value, DeviceFullError)
        patch.setattr(running.ICudaEngine, "create_execution_context", lambda *_: None)
        with pytest.raises(BackendError, match="could not prepare a batch of 2 rows: it says no reason"):
            encoder.run({"input_ids": words(2)})
    assert len(encoder.run({"input_ids": words(2)})["last_hidden_state"]) == 2


@pytest.mark.parametrize("where", ["load", "run"])
def test_torch_running_out_of_memory_is_told_apart(
    backend: TensorRtBackend, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    encoder = None if where == "load" else backend.load(PACK, "text_encoder")
    with monkeypatch.context() as patch:
        patch.setattr(torch, "empty", full)
        with pytest.raises(DeviceFullError, match="Tried to allocate 2 GiB"):
            (encoder or backend.load(PACK, "text_encoder")).run({"input_ids": words(1)})
    if encoder:
        assert len(encoder.run({"input_ids": words(1)})["last_hidden_state"]) == 1


def test_a_renderer_goes_on_with_half_the_rows(backend: TensorRtBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    engines = Engines(PACK, backend)
    execute = running.IExecutionContext.execute_async_v3

    def small_only(self: Any, stream_handle: int) -> bool:
        if self._shapes.get("lora_slot", (0,))[0] > 2:
            return bool(refuse("out of memory")(self, stream_handle))
        return execute(self, stream_handle)

    monkeypatch.setattr(running.IExecutionContext, "execute_async_v3", small_only)
    renderer = Renderer(engines)
    assert renderer._max_rows == ROWS
    for name in "abcd":
        source = torch.from_numpy(SOURCES[0])
        renderer.submit(Render(id=name, source=source, prompt="oil portrait", steps=1))
    assert all(outcome.pixels is not None for outcome in renderer.run())
    assert renderer._max_rows == 2


def test_without_the_library_or_a_gpu_the_backend_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    for open_it in (create_backend, create_compiler):
        with pytest.raises(BackendError, match=r"likeness\[tensorrt\]"):
            open_it("tensorrt")
    monkeypatch.setitem(sys.modules, "tensorrt", fake_tensorrt)
    if not torch.cuda.is_available():
        with pytest.raises(BackendError, match="no NVIDIA GPU"):
            create_backend("tensorrt")


# The whole


def draw(engines: Engines, loras: dict[str, Lora]) -> dict[str, NDArray[np.uint8]]:
    renderer = Renderer(engines, max_rows=4)
    for index, (style, lora) in enumerate(loras.items()):
        renderer.submit(
            Render(
                id=style,
                source=engines.arrays.put(SOURCES[index]),
                prompt=f"{style} portrait",
                steps=2 + index,
                guidance=1.0 + index,
                lora=lora,
                seed=index,
            )
        )
    outcomes = {outcome.id: outcome for outcome in renderer.run()}
    assert all(outcome.pixels is not None for outcome in outcomes.values()), outcomes
    return {name: outcome.pixels for name, outcome in outcomes.items() if outcome.pixels is not None}


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_avatars_are_those_of_onnxruntime(tmp_path: Path, precision: str) -> None:
    rng = np.random.default_rng(5)
    shapes = {name: shape[1:] for name, shape in PACK.about.lora.shapes().items()}
    loras = {
        style: Lora(
            style, {name: (rng.standard_normal(shape) * 0.02).astype(np.float32) for name, shape in shapes.items()}
        )
        for style in ("oil", "comic", "neon")
    }
    build(tmp_path, precision, rows=4)
    found = draw(Engines(PACK, TensorRtBackend(fake_tensorrt, FakeDevice(), tmp_path)), loras)
    expected = draw(load_engines(PACK, "onnxruntime", BackendOptions(threads=2)), loras)
    for style, picture in expected.items():
        assert picture.std() > 10
        difference = np.abs(picture.astype(int) - found[style].astype(int))
        assert difference.max() <= 2
