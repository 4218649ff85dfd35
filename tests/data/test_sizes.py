"""A batch whose images cannot be stacked is refused by the names of two files."""

import pytest
from attacks import training
from mmengine.dataset import pseudo_collate
from PIL import Image
from torch.utils.data import DataLoader

import mmagic_mr.plugin  # noqa: F401
from mmagic_mr.errors import UserError
from mmagic_mr.host import DATASETS


def loader(host, folder, change=None, skip=(), **kwargs):
    """The training set of a host; ``change``: a file of it, made 8 pixels higher."""
    from mmengine.config import Config
    from mmengine.registry import init_default_scope

    cfg = Config.fromfile(training.write_config(host, folder))
    init_default_scope('mmagic')
    data = cfg.train_dataloader.dataset
    data.pipeline = [step for step in data.pipeline if step.type not in skip]
    if change is not None:
        make_higher(folder / 'data/train' / change)
    dataset = DATASETS.build(data)
    return DataLoader(dataset, 4, collate_fn=pseudo_collate, **kwargs)


def make_higher(path):
    image = Image.open(path)
    image.resize((image.width, image.height + 8)).save(path)


CASES = [
    ('srgan', 'gt/2.png', ()),
    ('glcic', 'gt/2.png', ()),
    ('pix2pix', '2.png', ('StrictCrop',)),
]


@pytest.mark.parametrize(('host', 'change', 'skip'), CASES)
def test_one_image_of_another_height_is_named(host, change, skip, tmp_path):
    one = r'32x40 \([a-z_]+ of .*2\.png\)'
    with pytest.raises(UserError, match=one) as refusal:
        next(iter(loader(host, tmp_path, change, skip)))
    assert '32x32' in str(refusal.value)


def test_a_file_that_changes_while_it_is_trained_on(tmp_path):
    batches = loader('srgan', tmp_path, num_workers=1)
    assert len(next(iter(batches))['inputs']) == 4
    make_higher(tmp_path / 'data/train/gt/0.png')
    with pytest.raises(UserError, match=r'0\.png'):
        next(iter(batches))


def test_a_pair_that_its_camera_turned_is_named(tmp_path):
    """Decoders turn it upright, and the two halves are no longer side by side."""
    batches = loader('pix2pix', tmp_path, skip=('StrictCrop',))
    path = tmp_path / 'data/train/1.png'
    tags = Image.Exif()
    tags[0x112] = 6
    Image.open(path).save(path, format='JPEG', exif=tags)
    with pytest.raises(UserError, match=r'1\.png'):
        next(iter(batches))


def test_sizes_may_differ_where_nothing_is_stacked(tmp_path):
    batches = loader('srgan', tmp_path, 'gt/2.png')
    singles = DataLoader(batches.dataset, 1, collate_fn=pseudo_collate)
    assert len(list(singles)) == 4
