"""The averaged generator: what it averages, when, and who samples from it."""

import copy

import pytest
import torch
from helpers import hosts, tiny
from helpers.inference import sample_image
from mmengine.model import ExponentialMovingAverage
from mmengine.runner import Runner
from torch import nn

from mmagic_mr.errors import UserError
from mmagic_mr.host import unwrap
from mmagic_mr.inference import load_model
from mmagic_mr.models.ema import AveragedGenerator

EMA = dict(decay=0.9)


@pytest.fixture(params=hosts.HOSTS)
def spec(request):
    return hosts.HOSTS[request.param]


def network():
    return nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Conv2d(3, 1, 1))


def update(net, optimizer, scale=1.0):
    optimizer.zero_grad()
    (net(scale + torch.randn(4, 2, 6, 6)).square().mean()).backward()
    optimizer.step()


def decay_at(step, decay):
    return min(decay, step / (step + 9))


def close(ours, theirs):
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('decay', [0.3, 0.9, 0.999])
def test_weights_and_statistics_follow_the_recursion(decay):
    net = network()
    average = AveragedGenerator(net, decay)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.1)
    expected = None
    for step in range(30):
        update(net, optimizer)
        now = {k: v.clone() for k, v in net.state_dict().items()}
        d = decay_at(step, decay)
        expected = {
            k: d * expected[k] + (1 - d) * v
            if expected and v.is_floating_point()
            else v
            for k, v in now.items()
        }
    found = average.module.state_dict()
    for name, value in expected.items():
        close(found[name], value)
    assert int(found['1.num_batches_tracked']) == 30
    assert int(average.steps) == 30
    assert not any(p.requires_grad for p in average.parameters())
    assert not average.train().module[1].training


def test_after_the_start_it_is_mmengines():
    net = network()[0]
    average = AveragedGenerator(net, 0.5)
    reference = ExponentialMovingAverage(net, 0.5)
    for step in range(25):
        with torch.no_grad():
            net.weight.copy_(torch.randn_like(net.weight))
        average.update_parameters(net)
        if step == 9:  # from here on t / (t + 9) is at least 0.5
            reference.load_state_dict(average.state_dict())
        elif step > 9:
            reference.update_parameters(net)
    close(average.module.weight, reference.module.weight)


def test_statistics_are_nearly_those_of_the_averaged_weights():
    """With weights that drift; copied ones would be those of the last weights."""
    net = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2, momentum=1.0))
    average = AveragedGenerator(net, 0.9)
    x = torch.randn(8, 1, 6, 6) + 1
    for step in range(100):
        with torch.no_grad():
            net[0].weight.fill_(1 + step / 20)
            net(x)
        average.update_parameters(net)
    mean = average.module[0](x).mean((0, 2, 3))
    torch.testing.assert_close(average.module[1].running_mean, mean)
    assert (net[1].running_mean - mean).abs().min() > 0.3


@pytest.mark.parametrize(
    ('parameters', 'steps'),
    [
        (lambda net: net.parameters(), 1),
        (lambda net: net[0].parameters(), 0),
        (lambda net: network().parameters(), 0),
        (lambda net: [*net.parameters(), *network().parameters()], 1),
    ],
)
def test_only_an_optimizer_of_the_whole_generator_counts(parameters, steps):
    net = network()
    average = AveragedGenerator(net, 0.9)
    update(net, torch.optim.SGD(parameters(net), lr=0.1))
    assert int(average.steps) == steps


def test_a_copy_follows_the_copy():
    net = nn.ModuleDict(dict(generator=network()))
    net['average'] = AveragedGenerator(net['generator'], 0.9)
    twin = copy.deepcopy(net).double()
    optimizer = torch.optim.SGD(twin['generator'].parameters(), lr=0.1)
    optimizer.zero_grad()
    twin['generator'](torch.randn(4, 2, 6, 6).double()).square().mean().backward()
    optimizer.step()
    assert (int(net['average'].steps), int(twin['average'].steps)) == (0, 1)
    weights = [part.state_dict()['0.weight'] for part in (twin['generator'],)]
    assert torch.equal(twin['average'].module[0].weight, weights[0])


@pytest.mark.parametrize(
    ('ema', 'message'),
    [
        (dict(decay=1.0), r'ema: decay must be .* between 0 and 1, got 1\.0'),
        (dict(decay=0), 'ema: decay must be .*, got 0'),
        (dict(decay='0.9'), "ema: decay must be .*, got '0.9'"),
        (dict(decay=True), 'ema: decay must be .*, got True'),
        ({}, 'ema: decay must be .*, got None'),
        (dict(decai=0.9), "ema has no argument 'decai'; did you mean decay"),
        (0.999, 'ema must be a dict or None, got 0.999'),
    ],
)
def test_a_bad_average_is_refused_by_name(ema, message):
    with pytest.raises(UserError, match=message):
        hosts.build(hosts.SRGAN, ema=ema)


def build(spec, ema=EMA):
    return hosts.build(spec.config, ema=ema, mr_loss=dict(type='CRPSLoss'))


def train(model, data, iterations, wrappers=None, **kwargs):
    wrappers = wrappers or hosts.optim_wrapper(
        hosts.trained(model), optimizer=dict(type='SGD', lr=1e-3), **kwargs
    )
    for _ in range(iterations):
        model.train_step(copy.deepcopy(data), wrappers)
    return wrappers


def test_every_host_samples_from_it(spec):
    model = build(spec)
    data = spec.data(2)
    batch = hosts.batch_of(model, data)
    model.eval()
    generator = getattr(model, model.generator_name)
    assert model.sampled_network is generator  # before the first update
    model.train()
    train(model, data, 3)
    assert int(model.averaged_generator.steps) == 3
    model.eval()
    samples = model.sample_batch(batch, 2, seed=1)
    network = model.averaged_generator.module
    names = [name for name, _ in network.named_parameters()]
    assert sum('.noise.conv' in name for name in names) == len(model.noise_sites)
    assert any(hosts.moved(hosts.parameters(network), generator))
    outputs = model.test_step(copy.deepcopy(data))
    outputs_of_val = model.val_step(copy.deepcopy(data))
    generator.load_state_dict(network.state_dict())
    model.averaged_generator.steps.zero_()
    torch.testing.assert_close(model.sample_batch(batch, 2, seed=1), samples)
    for ours, val, expected in zip(
        outputs, outputs_of_val, model.test_step(copy.deepcopy(data)), strict=True
    ):
        torch.testing.assert_close(ours.samples, expected.samples)
        assert torch.equal(ours.samples, val.samples)


def test_an_accumulated_gradient_is_one_update(spec):
    model = build(spec)
    train(model, spec.data(2), 6, accumulative_counts=3)
    assert int(model.averaged_generator.steps) == 2


def test_released_weights_load_and_it_starts_as_a_copy(spec, monkeypatch):
    model = build(spec)
    other = build(spec, None)
    for parameter in other.parameters():
        parameter.data.normal_(std=0.1)
    lines = []
    monkeypatch.setattr(
        'mmagic_mr.models.ema.print_log', lambda line, logger: lines.append(line)
    )
    result = model.load_state_dict(other.state_dict(), strict=True)
    assert not result.missing_keys
    assert len(lines) == 1
    assert 'starts as a copy' in lines[0]
    generator = unwrap(getattr(model, model.generator_name))
    assert model.sampled_network is generator
    train(model, spec.data(2), 1)
    for name, value in generator.named_parameters():
        assert torch.equal(model.averaged_generator.module.get_parameter(name), value)


def test_saved_and_loaded_it_goes_on(spec):
    whole, part = build(spec), build(spec)
    wrappers = train(whole, spec.data(2), 2)
    part.load_state_dict(copy.deepcopy(whole.state_dict()))
    assert part.sampled_network is part.averaged_generator.module
    saved = copy.deepcopy(wrappers.state_dict())
    # The number of the iteration, of which the noise is a function
    part._iter, part._runner_iter = whole._iter, whole._runner_iter
    train(whole, spec.data(2), 1, wrappers)
    wrappers = hosts.optim_wrapper(part, optimizer=dict(type='SGD', lr=1e-3))
    wrappers.load_state_dict(saved)
    train(part, spec.data(2), 1, wrappers)
    for name, value in whole.averaged_generator.state_dict().items():
        assert torch.equal(part.averaged_generator.state_dict()[name], value), name


def run(data_root, work_dir, ema, load_from=None):
    """Two iterations through a Runner; its config."""
    cfg = tiny.load('pix2pix_mr1_cityscapes', data_root, work_dir)
    cfg.model.ema, cfg.load_from, cfg.custom_hooks = ema, load_from, []
    # Of its own: mmengine's has the second, and two runs of one would share a logger
    cfg.experiment_name = str(work_dir).replace('/', '_')
    cfg.val_evaluator = cfg.test_evaluator = dict(
        type='Evaluator', metrics=[dict(type='MAE', gt_key='a', pred_key='b')]
    )
    runner = Runner.from_cfg(cfg)
    runner.val_loop.run = lambda: None
    runner.train()
    return cfg


@pytest.fixture(scope='module')
def checkpoints(tmp_path_factory):
    root = tmp_path_factory.mktemp('ema')
    data_root = tiny.write_pairs(root / 'data')
    kinds = ('ema', EMA), ('no', None)
    configs = [run(data_root, root / name, ema) for name, ema in kinds]
    return data_root, *configs


def test_tools_load_it_and_sample_from_it(checkpoints):
    data_root, cfg, _ = checkpoints
    file = f'{cfg.work_dir}/iter_2.pth'
    model = load_model(cfg, file)
    assert int(model.averaged_generator.steps) == 2
    image = next((data_root / 'val').iterdir())
    sample = sample_image(model, image, 2, seed=1, pair=True).samples
    generator = model.generators
    generator.load_state_dict(model.averaged_generator.module.state_dict())
    model.averaged_generator.steps.zero_()
    same = sample_image(model, image, 2, seed=1, pair=True).samples
    torch.testing.assert_close(sample, same)


def test_tools_refuse_a_checkpoint_of_another_kind(checkpoints):
    _, averaged, plain = checkpoints
    with pytest.raises(UserError, match=r'unexpected \(averaged_generator'):
        load_model(plain, f'{averaged.work_dir}/iter_2.pth')
    with pytest.raises(UserError, match=r'missing \(averaged_generator'):
        load_model(averaged, f'{plain.work_dir}/iter_2.pth')


def test_a_run_begins_with_weights_that_have_no_average(checkpoints, tmp_path, capfd):
    data_root, _, plain = checkpoints
    cfg = run(data_root, tmp_path, EMA, load_from=f'{plain.work_dir}/iter_2.pth')
    said = capfd.readouterr()
    text = said.out + said.err
    lines = [line for line in text.splitlines() if 'averaged_generator' in line]
    starts = [line for line in lines if 'starts as a copy' in line]
    assert len(starts) == 1
    assert 'INFO' in starts[0]
    assert 'missing keys' not in said.out + said.err
    assert load_model(cfg, f'{cfg.work_dir}/iter_2.pth').averaged_generator.steps == 2
