"""Train a LoRA for the bundled miniature: `python -m miniature.lora --photos DIR --work DIR --out FILE.safetensors`.

The miniature stays as it is; what is learnt is a product of two thin matrices beside each linear layer that its pack's
bank can adapt, all of them in attentions over 8 x 8 places. So a LoRA here moves large shapes and colours, and leaves
fine texture to the words of the prompt.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizerFast

from likeness_engines import bundled_pack
from likeness_engines.lora import LoraBankSize
from miniature.dataset import FETCH, PortraitsError, prepare
from miniature.loop import Plan, train
from miniature.medallion import MEDALLION
from miniature.unet import LatentPairs, Painter, encode_pairs, painter_loss, write_samples

PLAN = Plan(steps=1800, learning_rate=3e-3, warm_up=50, average=0.99, weight_decay=0.0)


class LoraLinear(nn.Module):
    """A frozen linear layer with a LoRA of its own beside it; at first the LoRA adds nothing.

    The attributes are what diffusers and PEFT call them, so that a state dict has the names of a LoRA file.
    """

    def __init__(self, base: nn.Linear, rank: int) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.lora_A = nn.Linear(base.in_features, rank, bias=False)
        self.lora_B = nn.Linear(rank, base.out_features, bias=False)
        nn.init.kaiming_uniform_(self.lora_A.weight, math.sqrt(5))
        nn.init.zeros_(self.lora_B.weight)

    def forward(self, features: Tensor) -> Tensor:
        return self.base(features) + self.lora_B(self.lora_A(features))


def open_painter(folder: Path) -> Painter:
    """The frozen UNet and text encoder of a diffusers checkpoint."""
    unet = UNet2DConditionModel.from_pretrained(folder / "unet")
    text_encoder = CLIPTextModel.from_pretrained(folder / "text_encoder")
    return Painter(unet, text_encoder).requires_grad_(False).to(memory_format=torch.channels_last)


def add_lora(unet: nn.Module, size: LoraBankSize) -> None:
    """Put a LoRA of the bank's rank beside each layer of the bank."""
    for layer in size.layers:
        parent, _, name = layer.name.rpartition(".")
        base = unet.get_submodule(layer.name)
        assert isinstance(base, nn.Linear)
        setattr(unet.get_submodule(parent), name, LoraLinear(base, size.rank))


def write_lora(painter: nn.Module, path: Path) -> None:
    """Save the LoRA alone, float16, in the names of diffusers."""
    weights = {name: values.half().contiguous() for name, values in painter.state_dict().items() if ".lora_" in name}
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(weights, path, {"format": "pt"})


def train_lora(
    data: LatentPairs,
    painter: Painter,
    size: LoraBankSize,
    autoencoder: AutoencoderKL,
    work: Path,
    *,
    plan: Plan = PLAN,
) -> Painter:
    """Train a LoRA on all pairs, as the miniature was; the painter returned has it in its layers."""

    def sheet(model: nn.Module, step: int) -> None:
        write_samples(model, data, autoencoder, work / f"lora-{step}.png")

    add_lora(painter.unet, size)
    trained = train(painter, plan, painter_loss(data), work / "lora.pt", sheet)
    assert isinstance(trained, Painter)
    return trained.eval()


def main(words: Sequence[str] | None = None) -> int:
    """Run every stage that is not yet done; a run that was stopped goes on where it was."""
    arguments = _parse(words)
    if arguments.out.suffix != ".safetensors":
        print(f"{arguments.out} is no name for a LoRA: end it with .safetensors.", file=sys.stderr)
        return 2
    torch.manual_seed(0)
    try:
        pairs = prepare(arguments.photos, arguments.work, MEDALLION)
    except PortraitsError as error:
        print(error, file=sys.stderr)
        return 2
    pack = bundled_pack()
    autoencoder = AutoencoderKL.from_pretrained(pack.folder / "vae").eval()
    tokenizer = CLIPTokenizerFast.from_pretrained(pack.folder / "tokenizer")
    data = encode_pairs(pairs, autoencoder, tokenizer, arguments.work)
    painter = train_lora(data, open_painter(pack.folder), pack.about.lora, autoencoder, arguments.work)
    write_lora(painter, arguments.out)
    print(f"{arguments.out} written, {arguments.out.stat().st_size / 1000:.0f} kB")
    return 0


def _parse(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m miniature.lora", description=__doc__)
    parser.add_argument("--photos", type=Path, required=True, help=f"folder of portraits: {FETCH}")
    parser.add_argument("--work", type=Path, required=True, help="folder for pairs, checkpoints and sample sheets")
    parser.add_argument("--out", type=Path, required=True, help="the LoRA's file, .safetensors")
    return parser.parse_args(words)


if __name__ == "__main__":
    sys.exit(main())
