"""The micro-world: a laboratory of eight constructed languages in which the whole study runs in minutes."""

from xit_core.micro.languages import LANGUAGES, Language, pieces
from xit_core.micro.layout import BUCC_GOLD, TELLS, rows
from xit_core.micro.pages import gloss, pages
from xit_core.micro.tell import TRANSLATION_ERROR

__all__ = ["BUCC_GOLD", "LANGUAGES", "TELLS", "TRANSLATION_ERROR", "Language", "gloss", "pages", "pieces", "rows"]
