"""Settings of published vision transformers, by name."""

from __future__ import annotations

from typing import Any

DEFAULTS: dict[str, Any] = dict(
    qkv_bias=True, max_relative_position=14, out_type='cls_token', norm_eps=1e-6
)
PRESETS: dict[str, dict[str, Any]] = {
    # AutoFormer's supernets; see its ``lib/config.py`` and ``model/module``.
    'autoformer': dict(
        qkv_bias='packed', max_relative_position=14, out_type='avg_featmap', norm_eps=1e-5
    ),
    'deit': dict(max_relative_position=0),
}


def completed(preset: str | None, given: dict[str, Any]) -> dict[str, Any]:
    """Settings, those that are None from the preset or, where it says nothing, the defaults.

    Raises:
        ValueError: there is no such preset.
    """
    if preset is not None and preset not in PRESETS:
        raise ValueError(f'preset {preset!r} is not one of {sorted(PRESETS)}')
    otherwise = {**DEFAULTS, **PRESETS.get(preset or '', {})}
    return {key: otherwise[key] if value is None else value for key, value in given.items()}
