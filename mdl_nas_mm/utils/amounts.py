"""Numbers as people read them."""


def shown_amount(value: float) -> str:
    """A whole number to its last digit, with which it can be a budget; any other in six digits."""
    return f'{value:,.0f}' if float(value).is_integer() else f'{value:,.6g}'


def shown_score(score: float, unit: float = 1.0) -> str:
    """A score as its metric is known: percent, or what its evaluator gives of any other.

    Args:
        score: as it is stored and added up.
        unit: what one of the metric's own unit counts; negative where a score is one of a search,
            in which errors are negative.
    """
    # Zero is not to be negative.
    value = score / unit + 0.0
    return f'{value:.4g}' if 0 < abs(value) < 1 else f'{value:.2f}'
