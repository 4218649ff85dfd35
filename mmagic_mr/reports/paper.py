"""The paper's own numbers, to stand beside ours.

Reference:
    Lee, Ha, Kim, "Harmonizing Maximum Likelihood with GANs for Multimodal Conditional
    Generation", ICLR 2019, Table 1.
"""

from typing import NamedTuple


class Score(NamedTuple):
    """A method's row of Table 1."""

    realism: float
    diversity: float  # LPIPS


REAL = 'Random real data'

TABLE_1 = {
    'pix2pix-cityscapes': {
        REAL: Score(1.00, 0.559),
        'Pix2Pix + noise': Score(0.22, 0.004),
        'BicycleGAN': Score(0.16, 0.191),
        'Gaussian MR1': Score(0.54, 0.299),
        'Gaussian MR2': Score(0.14, 0.453),
        'Gaussian proxy MR1': Score(0.49, 0.519),
        'Gaussian proxy MR2': Score(0.44, 0.388),
        'Laplace MR1': Score(0.19, 0.393),
        'Laplace MR2': Score(0.20, 0.384),
        'Laplace proxy MR1': Score(0.19, 0.368),
        'Laplace proxy MR2': Score(0.17, 0.380),
    },
    'srgan-celeba': {
        REAL: Score(1.00, 0.290),
        'SRGAN + noise': Score(0.60, 0.005),
        'Gaussian proxy MR2': Score(0.52, 0.050),
    },
    'glcic-celeba': {
        REAL: Score(1.00, 0.426),
        'GLCIC + noise': Score(0.28, 0.004),
        'Gaussian proxy MR2': Score(0.33, 0.060),
    },
}
