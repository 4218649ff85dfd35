"""Any network from image to image, without a discriminator, that draws many samples."""

from torch import Tensor

from mmagic_mr.host import MODELS, BaseEditModel
from mmagic_mr.models.restoration import OptionalPixelLoss, Restoration


@MODELS.register_module()
class MREditModel(Restoration, OptionalPixelLoss, BaseEditModel):
    """MMagic's ``BaseEditModel`` with K samples per input and losses on the samples.

    EDSR, RDN, SRCNN, MSRResNet, SwinIR, NAFNet, Restormer and others are trained with
    a pixel loss alone. A scoring rule such as `CRPSLoss` in its place makes each of
    them draw from what is possible, without a discriminator.

    Args:
        kwargs: Those of `MomentReconstruction` and of MMagic's ``BaseEditModel``.
            ``optim_wrapper`` of the config stays a single one, as there.

    Reference:
        Gneiting and Raftery, "Strictly Proper Scoring Rules, Prediction, and
        Estimation", JASA 2007.

    Example:
        >>> import torch
        >>> from mmengine.registry import init_default_scope
        >>> init_default_scope('mmagic')
        >>> network = dict(type='MSRResNet', in_channels=3, out_channels=3,
        ...                mid_channels=4, num_blocks=2)
        >>> model = MREditModel(
        ...     generator=network, noise='srgan', sample_losses=dict(
        ...         crps=dict(type='CRPSLoss')))
        >>> model.sample(torch.zeros(1, 3, 8, 8), num_samples=2).shape
        torch.Size([1, 2, 3, 32, 32])
    """

    mmagic_class = BaseEditModel
    reconstruction_terms = ('pixel_loss',)
    used_arguments = (
        'generator',
        'train_cfg',
        'test_cfg',
        'init_cfg',
        'data_preprocessor',
    )

    def forward_train(self, inputs, data_samples=None, **kwargs) -> dict[str, Tensor]:
        """Losses of one update, and the spread of the samples, for mmengine's loop."""
        self._check_predictor()
        iteration = self._next_iteration()
        batch = self.make_batch(dict(inputs=inputs, data_samples=data_samples))
        self._check_inputs(batch, iteration)
        batch = batch.first(self.gen_batch_size)
        losses, spread = self._generator_step(
            self.generator, batch, iteration, update=iteration
        )
        return losses | spread
