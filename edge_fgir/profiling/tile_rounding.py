"""Keep counts that fill the device's tiles: the same time for more tokens."""

from __future__ import annotations

import math

from edge_fgir._errors import InputError
from edge_fgir.models import Setting
from edge_fgir.models.reduction import METHODS
from edge_fgir.profiling.features import Tile
from edge_fgir.profiling.workload import Workload

_DIGITS = 4


def tile_rounded(setting: Setting, load: Workload, tile: Tile) -> Setting:
    """Return a setting whose stages keep as many tokens as fit into the tiles they pay for.

    Kernels that work on 16 tokens at a time take as long for 33 as for 48.

    Args:
        setting: What to round up; methods whose counts do not follow a stage's own rate stay.
        load: Its model.
        tile: What the device was found to work in.
    """
    if setting.method is None or setting.keep_rate is None or tile.size == 1:
        return setting
    if not METHODS[setting.method].stage_rate:
        return setting
    rates = list(load.rates_of(setting))
    for number in range(len(rates)):
        stage = load.stage(setting, number)
        if stage is None or stage.kept >= stage.tokens:
            continue
        filled = min(math.ceil(stage.kept / tile.size) * tile.size, stage.tokens)
        in_front = stage.kept - math.ceil(rates[number] * (stage.tokens - load.prefix))
        # Half a token less: it is rounded up again, whatever the arithmetic's last digit.
        rate = (filled - in_front - 0.5) / (stage.tokens - load.prefix)
        changed = list(rates)
        changed[number] = min(round(rate, _DIGITS), 1.0)
        try:
            rounded = load.stage(setting._replace(keep_rate=tuple(changed)), number)
        except InputError:
            continue
        if rounded is not None and rounded.kept == filled:
            rates = changed
            setting = setting._replace(keep_rate=tuple(rates))
    return setting
