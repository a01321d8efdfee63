"""What a stranger's file may name: classes and arguments that are known to make data of data."""

from .door import Refusal, Untrusted, check_config, check_scope, refusals

__all__ = ['Refusal', 'Untrusted', 'check_config', 'check_scope', 'refusals']
