from mmagic_mr.models.aot import MRAOTInpaintor
from mmagic_mr.models.discriminators import PooledVGG
from mmagic_mr.models.edit import MREditModel
from mmagic_mr.models.esrgan import MRESRGAN
from mmagic_mr.models.global_local import MRGLInpaintor
from mmagic_mr.models.pix2pix import MRPix2Pix
from mmagic_mr.models.predictor import MomentPredictor
from mmagic_mr.models.real_esrgan import MRRealESRGAN
from mmagic_mr.models.srgan import MRSRGAN
from mmagic_mr.models.two_stage import MRTwoStageInpaintor

__all__ = [
    'MRESRGAN',
    'MRSRGAN',
    'MRAOTInpaintor',
    'MREditModel',
    'MRGLInpaintor',
    'MRPix2Pix',
    'MRRealESRGAN',
    'MRTwoStageInpaintor',
    'MomentPredictor',
    'PooledVGG',
]
