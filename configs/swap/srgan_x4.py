# MMagic's SRGAN x4 with a scoring rule in place of pixel and perceptual loss
_base_ = 'mmagic::srgan_resnet/srgan_x4c64b16_1xb16-1000k_div2k.py'

custom_imports = dict(imports=['mmagic_mr.plugin'], allow_failed_imports=False)
views = dict(pixel=1.0, pool4=1.0, pool16=1.0, diff=1.0)
crps = dict(type='CRPSLoss', loss_weight='auto', views=views)
samples = dict(noise='srgan', num_samples=4, sample_losses=dict(crps=crps))
model = dict(type='MRSRGAN', **samples)
