"""Settings: typed, kept, and never a reason to stop."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from explorer.settings import SETTINGS, Settings, folder


def test_defaults_are_accepted_by_their_own_description() -> None:
    for name, setting in SETTINGS.items():
        assert setting.accepts(setting.default), name
        assert setting.help.endswith("."), name


def test_what_is_set_is_there_at_the_next_start(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "settings.json"
    settings = Settings(path)
    heard: list[str] = []
    settings.changed.connect(heard.append)
    settings.set("theme", "dark")
    settings.set("theme", "dark")
    settings.set("play_speed", 4.0)
    assert heard == ["theme", "play_speed"]
    again = Settings(path)
    assert again["theme"] == "dark" and again["play_speed"] == 4.0
    assert again["workspace"] == SETTINGS["workspace"].default
    assert [p.name for p in path.parent.iterdir()] == ["settings.json"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[1, 2]",
        b"\xff\xfe\x00broken",
        b'{"theme": "pink", "play_speed": "fast", "recent": [1, null], "hint_seen": 3}',
        b'{"play_speed": NaN, "windows": [], "last_folder": 5, "unknown": 1}',
        b"[" * 200_000,
    ],
)
def test_a_damaged_file_means_the_defaults(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "settings.json"
    path.write_bytes(content)
    settings = Settings(path)
    for name, setting in SETTINGS.items():
        assert settings[name] == setting.default, name
    settings.set("theme", "light")
    assert json.loads(path.read_text()) == {"theme": "light"}


def test_one_bad_value_does_not_cost_the_others(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_text('{"theme": "dark", "play_speed": 1e9}')
    settings = Settings(path)
    assert settings["theme"] == "dark" and settings["play_speed"] == 2.0


@pytest.mark.parametrize(
    ("name", "value"),
    [("theme", "pink"), ("play_speed", 0.0), ("play_speed", True), ("hint_seen", 1), ("recent", 3)],
)
def test_a_value_out_of_range_is_refused(tmp_path: Path, name: str, value: object) -> None:
    settings = Settings(tmp_path / "settings.json")
    with pytest.raises(ValueError, match=f"Setting {name}"):
        settings.set(name, value)
    assert settings[name] == SETTINGS[name].default


def test_a_folder_that_cannot_be_written_disturbs_nobody(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    settings = Settings(tmp_path / "file" / "settings.json")
    settings.set("theme", "dark")
    assert settings["theme"] == "dark"


def test_recent_projects_are_few_and_each_once(tmp_path: Path) -> None:
    settings = Settings(tmp_path / "settings.json")
    for i in range(10):
        settings.remember_recent(Path(f"/p/{i}.gflow"))
    settings.remember_recent(Path("/p/5.gflow"))
    assert len(settings["recent"]) == 8
    assert settings["recent"][:2] == ["/p/5.gflow", "/p/9.gflow"]


def test_the_folder_can_be_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GRADIENT_FLOW_HOME", str(tmp_path / "mine"))
    assert folder() == tmp_path / "mine"
    monkeypatch.delenv("GRADIENT_FLOW_HOME")
    assert folder().name == "gradient-flow-explorer"
