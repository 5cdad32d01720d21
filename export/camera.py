"""Sample camera app: print what the camera sees.  python camera.py birds.fgir [0]"""

import sys

from edge_fgir import Classifier
from edge_fgir.runtime import open_source


def main(bundle: str, source: str = "0") -> None:
    """Classify the frames of ``source``; of a live one, always the newest."""
    with Classifier.open(bundle) as model, open_source(source) as camera:
        for result in model.stream(camera):
            name = "unknown" if result.is_unknown else result.label
            took = result.timing.total_ms
            sys.stdout.write(f"{name} {100 * result.score:.0f} % in {took:.1f} ms\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
