"""Samplers with known answers, MMagic's evaluator around them, and trunks."""

import numpy as np
import pytest
import torch

from mmagic_mr.data.synthetic.known import Known
from mmagic_mr.networks import backbone

needs_trunk = pytest.mark.skipif(
    not backbone.backbone_path().is_file(),
    reason=f'no LPIPS trunk here; get it with: {backbone.FETCH}',
)

PIXEL = dict(name='pixel')


K, INPUTS, SIZE = 20, 6, 32


class Model(torch.nn.Module):
    """Draws `center + c * sigma * noise`; the targets are drawn likewise with c = 1."""

    input_field, target_field = 'input', 'gt_img'

    def __init__(self, c=1.0, dropout=False):
        super().__init__()
        self.c, self.dropout, self.data_preprocessor = c, dropout, None
        self.calls = 0

    def val_step(self, data):
        from mmagic.structures import DataSample

        self.calls += 1
        outputs = []
        for index in data:
            target, center = sample_of(index, 1)
            rng = torch.Generator().manual_seed(1000 + index)
            noise = torch.randn(K, 3, SIZE, SIZE, generator=rng)
            samples = center + self.c * 12 * noise
            if self.dropout:
                samples = samples + self.dropout * torch.randn(()).sign() * self.calls
            output = DataSample(metainfo=dict(pair_path=str(index)))
            output.set_tensor_data(
                dict(
                    samples=samples.clamp(0, 255),
                    gt_img=target,
                    input=center,
                    pred_mean=center,
                    pred_var=torch.full_like(center, 144.0),
                )
            )
            outputs.append(output)
        return outputs


def sample_of(index, c):
    """A target of the input, and the center that it was drawn around."""
    rng = torch.Generator().manual_seed(index)
    center = 80 + 100 * torch.rand(3, SIZE, SIZE, generator=rng)
    return center + c * 12 * torch.randn(3, SIZE, SIZE, generator=rng), center


def evaluate(model, *metrics, batch=2, inputs=INPUTS):
    """Runs the metrics over the inputs; returns the numbers and the metrics."""
    from mmengine.registry import DefaultScope
    from torch.utils.data import DataLoader

    DefaultScope.get_instance('test_metrics', scope_name='mmagic')
    from mmagic.evaluation import Evaluator

    evaluator = Evaluator([dict(metric) for metric in metrics])
    loader = DataLoader(range(inputs), batch_size=batch, collate_fn=list)
    evaluator.prepare_metrics(model, loader)
    groups = evaluator.prepare_samplers(model, loader)
    assert len(groups) == 1  # one sampler for all: the samples are drawn once
    for group, sampler in groups:
        for data in sampler:
            evaluator.process(model.val_step(data), data, group)
    result = evaluator.evaluate()
    return result, evaluator.metrics


def truth(path):
    """The law of the targets, for the metrics that know it."""
    mean = sample_of(int(path), 1)[1].numpy()

    def draw(rng):
        drawn = mean + 12 * rng.standard_normal(mean.shape)
        return np.rint(drawn).clip(0, 255).astype(np.uint8)[::-1].transpose(1, 2, 0)

    return Known(mean, np.full_like(mean, 144), draw)


def random_trunk(net='alex', seed=0):
    """Arrays of a trunk that nobody trained."""
    rng = np.random.default_rng(seed)
    trunk = backbone.TRUNKS[net]
    arrays = {}
    for layer, shape in zip(trunk.layers, trunk.shapes, strict=True):
        arrays[f'features.{layer}.weight'] = rng.normal(0, 0.05, shape).astype(
            np.float32
        )
        arrays[f'features.{layer}.bias'] = np.zeros(shape[0], np.float32)
    return arrays
