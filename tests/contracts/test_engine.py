"""What every backend's engines keep; one class, inherited once a backend."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from likeness_engines import BackendError, BackendOptions, Engines, Render, Renderer, bundled_pack, create_backend
from likeness_engines.backends.base import Backend, Engine
from likeness_engines.backends.fake_engine import FakeBackend
from likeness_engines.building import build_engines

PACK = bundled_pack()
NETWORKS = ("text_encoder", "vae_encoder", "vae_decoder", "unet")
LATENTS = PACK.about.latents


def run(backend: Backend, engine: Engine, inputs: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Run on arrays of the host, wherever the backend keeps its own."""
    outputs = engine.run({name: backend.arrays.put(values) for name, values in inputs.items()})
    return {name: backend.arrays.fetch(array) for name, array in outputs.items()}


class EngineContract:
    """Subclasses give a backend; `tolerance` bounds how far company in a batch may change a row, in -1..1."""

    tolerance = 1e-4

    @pytest.fixture(scope="class")
    @classmethod
    def backend(cls) -> Backend:
        raise NotImplementedError

    @pytest.fixture(scope="class")
    @classmethod
    def decoder(cls, backend: Backend) -> Engine:
        return backend.load(PACK, "vae_decoder")

    def test_has_a_name_and_a_row_limit(self, backend: Backend) -> None:
        assert backend.name
        assert backend.max_rows >= 1

    def test_loads_all_networks_with_declared_shapes(self, backend: Backend) -> None:
        for network in NETWORKS:
            engine = backend.load(PACK, network)
            for spec in (*engine.inputs.values(), *engine.outputs.values()):
                assert spec.shape[0] is None or spec.name.startswith("lora_"), spec
                assert all(size is None or size > 0 for size in spec.shape)

    def test_words_come_out_by_the_names_of_the_contract(self, backend: Backend) -> None:
        encoder = backend.load(PACK, "text_encoder")
        states = run(backend, encoder, {"input_ids": np.zeros((2, PACK.about.prompt_length), np.int64)})
        assert states["last_hidden_state"].shape[:2] == (2, PACK.about.prompt_length)

    def test_a_renderer_draws_on_it(self, backend: Backend) -> None:
        renderer = Renderer(Engines(PACK, backend))
        source = backend.arrays.put(np.zeros(LATENTS, np.float32))
        renderer.submit(Render(id="a", source=source, prompt="oil portrait", steps=1))
        [outcome] = renderer.run()
        assert outcome.pixels is not None, outcome.error

    def test_outputs_have_the_declared_names_types_and_shapes(self, backend: Backend, decoder: Engine) -> None:
        outputs = run(backend, decoder, {"latents": np.zeros((3, *LATENTS), np.float32)})
        assert set(outputs) == set(decoder.outputs)
        for name, spec in decoder.outputs.items():
            assert outputs[name].dtype == spec.dtype
            assert outputs[name].shape[0] == 3
            assert all(want in (None, got) for want, got in zip(spec.shape[1:], outputs[name].shape[1:], strict=True))

    def test_rows_do_not_depend_on_each_other(self, backend: Backend, decoder: Engine) -> None:
        latents = np.random.default_rng(0).standard_normal((3, *LATENTS)).astype(np.float32)
        together = run(backend, decoder, {"latents": latents})["sample"]
        alone = np.concatenate([run(backend, decoder, {"latents": latents[i : i + 1]})["sample"] for i in range(3)])
        assert np.abs(together - alone).max() < self.tolerance

    def test_inputs_that_do_not_fit_raise_backend_error(self, backend: Backend, decoder: Engine) -> None:
        with pytest.raises(BackendError):
            run(backend, decoder, {"latents": np.zeros((1, 2, 3, 4), np.float32)})
        with pytest.raises(BackendError):
            decoder.run({})

    def test_an_engine_works_on_after_a_failed_run(self, backend: Backend, decoder: Engine) -> None:
        with pytest.raises(BackendError):
            run(backend, decoder, {"latents": np.zeros((1, 2, 3, 4), np.float32)})
        assert run(backend, decoder, {"latents": np.zeros((1, *LATENTS), np.float32)})["sample"].shape[0] == 1

    def test_a_batch_of_many_rows_is_run_whole(self, backend: Backend, decoder: Engine) -> None:
        rows = max(backend.max_rows, 16) + 3
        latents = np.zeros((rows, *LATENTS), np.float32)
        assert run(backend, decoder, {"latents": latents})["sample"].shape[0] == rows


class TestOnnxRuntime(EngineContract):
    @pytest.fixture(scope="class")
    @classmethod
    def backend(cls) -> Backend:
        return create_backend("onnxruntime", BackendOptions(threads=1))


class TestOpenVino(EngineContract):
    tolerance = 2 * 2 / 255  # it may round to bfloat16

    @pytest.fixture(scope="class")
    @classmethod
    def backend(cls) -> Backend:
        pytest.importorskip("openvino", reason="the openvino extra is not installed")
        return create_backend("openvino", BackendOptions(threads=1))


@pytest.mark.export
@pytest.mark.filterwarnings("ignore")
class TestTorch(EngineContract):
    @pytest.fixture(scope="class")
    @classmethod
    def backend(cls) -> Backend:
        pytest.importorskip("diffusers", reason="the torch extra is not installed")
        return create_backend("torch", BackendOptions(threads=1))


class TestTensorRtOnFakeRuntime(EngineContract):
    @pytest.fixture(scope="class")
    @classmethod
    def backend(cls, tmp_path_factory: pytest.TempPathFactory) -> Backend:
        pytest.importorskip("torch", reason="the tensorrt extra is not installed")
        pytest.importorskip("onnx", reason="the tensorrt extra is not installed")
        from likeness_engines.backends import fake_tensorrt
        from likeness_engines.backends.fake_cuda import FakeDevice
        from likeness_engines.backends.tensorrt_build import TensorRtCompiler
        from likeness_engines.backends.tensorrt_engine import TensorRtBackend

        cache, device = tmp_path_factory.mktemp("engines"), FakeDevice()
        compiler = TensorRtCompiler(fake_tensorrt, device)
        build_engines(PACK, compiler, compiler.target(4, "fp32"), cache, lambda *_: None)
        return TensorRtBackend(fake_tensorrt, device, cache)


class TestFake(EngineContract):
    @pytest.fixture(scope="class")
    @classmethod
    def backend(cls) -> Backend:
        return FakeBackend()


def test_unknown_backend_names_the_known_ones() -> None:
    with pytest.raises(BackendError, match="onnxruntime"):
        create_backend("abacus")
