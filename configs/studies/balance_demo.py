# CRPS in four views on the three demos: where its weight starts, and at which balance
# against the GAN it is kept.
#     python tools/compare.py configs/studies/balance_demo.py
_base_ = './losses_demo.py'

expected = """\
Written before these runs, after single ones at the ratios 0.2, 1 and 3. The start of the
weight is forgotten within the first 300 updates: at a tenth and at ten times the weight
that the balance ends with, every number is that of 'CRPS, views' in losses_demo, within
its seeds. A ratio of 0.2 is too little in super-resolution, one of 3 blends the modes of Pix2Pix."""

# Weights that 'auto' ended with, seed 0
SETTLED = dict(pix2pix=10.0, sr=2.0, inpaint=20.0)

runs = dict(_delete_=True)
for task, weight in SETTLED.items():
    settings = {
        'from a tenth of its weight': dict(ratio=1.0, start=weight / 10),
        'from ten times its weight': dict(ratio=1.0, start=10 * weight),
        'ratio 0.2': 0.2,
        'ratio 3': 3.0,
    }
    same = _base_.runs[f'{task}/CRPS, views']
    for name, balance in settings.items():
        changes = dict(same.changes, model=dict(same.changes.model, balance=balance))
        runs[f'{task}/{name}'] = dict(config=same.config, changes=changes)
del task, weight, settings, same, name, balance, changes
