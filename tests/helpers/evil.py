"""Files that a stranger could send: they run code, crash, or are damaged."""

import zipfile

import torch


class Opens:
    """Pickles as a call of `open` that makes a file: code that runs at loading."""

    def __init__(self, marker):
        self.marker = str(marker)

    def __reduce__(self):
        return open, (self.marker, 'w')


def write_opener(path, marker):
    """A checkpoint that makes the file ``marker`` where it is loaded carelessly."""
    torch.save({'state_dict': {}, 'meta': Opens(marker)}, path)
    return path


def write_pickle(path, opcodes: bytes):
    """A checkpoint in the format of torch, whose pickle is ``opcodes``."""
    whole = path.with_suffix('.whole')
    torch.save({}, whole)
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(path, 'w') as made:
        for name in source.namelist():
            new = opcodes if name.endswith('data.pkl') else source.read(name)
            made.writestr(name, new)
    whole.unlink()
    return path


def text(value: str) -> bytes:
    return b'X' + len(value).to_bytes(4, 'little') + value.encode()


def call(name: str, *args: bytes, by=b'R') -> bytes:
    """Opcodes of a call; ``by`` b'\\x81' makes a new object of a class instead."""
    module, _, function = name.rpartition('.')
    return f'c{module}\n{function}\n'.encode() + b'(' + b''.join(args) + b't' + by


def raw(count: int, byte='A') -> bytes:
    """Opcodes of ``count`` bytes."""
    return call('_codecs.encode', text(byte * count), text('latin1'))


def number(value: int) -> bytes:
    return b'J' + value.to_bytes(4, 'little', signed=True)


def row(*items: bytes) -> bytes:
    """Opcodes of a tuple."""
    return b'(' + b''.join(items) + b't'


def dtype(name: str, order='|', size=-1) -> bytes:
    state = row(
        number(3), text(order), b'N', b'N', b'N', number(size), number(size), number(0)
    )
    return call('numpy.dtype', text(name), b'\x89', b'\x88') + state + b'b'


NDARRAY = b'cnumpy\nndarray\n'


def array(kind: bytes, content: bytes, length=1, shape=None, multiarray='numpy.core'):
    """Opcodes of an array as numpy pickles it."""
    start = call(
        f'{multiarray}.multiarray._reconstruct', NDARRAY, row(number(0)), raw(1, 'b')
    )
    shape = row(number(length)) if shape is None else shape
    return start + row(number(1), shape, kind, b'\x89', content) + b'b'


def program(*parts: bytes) -> bytes:
    return b'\x80\x02' + b''.join(parts) + b'.'


def unpacked(argument: bytes) -> bytes:
    """``OrderedDict(*argument)``: looks at what an array holds."""
    return b'ccollections\nOrderedDict\n' + argument + b'R'


OBJECT = call('numpy.dtype', text('O'))
CRASHERS = {
    'array of objects': unpacked(call('numpy.ndarray', row(number(1)), OBJECT, raw(8))),
    'new array': unpacked(
        call('numpy.ndarray', row(number(1)), OBJECT, raw(8), by=b'\x81')
    ),
    'rebuilt objects': unpacked(array(dtype('O8'), raw(8))),
    'list of objects': array(dtype('O8'), b']' + b'K\x01a'),
    'object scalar': call('numpy.core.multiarray.scalar', dtype('O8'), raw(8)),
    'subarray': array(dtype('V8'), raw(8)),
    'size of its own': array(dtype('f8', '<', size=1), raw(8)),
    'too short': array(dtype('f8', '<'), raw(8), length=1000),
    'negative': array(dtype('f8', '<'), raw(8), length=-1),
    'two dimensions': array(dtype('f8', '<'), raw(8), shape=row(number(1), number(1))),
    'strided': call(
        'numpy.ndarray',
        *(row(number(9)), call('numpy.dtype', text('f8')), raw(8)),
        *(number(0), row(number(99999999))),
    ),
    'dates': array(dtype('M8', '<'), raw(8)),
    'structure': call('numpy.dtype', b']' + row(text('a'), text('O')) + b'a'),
    'built type': call('numpy.dtype', text('f8')) + row(number(3), text('|')) + b'b',
}
