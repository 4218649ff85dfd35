"""What `tools/test.py` does around MMagic's test loop."""

from pathlib import Path

from mmagic_mr.metrics.functional.protocols import find_protocol
from mmagic_mr.metrics.record import Record, record_table, write_run

OURS = (
    'SampleDiversity',
    'MomentCalibration',
    'SampleFidelity',
    'SampleReconstruction',
)


def add_metrics(
    cfg,
    protocols=('lee2019',),
    stand_in: bool = False,
    extractor: str | None = None,
    hole: bool = False,
    truth: str | None = None,
    seed: int = 0,
) -> None:
    """Put our metrics beside those of the config's test evaluator, unless it has some.

    The model draws as many samples per input as the protocols need.

    Args:
        cfg: mmengine's Config; changed in place.
        protocols: of the diversity, see `PROTOCOLS`.
        stand_in: no file of weights is there: pixel distance instead of LPIPS, and an
            untrained extractor for FID, both named so.
        extractor: TorchScript file of a feature extractor; None: AlexNet's trunk.
        hole: judge diversity and calibration in the hole of an inpainting alone.
        truth: see :class:`mmagic_mr.metrics.spread.MomentCalibration`; None: what
            the config's variable ``truth`` says.
        seed: of pairs, ties and bootstrap.

    Raises:
        ValueError: the config has several test sets.
    """
    metrics = _configured(cfg.get('test_evaluator') or {})
    if any(metric['type'] in OURS for metric in metrics):
        return
    needed = max((find_protocol(name).samples or 2) for name in protocols)
    if (cfg.model.get('eval_num_samples') or 0) < needed:
        cfg.model.eval_num_samples = max(needed, cfg.model.get('num_samples', 0))
    distance = dict(name='pixel') if stand_in else dict(name='lpips')
    features = dict(kind='alex')
    if stand_in:
        features = dict(kind='random')
    if extractor:
        features = dict(kind='torchscript', path=extractor)
    mask = dict(mask_key='mask') if hole else {}
    metrics += [
        dict(
            type='SampleDiversity',
            protocols=list(protocols),
            distance=distance,
            seed=seed,
            **mask,
        ),
        dict(
            type='MomentCalibration', truth=truth or cfg.get('truth'), seed=seed, **mask
        ),
        dict(type='SampleFidelity', extractor=features, seed=seed),
        dict(
            type='SampleReconstruction',
            distance=distance,
            seed=seed,
            low_key='input' if 'SRGAN' in cfg.model.type else None,
        ),
    ]
    cfg.test_evaluator = dict(type='Evaluator', metrics=metrics)


def _configured(evaluator):
    """Metrics of an evaluator's config, in whichever form MMagic takes it."""
    if isinstance(evaluator, dict):
        evaluator = evaluator.get('metrics') or []
    metrics = [evaluator] if isinstance(evaluator, dict) else list(evaluator)
    if any('metrics' in metric for metric in metrics):
        raise ValueError(
            f'the config has {len(metrics)} test sets with an evaluator each: put our '
            f'metrics ({", ".join(OURS)}) into them, or leave one'
        )
    return metrics


def collect(loop) -> list[Record]:
    """Records of all our metrics in a test loop, MMagic's or mmengine's."""
    evaluators = getattr(loop, 'evaluators', None) or [loop.evaluator]
    return [
        record
        for evaluator in evaluators
        for metric in evaluator.metrics or []
        for record in getattr(metric, 'records', [])
    ]


def run_and_write(
    runner, checkpoint: str, method: str, out: str | Path, num_pictures: int = 4
) -> str:
    """Run the test loop, write JSON and collage, and return the table to print.

    Args:
        runner: with the weights loaded.
        checkpoint: file of those weights; its hash goes into the JSON.
        method: name of the run in tables.
        out: JSON file; the collage stands beside it, with the suffix .png.
        num_pictures: inputs in the collage; 0: none.
    """
    from mmengine.dist import is_main_process

    runner.test()
    if not is_main_process():
        return ''
    loop, model = runner.test_loop, getattr(runner.model, 'module', runner.model)
    records = collect(loop)
    dataset = (getattr(loop, 'dataloaders', None) or [loop.dataloader])[0].dataset
    out = Path(out)
    collages = []
    if num_pictures:
        _draw_collage(model, loop, out.with_suffix('.png'), num_pictures)
        collages = [out.with_suffix('.png').name]
    config = runner.cfg
    ours = {f'{record.group}/{key}' for record in records for key in record.scalars()}
    run = write_run(
        out,
        method=method,
        records=records,
        config_name=Path(config.filename or method).stem,
        config_text=config.pretty_text,
        checkpoint=checkpoint,
        seed=runner.seed,
        dataset=dict(
            type=type(dataset).__name__,
            size=len(dataset),
            root=str(getattr(dataset, 'data_root', '')),
        ),
        num_samples=getattr(model, 'eval_num_samples', 1),
        collages=collages,
        other={name: value for name, value in _logged(runner) if name not in ours},
    )
    return f'{method}\n\n{record_table(run["records"])}\n\nwritten to {out}'


def _logged(runner):
    """Other metrics' results: MMagic's loop returns nothing, its hook logs them."""
    for name, history in runner.message_hub.log_scalars.items():
        group, _, rest = name.partition('/')
        if group == 'test' and rest not in ('time', 'data_time'):
            yield rest, history.current()


def _draw_collage(model, loop, path, count):
    import torch

    from mmagic_mr.reports.collage import collage, save_picture

    loader = (getattr(loop, 'dataloaders', None) or [loop.dataloader])[0]
    drawn = []
    with torch.no_grad():
        for data in loader:  # the noise depends on the file's name: the same samples
            drawn += model.test_step(data)
            if len(drawn) >= count:
                break
    save_picture(collage({'': drawn[:count]}), path)
