"""``python -m edge_fgir``, for launchers that start modules: ``accelerate launch -m edge_fgir``."""

from edge_fgir.cli import main

main()
