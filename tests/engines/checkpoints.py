"""Tiny checkpoints with the true classes and random weights, written as diffusers, transformers and IP-Adapter write
them. The same seeds give the same weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SIDE = 64  # pixels
LATENT_SIDE = 16
WORDS, MORE_WORDS = 32, 64  # widths of the text encoders; SDXL has both
LENGTH = 77
FACE_SIDE, FACE_WIDTH, FACE_TOKENS = 32, 32, 4
BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
LICENCE = "creativeml-openrail-m"


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Random weights of their own, whatever was drawn before; what is drawn after does not change."""
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


def sd_checkpoint(folder: Path) -> Path:
    """Stable Diffusion 1.5: PNDM, tokenizer without `tokenizer.json`, no safety checker."""
    from diffusers import PNDMScheduler, StableDiffusionPipeline

    with seeded(1):
        parts = sd_parts(folder, in_channels=4)
    scheduler = PNDMScheduler(**BETAS, skip_prk_steps=True, set_alpha_to_one=False, steps_offset=1)
    pipeline = StableDiffusionPipeline(**parts, **_no_safety(), scheduler=scheduler)
    return _save(pipeline, folder)


def pix2pix_checkpoint(folder: Path) -> Path:
    """InstructPix2Pix: Stable Diffusion 1.5 whose UNet also reads the photo's latents."""
    from diffusers import EulerAncestralDiscreteScheduler, StableDiffusionInstructPix2PixPipeline

    with seeded(2):
        parts = sd_parts(folder, in_channels=8)
    scheduler = EulerAncestralDiscreteScheduler(**BETAS)
    pipeline = StableDiffusionInstructPix2PixPipeline(**parts, **_no_safety(), scheduler=scheduler)
    return _save(pipeline, folder)


def sdxl_checkpoint(folder: Path) -> Path:
    """Stable Diffusion XL 1.0: two text encoders, sizes and pooled words as added conditions, a VAE for fp32 alone."""
    from diffusers import EulerDiscreteScheduler, StableDiffusionXLPipeline

    with seeded(3):
        unet, vae = sdxl_unet(), small_vae(0.13025)
        first, second = text_encoder(WORDS), text_encoder(MORE_WORDS, pooled=True)
    pipeline = StableDiffusionXLPipeline(
        unet=unet,
        vae=vae,
        text_encoder=first,
        text_encoder_2=second,
        tokenizer=tokenizer(folder / "tokenizer"),
        tokenizer_2=tokenizer(folder / "tokenizer_2", pad="!"),
        scheduler=EulerDiscreteScheduler(**BETAS, timestep_spacing="leading", steps_offset=1),
        add_watermarker=False,
    )
    return _save(pipeline, folder)


def ip_adapter(folder: Path, unet_folder: Path) -> tuple[Path, Path]:
    """An IP-Adapter Plus for the UNet in `unet_folder`: the file in IP-Adapter's own naming, and the image encoder."""
    from diffusers import UNet2DConditionModel
    from safetensors.torch import save_file

    unet = UNet2DConditionModel.from_pretrained(unet_folder, low_cpu_mem_usage=False)
    folder.mkdir(parents=True, exist_ok=True)
    with seeded(4):
        tensors = {f"image_proj.{key}": value for key, value in resampler(unet.config.cross_attention_dim).items()}
        tensors |= {f"ip_adapter.{key}": value for key, value in adapter_layers(unet).items()}
    file = folder / "ip-adapter-plus-face.safetensors"
    save_file({key: value.contiguous() for key, value in tensors.items()}, file)
    return file, image_encoder(folder / "image_encoder")


def sd_parts(folder: Path, in_channels: int) -> dict[str, Any]:
    """UNet, VAE, text encoder and tokenizer of Stable Diffusion 1.x."""
    from diffusers import UNet2DConditionModel

    unet = UNet2DConditionModel(
        sample_size=LATENT_SIDE,
        in_channels=in_channels,
        out_channels=4,
        down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
        up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
        block_out_channels=(32, 64, 64, 64),
        layers_per_block=1,
        norm_num_groups=8,
        cross_attention_dim=WORDS,
        attention_head_dim=8,
    )
    return {
        "unet": unet,
        "vae": small_vae(),
        "text_encoder": text_encoder(WORDS),
        "tokenizer": tokenizer(folder / "tokenizer"),
    }


def sdxl_unet() -> Any:
    """The UNet of SDXL: no attention at full size, several transformer blocks below, linear projections."""
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(
        sample_size=LATENT_SIDE,
        in_channels=4,
        out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        block_out_channels=(32, 64, 128),
        layers_per_block=1,
        transformer_layers_per_block=(1, 2, 2),
        norm_num_groups=8,
        cross_attention_dim=WORDS + MORE_WORDS,
        attention_head_dim=(2, 4, 8),
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=MORE_WORDS + 6 * 8,
    )


def small_vae(scaling_factor: float = 0.18215) -> Any:
    """[B, 3, 64, 64] <-> [B, 4, 16, 16]. Saved with `force_upcast`, as diffusers does unless told not to."""
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(16, 32, 32),
        latent_channels=4,
        norm_num_groups=8,
        sample_size=SIDE,
        scaling_factor=scaling_factor,
    )


def text_encoder(width: int, *, pooled: bool = False) -> Any:
    """CLIP's, its special tokens numbered as the published configurations have them."""
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    config = CLIPTextConfig(
        vocab_size=vocabulary_size(),
        hidden_size=width,
        intermediate_size=2 * width,
        projection_dim=width,
        num_hidden_layers=3,
        num_attention_heads=4,
        max_position_embeddings=LENGTH,
        hidden_act="gelu" if pooled else "quick_gelu",
        bos_token_id=0,
        eos_token_id=2,
        pad_token_id=1,
    )
    return (CLIPTextModelWithProjection if pooled else CLIPTextModel)(config)


def tokenizer(folder: Path, pad: str = "<|endoftext|>") -> Any:
    """A small real byte-pair tokenizer, with the files of the slow class, as checkpoints have them."""
    from transformers import CLIPTokenizer

    from miniature.prompts import write_tokenizer

    write_tokenizer(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        (folder / name).unlink()
    made = CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=LENGTH, pad_token=pad)
    made.save_pretrained(folder)
    return made


def vocabulary_size() -> int:
    """How many tokens the tokenizer has."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        return len(tokenizer(Path(folder)))


def resampler(width: int) -> dict[str, Any]:
    """IP-Adapter Plus's projection in its own naming; the published ones have four layers and heads of 64 too."""
    import torch

    inner, hidden, heads = 64, 48, 1
    shapes: dict[str, tuple[int, ...]] = {
        "latents": (1, FACE_TOKENS, hidden),
        "proj_in.weight": (hidden, FACE_WIDTH),
        "proj_in.bias": (hidden,),
        "proj_out.weight": (width, hidden),
        "proj_out.bias": (width,),
        "norm_out.weight": (width,),
        "norm_out.bias": (width,),
    }
    for layer in range(4):
        shapes |= {f"layers.{layer}.{key}.weight": (hidden,) for key in ("0.norm1", "0.norm2", "1.0")}
        shapes |= {f"layers.{layer}.{key}.bias": (hidden,) for key in ("0.norm1", "0.norm2", "1.0")}
        shapes |= {
            f"layers.{layer}.0.to_q.weight": (inner * heads, hidden),
            f"layers.{layer}.0.to_kv.weight": (2 * inner * heads, hidden),
            f"layers.{layer}.0.to_out.weight": (hidden, inner * heads),
            f"layers.{layer}.1.1.weight": (4 * hidden, hidden),
            f"layers.{layer}.1.3.weight": (hidden, 4 * hidden),
        }
    return {key: torch.randn(shape) / shape[-1] ** 0.5 for key, shape in shapes.items()}


def adapter_layers(unet: Any) -> dict[str, Any]:
    """The keys and values of every cross-attention layer, numbered as IP-Adapter does: 1, 3, 5, ..."""
    import torch

    crossing = [name for name in unet.attn_processors if not name.endswith("attn1.processor")]
    layers = {}
    for index, name in enumerate(crossing):
        shape = tuple(unet.get_submodule(name.removesuffix(".processor")).to_k.weight.shape)
        layers |= {f"{2 * index + 1}.to_{side}_ip.weight": torch.randn(shape) / shape[1] ** 0.5 for side in "kv"}
    return layers


def image_encoder(folder: Path) -> Path:
    """CLIP's picture half, with its preprocessor."""
    from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModelWithProjection

    config = CLIPVisionConfig(
        hidden_size=FACE_WIDTH,
        intermediate_size=2 * FACE_WIDTH,
        projection_dim=24,
        num_hidden_layers=3,
        num_attention_heads=4,
        image_size=FACE_SIDE,
        patch_size=8,
    )
    with seeded(5):
        CLIPVisionModelWithProjection(config).save_pretrained(folder)
    CLIPImageProcessor(size={"shortest_edge": FACE_SIDE}, crop_size=FACE_SIDE).save_pretrained(folder)
    (folder / "README.md").write_text("---\nlicense: mit\n---\nAn image encoder of random weights.\n")
    return folder


def _no_safety() -> dict[str, Any]:
    return {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}


def _save(pipeline: Any, folder: Path) -> Path:
    pipeline.save_pretrained(folder)
    (folder / "README.md").write_text(f"---\nlicense: {LICENCE}\ntags:\n- tiny\n---\nRandom weights.\n")
    return folder
