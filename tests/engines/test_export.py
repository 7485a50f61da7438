"""Every family imports, its graphs compute what PyTorch computes, a LoRA slot what merging would, and an import that
was stopped goes on.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from likeness_engines import BackendOptions, ExportError, ModelPack, bundled_pack, create_backend, open_pack
from likeness_engines.importing import ErrorTable, ImportRequest, import_checkpoint, read_errors, seal_pack
from likeness_engines.lora import arrange_lora
from likeness_engines.pack import Identity, PackFile
from tests.engines import checkpoints

pytestmark = [pytest.mark.export, pytest.mark.filterwarnings("ignore")]


class Killed(BaseException):
    """What a kill looks like from inside."""


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """So small networks only lose time when threads wait for each other."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def sd(tmp_path_factory: pytest.TempPathFactory) -> ModelPack:
    """With a face encoder."""
    folder = tmp_path_factory.mktemp("sd")
    checkpoints.sd_checkpoint(folder / "checkpoint")
    adapter, encoder = checkpoints.ip_adapter(folder, folder / "checkpoint" / "unet")
    return imported(folder, "sd", ip_adapter=adapter, image_encoder=encoder)


@pytest.fixture(scope="module")
def sdxl(tmp_path_factory: pytest.TempPathFactory) -> ModelPack:
    """With feed-forward layers in the LoRA bank."""
    folder = tmp_path_factory.mktemp("sdxl")
    checkpoints.sdxl_checkpoint(folder / "checkpoint")
    return imported(folder, "sdxl", feed_forward=True, lora_slots=4, lora_rank=4)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> tuple[ModelPack, list[str]]:
    """InstructPix2Pix, imported in two calls; and what the second said."""
    folder = tmp_path_factory.mktemp("pix2pix")
    checkpoints.pix2pix_checkpoint(folder / "checkpoint")
    said: list[str] = []

    def kill(message: str) -> None:
        if message == "vae_encoder: exporting":
            raise Killed

    with pytest.raises(Killed):
        imported(folder, "pix2pix", report=kill)
    assert not (folder / "pack").exists()
    rough = folder / "pack.partial" / "pack" / "onnx" / "rough"
    rough.mkdir()  # as a kill in the midst of an export leaves it
    (rough / "vae_encoder.onnx").write_text("half a graph")
    return imported(folder, "pix2pix", report=said.append), said


@pytest.fixture(params=["sd", "sdxl", "pix2pix"])
def pack(request: pytest.FixtureRequest) -> ModelPack:
    """One of each family."""
    if request.param == "pix2pix":
        return request.getfixturevalue("stopped")[0]  # type: ignore[no-any-return]
    return request.getfixturevalue(request.param)  # type: ignore[no-any-return]


def imported(folder: Path, family: Any, report: Any = lambda _: None, **options: Any) -> ModelPack:
    request = ImportRequest(checkpoint=str(folder / "checkpoint"), family=family, out=folder / "pack", **options)
    return import_checkpoint(request, report)


def run(pack: ModelPack, network: str, inputs: dict[str, Any]) -> dict[str, NDArray[Any]]:
    engine = create_backend("onnxruntime", BackendOptions(threads=1)).load(pack, network)
    return engine.run({name: np.asarray(value) for name, value in inputs.items()})


def test_every_network_computes_what_pytorch_computes(pack: ModelPack) -> None:
    import torch

    from likeness_engines.torch_networks import open_network

    opened = open_pack(pack.folder)
    assert opened.networks == pack.networks
    for name in opened.networks:
        network = open_network(opened, name)
        with torch.no_grad():
            inputs = network.example(3)
            expected = network(*inputs.values())
        found = run(opened, name, inputs)
        for output, values in zip(
            network.outputs, expected if isinstance(expected, tuple) else (expected,), strict=True
        ):
            assert np.abs(found[output] - values.numpy()).max() < 1e-4


def test_a_row_alone_is_the_same(pack: ModelPack) -> None:
    from likeness_engines.torch_networks import open_network

    network = open_network(pack, "unet")
    inputs = network.example(4)
    rows = {name: value for name, value in inputs.items() if name not in network.banks}
    together = run(pack, "unet", inputs)["prediction"]
    alone = run(pack, "unet", inputs | {name: value[2:3] for name, value in rows.items()})["prediction"]
    assert np.abs(together[2] - alone[0]).max() < 1e-4


def test_the_errors_are_written_down(pack: ModelPack) -> None:
    import torch

    table = read_errors(pack)
    assert {error.network for error in table.outputs} == set(pack.networks)
    assert table.versions["torch"] == torch.__version__
    assert table.worst.share < 1e-4
    assert all(0 <= error.mean_abs <= error.max_abs < error.scale for error in table.outputs)
    assert "errors.json" in pack.about.files


def test_graphs_have_no_weights_of_their_own(pack: ModelPack) -> None:
    import onnx

    for network in pack.networks:
        graph = onnx.load(pack.graph(network), load_external_data=False).graph
        assert sum(len(each.raw_data) for each in graph.initializer) < 10_000
        external = [each for each in graph.initializer if each.data_location == onnx.TensorProto.EXTERNAL]
        assert len(external) == len(pack.weight_list(network)) > 10
        for value in graph.output:
            first, *others = value.type.tensor_type.shape.dim
            assert first.dim_param
            assert all(dimension.dim_value for dimension in others)
    assert {path.suffix for path in (pack.folder / "onnx").iterdir()} == {".onnx", ".json"}


def test_every_row_reads_its_own_lora_slot(sdxl: ModelPack) -> None:
    """Row by row as diffusers' UNet with that LoRA alone merged into its weights, feed-forward layers too."""
    import torch
    from diffusers import UNet2DConditionModel

    from likeness_engines.torch_networks import open_network

    rng = np.random.default_rng(2)
    inputs = {name: value.numpy() for name, value in open_network(sdxl, "unet").example(3).items()}
    merged: list[Any] = [UNet2DConditionModel.from_pretrained(sdxl.folder / "unet", low_cpu_mem_usage=False)]
    banks = {name: np.zeros(shape, np.float32) for name, shape in sdxl.about.lora.shapes().items()}
    for slot in (1, 2):
        weights = {
            layer.name: tuple((rng.standard_normal(shape) * 0.2).astype(np.float32) for shape in shapes)
            for layer in sdxl.about.lora.layers
            for shapes in [((layer.inputs, 3), (3, layer.outputs))]
        }
        for name, array in arrange_lora(str(slot), weights, sdxl.about.lora).arrays.items():  # type: ignore[arg-type]
            banks[name][slot] = array
        merged.append(UNet2DConditionModel.from_pretrained(sdxl.folder / "unet", low_cpu_mem_usage=False))
        for name, (down, up) in weights.items():
            merged[slot].get_submodule(name).weight.data += torch.from_numpy((down @ up).T)
    assert any(".ff.net." in layer.name for layer in sdxl.about.lora.layers)

    drawn = run(sdxl, "unet", inputs | banks | {"lora_slot": np.array([0, 1, 2])})["prediction"]
    row = {name: torch.from_numpy(value) for name, value in inputs.items()}
    for slot, unet in enumerate(merged):
        added = {name: row[name][slot : slot + 1] for name in ("text_embeds", "time_ids")}
        with torch.no_grad():
            expected = (
                unet.eval()
                .float()(
                    row["sample"][slot : slot + 1],
                    row["timestep"][slot : slot + 1],
                    row["encoder_hidden_states"][slot : slot + 1],
                    added_cond_kwargs=added,
                )
                .sample[0]
            )
        assert np.abs(drawn[slot] - expected.numpy()).max() < 1e-4
        changed = run(sdxl, "unet", inputs | banks | {"lora_slot": np.zeros(3, np.int64)})["prediction"][slot]
        assert (np.abs(drawn[slot] - changed).max() > 0.01) == (slot > 0)


def test_a_stopped_import_goes_on_after_the_last_finished_network(stopped: tuple[ModelPack, list[str]]) -> None:
    pack, said = stopped
    assert "Going on after text_encoder, finished by an earlier call" in said
    assert "text_encoder: exporting" not in said
    assert "vae_encoder: exporting" in said
    assert not any("writing" in line for line in said)
    assert {error.network for error in read_errors(pack).outputs} == set(pack.networks)
    assert not pack.folder.with_name("pack.partial").exists()
    assert not (pack.folder / "onnx" / "rough").exists()


def test_a_graph_that_computes_something_else_is_refused(sd: ModelPack, monkeypatch: pytest.MonkeyPatch) -> None:
    from likeness_engines.importing.compare import by_torch, compare
    from likeness_engines.torch_networks import open_network

    inputs, outputs = by_torch(open_network(sd, "text_encoder"))
    assert compare(sd, "text_encoder", inputs, outputs)
    for wrong in (0.01, np.nan):
        with pytest.raises(ExportError, match="last_hidden_state of text_encoder is up to"):
            compare(sd, "text_encoder", inputs, {name: values + wrong for name, values in outputs.items()})


def test_weights_are_taken_out_of_files_beside_the_graph(tmp_path: Path) -> None:
    """As graphs over 2 GB have them; whole, transposed, and left where they are no weight of the checkpoint."""
    import onnx
    import torch
    from onnx.numpy_helper import from_array, to_array

    from likeness_engines.importing.export import digests, take_weights_out

    plain, turned = torch.randn(40, 50), torch.randn(60, 50)
    shape = np.array([2, 1000], np.int64)
    tensors = {"a": plain.numpy(), "b": turned.numpy().T.copy(), "shape": shape}
    initialisers = [from_array(values, name) for name, values in tensors.items()]
    constant = onnx.helper.make_node("Constant", [], ["c"], value=from_array(shape, "value"))
    model = onnx.helper.make_model(onnx.helper.make_graph([constant], "graph", [], [], initialisers))
    save = {"save_as_external_data": True, "location": "big.data", "size_threshold": 0, "convert_attribute": True}
    onnx.save(model, tmp_path / "big.onnx", **save)
    graph = onnx.load(tmp_path / "big.onnx", load_external_data=False)

    entries = take_weights_out(graph, digests({"plain": plain, "turned": turned}), tmp_path)
    assert [(each.name, each.key, each.shape, each.transposed) for each in entries] == [
        ("a", "plain", [40, 50], False),
        ("b", "turned", [50, 60], True),
    ]
    (tmp_path / "big.data").unlink()
    for left in (graph.graph.initializer[2], graph.graph.node[0].attribute[0].t):
        assert (to_array(left) == shape).all()
    assert len(graph.SerializeToString()) < 500

    changed = onnx.helper.make_graph([], "graph", [], [], [from_array(np.ones(100_000, np.float32), "c")])
    with pytest.raises(ExportError, match="match no tensor of the checkpoint"):
        take_weights_out(onnx.helper.make_model(changed), digests({"plain": plain}), tmp_path)


def test_sealing_writes_what_opening_reads(tmp_path: Path) -> None:
    about = msgspec.structs.replace(
        bundled_pack().about,
        title='A "quoted" \\ title\nin \x7f two lines, für alle',
        exact=("vae_encoder", "vae_decoder"),
        default_strength=0.75,
        zero_empty_prompt=True,
        identity=Identity(4, 768, 16, 224, (0.1, 0.2, 0.3), (1.0, 1e-7, 0.5), "CLIP", "mit"),
        licences={"checkpoint": "openrail", "image encoder": "mit"},
    )
    (tmp_path / "a b.txt").write_text("x")
    seal_pack(tmp_path, about)
    read = msgspec.toml.decode((tmp_path / "pack.toml").read_bytes(), type=PackFile)
    assert read == msgspec.structs.replace(about, files=read.files)
    assert list(read.files) == ["a b.txt"]
    assert open_pack(tmp_path).about == read


def test_the_bundled_packs_weights_import_again(tmp_path: Path) -> None:
    """The miniature's recipe ends so: a fold of pixels, a tokenizer of its own, photos scaled as drawings are."""
    import tomllib

    import miniature

    [folder] = miniature.__path__
    options = tomllib.loads((Path(folder) / "about.toml").read_text())
    bundled = bundled_pack()
    scale = bundled.about.source_scale
    request = ImportRequest(checkpoint=str(bundled.folder), out=tmp_path / "pack", source_scale=scale, **options)
    about = import_checkpoint(request).about
    same = {name: getattr(bundled.about, name) for name in ("files", "licences", "preview")}
    assert msgspec.structs.replace(about, **same) == bundled.about
    weights = [name for name in about.files if name.endswith((".safetensors", "tokenizer.json"))]
    assert weights
    assert all(about.files[name] == bundled.about.files[name] for name in weights)


def test_the_table_names_what_is_furthest_off() -> None:
    from likeness_engines.importing import OutputError

    errors = [OutputError("unet", "prediction", 0.1, 0.0, 100.0), OutputError("unet", "other", 0.01, 0.0, 1.0)]
    assert ErrorTable(3, 1e-3, {}, errors).worst.output == "other"
