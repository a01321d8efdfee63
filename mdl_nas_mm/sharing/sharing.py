"""Which policy rules which layers of a backbone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields

from mdl_nas_mm.registry import SHARING_POLICIES
from mdl_nas_mm.utils.registries import registered_here

from .all_shared import AllShared
from .all_specific import AllSpecific
from .base import SharingKind

STEM = 'stem'
OWN = 'own'
_WHOLLY_SHARED = AllShared()
_FIXED = {STEM: _WHOLLY_SHARED, OWN: AllSpecific()}


@dataclass(frozen=True)
class Sharing:
    """One policy a role of layers; what lies outside the blocks (``stem``) is wholly shared, and
    what tasks have beside them (``own``) not at all.

    Attributes:
        policies: role -> its policy, in the order in which the family declares the roles.
    """

    policies: Mapping[str, SharingKind]

    @classmethod
    def from_config(cls, config: str | Mapping | None, roles: Sequence[str]) -> Sharing:
        """Builds from a policy's name or dict for all roles, or a mapping role -> policy.

        Examples of ``config``: ``'Mask'``, ``dict(type='Mask', threshold='ratio')``,
        ``dict(norm='AllSpecific', attn='AllShared', ffn='AllShared')``. A role that is not named
        is wholly shared.

        Args:
            config: None for everything shared.
            roles: those that the backbone's family declares.

        Raises:
            ValueError: an unknown role, policy, key or setting.
        """
        if config is None:
            return cls(dict.fromkeys(roles, _WHOLLY_SHARED))
        if isinstance(config, str) or 'type' in config:
            policy = read_policy(config)
            if not roles and policy.has_specific:
                raise ValueError(f'sharing: {policy.type!r}, but all of this is shared; remove it')
            return cls(dict.fromkeys(roles, policy))
        for role in config:
            if role not in roles:
                raise ValueError(
                    f'sharing: unknown kind of layer {role!r}, expected {tuple(roles)}'
                )
        given = {role: read_policy(policy) for role, policy in config.items()}
        return cls({role: given.get(role, _WHOLLY_SHARED) for role in roles})

    def to_config(self) -> dict[str, dict]:
        """The JSON-able form that ``from_config`` reads."""
        # Files say a threshold of every kind.
        return {
            role: dict(type=policy.type, threshold='score') | asdict(policy)
            for role, policy in self.policies.items()
        }

    def __getitem__(self, role: str) -> SharingKind:
        """The policy of a role, or of ``stem`` or ``own``."""
        return _FIXED[role] if role in _FIXED else self.policies[role]

    @property
    def has_specific(self) -> bool:
        """Whether any layer owns weights of single tasks."""
        return any(policy.has_specific for policy in self.policies.values())

    @property
    def has_scores(self) -> bool:
        """Whether any layer owns a score a channel."""
        return any(policy.has_scores for policy in self.policies.values())


def read_policy(config: str | Mapping) -> SharingKind:
    """A policy from its name, or from a dict with its ``type`` and settings.

    Raises:
        ValueError: it is of no registered kind, or has an unknown key or setting.
    """
    settings = dict(type=config) if isinstance(config, str) else dict(config)
    if 'type' not in settings:
        raise ValueError("sharing: a policy has no 'type'")
    name = settings.pop('type')
    kind = registered_here(name, SHARING_POLICIES)
    if kind is None:
        known = tuple(sorted(SHARING_POLICIES.module_dict))
        raise ValueError(f'sharing policy {name!r} is not one of {known}')
    known = [field.name for field in fields(kind)]
    if 'threshold' not in known and settings.get('threshold') == 'score':
        del settings['threshold']
    for key in settings:
        if key not in known:
            expected = ' or '.join(map(repr, ('type', *known)))
            raise ValueError(f'sharing: unknown key {key!r} of a policy, not {expected}')
    return kind(**settings)
