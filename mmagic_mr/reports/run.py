"""What `tools/test.py` does around MMagic's test loop."""

from dataclasses import replace
from pathlib import Path

import torch
from mmengine.dist import is_main_process

from mmagic_mr.errors import UserError
from mmagic_mr.host import MODELS, eval_mode, evaluators_of, loaders_of, unwrap
from mmagic_mr.metrics.base import (
    EvaluationOptions,
    collected,
    is_sample_metric,
    sample_metrics,
)
from mmagic_mr.metrics.record import Record
from mmagic_mr.reports.collage import collage, save_picture, spread_inputs
from mmagic_mr.reports.results import write_run
from mmagic_mr.reports.table import headline_table, record_table


def add_metrics(cfg, options: EvaluationOptions | None = None) -> None:
    """Put our metrics beside those of the config's test evaluator, unless it has some.

    Ours are all in MMagic's registry, a user's own among them. Each says with which
    arguments it is built; the model's class adds to them by its `evaluation`, a dict
    from a metric's name to arguments. The model draws as many samples per input as
    the metrics need.

    Args:
        cfg: mmengine's Config; changed in place.
        options: what the run asks of all metrics. Without a truth it is what the
            config's variables ``truth`` and ``truth_path_key`` say.

    Raises:
        UserError: the config has several test sets, or the model's `evaluation` names
            a metric that there is not.
    """
    configured = _configured(cfg.get('test_evaluator') or {})
    if any(is_sample_metric(metric['type']) for metric in configured):
        return
    options = options or EvaluationOptions()
    if options.truth is None:
        options = replace(options, truth=cfg.get('truth'))
    if 'truth_path_key' in cfg:
        options = replace(options, truth_path_key=cfg.truth_path_key)
    metrics = sample_metrics()
    asked = getattr(MODELS.get(cfg.model.type), 'evaluation', {})
    unknown = sorted(asked.keys() - metrics.keys())
    if unknown:
        raise UserError(
            f'{cfg.model.type}.evaluation names {", ".join(unknown)}; there are '
            f'{", ".join(metrics)}'
        )
    needed = max(metric.samples_needed(options) for metric in metrics.values())
    if (cfg.model.get('eval_num_samples') or 0) < needed:
        cfg.model.eval_num_samples = max(needed, cfg.model.get('num_samples', 0))
    added = [
        {'type': name, **metric.default_config(options), **asked.get(name, {})}
        for name, metric in metrics.items()
    ]
    cfg.test_evaluator = dict(type='Evaluator', metrics=configured + added)


def _configured(evaluator):
    """Metrics of an evaluator's config, in whichever form MMagic takes it."""
    if isinstance(evaluator, dict):
        evaluator = evaluator.get('metrics') or []
    metrics = [evaluator] if isinstance(evaluator, dict) else list(evaluator)
    if any('metrics' in metric for metric in metrics):
        raise UserError(
            f'the config has {len(metrics)} test sets with an evaluator each: put our '
            f'metrics ({", ".join(sample_metrics())}) into them, or leave one'
        )
    return metrics


def collect(loop) -> list[Record]:
    """Records of all our metrics in a test loop, MMagic's or mmengine's."""
    return [
        record for _, records in collected(evaluators_of(loop)) for record in records
    ]


def run_and_write(
    runner,
    checkpoint: str,
    method: str,
    out: str | Path,
    num_pictures: int = 4,
    everything: bool = False,
) -> str:
    """Run the test loop, write JSON and collage, and return the table to print.

    Args:
        runner: with the weights loaded.
        checkpoint: file of those weights; its hash goes into the JSON.
        method: name of the run in tables.
        out: JSON file; the collage stands beside it, with the suffix .png.
        num_pictures: inputs in the collage; 0: none.
        everything: every number in the table, and how it was made; else the headlines.
    """
    runner.test()
    if not is_main_process():
        return ''
    loop, model = runner.test_loop, unwrap(runner.model)
    loader = loaders_of(loop)[0]
    out = Path(out)
    collages = []
    if num_pictures:
        picture = draw_inputs(model, loader, num_pictures)
        save_picture(picture, out.with_suffix('.png'))
        collages = [out.with_suffix('.png').name]
    config, dataset = runner.cfg, loader.dataset
    run = write_run(
        out,
        method=method,
        records=collect(loop),
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
        other=_others(runner),
    )
    if everything:
        table = record_table(run['records'])
    else:
        rest = f'all {len(run["records"])} numbers, and how each was made: --all'
        table = f'{headline_table(run)}\n\n{rest}'
    return f'{method}\n\n{table}\n\nwritten to {out}'


def _others(runner):
    """Other metrics' results: MMagic's loop returns nothing, its hook logs them."""
    ours = {
        f'{metric.prefix}/{key}'
        for metric, records in collected(evaluators_of(runner.test_loop))
        for record in records
        for key in record.scalars()
    }
    found = {}
    for name, history in runner.message_hub.log_scalars.items():
        group, _, rest = name.partition('/')
        if group == 'test' and rest not in ('time', 'data_time', *ours):
            found[rest] = history.current()
    return found


def draw_inputs(model, loader, count: int):
    """Collage of `count` inputs of a data loader, spread over its data set.

    The noise depends on the file's name: these are the samples that were measured.
    """
    with eval_mode(model), torch.no_grad():
        inputs = spread_inputs(loader, count)
        drawn = [sample for data in inputs for sample in model.test_step(data)]
    return collage({'': drawn}, model.input_field, model.target_field)
