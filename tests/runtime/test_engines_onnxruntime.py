"""ONNX Runtime's sessions: how they are opened."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_fgir.runtime import Bundle, open_engine

pytestmark = pytest.mark.export


def test_threads_do_not_spin_between_calls(arm_bundle: Path) -> None:
    """Those of one session would take the processor from whatever runs next."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("scipy")

    from edge_fgir.exporting.graph import session_of

    bundle = Bundle(arm_bundle)
    engine = open_engine(bundle)
    checker = session_of(onnx.load_model_from_string(bundle.read(bundle.manifest.model_file)))
    for session in (engine._session, checker):  # type: ignore[attr-defined]
        options = session.get_session_options()
        assert options.get_session_config_entry("session.force_spinning_stop") == "1"


def test_a_bundle_answers_here_as_on_arm(arm_bundle: Path) -> None:
    """On x86 without VNNI, INT8 sums are else clipped to 16 bits, which no ARM kernel does."""
    options = open_engine(Bundle(arm_bundle))._session.get_session_options()  # type: ignore[attr-defined]
    assert options.get_session_config_entry("session.x64quantprecision") == "1"
