"""Validation and test: samples and their statistics in the host's range."""

import zlib
from contextlib import contextmanager

import torch
from torch import Tensor

from mmagic_mr.functional import Moments
from mmagic_mr.host import DataSample


class SampleStatistics:
    """Mixin with the validation and test steps of a model that draws samples."""

    def val_step(
        self, data: dict, num_samples: int | None = None, seed: int | None = None
    ) -> list:
        """Draw samples in evaluation mode.

        Args:
            data: batch as the data loader gives it.
            num_samples: K; None: ``eval_num_samples``.
            seed: of the noise, the same for every image; None: see below.

        Returns:
            A list of N ``DataSample``: ``samples`` (K, C, H, W), ``sample_mean``,
            ``sample_var`` and, with a predictor, ``pred_mean``, ``pred_var`` (each
            (C, H, W)), beside the host's own fields. All in the host's range (0..255,
            BGR; variances in its square). Without a seed, the noise of an image depends
            on its file name alone, so that numbers repeat.
        """
        data = self.data_preprocessor(data)
        data_samples = data['data_samples']
        batch = self.make_batch(data)
        with self._eval_mode(), torch.no_grad():
            outputs = data_samples.split()
            if seed is None:
                seed = [self._image_seed(i, s) for i, s in enumerate(outputs)]
            samples = self.sample_batch(batch, num_samples, seed=seed).float()
            moments = self._predict(batch)
            variance = moments and self._variance(moments)
        inputs = data['inputs']
        for i, output in enumerate(outputs):
            self._add_statistics(
                output,
                samples[i],
                moments and Moments(moments.center[i], variance[i]),
            )
            is_dict = isinstance(inputs, dict)
            x = {k: v[i] for k, v in inputs.items()} if is_dict else inputs[i]
            self.add_host_fields(output, x)
        return outputs

    def test_step(self, data: dict) -> list:
        """Same as :meth:`val_step`."""
        return self.val_step(data)

    @contextmanager
    def _eval_mode(self):
        training = self.training
        self.eval()
        try:
            yield
        finally:
            self.train(training)

    @staticmethod
    def _image_seed(index: int, data_sample: DataSample) -> int:
        paths = sorted(
            v
            for k, v in data_sample.metainfo.items()
            if k.endswith('path') and isinstance(v, str)
        )
        name = '/'.join(paths[0].split('/')[-2:]) if paths else str(index)
        return zlib.crc32(name.encode())

    def _add_statistics(
        self, output: DataSample, samples: Tensor, predicted: Moments | None
    ) -> None:
        # Moments first: `destruct` clamps, in place where it can.
        statistics = dict(samples=samples, sample_mean=samples.mean(0))
        variances = dict(sample_var=samples.var(0)) if len(samples) > 1 else {}
        if predicted is not None:
            statistics['pred_mean'], variances['pred_var'] = predicted
        fields = {k: self._to_host(v, output) for k, v in statistics.items()}
        fields.update(
            {k: self._variance_to_host(v, output) for k, v in variances.items()}
        )
        output.set_tensor_data(fields)

    def _to_host(self, image: Tensor, data_sample: DataSample) -> Tensor:
        return self.data_preprocessor.destruct(
            image.clone(), data_sample, self.image_key
        )

    def _variance_to_host(self, variance: Tensor, data_sample: DataSample) -> Tensor:
        # As `destruct`, for a square: scaled, in BGR, without padding, not clamped.
        dp = self.data_preprocessor
        if dp._enable_normalize:
            variance = variance * dp.std.view(-1, 1, 1) ** 2
        order = dp._parse_channel_order(
            f'{self.image_key}_output', variance, data_sample
        )
        variance, _ = dp._do_conversion(variance, order, 'BGR')
        return dp._destruct_padding(variance, data_sample)

    def add_host_fields(self, output: DataSample, x) -> None:
        """Set what MMagic's metrics and visualisers read, from the first sample.

        Args:
            output: has the field ``samples`` already.
            x: preprocessed input of this image.
        """
        output.set_tensor_data({'input': self._to_host(x, output)})
        output.output = DataSample(pred_img=output.samples[0].cpu())
