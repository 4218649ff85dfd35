# Trained by `tools/demo.py --task sr`: the recommended loss.
_base_ = './_base_/srgan_demo.py'

model = dict(num_samples=6, gen_batch_size=4, sample_losses=dict(crps=_base_.mr_crps))
