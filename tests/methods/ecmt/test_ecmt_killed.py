"""A measurement of preferences that is killed goes on where it was."""

import os
import signal

import numpy as np
from distributed.processes import Processes
from slim_space import TASKS, columns_of, multiply_adds

from mdl_nas_mm.methods.ecmt import Controller
from mdl_nas_mm.methods.ecmt.controllability import Trial, controllability
from mdl_nas_mm.methods.ecmt.costs import JointCost
from mdl_nas_mm.methods.ecmt.tabled import TabledCost
from mdl_nas_mm.search.loss_predictor import LossPredictor, PredictorSettings
from mdl_nas_mm.utils.budgets import MACS


def asked(folder, die_at=None):
    """What is measured, and the joint specs that it took."""
    columns, calls = columns_of(), []
    rows = columns.sample(40, np.random.default_rng(0))
    losses = np.stack([5 - columns.encoded(rows)[:, columns.of_task(t)].mean(1) for t in TASKS], 1)
    predictor = LossPredictor.fit(columns, rows, losses, PredictorSettings(epochs=2))
    tabled = TabledCost(multiply_adds(columns), columns.choices.tolist())
    cost = JointCost(MACS, [(range(len(columns)), tabled)])

    def measure(joint):
        calls.append(joint)
        if len(calls) == die_at:
            os.kill(os.getpid(), signal.SIGKILL)
        encoded = columns.encoded(columns.row(joint)[None])[0]
        return {t: 1 - float(encoded[columns.of_task(t)].mean()) / 2 for t in TASKS}

    folder.mkdir(exist_ok=True)
    trial = Trial(reference=(1.0,) * len(TASKS), count=5)
    controller = Controller(columns, predictor, {MACS: cost})
    found = controllability(controller, measure, trial, folder / 'points.jsonl', dict(of='this'))
    return found, calls


def test_a_killed_measurement_goes_on(tmp_path):
    whole, calls = asked(tmp_path / 'whole')
    killed = Processes(1, asked, tmp_path / 'killed', 4, folder=tmp_path / 'logs')
    assert killed.wait() == [-signal.SIGKILL]
    again, left = asked(tmp_path / 'killed')
    assert again == whole and len(left) == len(calls) - 3
