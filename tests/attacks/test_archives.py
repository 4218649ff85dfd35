"""Archives and pictures that are small as files and huge in memory."""

import gzip
import io
import tarfile
import time

import pytest
from PIL import Image

from mmagic_mr.data.pictures import MAX_PIXELS, read_rgb
from mmagic_mr.data.prepare.maps import prepare_maps
from mmagic_mr.errors import UserError


def png(size=16):
    file = io.BytesIO()
    Image.effect_noise((2 * size, size), 50).convert('RGB').save(file, 'PNG')
    return file.getvalue()


def archive(path, members, level=9):
    """members: (name, bytes or a size in zeros)."""
    with (
        gzip.open(path, 'wb', compresslevel=level) as packed,
        tarfile.open(fileobj=packed, mode='w') as tar,
    ):
        for name, content in members:
            info = tarfile.TarInfo(name)
            if isinstance(content, int):
                info.size, source = content, Zeros()
            else:
                info.size, source = len(content), io.BytesIO(content)
            tar.addfile(info, source)
    return path


class Zeros:
    def read(self, count):
        return bytes(count)


GOOD = [('maps/train/1.png', png()), ('maps/val/1.png', png())]


@pytest.mark.parametrize(
    'members',
    [
        [(f'maps/train/b{i}.png', 30 * 2**20) for i in range(8)],
        [('maps/readme.txt', 240 * 2**20)],
    ],
    ids=['pictures', 'another file'],
)
def test_a_bomb_is_refused_before_it_is_unpacked(members, tmp_path):
    path = archive(tmp_path / 'maps.tar.gz', GOOD + members)
    assert path.stat().st_size < 2**20
    begin = time.process_time()
    with pytest.raises(UserError, match=r'maps\.tar\.gz .* times its own size'):
        prepare_maps(path, tmp_path / 'out', size=16, workers=0)
    assert time.process_time() - begin < 5
    written = [p for p in (tmp_path / 'out').rglob('*') if p.is_file()]
    assert sum(p.stat().st_size for p in written) < 64 * 2**20


def test_many_good_pictures_are_unpacked(tmp_path):
    more = [(f'maps/train/{i}.png', png()) for i in range(2, 60)]
    path = archive(tmp_path / 'maps.tar.gz', GOOD + more)
    prepare_maps(path, tmp_path / 'out', size=16, workers=0)
    assert len(list((tmp_path / 'out/train').glob('*.png'))) == 59


def test_members_of_other_folders_stay_out(tmp_path):
    odd = ['../maps/train/2.png', 'maps/train/../val/3.png', '/maps/train/../x/4.png']
    path = archive(tmp_path / 'maps.tar.gz', GOOD + [(name, png()) for name in odd])
    prepare_maps(path, tmp_path / 'out', size=16, workers=0)
    found = {p.name for p in tmp_path.rglob('*.png')}
    assert found == {'1.png'}


def test_a_picture_of_too_many_pixels_is_refused(tmp_path):
    side = 10_500
    assert side * side > MAX_PIXELS
    Image.new('1', (side, side)).save(tmp_path / 'large.png')
    assert (tmp_path / 'large.png').stat().st_size < 2**20
    with pytest.raises(UserError, match=r'large\.png is 10500x10500.*pixels'):
        read_rgb(tmp_path / 'large.png')
