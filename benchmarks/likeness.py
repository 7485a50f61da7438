"""How good are the miniature's pictures? People it never saw, on backdrops it never saw, next to what its teachers
draw.

Needs the folder of portraits that the miniature was trained from; only the held-out people in it are used.
"""

from __future__ import annotations

import argparse
import sys
from itertools import combinations
from pathlib import Path

if not __package__:
    # Run as a script, Python looks here first, where likeness.py would hide the package of that name.
    sys.path[0] = str(Path(__file__).parent.parent)

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.feature import hog
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from benchmarks.portraits import FETCH, read_held_out
from benchmarks.report import Figure, publish
from likeness.packs import choose_styles, load_catalogue
from likeness.photos import PhotoError, crop_face
from likeness.plan import plan_renders
from likeness_engines import Engines, Lora, Render, Renderer, bundled_pack, load_engines
from likeness_plugins import Look, Style
from likeness_plugins.pack_source import open_pack_source
from likeness_plugins.source_catalogue import load_pack_source
from miniature.cutout import cut_out
from miniature.teachers import draw as draw_teacher
from miniature.vocabulary import STYLES, parse

Pixels = NDArray[np.uint8]
People = list[tuple[Pixels, NDArray[np.float32]]]  # crops and masks
PEOPLE = 50
SHRINKAGE = 0.3


def read_people(photos: Path) -> People:
    """Crops and masks of up to 50 held-out people."""
    people = []
    for portrait in read_held_out(photos):
        try:
            crop = crop_face(portrait).pixels
        except PhotoError:
            continue
        mask = cut_out(crop)
        if mask is not None:
            people.append((crop, mask))
    return people[:PEOPLE]


def unseen_backdrop(seed: int) -> Pixels:
    """Voronoi cells, bricks or fractal clouds: none of the kinds that training draws."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:256, 0:256].astype(np.float32)
    colours = rng.integers(20, 236, (24, 3)).astype(np.float32)
    kind = seed % 3
    if kind == 0:
        points = rng.uniform(0, 256, (24, 2))
        cell = np.hypot(x[..., None] - points[:, 0], y[..., None] - points[:, 1]).argmin(axis=2)
        return colours[cell].astype(np.uint8)
    if kind == 1:
        row = y // 20
        mortar = (y % 20 < 2) | ((x + 16 * (row % 2)) % 32 < 2)
        return (
            np.where(mortar[..., None], colours[0], colours[1] + 14 * np.sin(row + x // 32)[..., None])
            .clip(0, 255)
            .astype(np.uint8)
        )
    cloud = sum(
        cv2.resize(rng.standard_normal((2**k, 2**k)).astype(np.float32), (256, 256), interpolation=cv2.INTER_CUBIC)
        / 2**k
        for k in range(2, 8)
    )
    share = np.clip(0.5 + cloud, 0, 1)[..., None]
    return (colours[2] * share + colours[3] * (1 - share)).astype(np.uint8)


def place(crop: Pixels, mask: NDArray[np.float32], backdrop: Pixels) -> Pixels:
    """Paste the person before a backdrop."""
    soft = mask[..., None]
    return (crop * soft + backdrop * (1 - soft)).astype(np.uint8)


def render(engines: Engines, jobs: list[tuple[Pixels, str, int]], lora: Lora | None = None) -> list[Pixels]:
    """Draw (crop, prompt, seed)s in one mixed batch, all with the same LoRA or none."""
    sources = engines.encode_photos(np.stack([crop for crop, _, _ in jobs]))
    renderer = Renderer(engines)
    for index, ((_, prompt, seed), source) in enumerate(zip(jobs, sources, strict=True)):
        renderer.submit(Render(id=str(index), source=source, prompt=prompt, seed=seed, lora=lora))
    done = {outcome.id: outcome.pixels for outcome in renderer.run()}
    drawn = [done[str(index)] for index in range(len(jobs))]
    return [pixels for pixels in drawn if pixels is not None]


def describe_face(picture: Pixels) -> NDArray[np.float64]:
    """HOG of the face region, the middle of the crop, at 96 x 96."""
    grey = cv2.cvtColor(picture[60:196, 60:196], cv2.COLOR_RGB2GRAY)
    grey = cv2.createCLAHE(2.0, (4, 4)).apply(
        cv2.GaussianBlur(cv2.resize(grey, (96, 96), interpolation=cv2.INTER_AREA), (0, 0), 1.5)
    )
    return np.asarray(hog(grey, 9, (12, 12), (2, 2), block_norm="L2-Hys"))


def describe_style(picture: Pixels) -> NDArray[np.float64]:
    """What tells styles apart whatever their colours: lightness and chroma of regions, and the energy of fine
    texture.
    """
    lab = cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    light, chroma = lab[..., 0] / 100, np.hypot(lab[..., 1], lab[..., 2]) / 100
    fine = np.abs(light - cv2.GaussianBlur(light, (0, 0), 2)) * 4
    rows = np.abs(cv2.Sobel(light, cv2.CV_32F, 0, 1)) - np.abs(cv2.Sobel(light, cv2.CV_32F, 1, 0))
    regions = [cv2.resize(plane, (8, 8), interpolation=cv2.INTER_AREA).ravel() for plane in (light, chroma, fine, rows)]
    spread = [np.percentile(plane, (5, 25, 50, 75, 95)) for plane in (light, chroma)]
    return np.concatenate([*regions, *spread]).astype(np.float64)


def own_face_share(avatars: list[Pixels], owners: list[int], photos: list[Pixels]) -> float:
    """Share of avatars whose nearest photo by HOG (cosine) is their own person's."""
    gallery = np.stack([describe_face(photo) for photo in photos])
    queries = np.stack([describe_face(avatar) for avatar in avatars])
    nearest = (_unit(queries) @ _unit(gallery).T).argmax(axis=1)
    return float((nearest == np.asarray(owners)).mean())


def style_share(avatars: list[Pixels], styles: list[str]) -> float:
    """Share of avatars whose nearest style centroid, from the other half of the people, is their own.

    Nearest by Mahalanobis distance under the spread within styles: looks of one style differ more than styles do in
    colour, and less in everything else. The covariance is shrunk towards a sphere (Ledoit and Wolf, 2004).
    """
    features, names = np.stack([describe_style(avatar) for avatar in avatars]), np.asarray(styles)
    features = (features - features.mean(0)) / (features.std(0) + 1e-6)
    half = (np.arange(len(names)) // len(STYLES)) % 2 == 0
    hits = []
    for train, test in ((half, ~half), (~half, half)):
        centroids = np.stack([features[train & (names == style)].mean(0) for style in STYLES])
        within = features[train] - centroids[[STYLES.index(name) for name in names[train]]]
        whiten = np.linalg.cholesky(np.linalg.inv(_shrunk_covariance(within)))
        guess = np.linalg.norm((features[test][:, None] - centroids) @ whiten, axis=2).argmin(axis=1)
        hits.append(np.asarray(STYLES)[guess] == names[test])
    return float(np.concatenate(hits).mean())


def _shrunk_covariance(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    covariance = np.cov(rows.T)
    sphere = np.eye(len(covariance)) * np.trace(covariance) / len(covariance)
    return np.asarray((1 - SHRINKAGE) * covariance + SHRINKAGE * sphere)


def background_change(first: list[Pixels], second: list[Pixels], masks: list[NDArray[np.float32]]) -> float:
    """Mean absolute change outside the person, as a share of 255, when only the photo's backdrop was swapped."""
    changes = []
    for a, b, mask in zip(first, second, masks, strict=True):
        outside = cv2.dilate(mask, np.ones((13, 13))) < 0.02
        changes.append(np.abs(a.astype(int) - b)[outside].mean() / 255)
    return float(np.mean(changes))


def smallest_distance(avatars: list[Pixels]) -> float:
    """The smallest mean absolute difference, as a share of 255, between any two pictures at 64 x 64."""
    small = [cv2.resize(avatar, (64, 64), interpolation=cv2.INTER_AREA).astype(np.int32) for avatar in avatars]
    return min(float(np.abs(a - b).mean()) / 255 for a, b in combinations(small, 2))


def teacher_agreement(avatars: list[Pixels], people: People, looks: list[Look]) -> tuple[float, float]:
    """Mean SSIM and PSNR (dB) between avatars and the teachers' drawings of the clean crops."""
    ssim, psnr = [], []
    for avatar, (crop, mask), look in zip(avatars, people, looks, strict=True):
        target = (draw_teacher(crop.astype(np.float32) / 255, mask, parse(look.prompt)) * 255).astype(np.uint8)
        ssim.append(structural_similarity(avatar, target, channel_axis=2))
        psnr.append(peak_signal_noise_ratio(target, avatar))
    return float(np.mean(ssim)), float(np.mean(psnr))


def _unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def draw_thirty(
    engines: Engines, styles: list[Style], variants: list[Pixels], lora: Lora | None = None
) -> list[Pixels]:
    """Thirty avatars of three variants of one photo, as a generation has them."""
    plan = plan_renders(styles, [1, 1, 1], 30, seed=3)
    return render(engines, [(variants[p.photo], p.look.prompt, p.seed) for p in plan], lora)


def measure_builtin(
    engines: Engines, people: People, placed: list[list[Pixels]], variants: list[Pixels]
) -> list[Figure]:
    """All five styles, beside their teachers."""
    styles = choose_styles(load_catalogue(), STYLES)
    pairs = [(index, style, style.looks[index % len(style.looks)]) for index in range(len(people)) for style in styles]
    first, second = (
        render(engines, [(crops[index], look.prompt, index) for index, _, look in pairs]) for crops in placed
    )
    ssim, psnr = teacher_agreement(first, [people[index] for index, _, _ in pairs], [look for _, _, look in pairs])
    five, one = (draw_thirty(engines, chosen, variants) for chosen in (styles, styles[:1]))
    return [
        own_face(first, [index for index, _, _ in pairs], people),
        Figure("style recognised", style_share(first, [style.name for _, style, _ in pairs]) * 100, "%", "higher", 99),
        shining_through(first, second, [people[index][1] for index, _, _ in pairs]),
        Figure("SSIM to the teacher", ssim, "", "higher"),
        Figure("PSNR to the teacher", psnr, "dB", "higher"),
        Figure("closest two of thirty, five styles", smallest_distance(five) * 100, "%", "higher"),
        Figure("closest two of thirty, one style, one face", smallest_distance(one) * 100, "%", "higher"),
    ]


def measure_style(
    engines: Engines, style: Style, people: People, placed: list[list[Pixels]], variants: list[Pixels]
) -> list[Figure]:
    """One style of a pack, with its LoRA: what needs no teacher."""
    path = style.recipe(engines.pack.family).lora
    lora = None if path is None else engines.lora(path)
    looks = [style.looks[index % len(style.looks)] for index in range(len(people))]
    first, second = (
        render(
            engines,
            [(crop, look.prompt, seed) for seed, (crop, look) in enumerate(zip(crops, looks, strict=True))],
            lora,
        )
        for crops in placed
    )
    thirty = draw_thirty(engines, [style], variants, lora)
    return [
        own_face(first, list(range(len(people))), people),
        shining_through(first, second, [mask for _, mask in people]),
        Figure("closest two of thirty, one style, one face", smallest_distance(thirty) * 100, "%", "higher"),
    ]


def own_face(avatars: list[Pixels], owners: list[int], people: People) -> Figure:
    share = own_face_share(avatars, owners, [crop for crop, _ in people])
    return Figure("own face nearest among the photos", share * 100, "%", "higher", 95)


def shining_through(first: list[Pixels], second: list[Pixels], masks: list[NDArray[np.float32]]) -> Figure:
    return Figure("backdrop shines through", background_change(first, second, masks) * 100, "%", "lower", 5)


def main() -> int:
    """Draw everything, measure everything, publish."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True, help=f"folder of portraits: {FETCH}")
    parser.add_argument("--pack", help="a pack of one style, instead of the built-in ones: its project or folder")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    people, engines = read_people(arguments.photos), load_engines(bundled_pack())
    placed = [
        [place(*people[index], unseen_backdrop(7 * index + turn)) for index in range(len(people))] for turn in (0, 1)
    ]
    variants = [people[0][0], cv2.convertScaleAbs(placed[0][0], alpha=0.9), placed[1][0]]
    settings = {"people": str(len(people)), "pack": engines.pack.version}
    if arguments.pack is None:
        figures = measure_builtin(engines, people, placed, variants)
        return publish("likeness", figures, settings, arguments.out)
    with open_pack_source(arguments.pack) as source:
        [style] = load_pack_source(source).styles.values()
        figures = measure_style(engines, style, people, placed, variants)
    return publish(f"likeness-{style.name}", figures, settings, arguments.out)


if __name__ == "__main__":
    sys.exit(main())
