"""The file of a trained predictor: which likelihood it is of, and whether it fits."""

import os

from torch import nn

from mmagic_mr.checkpoints.files import read, state_dict_of
from mmagic_mr.errors import MissingFileError, UserError


def likelihood(nll: nn.Module) -> dict:
    """What a file of a predictor says of the likelihood that trained it."""
    return {'distribution': nll.distribution, 'order': nll.order}


def check_likelihood(state: dict, path: str | os.PathLike, nll: nn.Module) -> None:
    """Refuse a file that was trained with another distribution or order.

    A log variance would pass for the logarithm of a mean absolute deviation, and
    order 1 leaves the dispersion untrained. Old files do not say what they are, and
    pass.
    """
    expected = likelihood(nll)
    found = {key: state.get(key, value) for key, value in expected.items()}
    if found != expected:
        said = 'the distribution {distribution!r} and order {order} of the NLL'
        raise UserError(
            f'{path} holds a predictor of {said.format(**found)}, but this config asks '
            f'for {said.format(**expected)}; give a checkpoint of the same likelihood, '
            'or train the predictor anew in another work dir'
        )


def read_checkpoint(path: str | os.PathLike, nll: nn.Module) -> dict:
    """What a file of a predictor holds, if it was trained with this likelihood.

    Raises:
        UserError: the file cannot be read, or is of another likelihood.
    """
    state = read(path)
    if not isinstance(state, dict) or 'state_dict' not in state:
        raise UserError(f'{path} is no checkpoint of a predictor: it has no state_dict')
    state_dict_of(state, path, 'checkpoint of a predictor')
    check_likelihood(state, path, nll)
    return state


def load_predictor(
    predictor: nn.Module, path: str | os.PathLike, nll: nn.Module
) -> None:
    """Load the weights of a trained predictor; it is frozen and counts as trained.

    Raises:
        MissingFileError: there is no such file.
        UserError: the file cannot be read, or its predictor is of another architecture
            or likelihood.
    """
    if not os.path.isfile(path):
        raise MissingFileError(f'predictor checkpoint {str(path)!r} does not exist')
    state = read_checkpoint(path, nll)
    heads = [key for key in predictor.state_dict() if key.startswith('view_heads.')]
    missing = sorted({key.split('.')[1] for key in {*heads} - {*state['state_dict']}})
    if missing:
        raise UserError(
            f'{path} holds a predictor without a head for the view '
            f'{" and ".join(map(repr, missing))}, in which a loss of this config '
            'compares moments: train the predictor anew, or take the view out'
        )
    try:
        predictor.load_state_dict(state['state_dict'])
    except RuntimeError as error:
        raise UserError(
            f'{path} does not fit the predictor of this config: {error}'
        ) from error
    predictor.trained.fill_(True)
    predictor.freeze()
