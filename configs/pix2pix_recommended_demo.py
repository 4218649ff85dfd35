# Trained by tools/demo.py: the recommended loss, beside the baseline and the paper's.
_base_ = './_base_/pix2pix_demo.py'

model = dict(num_samples=6, gen_batch_size=4, sample_losses=dict(crps=_base_.mr_crps))
