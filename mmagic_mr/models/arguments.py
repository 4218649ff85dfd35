"""What a config says of a model: checked by name, before anything is built."""

import inspect
from collections.abc import Collection, Iterable, Mapping

from torch import nn

from mmagic_mr.checks import NotNegative, argument_names, check_kind, fits, near, shown
from mmagic_mr.errors import UserError
from mmagic_mr.functional import Colors, View
from mmagic_mr.host import MODELS, colors_of
from mmagic_mr.models.balance import Balance, is_automatic


def build(name: str, config: Mapping) -> nn.Module:
    """A part of a model; what is wrong with its config is said under its name.

    Raises:
        UserError: There is no such type, or it has no such argument.

    Example:
        >>> build('rec_loss', dict(type='L1Los'))
        Traceback (most recent call last):
        mmagic_mr.errors.UserError: rec_loss: there is no type 'L1Los'; did you mean ...
    """
    kind = config.get('type')
    if not fits(kind, str | type):
        raise UserError(f'{name} must be dict(type=..., ...), got {shown(config)}')
    cls = MODELS.get(kind) if isinstance(kind, str) else kind
    if not isinstance(cls, type):
        known = {**MODELS.parent.module_dict, **MODELS.module_dict}
        raise UserError(f'{name}: there is no type {kind!r}{near(kind, known)}')
    names = argument_names(cls, cls.__init__)
    if names is not None:
        check_names(name, config, ['type', *names])
    return MODELS.build(config)


def check_names(name: str, config: Mapping, names: Collection[str]) -> None:
    """Refuse a key that is not one of these, with the names near it."""
    for key in config:
        if key not in names:
            raise UserError(f'{name} has no argument {key!r}{near(key, names)}')


def check_weights(configs: Mapping) -> None:
    """Refuse a ``loss_weight`` of a term of MMagic's that is none."""
    for name, config in configs.items():
        if isinstance(config, Mapping) and 'loss_weight' in config:
            check_kind(f'{name}: loss_weight', config['loss_weight'], NotNegative)


def constructor_arguments(cls: type) -> list[str]:
    """Names that a class of MMagic takes, its bases' included.

    Example:
        >>> from mmagic_mr.host import Pix2Pix
        >>> {'generator', 'loss_config'} <= set(constructor_arguments(Pix2Pix))
        True
    """
    names: list[str] = []
    for base in cls.__mro__:
        if '__init__' not in vars(base) or base.__module__.split('.')[0] != 'mmagic':
            continue
        parameters = inspect.signature(base.__init__).parameters.values()
        named = (p.name for p in parameters if p.kind is not p.VAR_KEYWORD)
        names += [n for n in named if n not in ('self', 'args', *names)]
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return names


def other_terms(
    used: Iterable[str], host: Mapping, gan_loss: str | None = None
) -> list[str]:
    """The host's losses that are none of reconstruction, for the log.

    Args:
        used: Names of its arguments, without reconstruction terms.
        host: Its arguments from the config.
        gan_loss: Name of the one of the GAN, for a host whose config may leave it out.

    Example:
        >>> other_terms(['generator', 'loss_disc_shift'], dict(loss_disc_shift={1: 2}))
        ['loss_disc_shift']
        >>> other_terms(['loss_config'], dict(loss_config=dict(a=1)), 'gan_loss')
        ['the GAN loss']
    """
    named = [n for n in used if n.startswith('loss_') or n.endswith('_loss')]
    found = [n for n in named if host.get(n) and n != 'loss_config']
    return ['the GAN loss', *found] if gan_loss and gan_loss not in found else found


def check_host_arguments(cls: type, used: Iterable[str], given: Mapping) -> None:
    """Refuse by name what the host's class would take and never use, and misspellings.

    Args:
        cls: The model class, for the message.
        used: Names of what it uses.
        given: Its arguments from the config.
    """
    used = list(used)
    for name, value in given.items():
        if name in used:
            continue
        if name in constructor_arguments(cls.mmagic_class):
            if value is None or value is False:
                continue
            raise UserError(
                f'{cls.__name__} does not use {name}={value!r}: take it out '
                '(a loss on the samples goes into sample_losses=dict(...))'
            )
        known = [*used, *own_arguments(cls)]
        raise UserError(f'{cls.__name__} has no argument {name!r}{near(name, known)}')


def own_arguments(cls: type) -> list[str]:
    """Names of the arguments that this package adds to a host."""
    names: dict[str, None] = {}
    for base in cls.__mro__:
        if '__init__' in vars(base) and base.__module__.split('.')[0] != 'mmagic':
            parameters = inspect.signature(base.__init__).parameters.values()
            names |= {p.name: None for p in parameters if p.kind is p.KEYWORD_ONLY}
    return list(names)


def loss_configs(mr_loss: dict | None, sample_losses: dict | None) -> dict[str, dict]:
    """Both ways to name sample losses as one: name to config.

    Example:
        >>> loss_configs(dict(type='MRLoss'), None)
        {'mr': {'type': 'MRLoss'}}
    """
    if mr_loss is not None and sample_losses is not None:
        raise UserError(
            'give mr_loss=... or sample_losses=dict(...), not both: mr_loss is short '
            'for sample_losses=dict(mr=...)'
        )
    if mr_loss is not None:
        sample_losses = {'mr': mr_loss}
    for name, config in (sample_losses or {}).items():
        if not (isinstance(config, dict) and fits(config.get('type'), str | type)):
            where = f'sample_losses: {name!r}' if mr_loss is None else 'mr_loss'
            raise UserError(f'{where} must be dict(type=..., ...), got {config!r}')
        if not str(name).isidentifier() or hasattr(nn.ModuleDict, name):
            raise UserError(
                f'sample_losses: {name!r} cannot be the name of a loss; take one of '
                'letters, such as "crps"'
            )
    return dict(sample_losses or {})


def kept_terms(cls: type, keep: Mapping[str, str] | Iterable[str]) -> dict[str, str]:
    """How each reconstruction term that a host keeps judges the samples.

    Args:
        cls: The host.
        keep: Names of terms, or names to 'each' or 'mean'.

    Raises:
        UserError: The host has no such term; 'mean' of one that compares no features.

    Example:
        >>> from mmagic_mr.models.srgan import MRSRGAN
        >>> kept_terms(MRSRGAN, ['pixel_loss'])
        {'pixel_loss': 'each'}
    """
    kept = dict(keep) if isinstance(keep, Mapping) else dict.fromkeys(keep, 'each')
    unknown = sorted(set(kept) - set(cls.reconstruction_terms))
    if unknown:
        raise UserError(
            f'keep={list(kept)}: {cls.__name__} has no reconstruction term '
            f'{", ".join(unknown)}; there are {list(cls.reconstruction_terms)}'
        )
    for name, how in kept.items():
        if how not in ('each', 'mean'):
            raise UserError(
                f"keep: {name!r} is {how!r}, and must be 'each' (on every sample) or "
                "'mean' (on the mean of the features over the samples)"
            )
        if how == 'mean' and name not in cls.perceptual_terms:
            raise UserError(
                f"keep: {name!r} compares no features, and 'mean' is for "
                f'{list(cls.perceptual_terms) or "none of this host"}: the mean of '
                "the pixels is compared by sample_losses=dict(mean=dict(type='MRLoss', "
                'order=1))'
            )
    return kept


def compile_options(compile: bool | Mapping) -> dict | None:
    """Options of ``torch.compile``; None: nothing is compiled.

    Raises:
        UserError: It has no such option.

    Example:
        >>> compile_options(dict(mode='max-autotune'))
        {'mode': 'max-autotune'}
    """
    if not compile and not isinstance(compile, Mapping):
        return None
    options = {} if compile is True else dict(compile)
    check_names('compile', options, ('mode', 'backend', 'options', 'dynamic'))
    return options


def build_balance(
    cls: type, balance: float | Mapping, losses: Mapping[str, nn.Module]
) -> Balance:
    """What weighs the sample losses of a host against its GAN.

    Raises:
        UserError: A loss is to be weighed, and the host has no discriminator.

    Example:
        >>> from mmagic_mr.models.pix2pix import MRPix2Pix
        >>> build_balance(MRPix2Pix, 0.5, {}).ratio
        0.5
    """
    config = balance if isinstance(balance, Mapping) else dict(ratio=balance)
    made = Balance(**config)
    automatic = [name for name, loss in losses.items() if is_automatic(loss)]
    if automatic and not hasattr(cls, 'adversarial'):
        raise UserError(
            f'sample_losses: {automatic[0]!r} has loss_weight="auto", which is a '
            f'balance against a GAN, and {cls.__name__} has none: give it a number'
        )
    made.prepare(losses)
    return made


def check_sample_loss(name: str, loss: nn.Module, num_samples: int) -> None:
    """Refuse a loss that is none on samples, and K below what it needs."""
    needs = getattr(loss, 'needs', None)
    if needs is None:
        raise UserError(
            f'sample_losses: {name!r} is {type(loss).__name__}, which judges no '
            'samples: take a SampleLoss, or give it as rec_loss, which is applied to '
            'every sample'
        )
    unknown = sorted(set(needs) - {'target', 'moments', 'noise'})
    if unknown:
        raise UserError(
            f'{type(loss).__name__}.needs has {unknown}; there are target, moments '
            'and noise'
        )
    if num_samples < loss.min_samples:
        raise UserError(
            f'sample_losses: {name!r} ({type(loss).__name__}) needs num_samples (K) of '
            f'at least {loss.min_samples}, and it is {num_samples}'
        )


def moment_distribution(losses: Mapping[str, nn.Module]) -> str | None:
    """The one distribution of the losses that ask for predicted moments, if any."""
    asked = {
        name: loss.distribution
        for name, loss in losses.items()
        if 'moments' in loss.needs
    }
    if len({getattr(d, 'name', d) for d in asked.values()}) > 1:
        raise UserError(
            f'the sample losses ask the predictor for several distributions: {asked}; '
            'there is one predictor, make them one'
        )
    return next(iter(asked.values()), None)


def moment_views(losses: Mapping[str, nn.Module]) -> dict[str, float]:
    """Weights of the views in which the losses ask for predicted moments, by name.

    Raises:
        UserError: One in which the moments do not follow.
    """
    found: dict[str, float] = {}
    for name, loss in losses.items():
        if 'moments' not in loss.needs:
            continue
        for view, weight in getattr(loss, 'views', []):
            check_moment_view(view)
            if loss.distribution == 'laplace' and view.name != 'pixel':
                raise UserError(
                    f'sample_losses: {name!r} asks for moments in the view '
                    f"{view.name!r} with distribution='laplace': the median of a view "
                    "is not the view of the medians; take 'gaussian', or the pixels "
                    'alone'
                )
            found[view.name] = found.get(view.name, 0.0) + weight
    return {} if set(found) <= {'pixel'} else found


def check_moment_view(view: View) -> None:
    """Refuse a view whose moments no predictor can tell."""
    if not (view.linear and view.local):
        raise UserError(
            f'no predictor tells the moments in the view {view.name!r}, which is not '
            'linear, or of the whole image at once: take a loss that compares the '
            f'samples with the data in it, such as CRPSLoss(views=dict({view.name}=1))'
        )


def tell_colors(loss: nn.Module, preprocessor: nn.Module) -> None:
    """Let a loss hear what the values of the images mean, if it has an ear for it."""
    told, colors = getattr(loss, 'told_colors', None), colors_of(preprocessor)
    if told is not None and colors is not None:
        told(Colors(*colors))
