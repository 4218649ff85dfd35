"""Makes MMagic 1.2.0 and mmengine 0.10.7 work with today's torch.

`mmagic_mr.host` calls `mend` before it imports anything of MMagic. Each fix acts only
where its fault is there; where the fault is mended upstream, or full mmcv works,
nothing is replaced.
"""

import importlib
import importlib.machinery
import importlib.util
import sys
import types
import warnings

import numpy as np
import torch

from mmagic_mr import lazy_packages, lazy_registry, log_values
from mmagic_mr.checkpoints.files import allow_log_history, safe_loading, write
from mmagic_mr.checkpoints.latest import find_latest
from mmagic_mr.doctor import INSTALL_MMCV
from mmagic_mr.errors import UserError

_EXT = 'mmcv._ext'
_INSTALL_MMCV = INSTALL_MMCV.format(version='2.1.0')


class _StandIn(types.ModuleType):
    """Takes the place of ``mmcv._ext``: every op is there, none can be called."""

    def __getattr__(self, name):
        if name.startswith('__'):
            raise AttributeError(name)

        def missing_op(*args, **kwargs):
            raise RuntimeError(
                f'the op "{name}" is compiled code of full mmcv, which is not '
                f'installed here or does not fit. To use it, install full mmcv, built '
                f'for torch {torch.__version__}: {_INSTALL_MMCV}'
            )

        return missing_op


def name_bool8():
    """Gives numpy 2 back the one of its old names that MMagic asks for.

    Symptom: "module 'numpy' has no attribute 'bool8'", from MMagic's trans_utils.py.
    """
    if int(np.__version__.split('.')[0]) >= 2 and not hasattr(np, 'bool8'):
        np.bool8 = np.bool_


def import_mmcv_ops():
    """Imports ``mmcv.ops`` also where mmcv has no compiled part that fits.

    Symptom: ``import mmagic.models`` stops with "No module named 'mmcv._ext'"
    (mmcv-lite), or with an undefined symbol (mmcv built for another torch).
    The stand-in leaves ``sys.modules`` again at once: mmengine takes its presence for
    full mmcv.
    """
    if importlib.util.find_spec(_EXT) is not None:
        try:
            importlib.import_module('mmcv.ops')
            return
        except (ImportError, OSError, AssertionError) as error:
            warnings.warn(
                f'the compiled part of mmcv does not fit torch {torch.__version__}: '
                f'{error}. It was built for another torch or another mmcv. Going on '
                f'without its ops, which mmagic_mr does not need. To mend it: '
                f'{_INSTALL_MMCV}',
                RuntimeWarning,
                stacklevel=2,
            )
    stand_in = _StandIn(_EXT)
    stand_in.__spec__ = importlib.machinery.ModuleSpec(_EXT, loader=None)
    sys.modules[_EXT] = stand_in
    try:
        importlib.import_module('mmcv.ops')
    finally:
        del sys.modules[_EXT]


def import_optimizers():
    """Lets mmengine's optimizers do without transformers, from which one of them is.

    Symptom: where it is installed, all of it is looked through at each start.
    """
    if {'mmengine.optim', 'transformers'} & sys.modules.keys():
        return
    if importlib.util.find_spec('transformers') is None:
        return
    sys.modules['transformers'] = None  # as if it were not installed
    try:
        builder = importlib.import_module('mmengine.optim.optimizer.builder')
    finally:
        del sys.modules['transformers']
    lazy_registry.defer(
        builder.OPTIMIZERS,
        'Adafactor',
        f'{builder.__name__}:register_transformers_optimizers',
    )


def import_image_utils():
    """Lets MMagic's data samples do without torchvision, which draws its grids alone.

    Symptom: importing it imports the compiler of torch, and sympy.
    """
    if 'torchvision' in sys.modules:
        return
    importlib.import_module('mmcv.transforms')  # so that only MMagic sees the stand-in

    def make_grid(*args, **kwargs):
        return importlib.import_module('torchvision.utils').make_grid(*args, **kwargs)

    parent, stand_in = map(types.ModuleType, ('torchvision', 'torchvision.utils'))
    stand_in.make_grid = make_grid
    sys.modules.update({module.__name__: module for module in (parent, stand_in)})
    try:
        importlib.import_module('mmagic.utils.img_utils')
    finally:
        for module in parent, stand_in:
            del sys.modules[module.__name__]


def import_what_is_asked_for():
    """Imports of MMagic what a config uses, rather than all of it.

    Symptom: each tool starts with seconds of imports, and none without diffusers,
    transformers and albumentations in the releases that MMagic was written for, though
    few editors use them. Where MMagic is imported already, it stays as it is.
    """
    if 'mmagic.models' in sys.modules or 'mmagic.datasets' in sys.modules:
        return
    lazy_packages.make_lazy('mmagic')
    lazy_registry.make_lazy(importlib.import_module('mmagic.registry'), without='apis')


def _generation_init_weights(module, init_type='normal', init_gain=0.02):
    """MMagic's function of this name, which records only what it initialised."""
    from mmengine.model import kaiming_init, normal_init, update_init_info, xavier_init

    def init(m):
        name = type(m).__name__
        if hasattr(m, 'weight') and ('Conv' in name or 'Linear' in name):
            if init_type == 'normal':
                normal_init(m, 0.0, init_gain)
            elif init_type == 'xavier':
                xavier_init(m, gain=init_gain, distribution='normal')
            elif init_type == 'kaiming':
                kaiming_init(
                    m,
                    a=0,
                    mode='fan_in',
                    nonlinearity='leaky_relu',
                    distribution='normal',
                )
            elif init_type == 'orthogonal':
                torch.nn.init.orthogonal_(m.weight, gain=init_gain)
                if m.bias is not None:
                    torch.nn.init.constant_(m.bias, 0.0)
            else:
                raise UserError(
                    'init_type must be normal, xavier, kaiming or orthogonal, got '
                    f'{init_type!r}'
                )
            info = f"Initialize {name} by 'init_type' {init_type}."
        elif 'BatchNorm2d' in name:
            normal_init(m, 1.0, init_gain)
            info = (
                f'{name} is BatchNorm2d, initialize by Norm initialization with '
                f'mean=1, std={init_gain}'
            )
        else:
            return
        if hasattr(m, '_params_init_info'):
            update_init_info(module, info)

    module.apply(init)


def fix_generation_init_weights():
    """Lets Pix2Pix and CycleGAN start to train (MMagic issue 2109).

    Symptom: ``UnboundLocalError: init_info`` from ``generation_init_weights`` at the
    first module that is neither a convolution, a linear layer nor a BatchNorm.
    """
    from mmagic.models.utils import model_utils

    faulty = model_utils.generation_init_weights
    probe = torch.nn.Identity()
    probe._params_init_info = {}
    try:
        faulty(probe)
    except UnboundLocalError:
        pass
    else:
        return
    # Whatever is imported already has bound the name.
    for name, module in list(sys.modules.items()):
        if name.split('.')[0] == 'mmagic' and (
            vars(module).get('generation_init_weights') is faulty
        ):
            module.generation_init_weights = _generation_init_weights


def fix_pix2pix_test_step():
    """Lets the stock Pix2Pix be tested.

    Symptom: ``TypeError: 'DataSample' object is not subscriptable`` from
    ``Pix2Pix.test_step``. Its ``val_step`` is the same code with that fault mended.
    """
    import mmagic
    from mmagic.models import Pix2Pix
    from mmagic.structures import DataSample

    if mmagic.__version__ == '1.2.0' and not hasattr(DataSample, '__getitem__'):
        Pix2Pix.test_step = Pix2Pix.val_step


def allow_mmengine_checkpoints():
    """Lets mmengine's checkpoints through the safe loader of torch >= 2.6.

    Symptom: ``--resume`` stops with "Weights only load failed ... Unsupported global":
    mmengine 0.10.7 calls ``torch.load`` without ``weights_only``. The loader stays on;
    only what mmengine's own checkpoints hold (the log history, in numpy arrays) is
    allowed, and rebuilt by narrow functions of ours.
    """
    allow_log_history()


def load_checkpoints_as_data():
    """Lets no checkpoint run code, from whatever address mmengine takes it.

    Symptom: ``load_from='http://...'`` executes what the file asks for, since torch.hub
    loads with ``weights_only=False``; so would loaders of other schemes. And
    ``Runner.resume`` executes the text at ``meta.config`` as a Python file.
    """
    from mmengine.runner import CheckpointLoader

    theirs = CheckpointLoader.load_checkpoint
    if theirs.__func__.__module__ == __name__:
        return

    def load_checkpoint(cls, filename, map_location=None, logger='current'):
        with safe_loading(filename):
            checkpoint = theirs.__func__(cls, filename, map_location, logger)
        meta = checkpoint.get('meta') if isinstance(checkpoint, dict) else None
        if isinstance(meta, dict):
            meta.pop('config', None)
        return checkpoint

    CheckpointLoader.load_checkpoint = classmethod(load_checkpoint)


def _load_safely(file, map_location=None, weights_only=None):
    return torch.load(file, map_location=map_location, weights_only=True)


def load_once():
    """Lets onedl-mmengine, a fork of mmengine, resume; it never loads unsafely.

    Symptom: "Could not safely load weights ... Falling back to weights_only=False".
    What its first try allows takes the place of what `allow_log_history` does, and is
    gone afterwards, so that the second try, kept safe by us, stops at the log history.
    """
    from mmengine.runner import checkpoint

    if hasattr(checkpoint, '_safe_torch_load'):
        checkpoint._safe_torch_load = _load_safely


def _replace_in_runner(name, made):
    """Puts ``made(theirs)`` wherever mmengine's runner has bound a function."""
    import mmengine.runner
    from mmengine.runner import checkpoint, runner

    theirs = getattr(checkpoint, name)
    if theirs.__module__ == __name__:
        return
    ours = made(theirs)
    for module in mmengine.runner, checkpoint, runner:
        setattr(module, name, ours)


def write_checkpoints_whole():
    """Lets a run that dies while it saves leave the file that was there.

    Symptom: a full disk or a kill leaves half a checkpoint. Only files are written so;
    other storage is left to mmengine.
    """

    def made(theirs):
        def save_checkpoint(
            checkpoint, filename, file_client_args=None, backend_args=None
        ):
            if file_client_args or backend_args or '://' in str(filename):
                theirs(checkpoint, filename, file_client_args, backend_args)
            else:
                write(checkpoint, filename)

        return save_checkpoint

    _replace_in_runner('save_checkpoint', made)


def resume_from_the_own_folder():
    """Lets ``last_checkpoint`` name a file of its own work dir, and nothing else.

    Symptom: a copied work dir goes on from the original's checkpoint, a moved one from
    none, one with a cut-off file stops, and an address in it is fetched.
    """

    def made(theirs):
        def find_latest_checkpoint(path):
            return find_latest(path)

        return find_latest_checkpoint

    _replace_in_runner('find_latest_checkpoint', made)


def log_without_waiting():
    """Lets a training step be logged while the device is still at work on it.

    Symptom: on a GPU the host waits for it once for each value of the log, in every
    iteration, whatever the interval of the log.
    """
    from mmengine.logging import MessageHub

    try:
        MessageHub('probe').update_scalar('probe', torch.zeros((), device='meta'))
    except (RuntimeError, NotImplementedError):  # there is no value to wait for
        log_values.let_values_wait()


def mend() -> None:
    """Apply every fix whose fault is there. Calling it again does nothing new."""
    name_bool8()
    import_optimizers()
    import_mmcv_ops()
    import_what_is_asked_for()
    import_image_utils()
    fix_generation_init_weights()
    fix_pix2pix_test_step()
    allow_mmengine_checkpoints()
    load_checkpoints_as_data()
    load_once()
    write_checkpoints_whole()
    resume_from_the_own_folder()
    log_without_waiting()
