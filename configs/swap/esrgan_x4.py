# MMagic's ESRGAN x4 with a scoring rule in place of pixel and perceptual loss
_base_ = 'mmagic::esrgan/esrgan_x4c64b23g32_1xb16-400k_div2k.py'

custom_imports = dict(imports=['mmagic_mr.plugin'], allow_failed_imports=False)
views = dict(pixel=1.0, pool4=1.0, pool16=1.0, diff=1.0)
crps = dict(type='CRPSLoss', loss_weight='auto', views=views)
samples = dict(noise='rrdb', num_samples=4, sample_losses=dict(crps=crps))
model = dict(type='MRESRGAN', **samples)
