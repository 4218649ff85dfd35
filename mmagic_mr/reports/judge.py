"""A trained model against the known truth of a demo's validation inputs."""

import json
from pathlib import Path

import numpy as np
import torch

from mmagic_mr.data.synthetic.score import ideal_samples, score
from mmagic_mr.data.synthetic.tasks import Answer, Task
from mmagic_mr.io import write_text
from mmagic_mr.metrics.functional.answers import energy_distance
from mmagic_mr.metrics.functional.calibration import spread_skill
from mmagic_mr.metrics.functional.reconstruction import psnr

NUM_SAMPLES = 16
NUM_ANSWERS = 64  # of the true law, for the energy distance


def validation_set(cfg, data: str | None = None):
    """The validation data set of a config.

    Args:
        cfg: mmengine's Config.
        data: Folder of the data; None: the config's.
    """
    from mmengine.registry import init_default_scope

    from mmagic_mr import plugin  # noqa: F401
    from mmagic_mr.host import DATASETS

    init_default_scope('mmagic')
    own = {} if data is None else dict(data_root=data)
    return DATASETS.build({**cfg.val_dataloader.dataset, **own})


def answers_of(task: Task, dataset) -> list[Answer]:
    """What is known of each input."""
    paths = [dataset.get_data_info(i)[task.path_key] for i in range(len(dataset))]
    return [task.answer(path) for path in paths]


def draw_samples(model, dataset) -> list:
    """Data samples of a trained model, one for each input.

    Without a seed the noise follows from the file name: its own for each input.
    """
    from mmengine.dataset import pseudo_collate

    return [
        model.val_step(pseudo_collate([item]), NUM_SAMPLES)[0].to('cpu')
        for item in dataset
    ]


def score_samples(samples, answers, task, predictions=()) -> dict[str, float]:
    """The columns of the table.

    Args:
        samples: (K,3,H,W) for each input.
        answers: what is known of each input.
        task: one of TASKS.
        predictions: means (3,H,W), and variances, for each input.
    """

    def parts(pictures):
        return [
            part
            for picture, answer in zip(pictures, answers, strict=True)
            for part in answer.cut(picture)
        ]

    truths = [truth for answer in answers for truth in answer.truths]
    return score(
        parts(samples),
        truths,
        *(parts(pictures) for pictures in predictions),
        per_pixel=task.per_pixel,
    )


def score_outputs(outputs, answers, task) -> dict[str, float]:
    """The columns of the table for one method."""

    def arrays(field):
        return [output.get(field).double().numpy() for output in outputs]

    fields = [f for f in ('pred_mean', 'pred_var') if f in outputs[0]]
    samples = arrays('samples')
    result = score_samples(samples, answers, task, map(arrays, fields))
    return result | task.checks(samples, outputs)


def score_ideal(answers, task) -> dict[str, float]:
    """The same for pictures drawn from the true distribution."""
    samples = [
        ideal_samples(answer.draw, NUM_SAMPLES, [7, index])
        for index, answer in enumerate(answers)
    ]
    return score_samples(samples, answers, task)


def answer_distance(samples, answers) -> float:
    """Energy distance of the samples to real answers, in true standard deviations.

    Per scored part of a picture, the norm a root mean square; the mean of the parts is
    divided by the root of the mean true variance. 0 for an exact sampler, on average.
    """
    distances, variances = [], []
    for index, (pictures, answer) in enumerate(zip(samples, answers, strict=True)):
        real = ideal_samples(answer.draw, NUM_ANSWERS, [8, index])
        for part, true in zip(answer.cut(pictures), answer.cut(real), strict=True):
            size = np.sqrt(part[0].size)
            points = [torch.as_tensor(x).flatten(1) / size for x in (part, true)]
            distances.append(energy_distance(*points))
        variances += [truth.var.mean() for truth in answer.truths]
    return float(np.mean(distances) / np.sqrt(np.mean(variances)))


def score_targets(outputs: list, target_field: str) -> dict[str, float]:
    """The samples against the one held-out target of each input.

    Args:
        outputs: Data samples, with ``samples`` and the target in 0..255.
        target_field: Of the data samples.

    Returns:
        ``spread_skill`` (1 is right); ``best_psnr`` of the K samples and ``mean_psnr``
        of their mean, in dB, averaged over the inputs.
    """
    best, mean, variances, errors = [], [], [], []
    for output in outputs:
        samples, target = output.samples / 255, output.get(target_field) / 255
        center = samples.mean(0, keepdim=True)
        best.append(float(psnr(samples, target).max()))
        mean.append(float(psnr(center, target)))
        variances.append(float(samples.var(0).mean()))
        errors.append(float((center - target).square().mean()))
    ratio = spread_skill(np.mean(variances), np.mean(errors), len(outputs[0].samples))
    return dict(spread_skill=ratio, best_psnr=np.mean(best), mean_psnr=np.mean(mean))


def judge(task: Task, config: str, checkpoint: str, out: str | Path) -> dict:
    """Score a checkpoint and draw a picture beside the result.

    Args:
        task: One of TASKS.
        config: File of the config.
        checkpoint: File of the weights.
        out: JSON file to write, in the form of those of tools/test.py.

    Returns:
        The numbers by name.
    """
    from mmengine.config import Config

    from mmagic_mr.inference import load_model
    from mmagic_mr.reports.collage import collage, save_picture

    cfg = Config.fromfile(config)
    dataset = validation_set(cfg)
    model = load_model(cfg, checkpoint)
    outputs = draw_samples(model, dataset)
    answers = answers_of(task, dataset)
    numbers = score_outputs(outputs, answers, task)
    samples = [output.samples.double().numpy() for output in outputs]
    numbers['answer_distance'] = answer_distance(samples, answers)
    numbers |= score_targets(outputs, model.target_field)
    fields = dict(input_key=model.input_field, target_key=model.target_field)
    picture = collage({Path(config).stem: outputs[:4]}, **fields)
    save_picture(picture, Path(out).with_suffix('.png'))
    records = [
        dict(group='demo', key=key, value=float(numbers[key])) for key in numbers
    ]
    write_text(out, json.dumps(dict(records=records), indent=1))
    return numbers
