"""Child registries of mmengine's, under the scope ``mdl_nas_mm``.

A registry that holds nothing of our own is there so that mmengine finds this scope in its tree.
"""

from mmengine import registry as root
from mmengine.registry import Registry

SCOPE = 'mdl_nas_mm'


def _child(parent: Registry, *folders: str) -> Registry:
    # mmengine takes a package that it knows, and a registry without a place, for an old one.
    places = _folders(*folders or ('registry',))
    return Registry(parent.name, parent=parent, scope=SCOPE, locations=places)


def _folders(*names: str) -> list[str]:
    return [f'{SCOPE}.{name}' for name in names]


MODELS = _child(root.MODELS, 'families', 'tasks', 'engine', 'methods', 'scenes')
DATASETS = _child(root.DATASETS, 'tasks', 'scenes')
TRANSFORMS = _child(root.TRANSFORMS, 'scenes')
METRICS = _child(root.METRICS, 'scenes')
RUNNERS = _child(root.RUNNERS, 'engine')
LOOPS = _child(root.LOOPS, 'engine')
# Of our own: which subnets a step trains, how its batches become gradients, what a loss counts.
SUBNET_SAMPLERS = Registry('subnet sampler', scope=SCOPE, locations=_folders('engine', 'methods'))
STEPS = Registry('step', scope=SCOPE, locations=_folders('methods'))
BALANCERS = Registry('balancer', scope=SCOPE, locations=_folders('engine', 'methods'))
HOOKS = _child(root.HOOKS, 'engine', 'visualization')
OPTIM_WRAPPERS = _child(root.OPTIM_WRAPPERS, 'engine')
OPTIM_WRAPPER_CONSTRUCTORS = _child(root.OPTIM_WRAPPER_CONSTRUCTORS)
OPTIMIZERS = _child(root.OPTIMIZERS)
PARAM_SCHEDULERS = _child(root.PARAM_SCHEDULERS)
# Kinds of sharing; see ``mdl_nas_mm.sharing``. mmengine has no such registry to be a child of.
SHARING_POLICIES = Registry('sharing policy', scope=SCOPE, locations=[f'{SCOPE}.sharing'])
WEIGHT_INITIALIZERS = _child(root.WEIGHT_INITIALIZERS, 'engine', 'deposit')
LOG_PROCESSORS = _child(root.LOG_PROCESSORS, 'engine')
VISUALIZERS = _child(root.VISUALIZERS, 'scenes')
VISBACKENDS = _child(root.VISBACKENDS)

# The search's own, which upstream knows nothing of: see the protocols of these names.
SEARCH_COSTS = Registry('search cost', scope=SCOPE, locations=[f'{SCOPE}.search'])
SEARCH_SCORES = Registry('search score', scope=SCOPE, locations=_folders('search', 'methods'))
SEARCH_SELECTIONS = Registry('search selection', scope=SCOPE, locations=[f'{SCOPE}.search'])

# How what tasks have is stored in a deposit; see ``mdl_nas_mm.deposit.kinds``.
STORED_KINDS = Registry('stored kind', scope=SCOPE, locations=[f'{SCOPE}.deposit'])
# Kinds of files that say which architecture to use, and that new tasks start from.
ARCH_SOURCES = Registry('arch source', scope=SCOPE, locations=[f'{SCOPE}.deposit'])
BASES = Registry('base', scope=SCOPE, locations=[f'{SCOPE}.engine', f'{SCOPE}.deposit'])
