"""The sources that a scale's rows are read from: one module for each world, with the same functions.

parts(task, split, lang, scale, n, data_lang) -> [Part]     the rows of one split, and where they came from
pools(lang, split, n) -> (source, target, gold, Part)       the sentences to be mined
In `pools`, gold is a list of pairs or None, and the last value is a Part or None.
"""

from types import ModuleType

from ..design.scales import Scale
from ..design.worlds import MICRO, REAL
from . import made, real

SOURCES = {MICRO: made, REAL: real}


def of(scale: Scale) -> ModuleType:
    """The module that the rows of a scale are read from."""
    return SOURCES[scale.world]
