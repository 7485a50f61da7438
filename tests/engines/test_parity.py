"""The bundled pack, drawn by us and by the loop of a diffusers pipeline from the same noise: the same pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from likeness.photos import crop_face
from likeness_engines import Render, Renderer, bundled_pack, load_engines

pytestmark = [pytest.mark.slow, pytest.mark.export, pytest.mark.filterwarnings("ignore")]
PACK = bundled_pack()
PROMPTS = (
    "comic portrait, crimson and gold sunburst, bold ink",
    "sketch portrait, brown ink on cream paper, crosshatch",
    "neon portrait, magenta and cyan glow, sun",
    "watercolour portrait, sky and teal wash, soft pigment",
    "oil portrait, amber and brown backdrop, warm light",
)


def by_diffusers(crop: NDArray[np.uint8], prompts: tuple[str, ...], steps: int) -> NDArray[np.uint8]:
    """uint8 [N, 256, 256, 3]: one picture a prompt, its noise drawn with the prompt's number as seed."""
    import torch
    from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
    from transformers import CLIPTextModel, CLIPTokenizerFast

    def load(kind: Any, part: str) -> Any:
        return kind.from_pretrained(PACK.folder / part, torch_dtype=torch.float32).eval()

    vae, unet = load(AutoencoderKL, "vae"), load(UNet2DConditionModel, "unet")
    tokenizer = CLIPTokenizerFast.from_pretrained(PACK.folder / "tokenizer")
    scheduler = DDIMScheduler.from_pretrained(PACK.folder / "scheduler")
    scheduler.set_timesteps(steps)
    fold, scale = PACK.about.pixel_fold, vae.config.scaling_factor
    with torch.inference_mode():
        pixels = torch.from_numpy(crop)[None].permute(0, 3, 1, 2).float() / 127.5 - 1
        source = vae.encode(torch.nn.functional.pixel_unshuffle(pixels, fold)).latent_dist.mean * scale
        tokens = tokenizer(list(prompts), padding="max_length", return_tensors="pt").input_ids
        words = load(CLIPTextModel, "text_encoder")(tokens).last_hidden_state
        noises = [np.random.Generator(np.random.PCG64(seed)) for seed in range(len(prompts))]
        latents = torch.from_numpy(np.stack([n.standard_normal(PACK.about.latents, np.float32) for n in noises]))
        sources = source.expand(len(prompts), -1, -1, -1)
        for timestep in scheduler.timesteps:
            prediction = unet(torch.cat([latents, sources], dim=1), timestep, words).sample
            latents = scheduler.step(prediction, timestep, latents).prev_sample
        drawn = torch.nn.functional.pixel_shuffle(vae.decode(latents / scale).sample, fold)
    return np.asarray(((drawn.clamp(-1, 1) + 1) * 127.5).round().permute(0, 2, 3, 1).byte())


@pytest.mark.parametrize("steps", [1, 6, 20])
def test_five_styles_in_one_batch_are_what_diffusers_draws(astronaut: NDArray[np.uint8], steps: int) -> None:
    crop = crop_face(astronaut).pixels
    engines = load_engines(PACK)
    [source] = engines.encode_photos(crop[None])
    renderer = Renderer(engines)
    for seed, prompt in enumerate(PROMPTS):
        renderer.submit(Render(id=str(seed), source=source, prompt=prompt, seed=seed, steps=steps))
    drawn = {outcome.id: outcome.pixels for outcome in renderer.run()}
    for seed, expected in enumerate(by_diffusers(crop, PROMPTS, steps)):
        pixels = drawn[str(seed)]
        assert pixels is not None
        assert np.abs(pixels.astype(int) - expected).max() <= 2
