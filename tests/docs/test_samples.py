import runpy
from pathlib import Path

import pytest

from edge_fgir import _resources

pytestmark = pytest.mark.export


def test_the_sample_camera_app_runs(
    tiny_bundle: Path, elpv_photos: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    for photo in elpv_photos[:3]:
        (tmp_path / photo.name).write_bytes(photo.read_bytes())
    sample = runpy.run_path(str(_resources.folder("export") / "camera.py"))
    sample["main"](str(tiny_bundle), str(tmp_path))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert all(" % in " in line for line in lines)
