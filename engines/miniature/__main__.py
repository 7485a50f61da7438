"""Train the miniature from a folder of portraits: `python -m miniature --photos DIR --work DIR --out PACK`."""

from __future__ import annotations

import argparse
import sys
import tomllib
from pathlib import Path

import torch

from likeness_engines.importing import ImportRequest, import_checkpoint
from miniature.autoencoder import train_autoencoder
from miniature.dataset import FETCH, PortraitsError, prepare
from miniature.decoder import tune_decoder
from miniature.prompts import write_tokenizer
from miniature.unet import build_scheduler, encode_pairs, train_painter


def main() -> int:
    """Run every stage that is not yet done; a run that was stopped goes on where it was."""
    arguments = _parse()
    if arguments.out.exists():
        print(f"{arguments.out} exists already: name a new folder for the pack.", file=sys.stderr)
        return 2
    torch.manual_seed(0)
    try:
        pairs = prepare(arguments.photos, arguments.work)
    except PortraitsError as error:
        print(error, file=sys.stderr)
        return 2
    tokenizer = write_tokenizer(arguments.work / "diffusers" / "tokenizer")
    autoencoder = train_autoencoder(pairs, arguments.work)
    data = encode_pairs(pairs, autoencoder, tokenizer, arguments.work)
    painter = train_painter(data, autoencoder, tokenizer, arguments.work)
    autoencoder = tune_decoder(pairs, data, painter, autoencoder, arguments.work)
    checkpoint = arguments.work / "diffusers"
    parts = {
        "vae": autoencoder,
        "unet": painter.unet,
        "text_encoder": painter.text_encoder,
        "scheduler": build_scheduler(),
    }
    for name, part in parts.items():
        part.save_pretrained(checkpoint / name)
    about = tomllib.loads(Path(__file__).with_name("about.toml").read_text())
    # The UNet is trained on the photo's latents as it is on the drawing's: scaled.
    scale = autoencoder.config.scaling_factor
    request = ImportRequest(checkpoint=str(checkpoint), out=arguments.out, source_scale=scale, **about)
    pack = import_checkpoint(request, print)
    print(f"{pack.name} {pack.version} written to {pack.folder}; the diffusers checkpoint is {checkpoint}")
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m miniature", description=__doc__)
    parser.add_argument("--photos", type=Path, required=True, help=f"folder of portraits: {FETCH}")
    parser.add_argument("--work", type=Path, required=True, help="folder for pairs, checkpoints and sample sheets")
    parser.add_argument("--out", type=Path, required=True, help="a new folder for the model pack")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
