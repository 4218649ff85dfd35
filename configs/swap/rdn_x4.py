# MMagic's RDN x4 with a scoring rule in place of L1: no GAN, and many answers.
# z at the input of each dense block
_base_ = 'mmagic::rdn/rdn_x4c64b16_1xb16-1000k_div2k.py'

custom_imports = dict(imports=['mmagic_mr.plugin'], allow_failed_imports=False)
crps = dict(type='CRPSLoss', views=dict(pixel=1.0, pool4=1.0, pool16=1.0, diff=1.0))
noise = dict(sites={r'rdbs\.\d+\.layers\.0\.conv': 16})
samples = dict(noise=noise, num_samples=4, sample_losses=dict(crps=crps))
model = dict(type='MREditModel', **samples)
