"""``edge-fgir report``."""
