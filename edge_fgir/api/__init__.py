"""What the commands do, as functions that ``edge_fgir`` hands out: bench and eval without torch."""
