"""What every test of the explorer gets."""

import pytest


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a run of a small network finish at once, also on a busy machine.

    The window cuts long runs into slices by the clock; a test of that sets the time itself.
    """
    monkeypatch.setattr("explorer.controller.FIRST_SECONDS", 60.0)
