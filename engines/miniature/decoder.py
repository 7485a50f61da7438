"""The last stage: the decoder learns to make clean pictures of latents as the UNet really leaves them."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from diffusers import AutoencoderKL
from torch import Tensor, nn

from miniature.autoencoder import edge_loss, to_float, unfold
from miniature.dataset import Pairs
from miniature.loop import Plan, train
from miniature.unet import LatentPairs, Painter, sample

PLAN = Plan(steps=1800, learning_rate=5e-4, average=0.995)
BATCH = 8
WINDOW = 12  # latent cells
DRAWN = 960


class Drawn(msgspec.Struct, frozen=True):
    """What the UNet drew: latents float16 [N, 16, 32, 32], each with the pose and look whose target it should be."""

    latents: Tensor
    poses: Tensor
    looks: Tensor


def tune_decoder(
    pairs: Pairs, data: LatentPairs, painter: Painter, autoencoder: AutoencoderKL, work: Path, *, plan: Plan = PLAN
) -> AutoencoderKL:
    """Train the decoder alone, on the UNet's latents and the encoder's in turn; the latent space stays as it is."""
    drawn = _draw(data, painter, work)
    scale = autoencoder.config.scaling_factor

    def loss_of(model: nn.Module, generator: torch.Generator) -> Tensor:
        latents, pixels = _windows(pairs, data, drawn, generator)
        decoded = unfold(model.decode(latents / scale).sample)
        return F.l1_loss(decoded, pixels) + 0.5 * edge_loss(decoded, pixels)

    autoencoder.encoder.requires_grad_(False)
    autoencoder.quant_conv.requires_grad_(False)
    tuned = train(autoencoder, plan, loss_of, work / "decoder.pt", lambda *_: None)
    assert isinstance(tuned, AutoencoderKL)
    return tuned.eval()


@torch.no_grad()
def _draw(data: LatentPairs, painter: Painter, work: Path) -> Drawn:
    """Let the UNet draw random targets of random poses, once; later calls read the file back."""
    path = work / "drawn.pt"
    if not path.exists():
        generator = torch.Generator().manual_seed(0)
        poses = torch.randint(len(data.inputs), (DRAWN,), generator=generator)
        looks = torch.randint(data.targets.shape[1], (DRAWN,), generator=generator)
        photos = torch.randint(data.inputs.shape[1], (DRAWN,), generator=generator)
        batches = []
        for first in range(0, DRAWN, 16):
            rows = slice(first, first + 16)
            source, tokens = data.inputs[poses[rows], photos[rows]].float(), data.tokens[poses[rows], looks[rows]]
            with torch.autocast("cpu", torch.bfloat16):
                batches.append(sample(painter, source, tokens, seed=first))
        torch.save({"latents": torch.cat(batches).half(), "poses": poses, "looks": looks}, path)
    return Drawn(**torch.load(path))


def _windows(pairs: Pairs, data: LatentPairs, drawn: Drawn, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Latents [B, 16, 12, 12] and the target's pixels [B, 3, 96, 96]; every other one is the encoder's."""
    latents, pixels = [], []
    for row in range(BATCH):
        index, x, y = (int(torch.randint(most, (1,), generator=generator)) for most in (DRAWN, 21, 21))
        pose, look = int(drawn.poses[index]), int(drawn.looks[index])
        whole = drawn.latents[index] if row % 2 else data.targets[pose, look]
        latents.append(whole[:, y : y + WINDOW, x : x + WINDOW].float())
        pixels.append(pairs.targets[pose, look, 8 * y : 8 * (y + WINDOW), 8 * x : 8 * (x + WINDOW)])
    return torch.stack(latents), to_float(np.stack(pixels))
