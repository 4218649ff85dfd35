# MMagic's Real-ESRGAN x4 with a scoring rule in place of pixel and perceptual loss;
# its target is the sharpened image, as that of L1 was
_base_ = 'mmagic::real_esrgan/realesrgan_c64b23g32_4xb12-lr1e-4-400k_df2k-ost.py'

custom_imports = dict(imports=['mmagic_mr.plugin'], allow_failed_imports=False)
views = dict(pixel=1.0, pool4=1.0, pool16=1.0, diff=1.0)
crps = dict(type='CRPSLoss', loss_weight='auto', views=views)
samples = dict(noise='rrdb', num_samples=4, sample_losses=dict(crps=crps))
model = dict(type='MRRealESRGAN', **samples)
