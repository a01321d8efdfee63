"""Numbers as people read them."""


def shown_amount(value: float) -> str:
    """A whole number to its last digit, with which it can be a budget; any other in six digits."""
    return f'{value:,.0f}' if float(value).is_integer() else f'{value:,.6g}'
