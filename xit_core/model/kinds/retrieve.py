"""Sentences that are only embedded: the encoder's own vectors are compared, without a head or training."""

from .kind import VECTORS, Kind

KIND = Kind(encode=None, gold=None, head=None, loss=None, answers=None, measured=VECTORS)
