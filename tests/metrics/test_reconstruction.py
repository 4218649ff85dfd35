"""Best and mean of K against MMagic's own metrics."""

import numpy as np
import pytest
from helpers.metrics import INPUTS, PIXEL, Model, evaluate

import mmagic_mr.plugin  # noqa: F401


def test_reconstruction_best_and_mean():
    from mmagic.evaluation import PSNR, SSIM

    model = Model()
    result, _ = evaluate(model, dict(type='SampleReconstruction', distance=PIXEL))
    best, mean = {}, {}
    for kind in PSNR, SSIM:  # MMagic's own metrics, one sample at a time
        rows = []
        for index in range(INPUTS):
            (data,) = model.val_step([index])
            rows.append(
                [
                    kind(input_order='CHW').process_image(data.gt_img, s, None)
                    for s in data.samples
                ]
            )
        best[kind.__name__] = np.max(rows, 1).mean()
        mean[kind.__name__] = np.mean(rows)
    for name in best:
        assert result[f'reconstruction/{name}_best'] == pytest.approx(
            best[name], rel=1e-4
        )
        assert result[f'reconstruction/{name}_mean'] == pytest.approx(
            mean[name], rel=1e-4
        )
    name = 'reconstruction/mean-absolute-difference'
    assert result[f'{name}_best'] < result[f'{name}_mean']
