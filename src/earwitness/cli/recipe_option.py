"""`--recipe`: a named set of settings takes the place of the defaults, so that options given explicitly win.

The option is looked for before the command line is read as a whole; `--help` beside it shows the recipe's values.
"""

from collections.abc import Sequence

from earwitness.training.recipes import RECIPES, Recipe

OPTION = "--recipe"


def recipe_asked_for(arguments: Sequence[str]) -> Recipe:
    """The last recipe named among the arguments; the paper's where none is, or none that there is."""
    named: Recipe = "paper"
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=True):
        option, _, value = argument.partition("=")
        if option == OPTION:
            asked = value or following
            named = next((known for known in RECIPES if known == asked), "paper")
    return named
