from mmagic_mr.models.discriminators import PooledVGG
from mmagic_mr.models.edit import MREditModel
from mmagic_mr.models.esrgan import MRESRGAN
from mmagic_mr.models.global_local import MRGLInpaintor
from mmagic_mr.models.pix2pix import MRPix2Pix
from mmagic_mr.models.predictor import MomentPredictor
from mmagic_mr.models.srgan import MRSRGAN

__all__ = [
    'MRESRGAN',
    'MRSRGAN',
    'MREditModel',
    'MRGLInpaintor',
    'MRPix2Pix',
    'MomentPredictor',
    'PooledVGG',
]
