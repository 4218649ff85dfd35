"""What the demos' configs know of a file: draws whose moments are those said."""

import numpy as np
import pytest
from helpers import ROOT
from mmengine.config import Config

from mmagic_mr.data.pictures import read_rgb
from mmagic_mr.data.synthetic import inpaint, sr
from mmagic_mr.data.synthetic.tasks import TASKS
from mmagic_mr.metrics.truth import find_truth

CONFIGS = dict(pix2pix='pix2pix_demo', sr='srgan_demo', inpaint='glcic_demo')
FOLDERS = dict(pix2pix='val', sr='val/lq', inpaint='val/gt')


@pytest.fixture(scope='module', params=sorted(CONFIGS))
def known(request, tmp_path_factory):
    """Task, path of a file, and what its config's truth knows of it."""
    task, root = request.param, tmp_path_factory.mktemp('data')
    TASKS[task].write_data(str(root), num_train=1, num_val=2)
    path = root / FOLDERS[task] / '00001.png'
    cfg = Config.fromfile(ROOT / f'configs/_base_/{CONFIGS[task]}.py')
    assert cfg.truth_path_key == TASKS[task].path_key
    return task, path, find_truth(cfg.truth)(str(path))


def test_draws_have_the_moments(known):
    _, _, law = known
    rng = np.random.default_rng(0)
    drawn = np.stack([law.draw(rng) for _ in range(400)])
    assert drawn.dtype == np.uint8
    pictures = drawn.transpose(0, 3, 1, 2)[:, ::-1].astype(float)  # BGR
    error = (pictures.mean(0) - law.mean) ** 2
    assert error.mean() == pytest.approx(law.var.mean() / 400, rel=0.6)
    assert pictures.var(0).mean() == pytest.approx(law.var.mean(), rel=0.05)


def test_draws_go_with_the_input(known):
    task, path, law = known
    drawn, photo = law.draw(np.random.default_rng(0)), np.asarray(read_rgb(path))
    if task == 'sr':
        assert (
            np.abs(
                sr.down_sample(drawn.transpose(2, 0, 1) / 1.0)
                - photo.transpose(2, 0, 1)
            ).max()
            < 3
        )
    if task == 'inpaint':
        mask = inpaint.scene_of_file(path).mask
        assert (drawn[~mask] == photo[~mask]).all()
        assert (law.var[:, ~mask] == 0).all()
        assert (law.mean[::-1].transpose(1, 2, 0)[~mask] == photo[~mask]).all()
        assert (law.var[:, mask] > 0).all()
    else:
        assert (law.var > 0).all()
