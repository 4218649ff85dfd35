"""Maximum-likelihood training of the predictor: loop, validation, checkpoints."""

import math
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

from mmagic_mr.checkpoints.files import UnreadableError, write
from mmagic_mr.errors import UserError
from mmagic_mr.hooks.divergence import FirstNonFinite
from mmagic_mr.hooks.predictor_file import likelihood, load_predictor, read_checkpoint
from mmagic_mr.host import MODELS, eval_mode, is_resumed, loaders_of
from mmagic_mr.log_values import fetched

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
        self._watch = FirstNonFinite()

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
            terms = self._step(network, next(batches))
            self.iter += 1
            validates = (
                self.iter % self.val_interval == 0 or self.iter == self.max_iters
            )
            logs = self.iter % self.log_interval == 0
            if logs or validates:
                self._check_watch()
            if logs:
                pace = (time.time() - start) / (self.iter - first)
                left = timedelta(seconds=int(pace * (self.max_iters - self.iter)))
                numbers = fetched([*terms.values(), sum(terms.values())])
                nll, each = numbers.pop(), dict(zip(terms, numbers, strict=True))
                self._log(f'nll: {nll:.4f}{_each(each)}  at most {left} left')
                self._scalar('nll', nll)
                for view, term in each.items() if len(each) > 1 else ():
                    self._scalar(f'nll_{view}', term)
            if validates:
                self._validate()

    def _step(self, network: nn.Module, data: dict) -> dict[str, Tensor]:
        """One update; the likelihood in each view, which sum to the loss."""
        batch = self._batch(data)
        with self.optim.optim_context(network):
            terms = self._likelihoods(network, batch)
            loss = sum(terms.values())
        self._watch.note(self.iter, ['nll'], loss.detach().reshape(1))
        self.optim.update_params(loss)
        return {view: term.detach() for view, term in terms.items()}

    def _likelihoods(self, network: nn.Module, batch) -> dict[str, Tensor]:
        prediction = network(batch.x)
        return self.predictor.likelihoods(self.nll, prediction, batch.y, batch.mask)

    def _batch(self, data: dict):
        # `True`: targets are normalized in training mode alone.
        return self.model.make_batch(self.model.data_preprocessor(data, True))

    def _check_watch(self) -> None:
        """Of all updates so far; nothing was saved since it was last looked at."""
        first = self._watch.read()
        if first is not None:
            self._stop(first[0])

    def _stop(self, iteration: int) -> None:
        raise UserError(
            f"the predictor's NLL is not finite at iteration {iteration}: lower the "
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
        if not math.isfinite(nll):
            self._stop(self.iter)
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
                nll = sum(self._likelihoods(self.predictor, batch).values())
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


def _each(terms: dict[str, Tensor]) -> str:
    """The terms of several views, for the log."""
    words = ', '.join(f'{view} {float(term):.4f}' for view, term in terms.items())
    return f' ({words})' if len(terms) > 1 else ''
