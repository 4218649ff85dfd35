"""The hook that trains the predictor before the generator, and then freezes it."""

from mmengine.hooks import Hook

from mmagic_mr.checks import Count, checked
from mmagic_mr.hooks.predictor_file import load_predictor
from mmagic_mr.hooks.pretraining import Pretraining, build_nll
from mmagic_mr.hooks.rng import preserved_rng
from mmagic_mr.host import HOOKS, unwrap


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
        nll: config of :class:`MomentNLLLoss`. The distribution is the one that the
            model's losses ask for, and need not be given.
        optim_wrapper: config of the optimizer wrapper (AMP, accumulation, clipping).
        log_interval: iterations between lines in the log.
        predictor_only: stop the run when the predictor is trained.

    Raises:
        UserError: sizes below 1; no data to train or validate with and no checkpoint; a
            checkpoint of another architecture, distribution or order of the NLL.
        MissingFileError: no such checkpoint.

    Reference:
        Lee et al., ICLR 2019, section 4.3 and algorithms 5 to 8.

    Example:
        >>> hook = PredictorPretrainHook(max_iters=50000, val_interval=500, patience=10)
        >>> hook.predictor_only
        False
    """

    priority = 'NORMAL'

    @checked
    def __init__(
        self,
        max_iters: Count,
        val_interval: Count,
        patience: Count = 5,
        checkpoint: str | None = None,
        nll: dict | None = None,
        optim_wrapper: dict | None = None,
        log_interval: Count = 50,
        predictor_only: bool = False,
    ):
        self.schedule = dict(
            max_iters=max_iters,
            val_interval=val_interval,
            patience=patience,
            log_interval=log_interval,
        )
        self.checkpoint = checkpoint
        self.nll = nll or {}
        self.optim_wrapper = optim_wrapper or dict(
            type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-4)
        )
        self.predictor_only = predictor_only

    def before_train(self, runner) -> None:
        model = unwrap(runner.model)
        predictor = getattr(model, 'predictor', None)
        if predictor is None:
            runner.logger.warning(
                'PredictorPretrainHook: the model has no predictor, because none of '
                'its losses uses one; nothing is trained'
            )
        elif bool(predictor.trained):
            runner.logger.info('predictor: trained already, by the loaded checkpoint')
        else:
            self._make_ready(runner, model)
        if self.predictor_only:
            runner.train_loop.stop_training = True

    def _make_ready(self, runner, model) -> None:
        """Load the predictor, or train it."""
        nll = build_nll(self.nll, model.moment_distribution)
        if self.checkpoint is not None:
            load_predictor(model.predictor, self.checkpoint, nll)
            runner.logger.info(f'predictor: loaded {self.checkpoint}')
            return
        with preserved_rng():
            Pretraining(runner, model, nll, self.optim_wrapper, **self.schedule).run()
