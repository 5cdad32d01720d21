"""``edge-fgir camera``."""
