"""The micro-world: eight constructed languages in which the whole study runs in minutes."""

from .languages import LANGUAGES, Language, word_pieces
from .layout import BUCC_GOLD
from .pages import gloss, pages
from .splits import TELLS, rows
from .tell import TRANSLATION_ERROR

__all__ = [
    "BUCC_GOLD",
    "LANGUAGES",
    "TELLS",
    "TRANSLATION_ERROR",
    "Language",
    "gloss",
    "pages",
    "word_pieces",
    "rows",
]
