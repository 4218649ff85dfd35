# MMagic's NAFNet, deblurring, a scoring rule in place of PSNR: no GAN. z where the
# decoder enlarges: its blocks start at zero, and noise inside them has no effect
_base_ = 'mmagic::nafnet/nafnet_c64eb11128mb1db1111_8xb8-lr1e-3-400k_gopro.py'

custom_imports = dict(imports=['mmagic_mr.plugin'], allow_failed_imports=False)
crps = dict(type='CRPSLoss', views=dict(pixel=1.0, pool4=1.0, pool16=1.0, diff=1.0))
noise = dict(sites={r'ups\.\d+\.0': 16})
samples = dict(noise=noise, num_samples=4, sample_losses=dict(crps=crps))
model = dict(type='MREditModel', **samples)
