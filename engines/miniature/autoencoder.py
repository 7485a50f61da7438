"""The miniature's autoencoder: a diffusers AutoencoderKL over pixels folded 4 x 4, so that nothing runs at full
resolution.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from diffusers import AutoencoderKL
from PIL import Image
from torch import Tensor, nn

from miniature.dataset import Pairs
from miniature.loop import Plan, train

FOLD = 4
# Many small steps: at this size the number of steps counts for more than the size of the batch.
PLAN = Plan(steps=5000, learning_rate=1e-3, average=0.997)
BATCH, CROP = 8, 96
LATENT_NOISE = 0.05


def build() -> AutoencoderKL:
    """8x reduction in all: a fold by 4, then one halving; [B, 48, 64, 64] <-> [B, 16, 32, 32]."""
    return AutoencoderKL(
        in_channels=3 * FOLD**2,
        out_channels=3 * FOLD**2,
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(64, 128),
        layers_per_block=1,
        latent_channels=16,
        norm_num_groups=16,
        sample_size=256 // FOLD,
        mid_block_add_attention=False,
    )


def fold(pixels: Tensor) -> Tensor:
    """[B, 3, H, W] -> [B, 48, H/4, W/4]."""
    return F.pixel_unshuffle(pixels, FOLD)


def unfold(folded: Tensor) -> Tensor:
    """[B, 48, h, w] -> [B, 3, 4h, 4w]."""
    return F.pixel_shuffle(folded, FOLD)


def to_float(pixels: np.ndarray) -> Tensor:
    """uint8 [B, H, W, 3] -> float32 [B, 3, H, W] in -1..1."""
    return torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2).float() / 127.5 - 1


def train_autoencoder(pairs: Pairs, work: Path, plan: Plan = PLAN) -> AutoencoderKL:
    """Train on photographs and drawings alike, and set the scaling factor that gives latents unit variance."""

    def loss_of(model: nn.Module, generator: torch.Generator) -> Tensor:
        pixels = _windows(pairs, generator).to(next(model.parameters()).device)
        latents = model.encode(fold(pixels)).latent_dist.mean
        # Noise makes the latents smooth, and the decoder patient with a UNet that is a little off.
        noisy = latents + LATENT_NOISE * torch.randn(latents.shape, generator=generator).to(latents)
        drawn = unfold(model.decode(noisy).sample)
        return F.l1_loss(drawn, pixels) + 0.5 * edge_loss(drawn, pixels) + 2e-4 * latents.square().mean()

    def sheet(model: nn.Module, step: int) -> None:
        write_reconstructions(model, pairs, work / f"autoencoder-{step}.png")

    model = train(build().to(memory_format=torch.channels_last), plan, loss_of, work / "autoencoder.pt", sheet)
    assert isinstance(model, AutoencoderKL)
    model.register_to_config(scaling_factor=_scaling(model, pairs))
    return model.eval()


def _windows(pairs: Pairs, generator: torch.Generator) -> Tensor:
    """Cut random windows, two thirds of them from drawings, at multiples of 8 pixels so that textures keep their
    phase.
    """
    draw = np.random.default_rng(int(torch.randint(2**31, (1,), generator=generator)))
    windows = []
    for _ in range(BATCH):
        source = pairs.targets if draw.random() < 0.67 else pairs.inputs
        pose, image = int(draw.integers(len(source))), int(draw.integers(source.shape[1]))
        x, y = (8 * int(v) for v in draw.integers(0, (256 - CROP) // 8 + 1, 2))
        windows.append(source[pose, image, y : y + CROP, x : x + CROP])
    return to_float(np.stack(windows))


def edge_loss(drawn: Tensor, pixels: Tensor) -> Tensor:
    """L1 between neighbouring differences: keeps lines crisp where plain L1 would blur them."""
    difference = drawn - pixels
    return difference.diff(dim=2).abs().mean() + difference.diff(dim=3).abs().mean()


@torch.no_grad()
def _scaling(model: AutoencoderKL, pairs: Pairs) -> float:
    sample = to_float(np.concatenate([pairs.targets[:40, 0], pairs.targets[:40, 5], pairs.inputs[:40, 0]]))
    return 1 / float(model.encode(fold(sample)).latent_dist.mean.std())


@torch.no_grad()
def write_reconstructions(model: nn.Module, pairs: Pairs, path: Path) -> None:
    """Write originals above reconstructions, and print the mean PSNR in dB."""
    pixels = to_float(np.concatenate([pairs.targets[7, ::2], pairs.inputs[9, :2]]))
    drawn = unfold(model.decode(model.encode(fold(pixels)).latent_dist.mean).sample).clamp(-1, 1)
    error = ((drawn - pixels) / 2).square().mean(dim=(1, 2, 3))
    print(f"reconstruction {float((-10 * error.log10()).mean()):.1f} dB", flush=True)
    rows = [np.hstack(list(((images + 1) * 127.5).permute(0, 2, 3, 1).byte().numpy())) for images in (pixels, drawn)]
    Image.fromarray(np.vstack(rows)).save(path)
