"""Training methods, one module each: what a method adds to the encoder, what it trains, what it saves.

add(net)                  changes the encoder before a stage is trained: adds modules, sets what is trained
write(net, folder)        saves what the next stage needs; the last file marks it complete
read(run, start) -> Model the model with what a run saved; `start` gives the model that it started from
"""

from importlib import import_module
from types import ModuleType

from ...design.methods import Method


def of(method: Method) -> ModuleType:
    """The module of a method, imported when it is used: not every machine has peft."""
    return import_module(f".{method.name}", __name__)
