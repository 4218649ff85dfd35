"""Tiny trainings of every host, in processes that are killed at chosen points.

Importing takes 8 s, so that a process is forked from one that has imported all. In it
runs the real `tools/train.py`, which may be killed

- at a moment: ``Plan('time', seconds)``;
- before its n-th opening, renaming or removing of a file: ``Plan('event', n)``, or the
  first one whose name holds a text: ``Plan('event', 'iter_3')``;
- within a write: after that event the first file that grows beyond ``size`` bytes kills
  it (the kernel's SIGXFSZ), and leaves so many bytes: ``Plan('bytes', n, size)``.
"""

import contextlib
import gc
import json
import mmap
import os
import re
import resource
import runpy
import signal
import sys
import threading
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

from helpers import ROOT, tiny

HOSTS = ('pix2pix', 'srgan', 'esrgan', 'edit', 'glcic')
ITERATIONS = 6
CHANGES = ('os.rename', 'os.remove', 'os.mkdir', 'os.rmdir', 'os.link', 'os.symlink')


@dataclass(frozen=True)
class Plan:
    """When a process is to die."""

    kind: str
    point: float | str
    size: int = 0

    def __str__(self):
        size = f' {self.size}' if self.size else ''
        return f'{self.kind} {self.point}{size}'


@dataclass(frozen=True)
class End:
    """How a process ended.

    Attributes:
        status: as `os.waitstatus_to_exitcode` has it; -9: SIGKILL.
        output: what it printed.
        event: the last file event in its work dir, for people.
        events: how many there were.
        reached: iteration of the newest checkpoint that it began to write.
        seconds: how long it ran.
    """

    status: int
    output: str
    event: str
    events: int
    reached: int
    seconds: float

    @property
    def killed(self) -> bool:
        return self.status in (-signal.SIGKILL, -signal.SIGXFSZ)

    @property
    def last_line(self) -> str:
        lines = self.output.strip().splitlines()
        return lines[-1] if lines else ''

    @property
    def is_one_line(self) -> bool:
        """It stopped with one line that says why, and no traceback."""
        told = self.status == 1 and self.last_line.startswith('error: ')
        return told and 'Traceback (most recent call last)' not in self.output


def warm_up() -> None:
    """Imports all that a training needs, and makes forks of this process cheap."""
    import torch

    import mmagic_mr.plugin  # noqa: F401

    torch.set_num_threads(1)
    tiny.quicken_runners()
    gc.collect()
    gc.freeze()


def write_config(host: str, folder: Path, **overrides) -> Path:
    """A config file of a few iterations: a predictor, then GAN, one checkpoint kept."""
    name = 'pix2pix_proxy_mr2_maps'
    if host != 'pix2pix':
        task = 'glcic' if host == 'glcic' else 'srgan'
        name = f'{task}_proxy_mr2_celeba'
    folder.mkdir(parents=True, exist_ok=True)
    data_root = tiny.write_data(name, folder / 'data')
    cfg = tiny.load(name, data_root, folder / 'unused')
    cfg.work_dir = None
    if host in ('esrgan', 'edit'):
        _change_network(cfg, host)
    cfg.custom_hooks = cfg.custom_hooks[:1]
    cfg.custom_hooks[0].update(max_iters=ITERATIONS, val_interval=2, log_interval=1)
    cfg.train_cfg.update(max_iters=ITERATIONS, val_interval=100, val_begin=100)
    cfg.train_dataloader.batch_size = 2
    for step in cfg.train_dataloader.dataset.pipeline:
        if step.type == 'StrictCrop':
            step.crop_size = (16, 16) if host != 'pix2pix' else (32, 32)
    cfg.default_hooks.checkpoint.update(interval=1, max_keep_ckpts=1)
    cfg.visualizer = dict(type='Visualizer', vis_backends=[dict(type='VisBackend')])
    cfg.vis_backends = cfg.visualizer.vis_backends
    cfg.merge_from_dict(overrides)
    path = folder / f'{host}.py'
    cfg.dump(path)
    return path


def _change_network(cfg, host: str) -> None:
    """MMagic's own configs of these two read other data; only the network matters."""
    from helpers import hosts

    config = {'esrgan': hosts.ESRGAN, 'edit': hosts.EDIT}[host]
    for key in 'type', 'noise', 'generator':
        cfg.model[key] = config[key]
    if host == 'edit':
        of_gan = 'discriminator', 'gan_loss', 'perceptual_loss', 'gen_updates_per_disc'
        for key in of_gan:
            cfg.model.pop(key, None)
        cfg.optim_wrapper = dict(
            constructor='DefaultOptimWrapperConstructor', **cfg.mr_optim_wrapper
        )


class _Watch:
    """Counts file events below a folder, notes the last, and carries out a plan."""

    def __init__(self, folder: Path, plan: Plan | None, notes: mmap.mmap):
        self.folder, self.plan, self.notes = str(folder.resolve()), plan, notes
        self.count = self.reached = 0

    def __call__(self, event, args):
        if event == 'open':
            path, flags = args[0], args[2]
            if not isinstance(path, str) or not flags & (os.O_WRONLY | os.O_RDWR):
                return
            paths = [path]
        elif event in CHANGES:
            paths = [os.fspath(a) for a in args[:2] if isinstance(a, str | Path)]
        else:
            return
        paths = [os.path.abspath(path) for path in paths]
        if not any(path.startswith(self.folder) for path in paths):
            return
        self.count += 1
        names = [os.path.relpath(path, self.folder) for path in paths]
        numbers = [int(n) for n in re.findall(r'iter_(\d+)', ' '.join(names))]
        if event != 'os.remove':
            self.reached = max([self.reached, *numbers])
        text = f'{event} {" ".join(names)}'
        self._note(text)
        if self._is_due(text):
            if self.plan.kind == 'event':
                os.kill(os.getpid(), signal.SIGKILL)
            size, self.plan = self.plan.size, None
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    def _is_due(self, text):
        plan = self.plan
        if plan is None or plan.kind == 'time':
            return False
        if isinstance(plan.point, str):
            return plan.point in text
        return self.count == plan.point

    def _note(self, text):
        note = json.dumps(dict(event=text, events=self.count, reached=self.reached))
        self.notes[:] = note.encode()[: len(self.notes)].ljust(len(self.notes))


def run_tool(
    tool: str, arguments: list, folder: Path, plan: Plan | None = None, prepare=None
) -> End:
    """A tool in a forked process, killed by plan.

    Args:
        tool: file in tools/.
        arguments: its command line.
        folder: whose files are watched.
        plan: when it dies; None: it may end.
        prepare: called in the process first.
    """
    process = Process(tool, arguments, folder, plan, prepare)
    if plan and plan.kind == 'time':
        timer = threading.Timer(plan.point, os.kill, (process.pid, signal.SIGKILL))
        timer.start()
    end = process.wait()
    if plan and plan.kind == 'time':
        timer.cancel()
    return end


class Process:
    """A tool in a forked process; arguments as of `run_tool`.

    Args:
        name: of the file, beside the folder, that what it prints goes to.
    """

    def __init__(self, tool, arguments, folder, plan=None, prepare=None, name=None):
        self.notes = mmap.mmap(-1, 1000)  # shared with the process, and outlives it
        self.output = folder.parent / f'{name or folder.name}.output'
        folder.parent.mkdir(parents=True, exist_ok=True)
        self.begin = time.monotonic()
        self.pid = os.fork()
        if self.pid == 0:
            watch = _Watch(folder, plan, self.notes)
            _child(tool, arguments, self.output, watch, prepare)

    def wait(self, seconds: float | None = None) -> End:
        """How it ended; after so many seconds it is killed.

        Raises:
            TimeoutError: it was.
        """
        while (
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None
        ):
            if seconds is not None and time.monotonic() > self.begin + seconds:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
                raise TimeoutError(self.output.read_text(errors='replace')[-2000:])
            time.sleep(0.01)
        _, status = os.waitpid(self.pid, 0)
        noted = bytes(self.notes).strip(b'\0 ')
        seen = json.loads(noted) if noted else dict(event='', events=0, reached=0)
        return End(
            status=os.waitstatus_to_exitcode(status),
            output=self.output.read_text(errors='replace'),
            seconds=time.monotonic() - self.begin,
            **seen,
        )


def _child(tool, arguments, output, watch, prepare):
    code = 1
    try:
        file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        for descriptor in 1, 2:
            os.dup2(file, descriptor)
        sys.stdout = open(1, 'w', buffering=1)  # noqa: SIM115
        sys.stderr = open(2, 'w', buffering=1)  # noqa: SIM115
        sys.argv = [tool, *map(str, arguments)]
        if prepare is not None:
            prepare()
        sys.addaudithook(watch)
        runpy.run_path(str(ROOT / 'tools' / tool), run_name='__main__')
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        code = 0 if end.code is None else code
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def train(config: Path, work_dir: Path, plan: Plan | None = None, resume=True) -> End:
    """``tools/train.py CONFIG --work-dir WORK_DIR [--resume]``."""
    arguments = [config, '--work-dir', work_dir, *['--resume'] * resume]
    return run_tool('train.py', arguments, work_dir, plan)


def final_state(work_dir: Path) -> dict:
    """Parameters, buffers and optimizer states at the end, by name."""
    import torch

    checkpoint = torch.load(
        work_dir / f'iter_{ITERATIONS}.pth', map_location='cpu', weights_only=False
    )
    optimizers = checkpoint['optimizer']
    if 'state' in optimizers:
        optimizers = {'all': optimizers}
    moments = {
        f'{name}.{index}.{key}': value
        for name, optimizer in optimizers.items()
        if 'state' in optimizer
        for index, slots in optimizer['state'].items()
        for key, value in slots.items()
    }
    return checkpoint['state_dict'] | moments


def differing(expected: dict, found: dict) -> list[str]:
    """Names whose tensors are not equal to the bit, or are on one side alone."""
    import torch

    return [
        name
        for name in sorted(expected.keys() | found.keys())
        if name not in expected
        or name not in found
        or not torch.equal(expected[name], found[name])
    ]


def newest_whole(work_dir: Path) -> int:
    """Iteration of the newest checkpoint that can be read; 0: there is none."""
    import torch

    found = [0]
    for path in work_dir.glob('iter_*.pth'):
        with contextlib.suppress(Exception):
            torch.load(path, map_location='cpu', weights_only=False)
            found.append(int(path.stem.removeprefix('iter_')))
    return max(found)
