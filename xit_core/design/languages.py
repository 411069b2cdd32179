"""Names of languages as data sets write them, and the scripts that have no spaces."""

# XTREME's code -> the names its configs use: Universal Dependencies' and Tatoeba's (ISO 639-3)
NAMES = {
    "af": "Afrikaans afr", "ar": "Arabic ara", "bg": "Bulgarian bul", "bn": "Bengali ben", "de": "German deu",
    "el": "Greek ell",
    "en": "English eng", "es": "Spanish spa", "et": "Estonian est", "eu": "Basque eus", "fa": "Persian pes",
    "fi": "Finnish fin",
    "fr": "French fra", "he": "Hebrew heb", "hi": "Hindi hin", "hu": "Hungarian hun", "id": "Indonesian ind",
    "it": "Italian ita",
    "ja": "Japanese jpn", "jv": "Javanese jav", "ka": "Georgian kat", "kk": "Kazakh kaz", "ko": "Korean kor",
    "ml": "Malayalam mal",
    "mr": "Marathi mar", "nl": "Dutch nld", "pl": "Polish pol", "pt": "Portuguese por", "ru": "Russian rus",
    "sw": "Swahili swh",
    "ta": "Tamil tam", "te": "Telugu tel", "th": "Thai tha", "tl": "Tagalog tgl", "tr": "Turkish tur",
    "ur": "Urdu urd",
    "vi": "Vietnamese vie", "yo": "Yoruba yor", "zh": "Chinese cmn",
}  # fmt: skip

# first and last character of scripts without spaces: Thai and Lao, Burmese, Khmer, kana, Chinese
UNSPACED = (
    (0xE00, 0xEFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x3040, 0x30FF), (0x3400, 0x9FFF), (0xF900, 0xFAFF),
)  # fmt: skip
