"""A method as a stranger might write one: its own sampler, step, parameters and optimizer."""

import torch
from torch import nn

from mdl_nas_mm.engine.distillation import ChannelMeanLoss, capture
from mdl_nas_mm.engine.samplers import SandwichSampler
from mdl_nas_mm.engine.step import Step
from mdl_nas_mm.registry import STEPS, SUBNET_SAMPLERS


@SUBNET_SAMPLERS.register_module()
class CuriousSampler(SandwichSampler):
    """One more random subnet for the task whose losses have been highest."""

    def __init__(self, spaces, seed=0, num_random=0):
        super().__init__(spaces, seed, num_random)
        self.sums = dict.fromkeys(spaces, 0.0)

    def propose(self, iteration):
        proposed = super().propose(iteration)
        hardest = max(self.sums, key=self.sums.get)
        largest = proposed[hardest].pop()
        proposed[hardest] += [
            self.spaces[hardest].sample(self._random(iteration, hardest)),
            largest,
        ]
        return proposed

    def observe(self, iteration, losses):
        for task in self.sums:
            self.sums[task] += float(losses[f'{task}/loss'])

    def state_dict(self):
        return dict(sums=dict(self.sums))

    def load_state_dict(self, state):
        self.sums.update(state['sums'])


@STEPS.register_module()
class WeighedStep(Step):
    """The largest first; the others learn from its features. A matrix of weights is learned.

    Its rows are tasks, its columns what counts: labels and features.
    """

    def __init__(self, spaces, freeze_rest=True, optim_wrapper=None):
        optim_wrapper = optim_wrapper or dict(optimizer=dict(type='Adam', lr=0.05, eps=1e-4))
        super().__init__(spaces, freeze_rest, optim_wrapper)
        self.logits = nn.Parameter(0.1 * torch.randn(len(spaces), 2))
        self.register_buffer('steps', torch.zeros((), dtype=torch.long))
        self.compare = ChannelMeanLoss()

    def run(self, passes, specs):
        self.steps += 1
        orders = {task: group[::-1] for task, group in specs.items()}
        passes.announce((task, spec) for task, *_ in passes.batches() for spec in orders[task])
        for task, part, batch in passes.batches():
            factor = passes.factor(task, part) / len(specs[task])
            with passes.prepared(task, part, batch) as data:
                teacher = None
                for spec in orders[task]:
                    with capture(passes.model, task, spec) as captured:
                        loss, values = passes.forward(task, spec, data)
                    teacher = teacher or captured.detached()
                    pairs = zip(captured.features, teacher.features)
                    learned = sum(self.compare(*pair) for pair in pairs)
                    weights = self.logits[list(self.spaces).index(task)].softmax(0)
                    passes.backward((weights * torch.stack([loss, learned])).sum() * factor)
                    values = {**values, 'learned': learned}
            passes.log(task, part, values)
