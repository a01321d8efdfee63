"""Upstream's own backbones, each of one architecture that all tasks share."""

from .model import UpstreamBackbone

__all__ = ['UpstreamBackbone']
