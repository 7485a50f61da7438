"""Exporting a diffusers checkpoint as a model pack, through optimum. Needs the `export` extra.

    python -m likeness_engines.export CHECKPOINT OUT --about about.toml

The graphs keep no weights: initialisers are matched with the checkpoint's tensors by name or by content, and
`<network>.weights.json` lists which is which.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from likeness_engines.errors import ExportError
from likeness_engines.export_networks import LoadedCheckpoint, Network, load_networks
from likeness_engines.pack import (
    FORMAT,
    LoraBankSize,
    ModelPack,
    PackFile,
    WeightEntry,
    file_digest,
    open_pack,
)

if TYPE_CHECKING:
    import onnx

OPSET = 18
# What a graph may keep besides weights: shapes, small constants.
INLINE_BYTES = 65_536
TABLES = {"unet", "vae", "text_encoder", "tokenizer", "scheduler"}


class About(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the checkpoint cannot say about itself."""

    name: str
    version: str
    title: str
    family: str
    licence: str
    author: str
    resolution: int
    pixel_fold: int
    default_steps: int
    default_guidance: float = 1.0
    lora_slots: int = 8
    lora_rank: int = 8
    preview: str | None = None


def export_pack(checkpoint: Path, out: Path, about: About) -> ModelPack:
    """Write a pack into the new folder `out`, and open it; raises ExportError."""
    missing = sorted(part for part in TABLES if not (checkpoint / part).is_dir())
    if missing:
        raise ExportError(
            f"{checkpoint} is no diffusers checkpoint: {', '.join(missing)} missing. Name another folder."
        )
    if out.exists():
        raise ExportError(f"{out} exists already. Remove it or choose another folder.")
    (out / "onnx").mkdir(parents=True)
    shutil.copytree(checkpoint / "scheduler", out / "scheduler")
    shutil.copytree(checkpoint / "tokenizer", out / "tokenizer")
    loaded = load_networks(checkpoint, out, about.lora_slots, about.lora_rank)
    for network in loaded.networks:
        _export_network(network, out)
    _describe(out, about, loaded)
    return open_pack(out)


def _export_network(network: Network, out: Path) -> None:
    """Export through optimum, then take the weights out of the graph."""
    import onnx  # noqa: PLC0415 - the extra's, as torch is
    import torch  # noqa: PLC0415
    from optimum.exporters.onnx import export  # noqa: PLC0415

    path = out / "onnx" / f"{network.name}.onnx"
    with torch.no_grad():
        module: Any = network.module  # optimum's annotation asks for less than its code takes
        export(model=module, config=network.config, output=path, opset=OPSET, do_constant_folding=True)
    graph = onnx.load(path)
    state = {key: tensor.detach().numpy() for key, tensor in network.state().items()}
    entries = take_weights_out(graph, state)
    for sidecar in path.parent.glob(f"{network.name}.onnx*"):
        sidecar.unlink()
    path.write_bytes(graph.SerializeToString())
    listing = msgspec.json.format(msgspec.json.encode(entries), indent=1)
    path.with_suffix(".weights.json").write_bytes(listing)


def take_weights_out(graph: onnx.ModelProto, state: Mapping[str, np.ndarray[Any, Any]]) -> list[WeightEntry]:
    """Turn every initialiser that is one of `state`'s tensors into an external one; returns where each comes from."""
    import onnx  # noqa: PLC0415
    from onnx import numpy_helper  # noqa: PLC0415

    entries, inline = [], 0
    by_content: dict[bytes, tuple[str, bool]] = {}
    for key, tensor in state.items():
        if tensor.ndim == 2:
            by_content.setdefault(np.ascontiguousarray(tensor.T).tobytes(), (key, True))
        by_content[tensor.tobytes()] = (key, False)
    for initialiser in graph.graph.initializer:
        values = numpy_helper.to_array(initialiser)
        found = by_content.get(values.tobytes()) if values.dtype == np.float32 and values.size > 1 else None
        if found is None:
            inline += values.nbytes
            continue
        key, transposed = found
        entries.append(WeightEntry(initialiser.name, key, list(values.shape), transposed))
        initialiser.ClearField("raw_data")
        initialiser.ClearField("float_data")
        initialiser.data_location = onnx.TensorProto.EXTERNAL
        del initialiser.external_data[:]
        initialiser.external_data.add(key="location", value="weights")
    if inline > INLINE_BYTES:
        raise ExportError(f"{inline} bytes of weights match no tensor of the checkpoint: the exporter changed them.")
    return entries


def _describe(out: Path, about: About, loaded: LoadedCheckpoint) -> None:
    description = PackFile(
        format=FORMAT,
        name=about.name,
        version=about.version,
        title=about.title,
        family=about.family,
        licence=about.licence,
        author=about.author,
        resolution=about.resolution,
        pixel_fold=about.pixel_fold,
        latents=loaded.latents,
        latent_scale=loaded.latent_scale,
        prompt_length=loaded.prompt_length,
        default_steps=about.default_steps,
        default_guidance=about.default_guidance,
        lora=LoraBankSize(about.lora_slots, about.lora_rank, loaded.lora_layers),
        files={},
        preview=about.preview,
    )
    seal_pack(out, description)


def seal_pack(folder: Path, about: PackFile) -> None:
    """Write `pack.toml` with the sha256 of every other file; once more after adding one, such as a preview."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / "pack.toml")
    files = {str(path.relative_to(folder)): file_digest(path) for path in paths}
    sealed = msgspec.structs.replace(about, files=files)
    (folder / "pack.toml").write_text(_toml(msgspec.to_builtins(sealed)))


def _toml(description: dict[str, Any]) -> str:
    """Write the description's few kinds of values as TOML; the standard library reads TOML but does not write it."""
    files, lora = description.pop("files"), description.pop("lora")
    lines = [f"{key} = {_toml_value(value)}" for key, value in description.items() if value is not None]
    lines += ["", "[lora]", f"slots = {lora['slots']}", f"rank = {lora['rank']}", "layers = ["]
    lines += [
        f'    {{ name = "{layer["name"]}", inputs = {layer["inputs"]}, outputs = {layer["outputs"]} }},'
        for layer in lora["layers"]
    ]
    lines += ["]", "", "[files]", *(f'"{name}" = "{digest}"' for name, digest in files.items())]
    return "\n".join(lines) + "\n"


def _toml_value(value: Any) -> str:
    # A TOML basic string, an array of numbers and a number are all written as JSON writes them.
    return msgspec.json.encode(value).decode()


def main() -> int:
    """The command line; returns an exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m likeness_engines.export", description="Export a diffusers checkpoint."
    )
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument(
        "--about", type=Path, required=True, help="TOML with name, version, title, family, licence, ..."
    )
    arguments = parser.parse_args()
    try:
        about = msgspec.toml.decode(arguments.about.read_bytes(), type=About)
        pack = export_pack(arguments.checkpoint, arguments.out, about)
    except (ExportError, OSError, msgspec.MsgspecError) as error:
        print(error, file=sys.stderr)
        return 1
    size_mb = sum(path.stat().st_size for path in pack.folder.rglob("*") if path.is_file()) / 1e6
    print(f"{pack.name} {pack.version} written to {pack.folder}, {size_mb:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
