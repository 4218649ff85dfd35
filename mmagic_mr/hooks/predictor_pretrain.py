"""Maximum-likelihood training of the predictor, before the generator's."""

import math
import os
import time
from datetime import timedelta
from functools import partial
from pathlib import Path

import mmengine.dist as dist
import torch
from mmengine.dataset import DefaultSampler, InfiniteSampler, worker_init_fn
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.optim import build_optim_wrapper
from mmengine.runner import set_random_seed
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader

from mmagic_mr.hooks.rng import preserved_rng
from mmagic_mr.host import HOOKS, MODELS


@HOOKS.register_module()
class PredictorPretrainHook(Hook):
    """Train ``model.predictor`` in ``before_train``, then freeze it.

    On the train loader's dataset, with the negative log-likelihood (eq. 7, 8). Every
    ``val_interval`` iterations it is validated on the whole validation set, as the
    frozen network that it will be; after ``patience`` validations without a new lowest
    NLL it stops. ``WORK_DIR/predictor/best.pth`` and ``last.pth`` are written at each
    validation. A run that resumes (``--resume``) goes on from ``last.pth``, or, once
    the pretraining is over, does none.

    Args:
        max_iters: iterations at most.
        val_interval: iterations between validations.
        patience: validations without improvement before it stops.
        checkpoint: a ``best.pth`` of another run: loaded, and nothing is trained.
        nll: config of :class:`MomentNLLLoss`; the distribution follows ``mr_loss``
            where it names none.
        optim_wrapper: config of the optimiser wrapper (AMP, accumulation, clipping).
        log_interval: iterations between lines in the log.
        predictor_only: stop the run when the predictor is trained.

    Raises:
        ValueError: no data to train or validate with and no checkpoint; sizes below 1.
        FileNotFoundError: no such checkpoint.
        RuntimeError: checkpoint of another architecture.

    Reference:
        Lee et al., ICLR 2019, section 4.3 and algorithms 5 to 8.
    """

    priority = 'NORMAL'

    def __init__(
        self,
        max_iters: int,
        val_interval: int,
        patience: int = 5,
        checkpoint: str | None = None,
        nll: dict | None = None,
        optim_wrapper: dict | None = None,
        log_interval: int = 50,
        predictor_only: bool = False,
    ):
        sizes = dict(
            max_iters=max_iters,
            val_interval=val_interval,
            patience=patience,
            log_interval=log_interval,
        )
        for name, value in sizes.items():
            if value < 1:
                raise ValueError(
                    f'PredictorPretrainHook: {name} must be at least 1, got {value}'
                )
        self.max_iters = max_iters
        self.val_interval = val_interval
        self.patience = patience
        self.checkpoint = checkpoint
        self.nll = nll or {}
        self.optim_wrapper = optim_wrapper or dict(
            type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-4)
        )
        self.log_interval = log_interval
        self.predictor_only = predictor_only

    def before_train(self, runner) -> None:
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        predictor = getattr(model, 'predictor', None)
        if predictor is None:
            runner.logger.warning(
                'PredictorPretrainHook: the model has no predictor '
                '(its loss is no proxy one); nothing to train'
            )
        elif bool(predictor.trained):
            runner.logger.info('predictor: trained already, by the loaded checkpoint')
        elif self.checkpoint is not None:
            _load(predictor, self.checkpoint)
            runner.logger.info(f'predictor: loaded {self.checkpoint}')
        else:
            with preserved_rng():
                _Pretraining(self, runner, model).run()
        if self.predictor_only:
            runner.train_loop.stop_training = True


def _load(predictor, path) -> None:
    """Weights of a finished predictor; it is frozen and counts as trained."""
    if not os.path.isfile(path):
        raise FileNotFoundError(f'predictor checkpoint {path!r} does not exist')
    state = torch.load(path, map_location='cpu', weights_only=True)
    try:
        predictor.load_state_dict(state['state_dict'])
    except (KeyError, RuntimeError) as error:
        raise RuntimeError(
            f'{path} does not fit the predictor of this config: {error}'
        ) from error
    predictor.trained.fill_(True)
    predictor.freeze()


class _Pretraining:
    """One pretraining: loop, validation, checkpoints."""

    def __init__(self, hook: PredictorPretrainHook, runner, model):
        self.hook, self.runner, self.model = hook, runner, model
        self.predictor = model.predictor
        self.folder = Path(runner.work_dir) / 'predictor'
        distribution = getattr(model.mr_loss, 'distribution', 'gaussian')
        self.nll = MODELS.build(
            {'type': 'MomentNLLLoss', 'distribution': distribution, **hook.nll}
        )
        train = runner.train_loop.dataloader
        if runner.val_loop is None:
            raise ValueError(
                'PredictorPretrainHook needs val_dataloader to know when the predictor '
                'overfits; set it (with val_cfg and val_evaluator), or give '
                'checkpoint=FILE of a trained predictor'
            )
        # One seed for all ranks: the samplers share the data out.
        self.seed = torch.initial_seed() % 2**32
        if dist.is_distributed():
            seeds = [self.seed]
            dist.broadcast_object_list(seeds)
            self.seed = seeds[0]
        self.train_loader = self._loader(
            train, InfiniteSampler(train.dataset, shuffle=True, seed=self.seed)
        )
        # MMagic's MultiValLoop has a list of loaders: the first is validated on.
        val = getattr(runner.val_loop, 'dataloaders', None)
        val = val[0] if val else runner.val_loop.dataloader
        self.val_loader = self._loader(
            val, DefaultSampler(val.dataset, shuffle=False, round_up=False)
        )
        self.iter = 0
        self.best_nll = float('inf')
        self.best_iter = 0
        self.finished = False

    def _loader(self, like: DataLoader, sampler) -> DataLoader:
        init = partial(
            worker_init_fn,
            num_workers=like.num_workers,
            rank=dist.get_rank(),
            seed=self.seed,
        )
        return DataLoader(
            like.dataset,
            batch_size=like.batch_size,
            sampler=sampler,
            num_workers=like.num_workers,
            collate_fn=like.collate_fn,
            pin_memory=like.pin_memory,
            worker_init_fn=init,
            persistent_workers=like.num_workers > 0,
        )

    def run(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        set_random_seed(self.seed + dist.get_rank())
        self.predictor.thaw()
        self.optim = build_optim_wrapper(self.predictor, self.hook.optim_wrapper)
        if self.runner._resume:
            self._resume()
        if not self.finished:
            self._train()
        dist.barrier()
        _load(self.predictor, self.folder / 'best.pth')
        self._log(f'best NLL {self.best_nll:.4f} at iteration {self.best_iter}; frozen')

    def _train(self) -> None:
        batches = iter(self.train_loader)
        if self.iter:
            self._log(f'passing over the {self.iter} batches that were trained on')
        for _ in range(self.iter):
            next(batches)
        network = self._distributed()
        first, start = self.iter, time.time()
        while not self.finished:
            network.train()
            loss = self._step(network, next(batches))
            self.iter += 1
            if self.iter % self.hook.log_interval == 0:
                left = (
                    (time.time() - start)
                    / (self.iter - first)
                    * (self.hook.max_iters - self.iter)
                )
                self._log(
                    f'nll: {float(loss):.4f}  at most '
                    f'{timedelta(seconds=int(left))} left'
                )
                self._scalar('nll', float(loss))
            if self.iter % self.hook.val_interval == 0 or (
                self.iter == self.hook.max_iters
            ):
                self._validate()

    def _step(self, network, data):
        batch = self.model.make_batch(self.model.data_preprocessor(data, True))
        with self.optim.optim_context(network):
            center, log_dispersion = network(batch.x)
            loss = self.nll(center, log_dispersion, batch.y, batch.mask)
        self._check_finite(loss.detach())
        self.optim.update_params(loss)
        return loss.detach()

    def _check_finite(self, nll) -> None:
        if not math.isfinite(nll):
            raise RuntimeError(
                f"the predictor's NLL is {float(nll)} at iteration {self.iter}: lower "
                'the learning rate, or set nll=dict(min_noise=...)'
            )

    def _distributed(self):
        if not dist.is_distributed():
            return self.predictor
        device = next(self.predictor.parameters()).device
        return DistributedDataParallel(
            self.predictor,
            broadcast_buffers=False,
            device_ids=[device.index] if device.type == 'cuda' else None,
        )

    @torch.no_grad()
    def _validate(self) -> None:
        self.predictor.eval()
        device = next(self.predictor.parameters()).device
        total = torch.zeros(2, dtype=torch.float64, device=device)
        for data in self.val_loader:
            # `True`: targets are normalised in training mode alone.
            batch = self.model.make_batch(self.model.data_preprocessor(data, True))
            nll = self.nll(*self.predictor(batch.x), batch.y, batch.mask)
            total += torch.stack([nll, torch.ones_like(nll)]) * len(batch.x)
        dist.all_reduce(total)
        nll = float(total[0] / total[1])
        self._check_finite(nll)
        improved = nll < self.best_nll
        if improved:
            self.best_nll, self.best_iter = nll, self.iter
        patience_over = (
            self.iter - self.best_iter >= self.hook.patience * self.hook.val_interval
        )
        self.finished = patience_over or self.iter >= self.hook.max_iters
        self._log(
            f'validation nll: {nll:.4f} on {int(total[1])} images  '
            f'best: {self.best_nll:.4f} at {self.best_iter}'
        )
        self._scalar('val_nll', nll)
        if patience_over:
            self._log(f'no lower NLL in {self.hook.patience} validations: it overfits')
        if improved:
            self._save('best.pth', nll=nll)
        self._save(
            'last.pth',
            optim_wrapper=self.optim.state_dict(),
            best_nll=self.best_nll,
            best_iter=self.best_iter,
            finished=self.finished,
        )

    @dist.master_only
    def _save(self, name: str, **extra) -> None:
        state = dict(state_dict=self.predictor.state_dict(), iter=self.iter, **extra)
        unfinished = self.folder / f'{name}.tmp'
        torch.save(state, unfinished)
        os.replace(unfinished, self.folder / name)

    def _resume(self) -> None:
        path = self.folder / 'last.pth'
        if not path.is_file():
            return
        state = torch.load(path, map_location='cpu', weights_only=True)
        try:
            self.predictor.load_state_dict(state['state_dict'])
            self.optim.load_state_dict(state['optim_wrapper'])
        except (ValueError, RuntimeError) as error:
            raise RuntimeError(
                f'cannot resume the pretraining from {path}: it is of '
                f'another config ({error})'
            ) from error
        self.iter = state['iter']
        self.best_nll, self.best_iter = state['best_nll'], state['best_iter']
        self.finished = state['finished']
        self._log(f'resumed from {path}')

    def _log(self, message: str) -> None:
        self.runner.logger.info(
            f'predictor [{self.iter}/{self.hook.max_iters}] {message}'
        )

    @dist.master_only
    def _scalar(self, name: str, value: float) -> None:
        self.runner.visualizer.add_scalar(f'predictor/{name}', value, self.iter)
