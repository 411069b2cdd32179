"""The micro-world: eight constructed languages in which the whole study runs in minutes."""

from .languages import LANGUAGES, Language, word_pieces
from .layout import BUCC_GOLD
from .pages import pages
from .splits import rows

__all__ = ["BUCC_GOLD", "LANGUAGES", "Language", "pages", "word_pieces", "rows"]
