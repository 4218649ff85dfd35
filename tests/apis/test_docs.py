"""The blocks of docs/api.md run, in order, as a reader would type them."""

import re

from helpers import ROOT, small_run


def test_every_python_block_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runs = tmp_path / 'work_dirs'
    small_run.write_pix2pix(runs / 'demo/pix2pix_recommended_demo')
    small_run.write_inpainting(runs / 'demo_inpaint/glcic_recommended_demo')
    small_run.write_picture(tmp_path / 'label.png')
    small_run.write_picture(tmp_path / 'face.png')
    text = (ROOT / 'docs/api.md').read_text()
    blocks = re.findall(r'```python\n(.*?)```', text, re.DOTALL)
    assert len(blocks) == 3
    names = {}
    for block in blocks:
        exec(block, names)
    assert len(names['filled']) == len(names['again']) == 8
    assert len(names['way']) == 9
    files = sorted(p.name for p in (tmp_path / 'samples/label').iterdir())
    assert files[-3:] == ['mean.png', 'std.png', 'std.tiff']
