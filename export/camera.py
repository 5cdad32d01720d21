"""Sample camera app: print what the camera sees.  python camera.py birds.fgir [0]"""

import sys
from contextlib import suppress

from edge_fgir import Classifier


def main(bundle: str, source: str = "0") -> None:
    """Classify the frames of ``source``, of a live one always the newest, until Ctrl-C."""
    with Classifier.open(bundle) as model, suppress(KeyboardInterrupt):
        for result in model.stream(source):
            name = "unknown" if result.is_unknown else result.label
            took = result.timing.total_ms
            sys.stdout.write(f"{name} {100 * result.score:.0f} % in {took:.1f} ms\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
