"""How well the predictor orders scores that it has not seen, and beside it scikit-learn's models.

    OMP_NUM_THREADS=1 python benchmarks/predictor.py [--write benchmarks/results/NAME.json]

Scores come from outside of this package: an architecture says the hidden layers of scikit-learn's
``MLPClassifier``, which is trained on a third of the digits and scored on the rest, noise of its
training included. ``repeated`` is the rank correlation of two such trainings of the same
architectures, more than which no predictor can be expected to reach. All models see the same
encoded architectures.
"""

from __future__ import annotations

import random
import warnings

import numpy as np
from measuring import parser, report
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import RidgeCV
from sklearn.neural_network import MLPClassifier

from mdl_nas_mm.families.transformer import TRANSFORMER
from mdl_nas_mm.search import Predictor
from mdl_nas_mm.search.encoding import Encoder
from mdl_nas_mm.spec import SearchSpace, SubnetSpec
from mdl_nas_mm.utils.rank_correlation import kendall

SPACE = dict(embed_dim=(4, 8, 16), depth=(1, 2, 3), num_heads=(1, 2, 4), mlp_ratio=(1, 2, 4))


def accuracy(spec: SubnetSpec, seed: int) -> float:
    """Percent of digits that a network of these layers gets right after a short training."""
    images, labels = load_digits(return_X_y=True)
    (stage,) = spec.stages
    layers = [round(block.num_heads * block.mlp_ratio) for block in stage.blocks]
    model = MLPClassifier([stage.embed_dim, *layers], max_iter=20, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        model.fit(images[:600] / 16, labels[:600])
    return 100 * model.score(images[600:] / 16, labels[600:])


def compare(specs: list[SubnetSpec], scores: np.ndarray, count: int, space: SearchSpace) -> dict:
    """Kendall's tau of each model on all but the first ``count`` architectures."""
    encoder, found = Encoder(space.to_config()), {}
    predictor = Predictor.fit({'cls': dict(zip(specs[:count], scores[:count]))}, dict(cls=space))
    predicted = predictor([('cls', spec) for spec in specs[count:]])
    found['predictor'] = kendall(np.array(predicted), scores[count:])
    found['said_by_cross_validation'] = predictor.held_out['cls']['kendall']
    for model in (RandomForestRegressor(random_state=0), RidgeCV(np.logspace(-3, 3, 13))):
        model.fit(encoder(specs[:count]), scores[:count])
        found[type(model).__name__] = kendall(model.predict(encoder(specs[count:])), scores[count:])
    return {name: round(value, 3) for name, value in found.items()}


def main() -> None:
    options = parser(__doc__)
    options.add_argument('--counts', type=int, nargs='+', default=[50, 100, 200])
    options.add_argument('--unseen', type=int, default=150)
    args = options.parse_args()
    space, rng = SearchSpace.from_config(SPACE, TRANSFORMER), random.Random(0)
    specs: dict[SubnetSpec, None] = {}
    while len(specs) < max(args.counts) + args.unseen:
        specs[space.sample(rng)] = None
    every = list(specs)
    first, second = (np.array([accuracy(spec, seed) for spec in every]) for seed in range(2))
    result = dict(seed=0, repeated=round(kendall(first, second), 3), kendall={})
    for count in args.counts:
        result['kendall'][str(count)] = compare(every, first, count, space)
    report(args, result)


if __name__ == '__main__':
    main()
