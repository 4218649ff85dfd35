"""The losses as configs name them: `mmagic_mr.functional`, reduced and weighted.

Torch only; `mmagic_mr.plugin` registers in MMagic all that is listed in `__all__`,
except the base class.
"""

from mmagic_mr.losses.base import SampleLoss
from mmagic_mr.losses.crps import CRPSLoss
from mmagic_mr.losses.diversity import (
    BestOfKLoss,
    DiversitySensitiveLoss,
    DSGANLoss,
    ModeSeekingLoss,
    NDivLoss,
)
from mmagic_mr.losses.energy import EnergyScoreLoss
from mmagic_mr.losses.kernel import KernelScoreLoss
from mmagic_mr.losses.mr import MRLoss
from mmagic_mr.losses.nll import MomentNLLLoss
from mmagic_mr.losses.proxy import ProxyMRLoss
from mmagic_mr.losses.rcgan import PCAGANLoss, RCGANLoss
from mmagic_mr.losses.variogram import VariogramScoreLoss

__all__ = [
    'BestOfKLoss',
    'CRPSLoss',
    'DSGANLoss',
    'DiversitySensitiveLoss',
    'EnergyScoreLoss',
    'KernelScoreLoss',
    'MRLoss',
    'ModeSeekingLoss',
    'MomentNLLLoss',
    'NDivLoss',
    'PCAGANLoss',
    'ProxyMRLoss',
    'RCGANLoss',
    'SampleLoss',
    'VariogramScoreLoss',
]
