"""How fast are thirty avatars, next to diffusers drawing the very same thirty from the same weights?

Both encode, denoise and decode on the same number of threads, one after the other in one run, each in a process of
its own so that memory and cold start are each one's own. The baseline is the loop of a diffusers pipeline in
inference mode, channels-last, eager or compiled, at whichever of its batch sizes is best. Needs the `export` extra
for the baseline.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

if not __package__:
    # Run as a script, Python looks here first, where likeness.py would hide the package of that name.
    sys.path[0] = str(Path(__file__).parent.parent)

import numpy as np

from benchmarks.report import Figure, publish
from likeness.packs import BUILTIN_PACKS, load_catalogue
from likeness.plan import plan_renders
from likeness_engines import BackendOptions, Render, Renderer, bundled_pack, load_engines

COUNT = 30
BATCHES = (6, 10, 15, 30)
# Those that run on a CPU; torch on one is the eager baseline itself.
OURS = ("onnxruntime", "openvino")
BASELINES = ("eager", "compiled", "bfloat16")


def workload() -> tuple[np.ndarray, list[tuple[int, str, int]]]:
    """Three noise-and-gradient crops (uint8 [3, 256, 256, 3]; pixels do not change the time) and (photo, prompt,
    seed)s.
    """
    styles = [load_catalogue().styles[name] for name, _ in BUILTIN_PACKS]
    renders = plan_renders(styles, [1, 1, 1], COUNT, seed=1)
    crops = np.random.default_rng(0).integers(0, 256, (3, 256, 256, 3), np.uint8)
    return crops, [(render.photo, render.look.prompt, render.seed) for render in renders]


def ours(backend: str, threads: int, repeats: int) -> dict[str, float]:
    """Load, draw thirty `repeats` times, and take the best."""
    started = time.perf_counter()
    engines = load_engines(bundled_pack(), backend, BackendOptions(threads))
    start_up_s = time.perf_counter() - started
    crops, renders = workload()
    times, firsts = [], []
    for _ in range(repeats):
        began = time.perf_counter()
        sources = engines.encode_photos(crops)
        renderer = Renderer(engines)
        for index, (photo, prompt, seed) in enumerate(renders):
            renderer.submit(Render(id=str(index), source=sources[photo], prompt=prompt, seed=seed))
        ready = [time.perf_counter() - began for outcome in renderer.run() if outcome.pixels is not None]
        if len(ready) != COUNT:
            raise SystemExit(f"only {len(ready)} of {COUNT} renders succeeded")
        times.append(ready[-1])
        firsts.append(ready[0])
    return {"start_up_s": start_up_s, "seconds": min(times), "first_s": min(firsts), "cold_s": start_up_s + firsts[0]}


def baseline(how: str, threads: int, repeats: int) -> dict[str, float]:
    """The same thirty through diffusers' own classes, at the best batch size."""
    import torch  # noqa: PLC0415 - only the baseline's process pays for it
    from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel  # noqa: PLC0415
    from transformers import CLIPTextModel, CLIPTokenizerFast  # noqa: PLC0415

    torch.set_num_threads(threads)
    started = time.perf_counter()
    pack = bundled_pack()
    folder = pack.folder
    text_encoder = CLIPTextModel.from_pretrained(folder / "text_encoder", torch_dtype=torch.float32).eval()
    tokenizer = CLIPTokenizerFast.from_pretrained(folder / "tokenizer")
    layout, plain = {"memory_format": torch.channels_last}, {"low_cpu_mem_usage": False}
    unet = UNet2DConditionModel.from_pretrained(folder / "unet", torch_dtype=torch.float32, **plain).eval().to(**layout)
    vae = AutoencoderKL.from_pretrained(folder / "vae", torch_dtype=torch.float32, **plain).eval().to(**layout)
    denoise, decode = (torch.compile(unet), torch.compile(vae.decode)) if how == "compiled" else (unet, vae.decode)
    start_up_s = time.perf_counter() - started
    crops, renders = workload()
    fold = pack.about.pixel_fold
    scale = vae.config.scaling_factor

    def draw(batch: int) -> float:
        began = time.perf_counter()
        pixels = torch.from_numpy(crops).permute(0, 3, 1, 2).float() / 127.5 - 1
        sources = vae.encode(torch.nn.functional.pixel_unshuffle(pixels, fold)).latent_dist.mean * scale
        for first in range(0, COUNT, batch):
            chosen = renders[first : first + batch]
            tokens = tokenizer([prompt for _, prompt, _ in chosen], padding="max_length", return_tensors="pt")
            words = text_encoder(tokens.input_ids).last_hidden_state
            source = sources[[photo for photo, _, _ in chosen]]
            noise = [torch.Generator().manual_seed(seed) for _, _, seed in chosen]
            latents = torch.stack([torch.randn(source.shape[1:], generator=generator) for generator in noise])
            scheduler = DDIMScheduler.from_pretrained(folder / "scheduler")
            scheduler.set_timesteps(pack.about.default_steps)
            for timestep in scheduler.timesteps:
                sample = torch.cat([latents, source], dim=1).contiguous(**layout)
                latents = scheduler.step(denoise(sample, timestep, words).sample, timestep, latents).prev_sample
            drawn = torch.nn.functional.pixel_shuffle(decode((latents / scale).contiguous(**layout)).sample, fold)
            ((drawn.float().clamp(-1, 1) + 1) * 127.5).round().permute(0, 2, 3, 1).byte().numpy()
        return time.perf_counter() - began

    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=how == "bfloat16"):
        cold = draw(BATCHES[0])
        best = {batch: min(draw(batch) for _ in range(repeats)) for batch in BATCHES}
    batch = min(best, key=lambda size: best[size])
    return {"start_up_s": start_up_s, "seconds": best[batch], "batch": batch, "cold_s": start_up_s + cold}


def measure(which: str, threads: int, repeats: int) -> dict[str, float]:
    """Run one side in a process of its own; returns its times and its peak memory in MB."""
    command = [sys.executable, __file__, "--side", which, "--threads", str(threads), "--repeats", str(repeats)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def run_side(which: str, threads: int, repeats: int) -> None:
    """The child's part: measure, add the peak memory, print JSON."""
    side = ours if which in OURS else baseline
    result = side(which, threads, repeats)
    result["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(result))


def main() -> int:
    """Measure ours, eager and compiled, and publish."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--side", choices=(*OURS, *BASELINES), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        run_side(arguments.side, arguments.threads, arguments.repeats)
        return 0
    sides = {which: measure(which, arguments.threads, arguments.repeats) for which in (*OURS, *BASELINES)}
    best = min(("eager", "compiled"), key=lambda which: sides[which]["seconds"])
    theirs, mine = sides[best], sides["onnxruntime"]
    figures = [Figure(f"thirty avatars, {which}", sides[which]["seconds"], "s", "lower", 15) for which in OURS]
    figures += [
        Figure(f"thirty avatars, diffusers {which}", sides[which]["seconds"], "s", "lower") for which in BASELINES
    ]
    figures += [
        Figure(
            f"{which}, times as fast as diffusers {best}",
            theirs["seconds"] / sides[which]["seconds"],
            "x",
            "higher",
            1.5,
        )
        for which in OURS
    ]
    figures += [
        Figure("first avatar", mine["first_s"], "s", "lower", 8),
        Figure("start-up", mine["start_up_s"], "s", "lower", 3),
        Figure("cold start to the first avatar", mine["cold_s"], "s", "lower"),
        Figure(f"cold start to the first batch, diffusers {best}", theirs["cold_s"], "s", "lower"),
        Figure("peak memory", mine["peak_mb"], "MB", "lower", 1500),
        Figure("peak memory, openvino", sides["openvino"]["peak_mb"], "MB", "lower", 1500),
        Figure(f"peak memory, diffusers {best}", theirs["peak_mb"], "MB", "lower"),
    ]
    settings = {"threads": str(arguments.threads), "baseline batch": f"{theirs['batch']:.0f}"}
    return publish("render", figures, settings, arguments.out)


if __name__ == "__main__":
    sys.exit(main())
