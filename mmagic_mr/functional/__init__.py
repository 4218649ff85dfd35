"""The formulas, each in one place: torch only, per element, without weights.

Equation and algorithm numbers are those of Lee, Ha and Kim, "Harmonizing Maximum
Likelihood with GANs for Multimodal Conditional Generation", ICLR 2019.

Everything here is computed in float32 (float64 stays): the inputs are cast first and
no matrix product follows, so that autocast has nothing to lower.
"""

from mmagic_mr.functional.checks import ESTIMATORS, ORDERS, least_samples
from mmagic_mr.functional.distributions import (
    DISTRIBUTIONS,
    Distribution,
    distribution_of,
)
from mmagic_mr.functional.diversity import (
    DSGAN_ESTIMATORS,
    best_of_k,
    dsgan,
    mode_seeking,
    ndiv,
)
from mmagic_mr.functional.kernel import kernel_score
from mmagic_mr.functional.moments import (
    Moments,
    ViewMoments,
    sample_moments,
    scale_moments,
    variance_of,
    view_moments,
)
from mmagic_mr.functional.mr import SAMPLE_VARIANCE_FLOOR, mr_loss
from mmagic_mr.functional.nll import PREDICTED_VARIANCE_FLOOR, nll
from mmagic_mr.functional.pairs import mean_difference
from mmagic_mr.functional.principal import PrincipalTerms, pcagan, principal_terms
from mmagic_mr.functional.processes import over_all_processes, process_mean
from mmagic_mr.functional.proxy import proxy_mr_loss
from mmagic_mr.functional.reduction import masked_mean, patch_mask
from mmagic_mr.functional.scores import crps, energy_score
from mmagic_mr.functional.spread import RCGAN_ESTIMATORS, rcgan
from mmagic_mr.functional.variogram import neighbors, variogram_score
from mmagic_mr.functional.views import Colors, View, views_of

__all__ = [
    'DISTRIBUTIONS',
    'DSGAN_ESTIMATORS',
    'ESTIMATORS',
    'ORDERS',
    'PREDICTED_VARIANCE_FLOOR',
    'RCGAN_ESTIMATORS',
    'SAMPLE_VARIANCE_FLOOR',
    'Colors',
    'Distribution',
    'Moments',
    'PrincipalTerms',
    'View',
    'ViewMoments',
    'best_of_k',
    'crps',
    'distribution_of',
    'dsgan',
    'energy_score',
    'kernel_score',
    'least_samples',
    'masked_mean',
    'mean_difference',
    'mode_seeking',
    'mr_loss',
    'ndiv',
    'neighbors',
    'nll',
    'over_all_processes',
    'patch_mask',
    'pcagan',
    'principal_terms',
    'process_mean',
    'proxy_mr_loss',
    'rcgan',
    'sample_moments',
    'scale_moments',
    'variance_of',
    'variogram_score',
    'view_moments',
    'views_of',
]
