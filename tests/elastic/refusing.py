"""How a backbone has to refuse."""

import re

import pytest


def refused(message):
    """Expects a ValueError with this text, in one line."""

    class OneLine:
        def __enter__(self):
            self.raises = pytest.raises(ValueError, match=re.escape(message))
            self.caught = self.raises.__enter__()

        def __exit__(self, *error):
            done = self.raises.__exit__(*error)
            assert '\n' not in str(self.caught.value)
            return done

    return OneLine()
