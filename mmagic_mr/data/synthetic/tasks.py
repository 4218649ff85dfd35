"""The three demos: data, configs, what is known of each picture, what must come out."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mmagic_mr.data.pictures import read_rgb
from mmagic_mr.data.synthetic import inpaint, known, scenes, sr
from mmagic_mr.data.synthetic.scenes import Truth


class Answer(NamedTuple):
    """What is known of the pictures that belong to one input.

    Attributes:
        truths: one for each part of the picture that is scored on its own.
        cut: pictures (..., 3, H, W) to these parts.
        draw: a random generator to a picture of the true distribution, RGB (H,W,3).
    """

    truths: list[Truth]
    cut: Callable[[np.ndarray], list[np.ndarray]]
    draw: Callable[[np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class Task:
    """One demo.

    Attributes:
        methods: name in the table -> name of the config.
        write_data: writes the data set into a folder; takes the options of `write_set`.
        path_key: which of a data set's paths ``answer`` takes.
        answer: path of a validation file -> Answer, in MMagic's BGR and 0..255.
        expected: what a full run must reach: (least, most) by method and column.
        scored: what the numbers are about, for the text below the table.
        per_pixel: see :func:`mmagic_mr.data.synthetic.score.score`.
        checks: (samples (K,3,H,W) of each input, its data sample) -> further numbers.
        check_columns: their names in the table.
        fast: trained with the switches of ``tools/train.py --fast``.
        iterations: of the trainings, in place of their configs', whose schedules shrink
            with them; None: the configs'.
    """

    methods: dict[str, str]
    write_data: Callable[..., Path]
    path_key: str
    answer: Callable[[str | Path], Answer]
    expected: dict[str, dict]
    scored: str
    per_pixel: bool = True
    checks: Callable[[list, list], dict] = lambda samples, outputs: {}
    check_columns: dict[str, str] = field(default_factory=dict)
    fast: bool = False
    iterations: int | None = None


def _photo_of_labels(path):
    return Answer(
        [scenes.truth_of_pair(path)],
        lambda pictures: [pictures],
        known.photo_of_pair(path).draw,
    )


def _large_of_small(path):
    truth = sr.engraving_truth(np.asarray(read_rgb(path))).bgr255()
    parts = [Truth(*part) for part in zip(*map(sr.tiles, truth), strict=True)]
    return Answer(
        parts,
        lambda pictures: list(sr.tiles(pictures)),
        known.large_of_small(path).draw,
    )


def _content_of_hole(path):
    scene = inpaint.scene_of_file(path)
    return Answer(
        [inpaint.inpainting_truth(scene).bgr255()],
        lambda pictures: [scene.in_hole(pictures)],
        known.filled_hole(path).draw,
    )


def _lr_psnr(samples, outputs):
    """PSNR of the samples, reduced, against the inputs: mean and worst."""
    values = []
    for pictures, output in zip(samples, outputs, strict=True):
        error = sr.down_sample(pictures) - output.input.double().numpy()
        values.append(10 * np.log10(255**2 / (error**2).mean((1, 2, 3))))
    return dict(lr_psnr=np.mean(values), worst_lr_psnr=np.min(values))


def _outside(samples, outputs):
    """Largest difference between samples and inputs outside of the holes."""
    return dict(
        outside=max(
            np.abs(
                (pictures - output.gt_img.double().numpy())
                * (1 - output.mask.double().numpy())
            ).max()
            for pictures, output in zip(samples, outputs, strict=True)
        )
    )


TASKS = {
    'pix2pix': Task(
        methods={
            'GAN + L1': 'pix2pix_noise_demo',
            'GAN + proxy MR2': 'pix2pix_proxy_mr2_demo',
            'GAN + CRPS': 'pix2pix_recommended_demo',
        },
        write_data=scenes.write_pairs,
        path_key='pair_path',
        answer=_photo_of_labels,
        expected={
            'GAN + L1': dict(std_ratio=(0, 0.15), modes=(0, 0.4)),
            'GAN + proxy MR2': dict(
                std_ratio=(0.6, 1.4),
                modes=(0.9, 1),
                pred_mean_error=(0, 0.15),
                pred_var_error=(0, 0.2),
            ),
            'GAN + CRPS': dict(std_ratio=(0.6, 1.4), modes=(0.9, 1)),
        },
        scored='scenes',
        fast=True,
        iterations=1500,
    ),
    'sr': Task(
        methods={
            'GAN + L2': 'srgan_noise_demo',
            'GAN + proxy MR2': 'srgan_proxy_mr2_demo',
            'GAN + CRPS': 'srgan_recommended_demo',
        },
        write_data=sr.write_engravings,
        path_key='img_path',
        answer=_large_of_small,
        expected={
            'GAN + L2': dict(std_ratio=(0, 0.15), modes=(0, 0.4)),
            'GAN + proxy MR2': dict(std_ratio=(0.5, 1.5), modes=(0.8, 1)),
            'GAN + CRPS': dict(std_ratio=(0.5, 1.5), modes=(0.8, 1)),
        },
        scored='pictures, each of their tiles on its own',
        checks=_lr_psnr,
        check_columns=dict(lr_psnr='LR-PSNR [dB]', worst_lr_psnr='worst LR-PSNR [dB]'),
    ),
    'inpaint': Task(
        methods={
            'GAN + L2': 'glcic_noise_demo',
            'GAN + proxy MR2': 'glcic_proxy_mr2_demo',
            'GAN + CRPS': 'glcic_recommended_demo',
        },
        write_data=inpaint.write_inpaintings,
        path_key='gt_path',
        answer=_content_of_hole,
        expected={
            'GAN + L2': dict(std_ratio=(0, 0.15), modes=(0, 0.4)),
            'GAN + proxy MR2': dict(std_ratio=(0.5, 1.5), modes=(0.8, 1)),
            'GAN + CRPS': dict(std_ratio=(0.5, 1.5), modes=(0.8, 1)),
        },
        scored='pictures, inside the hole',
        per_pixel=False,
        checks=_outside,
        check_columns=dict(outside='largest change outside the hole'),
    ),
}
