"""The hook that saves checkpoints, in an order that always leaves one."""

from pathlib import Path

from mmengine.dist import is_main_process
from mmengine.fileio import LocalBackend
from mmengine.hooks import CheckpointHook

from mmagic_mr.checkpoints.latest import NOTE, note_latest
from mmagic_mr.checkpoints.resuming import (
    check_moments,
    check_resumed,
    name_plainly,
    note_moments,
)
from mmagic_mr.host import HOOKS, is_resumed, loaded_from, unwrap
from mmagic_mr.io import finished_path


class _Deferring:
    """A file backend that remembers what is to be removed."""

    def __init__(self, backend):
        self.backend = backend
        self.outdated: list[str] = []

    def __getattr__(self, name):
        return getattr(self.backend, name)

    def remove(self, path: str) -> None:
        self.outdated.append(path)

    rmtree = remove


@HOOKS.register_module(name='CheckpointHook')
class SafeCheckpointHook(CheckpointHook):
    """mmengine's hook, which removes the old checkpoint before it has written the new.

    Here the new one is written under another name, and named; then ``last_checkpoint``
    is written, then the old one removed: the disk needs room for both. Whatever run
    resumes is compared with its checkpoint (`check_resumed`).

    It stands under mmengine's name in MMagic's registry, and so serves every config
    of MMagic's that imports the plugin.

    Args:
        args: As for mmengine's.
    """

    def before_train(self, runner) -> None:
        super().before_train(runner)
        if is_main_process() and isinstance(self.file_backend, LocalBackend):
            for folder in {runner.work_dir, self.out_dir}:
                _remove_unfinished(Path(folder))

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        model, name = unwrap(runner.model), loaded_from(runner)
        name_plainly(checkpoint, model)
        if is_resumed(runner):
            check_resumed(checkpoint, runner.cfg.pretty_text, model, name)
        else:
            check_moments(checkpoint, model, name)

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        name_plainly(checkpoint, unwrap(runner.model))
        note_moments(checkpoint, unwrap(runner.model))

    def _save_checkpoint_with_step(self, runner, step, meta) -> None:
        # mmengine's method of this name, in the other order
        outdated = self._enter(runner, step)
        name = self.filename_tmpl.format(step)
        self.last_ckpt = self.file_backend.join_path(self.out_dir, name)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        runner.save_checkpoint(
            self.out_dir,
            name,
            self.file_client_args,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            meta=meta,
            by_epoch=self.by_epoch,
            backend_args=self.backend_args,
            **self.args,
        )
        if is_main_process():
            note_latest(runner.work_dir, self.last_ckpt)
            for old in outdated:
                _remove(self.file_backend, old)

    def _enter(self, runner, step: int) -> list[str]:
        """Count a checkpoint among those that are kept.

        Returns:
            The files that no longer are.
        """
        if self.max_keep_ckpts <= 0 or step in self.keep_ckpt_ids:
            return []
        full = len(self.keep_ckpt_ids) == self.max_keep_ckpts
        outdated = [self.keep_ckpt_ids[0]] if full else []
        self.keep_ckpt_ids.append(step)  # a full one drops its first
        runner.message_hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))
        return [
            self.file_backend.join_path(self.out_dir, self.filename_tmpl.format(old))
            for old in outdated
        ]

    def _save_best_checkpoint(self, runner, metrics) -> None:
        backend = self.file_backend
        self.file_backend = deferring = _Deferring(backend)
        try:
            super()._save_best_checkpoint(runner, metrics)
        finally:
            self.file_backend = backend
        for path in deferring.outdated:
            if path not in self._current():
                _remove(backend, path)

    def _current(self) -> set[str | None]:
        """The files that stay: a new best one may bear the name of the former."""
        best = getattr(self, 'best_ckpt_path_dict', {}).values()
        return {self.last_ckpt, getattr(self, 'best_ckpt_path', None), *best}


def _remove_unfinished(folder: Path) -> None:
    """What a run was writing when it was killed."""
    for path in folder.glob('.*'):
        whole = finished_path(path)
        if whole is not None and (whole.suffix == '.pth' or whole.name == NOTE):
            path.unlink(missing_ok=True)


def _remove(backend, path: str) -> None:
    if backend.isfile(path):
        backend.remove(path)
    elif backend.isdir(path):  # deepspeed's are folders
        backend.rmtree(path)
