"""A method as a stranger might write one: its own sampler, step, loss, parameters and score."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mdl_nas_mm.engine.distillation import capture
from mdl_nas_mm.engine.samplers import SandwichSampler
from mdl_nas_mm.engine.step import Step
from mdl_nas_mm.registry import MODELS, SEARCH_SCORES, STEPS, SUBNET_SAMPLERS


@SUBNET_SAMPLERS.register_module()
class CuriousSampler(SandwichSampler):
    """One more random subnet for the task whose losses have been highest."""

    def __init__(self, spaces, seed=0, num_random=0) -> None:
        super().__init__(spaces, seed, num_random)
        self.sums = dict.fromkeys(spaces, 0.0)

    def propose(self, iteration):
        proposed = super().propose(iteration)
        hardest = max(self.sums, key=self.sums.get)
        rng = self.rng(iteration, hardest, 'one more')
        proposed[hardest].insert(-1, self.spaces[hardest].sample(rng))
        return proposed

    def observe(self, iteration, losses) -> None:
        for task in self.sums:
            self.sums[task] += float(losses[f'{task}/loss'])

    def state_dict(self):
        return dict(sums=dict(self.sums))

    def load_state_dict(self, state) -> None:
        self.sums.update(state['sums'])


@MODELS.register_module()
class SpreadLoss(nn.Module):
    """How far features (B, C, ...) and (B, C', ...) of two subnets spread otherwise."""

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        return (student.float().std(1) - teacher.float().std(1)).abs().mean()


@STEPS.register_module()
class WeighedStep(Step):
    """The largest first; the others learn from its features. A matrix of weights is learned.

    Its rows are tasks, its columns what counts: labels and features.
    """

    def __init__(self, spaces, freeze_rest=True, optim_wrapper=None, loss=None) -> None:
        optim_wrapper = optim_wrapper or dict(optimizer=dict(type='Adam', lr=0.05, eps=1e-4))
        super().__init__(spaces, freeze_rest, optim_wrapper)
        self.logits = nn.Parameter(0.1 * torch.randn(len(spaces), 2))
        self.register_buffer('steps', torch.zeros((), dtype=torch.long))
        self.compare = MODELS.build(loss or dict(type='SpreadLoss'))

    def run(self, passes, specs) -> None:
        self.steps += 1
        super().run(passes, {task: group[::-1] for task, group in specs.items()})

    def train_batch(self, passes, batch, data, subnets) -> None:
        teachers, logged = {}, {}
        for each in subnets:
            with passes.shared(each, data):
                for task, spec in each.items():
                    with capture(passes.model, task, spec) as captured:
                        loss, values = passes.forward(task, spec, data[task])
                    teacher = teachers.setdefault(task, captured.detached())
                    pairs = zip(captured.features, teacher.features)
                    learned = sum(self.compare(*pair) for pair in pairs)
                    weights = self.logits[list(self.spaces).index(task)].softmax(0)
                    weighed = (weights * torch.stack([loss, learned])).sum()
                    factor = passes.factor(task, batch) / len(subnets)
                    passes.backward(task, weighed, factor)
                    logged[task] = {**values, 'learned': learned}
        for task, values in logged.items():
            passes.log(task, batch, values)


@SEARCH_SCORES.register_module()
class NearestScore:
    """An architecture scores what the evaluated one that is nearest in size does."""

    def __init__(self, evaluate, sample, spaces, model, samples=4, finalists=2) -> None:
        self.finalists, self.layout = finalists, model.backbone.layout
        joints = sample(samples, 0)
        pairs = [(task, joint[task]) for task in spaces for joint in joints]
        scores = zip(pairs, evaluate(pairs))
        self.known = [(*pair, score) for pair, score in scores if score is not None]

    def __call__(self, pairs):
        return [self._score(*pair) for pair in pairs]

    def _score(self, task, spec) -> float:
        own = [(self._size(other), score) for owner, other, score in self.known if owner == task]
        return min(own, key=lambda each: abs(each[0] - self._size(spec)))[1]

    def _size(self, spec) -> int:
        return sum(use.size for use in self.layout.uses(spec))

    def describe(self):
        return dict(type='NearestScore', known=len(self.known))
