"""What is done with a deposit from a shell: adding to it, checking it, evaluating it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from mmengine.config import Config

from mdl_nas_mm.deposit import Deposit, add, one_pass
from mdl_nas_mm.deposit.verify import largest_differences, verify
from mdl_nas_mm.engine.checkpoint import load_supernet
from mdl_nas_mm.header.contents import metric_of, unit_of
from mdl_nas_mm.spec import Counts, JointSpec
from mdl_nas_mm.tasks import choose_joint_spec, fixed_spec, resolve_joint_config
from mdl_nas_mm.utils.amounts import shown_score
from mdl_nas_mm.utils.config_file import read_config
from mdl_nas_mm.utils.fetch import local_file
from mdl_nas_mm.utils.files import sha256_of

from .input_images import open_inputs, read_images
from .tasks import estimated_subnets, evaluated_groups, score_subnets, task_infos

# Of a score; the same weights on another machine may round otherwise.
SAME_SCORE = 1e-3


def add_to_deposit(
    cfg: Config,
    checkpoint: str | Path,
    joint: JointSpec,
    path: str | Path,
    scored: bool = False,
    trust: Collection[str] = (),
    stored: Mapping[str, Mapping] | None = None,
) -> Counts:
    """Adds the tasks of a joint config, trained on top of a deposit, to it.

    Args:
        cfg: a resolved joint config whose tasks are the new ones.
        checkpoint: its trained model.
        joint: the architectures of the new tasks.
        path: the deposit.
        scored: whether to evaluate the tasks first, and to store their scores.
        trust: see ``mdl_nas_mm.deposit.pack``.
        stored: task -> how is stored what it alone owns, such as
            ``dict(type='SparseDifference', base='seg')``; by default as it is.

    Raises:
        FileNotFoundError, ValueError: see ``load_supernet`` and ``mdl_nas_mm.deposit.add``.
    """
    Deposit(path, trust)
    model = load_supernet(cfg, checkpoint)
    subnets = estimated_subnets(cfg, model, joint)
    scores = score_subnets(cfg, subnets) if scored else {}
    provenance = dict(checkpoint=sha256_of(local_file(checkpoint)))
    infos = task_infos(cfg, scores)
    for task, kind in (stored or {}).items():
        infos[task]['stored'] = dict(kind)
    return add(path, model, joint, infos, provenance, trust, subnets)


def read_chosen(
    config: str | Path, joint_spec: str | Path | None, trust_checkpoint: bool = False
) -> tuple[Config, JointSpec]:
    """A joint config, resolved, and the architecture of each of its tasks.

    Args:
        config: path of the joint config.
        joint_spec: JSON of the architectures, where the config does not fix them.
        trust_checkpoint: whether checkpoints may hold anything, and so run any code.

    Raises:
        FileNotFoundError, ValueError: see ``resolve_joint_config``; or nothing fixes them.
    """
    cfg = read_config(config, trust_checkpoint=trust_checkpoint)
    if joint_spec is not None:
        choose_joint_spec(cfg, str(joint_spec))
    cfg = resolve_joint_config(cfg)
    joint = fixed_spec(cfg)
    if joint is None:
        raise ValueError(f'{config} fixes no architectures; give --joint-spec')
    return cfg, joint


def verify_lines(
    path: str | Path,
    data: bool = False,
    before: str | Path | None = None,
    images: Sequence[str | Path] = (),
    device: str = 'cpu',
    trust: Collection[str] = (),
) -> Iterator[str]:
    """Checks a deposit, and says line by line what was found, and which tasks share a pass.

    Args:
        path: the deposit.
        data: whether to evaluate the tasks on their validation splits, and to compare with the
            scores in the file.
        before: an earlier deposit, each of whose tasks has to answer the same now.
        images: files and folders to compare answers on; without any, images of noise.
        device: where the tasks are evaluated, for ``data``.
        trust: see ``Deposit``.

    Raises:
        FileNotFoundError, ValueError: see ``Deposit``; a tensor was altered (names it), a task
            scores otherwise than the file says, or answers otherwise than before.
    """
    whole, deposit = verify(path, trust), Deposit(path, trust)
    for name, is_whole in whole.items():
        if not is_whole:
            deposit.read(name)
    yield f'{path}: all {len(whole)} tensors match their hashes'
    yield from (f'one pass: {", ".join(group)}' for group in one_pass(deposit) if len(group) > 1)
    changed = []
    for task, score in _scores(path, None, device, trust) if data else ():
        info = deposit.tasks[task]
        stored, unit = info.get('scored'), unit_of(info)
        changed += [task] if stored is not None and abs(score - stored) > SAME_SCORE else []
        beside = 'no score is stored' if stored is None else f'stored is {stored / unit:.4f}'
        yield f'{task}: {metric_of(info)} = {score / unit:.4f}, {beside}'
    if before is not None:
        pixels = [image.pixels for image in read_images(open_inputs(images))] if images else []
        for task, difference in largest_differences(before, path, pixels, trust).items():
            changed += [task] if difference else []
            compared = f'{len(pixels)} images' if pixels else 'two images of noise'
            yield (
                f'{task}: largest difference to {before}: {difference:g}, of all that the model '
                f'gives before decoding, on {compared}'
            )
    if changed:
        raise ValueError(f'deposit {path}: {changed[0]!r} does not answer as before')


def score_lines(
    path: str | Path, task: str | None, device: str, trust: Collection[str] = ()
) -> Iterator[str]:
    """Evaluates a task, or all of them, on the validation split; a line for each."""
    tasks = Deposit(path, trust).tasks
    for name, score in _scores(path, task, device, trust):
        yield f'{name}: {metric_of(tasks[name])} = {shown_score(score, unit_of(tasks[name]))}'


def _scores(
    path: str | Path, task: str | None, device: str, trust: Collection[str]
) -> Iterator[tuple[str, float]]:
    """Task by task its score, as soon as it is known."""
    given = None if task is None else [task]
    for group in evaluated_groups(path, given, device, trust, show_progress=True):
        yield from ((name, score) for name, (score, _) in group.items())
