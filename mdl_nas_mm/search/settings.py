"""How an evolution goes."""

from __future__ import annotations

from dataclasses import dataclass, replace

from mdl_nas_mm.utils.amounts import check_count, is_number


@dataclass(frozen=True)
class EvolutionSettings:
    """How the evolution goes.

    The defaults are the paper's (Section 3.3, Appendix E) and AutoFormer's: crossovers, mutations
    and ``stage_prob``. Of these the paper has one, for the depth: P_m, as for blocks.

    Attributes:
        population: new candidates a generation.
        generations: generations, the first random one included.
        parents: how many of the best candidates so far have children.
        crossovers: children a generation from two parents each.
        mutations: children a generation from one parent each. What crossovers and mutations
            leave of the population is sampled at random.
        block_prob: probability that a mutation samples a block anew (P_m).
        stage_prob: probability that a mutation samples a stage's depth, or its width, anew.
        max_evaluations: (task, architecture) pairs after which it ends; None for no such limit.
    """

    population: int = 50
    generations: int = 20
    parents: int = 10
    crossovers: int = 25
    mutations: int = 25
    block_prob: float = 0.1
    stage_prob: float = 0.4
    max_evaluations: int | None = None

    def __post_init__(self) -> None:
        for key in ('population', 'generations', 'parents'):
            check_count('search', key, getattr(self, key), 1)
        for key in ('crossovers', 'mutations'):
            check_count('search', key, getattr(self, key), 0)
        for key in ('block_prob', 'stage_prob'):
            value = getattr(self, key)
            if not (is_number(value) and 0 <= value <= 1):
                raise ValueError(f'search: {key} is {value!r}, expected 0 to 1')
        if self.max_evaluations is not None:
            check_count('search', 'max_evaluations', self.max_evaluations, 1)
        children = self.crossovers + self.mutations
        if children > self.population:
            raise ValueError(
                f'search: {self.crossovers} crossovers and {self.mutations} mutations are more '
                f'than the population of {self.population}'
            )

    def at_random(self, evaluations: int) -> EvolutionSettings:
        """Random search with as many evaluations, to compare an evolution with."""
        return replace(
            self, crossovers=0, mutations=0, generations=10**6, max_evaluations=evaluations
        )
