"""Maximum-likelihood training of the predictor: loop, validation, checkpoints."""

import math
import os
import time
from datetime import timedelta
from functools import partial
from pathlib import Path

import mmengine.dist as dist
import torch
from mmengine.dataset import DefaultSampler, InfiniteSampler, worker_init_fn
from mmengine.optim import build_optim_wrapper
from mmengine.runner import set_random_seed
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, Sampler

from mmagic_mr.checkpoints.files import UnreadableError, read, state_dict_of, write
from mmagic_mr.errors import MissingFileError, UserError
from mmagic_mr.host import MODELS, eval_mode, is_resumed, loaders_of

# What the file of an unfinished pretraining holds beside the predictor.
_PROGRESS = ('optim_wrapper', 'iter', 'best_nll', 'best_iter', 'finished')


def build_nll(config: dict, distribution: str | None) -> nn.Module:
    """The likelihood that trains a predictor.

    Args:
        config: of :class:`MomentNLLLoss`, whole or in part.
        distribution: the one that the model's losses ask the predictor for; None: they
            ask for none, and ``config`` decides.

    Raises:
        UserError: ``config`` names another distribution than the losses ask for.
    """
    asked = {} if distribution is None else {'distribution': distribution}
    config = {'type': 'MomentNLLLoss', **asked, **config}
    if distribution is not None and config['distribution'] != distribution:
        raise UserError(
            f'PredictorPretrainHook: nll is of the distribution '
            f"{config['distribution']!r}, but the model's losses ask the predictor for "
            f'{distribution!r}; leave the distribution out of nll, or change the losses'
        )
    return MODELS.build(config)


def likelihood(nll: nn.Module) -> dict:
    """What a file of a predictor says of the likelihood that trained it."""
    return {'distribution': nll.distribution, 'order': nll.order}


def check_likelihood(state: dict, path: str | os.PathLike, nll: nn.Module) -> None:
    """Refuse a file that was trained with another distribution or order.

    A log variance would pass for the logarithm of a mean absolute deviation, and
    order 1 leaves the dispersion untrained. Old files do not say what they are, and
    pass.
    """
    expected = likelihood(nll)
    found = {key: state.get(key, value) for key, value in expected.items()}
    if found != expected:
        said = 'the distribution {distribution!r} and order {order} of the NLL'
        raise UserError(
            f'{path} holds a predictor of {said.format(**found)}, but this config asks '
            f'for {said.format(**expected)}; give a checkpoint of the same likelihood, '
            'or train the predictor anew in another work dir'
        )


def read_checkpoint(path: str | os.PathLike, nll: nn.Module) -> dict:
    """What a file of a predictor holds, if it was trained with this likelihood.

    Raises:
        UserError: the file cannot be read, or is of another likelihood.
    """
    state = read(path)
    if not isinstance(state, dict) or 'state_dict' not in state:
        raise UserError(f'{path} is no checkpoint of a predictor: it has no state_dict')
    state_dict_of(state, path, 'checkpoint of a predictor')
    check_likelihood(state, path, nll)
    return state


def load_predictor(
    predictor: nn.Module, path: str | os.PathLike, nll: nn.Module
) -> None:
    """Load the weights of a trained predictor; it is frozen and counts as trained.

    Raises:
        MissingFileError: there is no such file.
        UserError: the file cannot be read, or its predictor is of another architecture
            or likelihood.
    """
    if not os.path.isfile(path):
        raise MissingFileError(f'predictor checkpoint {str(path)!r} does not exist')
    state = read_checkpoint(path, nll)
    try:
        predictor.load_state_dict(state['state_dict'])
    except RuntimeError as error:
        raise UserError(
            f'{path} does not fit the predictor of this config: {error}'
        ) from error
    predictor.trained.fill_(True)
    predictor.freeze()


class Pretraining:
    """One training of ``model.predictor``, from its start or its last checkpoint.

    Args:
        runner: whose loaders, logger, visualizer and work dir are used.
        model: has ``predictor``, ``data_preprocessor`` and ``make_batch``.
        nll: the loss, of :func:`build_nll`.
        optim_wrapper: config of the optimizer wrapper.
        max_iters: iterations at most.
        val_interval: iterations between validations.
        patience: validations without a lower NLL before it stops.
        log_interval: iterations between lines in the log.

    Raises:
        UserError: there is nothing to validate on.
    """

    def __init__(
        self,
        runner,
        model: nn.Module,
        nll: nn.Module,
        optim_wrapper: dict,
        *,
        max_iters: int,
        val_interval: int,
        patience: int,
        log_interval: int,
    ):
        self.runner, self.model, self.nll = runner, model, nll
        self.predictor = model.predictor
        self.optim_config = optim_wrapper
        self.max_iters, self.val_interval = max_iters, val_interval
        self.patience, self.log_interval = patience, log_interval
        self.folder = Path(runner.work_dir) / 'predictor'
        validation = loaders_of(runner.val_loop)
        if not validation:
            raise UserError(
                'PredictorPretrainHook needs val_dataloader to know when the predictor '
                'overfits; set it (with val_cfg and val_evaluator), or give '
                'checkpoint=FILE of a trained predictor'
            )
        self.seed = self._common_seed()
        # Of several loaders the first is trained, and validated, on.
        train, val = loaders_of(runner.train_loop)[0], validation[0]
        self.train_loader = self._loader(
            train, InfiniteSampler(train.dataset, shuffle=True, seed=self.seed)
        )
        self.val_loader = self._loader(
            val, DefaultSampler(val.dataset, shuffle=False, round_up=False)
        )
        self.iter = 0
        self.best_nll = float('inf')
        self.best_iter = 0
        self.finished = False

    @staticmethod
    def _common_seed() -> int:
        """One seed for all ranks: the samplers share the data out by it."""
        seeds = [torch.initial_seed() % 2**32]
        if dist.is_distributed():
            dist.broadcast_object_list(seeds)
        return seeds[0]

    def _loader(self, like: DataLoader, sampler: Sampler) -> DataLoader:
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
        """Train to the end, then load and freeze the best predictor."""
        set_random_seed(self.seed + dist.get_rank())
        self.predictor.thaw()
        self.optim = build_optim_wrapper(self.predictor, self.optim_config)
        if is_resumed(self.runner):
            self._resume()
        if not self.finished:
            self._train()
        dist.barrier()
        load_predictor(self.predictor, self.folder / 'best.pth', self.nll)
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
            if self.iter % self.log_interval == 0:
                pace = (time.time() - start) / (self.iter - first)
                left = timedelta(seconds=int(pace * (self.max_iters - self.iter)))
                self._log(f'nll: {float(loss):.4f}  at most {left} left')
                self._scalar('nll', float(loss))
            if self.iter % self.val_interval == 0 or self.iter == self.max_iters:
                self._validate()

    def _step(self, network: nn.Module, data: dict) -> Tensor:
        batch = self._batch(data)
        with self.optim.optim_context(network):
            center, log_dispersion = network(batch.x)
            loss = self.nll(center, log_dispersion, batch.y, batch.mask)
        self._check_finite(float(loss.detach()))
        self.optim.update_params(loss)
        return loss.detach()

    def _batch(self, data: dict):
        # `True`: targets are normalized in training mode alone.
        return self.model.make_batch(self.model.data_preprocessor(data, True))

    def _check_finite(self, nll: float) -> None:
        if not math.isfinite(nll):
            raise UserError(
                f"the predictor's NLL is {nll} at iteration {self.iter}: lower the "
                'learning rate, or set nll=dict(min_noise=...)'
            )

    def _distributed(self) -> nn.Module:
        if not dist.is_distributed():
            return self.predictor
        device = next(self.predictor.parameters()).device
        return DistributedDataParallel(
            self.predictor,
            broadcast_buffers=False,
            device_ids=[device.index] if device.type == 'cuda' else None,
        )

    def _validate(self) -> None:
        """Measure the NLL on the validation set; keep the predictor if it is lowest."""
        nll, images = self._validation_nll()
        self._check_finite(nll)
        improved = nll < self.best_nll
        if improved:
            self.best_nll, self.best_iter = nll, self.iter
        waited = self.iter - self.best_iter
        patience_over = waited >= self.patience * self.val_interval
        self.finished = patience_over or self.iter >= self.max_iters
        self._log(
            f'validation nll: {nll:.4f} on {images} images  '
            f'best: {self.best_nll:.4f} at {self.best_iter}'
        )
        self._scalar('val_nll', nll)
        if patience_over:
            self._log(f'no lower NLL in {self.patience} validations: it overfits')
        if improved:
            self._save('best.pth', nll=nll)
        self._save(
            'last.pth',
            optim_wrapper=self.optim.state_dict(),
            best_nll=self.best_nll,
            best_iter=self.best_iter,
            finished=self.finished,
        )

    @torch.no_grad()
    def _validation_nll(self) -> tuple[float, int]:
        """Mean NLL over the images of all ranks, and how many there are."""
        device = next(self.predictor.parameters()).device
        total = torch.zeros(2, dtype=torch.float64, device=device)
        with eval_mode(self.predictor):
            for data in self.val_loader:
                batch = self._batch(data)
                nll = self.nll(*self.predictor(batch.x), batch.y, batch.mask)
                total += torch.stack([nll, torch.ones_like(nll)]) * len(batch.x)
        dist.all_reduce(total)
        return float(total[0] / total[1]), int(total[1])

    @dist.master_only
    def _save(self, name: str, **extra) -> None:
        state = dict(
            state_dict=self.predictor.state_dict(),
            iter=self.iter,
            **likelihood(self.nll),
            **extra,
        )
        write(state, self.folder / name)

    def _resume(self) -> None:
        path = self.folder / 'last.pth'
        if not path.is_file():
            return
        again = 'remove it to train the predictor anew'
        try:
            state = read_checkpoint(path, self.nll)
        except UnreadableError as error:
            raise UserError(f'{error}; {again}') from error
        missing = [key for key in _PROGRESS if key not in state]
        if missing:
            raise UserError(
                f'cannot resume the pretraining from {path}: it has no '
                f'{", ".join(missing)}; {again}'
            )
        try:
            self.predictor.load_state_dict(state['state_dict'])
            self.optim.load_state_dict(state['optim_wrapper'])
        except (ValueError, RuntimeError, LookupError, TypeError) as error:
            raise UserError(
                f'cannot resume the pretraining from {path}: it is of another config '
                f'({error}); train the predictor anew in another work dir'
            ) from error
        self.iter = state['iter']
        self.best_nll, self.best_iter = state['best_nll'], state['best_iter']
        self.finished = state['finished']
        self._log(f'resumed from {path}')

    def _log(self, message: str) -> None:
        self.runner.logger.info(f'predictor [{self.iter}/{self.max_iters}] {message}')

    @dist.master_only
    def _scalar(self, name: str, value: float) -> None:
        self.runner.visualizer.add_scalar(f'predictor/{name}', value, self.iter)
