"""Validation and test: samples and their statistics in the host's range."""

import zlib

import torch
from torch import Tensor

from mmagic_mr.functional import Moments, variance_of
from mmagic_mr.host import DataSample, eval_mode, variance_to_host


def evaluate_batch(
    model,
    data: dict,
    num_samples: int | None = None,
    seed: int | None = None,
    **source,
) -> list[DataSample]:
    """Draw samples in evaluation mode.

    Args:
        model: A host.
        data: Batch as the data loader gives it.
        num_samples: K; None: ``eval_num_samples`` of the model.
        seed: Of the noise, the same for every image; None: see below.
        source: Further arguments of `Sampler.sample`: ``z``, ``keep``, ``temperature``.

    Returns:
        A list of N ``DataSample``: ``samples`` (K, C, H, W), ``sample_mean``,
        ``sample_var`` and, with a predictor, ``pred_mean``, ``pred_var`` (each
        (C, H, W)), beside the host's own fields. All in the host's range (0..255,
        BGR; variances in its square). Without a seed, the noise of an image depends
        on its file name alone, so that numbers repeat.
    """
    data = model.data_preprocessor(data)
    batch = model.make_batch(data)
    with eval_mode(model), torch.no_grad():
        outputs = data['data_samples'].split()
        if seed is None and source.get('z') is None:
            seed = [image_seed(i, sample) for i, sample in enumerate(outputs)]
        samples = model.sample_batch(batch, num_samples, seed=seed, **source).float()
        moments = model.predict_batch(batch)
        if moments is not None:
            variance = variance_of(moments, model.moment_distribution)
            moments = Moments(moments.center, variance)
    inputs = data['inputs']
    for i, output in enumerate(outputs):
        predicted = moments and Moments(*(moment[i] for moment in moments))
        _add_statistics(model, output, samples[i], predicted)
        is_dict = isinstance(inputs, dict)
        x = {k: v[i] for k, v in inputs.items()} if is_dict else inputs[i]
        model.add_host_fields(output, x)
    return outputs


def image_seed(index: int, data_sample: DataSample) -> int:
    """A seed from the name of the image's file; from its place where it has none."""
    paths = sorted(
        value
        for key, value in data_sample.metainfo.items()
        if key.endswith('path') and isinstance(value, str)
    )
    name = '/'.join(paths[0].split('/')[-2:]) if paths else str(index)
    return zlib.crc32(name.encode())


def to_host(model, image: Tensor, data_sample: DataSample) -> Tensor:
    """An image of the network's range in MMagic's: 0..255, BGR, without padding."""
    # `destruct` clamps, in place where it can.
    destruct = model.data_preprocessor.destruct
    return destruct(image.clone(), data_sample, model.image_key)


def _add_statistics(
    model, output: DataSample, samples: Tensor, predicted: Moments | None
) -> None:
    images = dict(samples=samples, sample_mean=samples.mean(0))
    variances = dict(sample_var=samples.var(0)) if len(samples) > 1 else {}
    if predicted is not None:
        images['pred_mean'], variances['pred_var'] = predicted
    fields = {name: to_host(model, image, output) for name, image in images.items()}
    for name, variance in variances.items():
        fields[name] = variance_to_host(
            model.data_preprocessor, variance, output, model.image_key
        )
    output.set_tensor_data(fields)
