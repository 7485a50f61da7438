"""The miniature's UNet: noisy latents and the photo's latents in, v-prediction out, steered by the look's prompt."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from PIL import Image
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizerFast

from miniature.autoencoder import fold, to_float, unfold
from miniature.dataset import Pairs
from miniature.loop import Plan, train
from miniature.prompts import WIDTH, build_text_encoder

PLAN = Plan(steps=6000, learning_rate=7e-4, warm_up=200, average=0.999)
BATCH = 8
WORDLESS = 0.04
STEPS = 6


def build_unet() -> UNet2DConditionModel:
    """Latents [B, 32, 32, 32] -> [B, 16, 32, 32], about 10 M parameters.

    The pooled prompt joins the time embedding and scales and shifts every block (`addition_embed_type="text"`): style
    and colours reach the full-resolution layers at once, where attention would be too dear; words meet places at 8 x
    8.
    """
    return UNet2DConditionModel(
        sample_size=32,
        in_channels=32,
        out_channels=16,
        down_block_types=("DownBlock2D", "DownBlock2D", "CrossAttnDownBlock2D"),
        mid_block_type="UNetMidBlock2DCrossAttn",
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
        block_out_channels=(96, 160, 176),
        layers_per_block=1,
        norm_num_groups=16,
        cross_attention_dim=WIDTH,
        attention_head_dim=4,
        resnet_time_scale_shift="scale_shift",
        addition_embed_type="text",
        addition_embed_type_num_heads=4,
    )


def build_scheduler() -> DDIMScheduler:
    """Steps end in pure noise (Lin et al., Common Diffusion Noise Schedules are Flawed, 2024), so that few suffice."""
    return DDIMScheduler(
        beta_schedule="squaredcos_cap_v2",
        prediction_type="v_prediction",
        timestep_spacing="trailing",
        rescale_betas_zero_snr=True,
        clip_sample=False,
        set_alpha_to_one=True,
    )


class Painter(nn.Module):
    """UNet and text encoder, trained as one."""

    def __init__(self, unet: UNet2DConditionModel, text_encoder: CLIPTextModel) -> None:
        super().__init__()
        self.unet = unet
        self.text_encoder = text_encoder

    def forward(self, sample: Tensor, source: Tensor, timestep: Tensor, tokens: Tensor) -> Tensor:
        words = self.text_encoder(tokens).last_hidden_state
        return self.unet(torch.cat([sample, source], dim=1), timestep, words).sample


class LatentPairs(msgspec.Struct, frozen=True):
    """The pairs, encoded once: float16 [poses, inputs or targets, 16, 32, 32]; tokens int64 [poses, targets, 24]."""

    inputs: Tensor
    targets: Tensor
    tokens: Tensor
    wordless: Tensor


@torch.no_grad()
def encode_pairs(pairs: Pairs, autoencoder: AutoencoderKL, tokenizer: CLIPTokenizerFast, work: Path) -> LatentPairs:
    """Encode all pictures with the finished autoencoder, once; later calls read the file back."""

    def encode(pictures: np.ndarray) -> Tensor:
        scale = autoencoder.config.scaling_factor
        with torch.autocast("cpu", torch.bfloat16):
            encoded = [autoencoder.encode(fold(to_float(p))).latent_dist.mean * scale for p in pictures]
        return torch.stack([latents.half() for latents in encoded])

    path = work / "latents.pt"
    if not path.exists():
        torch.save({"inputs": encode(pairs.inputs), "targets": encode(pairs.targets)}, path)
    latents = torch.load(path)
    tokens = [tokenizer(prompts, padding="max_length", return_tensors="pt").input_ids for prompts in pairs.prompts]
    wordless = tokenizer([""], padding="max_length", return_tensors="pt").input_ids
    return LatentPairs(latents["inputs"], latents["targets"], torch.stack(tokens), wordless)


def painter_loss(data: LatentPairs) -> Callable[[nn.Module, torch.Generator], Tensor]:
    """The loss of v-prediction on a random batch; more often at high noise, where few-step sampling decides what the
    picture becomes.
    """
    scheduler = build_scheduler()
    alphas = scheduler.alphas_cumprod.float()

    def loss_of(model: nn.Module, generator: torch.Generator) -> Tensor:
        pose = torch.randint(len(data.inputs), (BATCH,), generator=generator)
        drawn = torch.randint(data.targets.shape[1], (BATCH,), generator=generator)
        seen = torch.randint(data.inputs.shape[1], (BATCH,), generator=generator)
        source, target = data.inputs[pose, seen].float(), data.targets[pose, drawn].float()
        tokens = data.tokens[pose, drawn]
        tokens = torch.where(torch.rand(BATCH, 1, generator=generator) < WORDLESS, data.wordless, tokens)
        noise = torch.randn(target.shape, generator=generator)
        timestep = 999 - (999 * torch.rand(BATCH, generator=generator) ** 1.6).long()
        alpha, sigma = (v.view(-1, 1, 1, 1) for v in (alphas[timestep].sqrt(), (1 - alphas[timestep]).sqrt()))
        batch = (alpha * target + sigma * noise, source, timestep, tokens, alpha * noise - sigma * target)
        device = next(model.parameters()).device
        sample, source, timestep, tokens, velocity = (part.to(device) for part in batch)
        return F.mse_loss(model(sample, source, timestep, tokens), velocity)

    return loss_of


def train_painter(
    data: LatentPairs, autoencoder: AutoencoderKL, tokenizer: CLIPTokenizerFast, work: Path, plan: Plan = PLAN
) -> Painter:
    """Train UNet and text encoder as one."""

    def sheet(model: nn.Module, step: int) -> None:
        write_samples(model, data, autoencoder, work / f"samples-{step}.png")

    painter = Painter(build_unet(), build_text_encoder(tokenizer)).to(memory_format=torch.channels_last)
    trained = train(painter, plan, painter_loss(data), work / "painter.pt", sheet)
    assert isinstance(trained, Painter)
    return trained.eval()


@torch.no_grad()
def sample(model: nn.Module, source: Tensor, tokens: Tensor, steps: int = STEPS, seed: int = 0) -> Tensor:
    """Draw latents for sources [B, 16, 32, 32] and tokens [B, 24] with the plain diffusers loop."""
    scheduler = build_scheduler()
    scheduler.set_timesteps(steps)
    latents = torch.randn(source.shape, generator=torch.Generator().manual_seed(seed)).to(source)
    for timestep in scheduler.timesteps:
        prediction = model(latents, source, timestep.expand(len(source)).to(source.device), tokens).float()
        latents = scheduler.step(prediction, timestep, latents).prev_sample
    return latents


@torch.no_grad()
def write_samples(model: nn.Module, data: LatentPairs, autoencoder: AutoencoderKL, path: Path) -> None:
    """Write photographs, what the model draws of them, and what the teachers drew."""
    poses = [pose % len(data.inputs) for pose in (3, 40, 77)]
    rows = []
    for pose in poses:
        source, target = data.inputs[pose, :1].float(), data.targets[pose].float()
        drawn = sample(model, source.expand(len(target), -1, -1, -1), data.tokens[pose])
        for latents in (torch.cat([source, drawn]), torch.cat([source, target])):
            pixels = unfold(autoencoder.decode(latents / autoencoder.config.scaling_factor).sample).clamp(-1, 1)
            rows.append(np.hstack(list(((pixels + 1) * 127.5).permute(0, 2, 3, 1).byte().numpy())))
    Image.fromarray(np.vstack(rows)).save(path)
