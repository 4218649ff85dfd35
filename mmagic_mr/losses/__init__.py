"""The losses as configs name them: `mmagic_mr.functional`, reduced and weighted.

Torch only; `mmagic_mr.plugin` registers in MMagic all that is listed in `__all__`,
except the base class.
"""

from mmagic_mr.losses.base import SampleLoss
from mmagic_mr.losses.crps import CRPSLoss
from mmagic_mr.losses.energy import EnergyScoreLoss
from mmagic_mr.losses.mr import MRLoss
from mmagic_mr.losses.nll import MomentNLLLoss
from mmagic_mr.losses.proxy import ProxyMRLoss

__all__ = [
    'CRPSLoss',
    'EnergyScoreLoss',
    'MRLoss',
    'MomentNLLLoss',
    'ProxyMRLoss',
    'SampleLoss',
]
