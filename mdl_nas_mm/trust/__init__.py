"""What a stranger's file may name: classes and arguments that are known to make data of data."""

from .door import Untrusted, check_config, check_scope, refusals

__all__ = ['Untrusted', 'check_config', 'check_scope', 'refusals']
