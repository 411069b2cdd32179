"""Training methods, one module each: what a method adds to the encoder, what it trains, what it saves.

add(net)                         changes the encoder before a stage is trained
trained(net) -> [Parameter]      what the optimiser gets
write(net, folder)               saves what the next stage needs; the last file marks it complete
read(run) -> Model               the model with what a run saved
"""

from importlib import import_module
from types import ModuleType

from ...design.methods import METHODS, Method

MODULES: dict[str, ModuleType] = {name: import_module(f".{name}", __name__) for name in METHODS}


def of(method: Method) -> ModuleType:
    """The module of a method."""
    return MODULES[method.name]
