"""The panels beside the canvas: where each one docks, when it is made, and how large it is."""

from __future__ import annotations

from collections.abc import Callable, ItemsView, Mapping, ValuesView

from PySide6.QtCore import QEvent, QObject, Qt, QTimer
from PySide6.QtGui import QFontMetrics
from PySide6.QtWidgets import QDockWidget, QMainWindow, QWidget

from explorer import panels, theme
from explorer.workspaces import panel_title, short_title

LOW_PANEL = 154
"""Height of the panel of problems when there are some: a whole card."""
_LEFT = Qt.DockWidgetArea.LeftDockWidgetArea
_RIGHT = Qt.DockWidgetArea.RightDockWidgetArea
_BOTTOM = Qt.DockWidgetArea.BottomDockWidgetArea
AREAS = {
    "layers": _LEFT,
    "outline": _LEFT,
    "history": _LEFT,
    "lessons": _LEFT,
    "inspector": _RIGHT,
    "cell": _RIGHT,
    "inside": _RIGHT,
    "paths": _RIGHT,
    "field": _RIGHT,
    "properties": _RIGHT,
    "timeline": _BOTTOM,
    "breakpoints": _BOTTOM,
    "watches": _BOTTOM,
    "flow": _BOTTOM,
    "training": _RIGHT,
    "problems": _BOTTOM,
}
"""Where each panel docks, in the order of the tabs."""


class Docks(QObject):
    """The docks by the names of their panels. A panel is made when it is first seen, so that the
    first picture does not wait for it.
    """

    def __init__(
        self,
        window: QMainWindow,
        made: Mapping[str, QWidget],
        makers: Mapping[str, Callable[[], QWidget]],
    ) -> None:
        """``made`` are the panels that are there already, ``makers`` make the others."""
        super().__init__(window)
        self._window, self._made, self._makers = window, dict(made), makers
        self._docks: dict[str, QDockWidget] = {}
        self._naming = QTimer(self)
        self._naming.setSingleShot(True)
        self._naming.timeout.connect(self._name_tabs)
        first: dict[Qt.DockWidgetArea, QDockWidget] = {}
        for name, area in AREAS.items():
            dock = QDockWidget(panel_title(name), window)
            dock.setObjectName(name)
            dock.setFeatures(
                QDockWidget.DockWidgetFeature.DockWidgetClosable
                | QDockWidget.DockWidgetFeature.DockWidgetMovable
            )
            if name in made:
                dock.setWidget(made[name])
            dock.visibilityChanged.connect(self._filler(name))
            dock.installEventFilter(self)
            window.addDockWidget(area, dock)
            dock.hide()  # Qt leaves dead tab bars behind where docks in sight become tabs
            if name == "history":
                window.tabifyDockWidget(self._docks["outline"], dock)
            elif area in first and area != _LEFT:
                window.tabifyDockWidget(first[area], dock)
            first.setdefault(area, dock)
            self._docks[name] = dock
        window.setCorner(Qt.Corner.BottomRightCorner, _RIGHT)
        window.setCorner(Qt.Corner.TopRightCorner, _RIGHT)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() in (
            QEvent.Type.Resize,
            QEvent.Type.ShowToParent,
            QEvent.Type.HideToParent,
        ):
            self._naming.start(0)
        return super().eventFilter(watched, event)

    def _name_tabs(self) -> None:
        """Panels that share too little room for their tabs get shorter names, before Qt cuts them.

        The one that gains most is shortened first.
        """
        metrics = QFontMetrics(theme.font("body"))
        frame = 2 * theme.metrics().space_2 + 1
        for area in set(AREAS.values()):
            names = [n for n, a in AREAS.items() if a == area and not self._docks[n].isHidden()]
            groups = [
                [name, *(n for n in names if self._docks[n] in self._beside(name))]
                for name in names
                if not self._docks[name].visibleRegion().isEmpty()  # the one in front
            ]
            for group in groups:
                titles = {name: panel_title(name) for name in group}
                room = self._docks[group[0]].width()
                gains = {n: len(panel_title(n)) - len(short_title(n)) for n in group}
                for name in sorted(group, key=lambda n: -gains[n]):
                    need = sum(metrics.horizontalAdvance(t) + frame for t in titles.values())
                    if need <= room or len(group) == 1:
                        break
                    titles[name] = short_title(name)
                for name, title in titles.items():
                    if self._docks[name].windowTitle() != title:
                        self._docks[name].setWindowTitle(title)

    def _beside(self, name: str) -> list[QDockWidget]:
        """The docks that share the place of one as tabs."""
        return self._window.tabifiedDockWidgets(self._docks[name])

    def __getitem__(self, name: str) -> QDockWidget:
        return self._docks[name]

    def values(self) -> ValuesView[QDockWidget]:
        return self._docks.values()

    def items(self) -> ItemsView[str, QDockWidget]:
        return self._docks.items()

    def _filler(self, name: str) -> Callable[[bool], None]:
        def fill(visible: bool) -> None:
            if visible:
                self.panel(name)

        return fill

    def panel(self, name: str) -> QWidget:
        """A panel by its name; made and connected when it is first asked for."""
        if name not in self._made:
            widget = self._makers[name]()
            self._made[name] = widget
            self._docks[name].setWidget(widget)
        return self._made[name]

    def bring(self, name: str) -> None:
        """Show a panel in front of those that share its place."""
        self._docks[name].show()
        self.to_front(name)

    def to_front(self, name: str) -> None:
        """Show a panel that is not hidden in front of those that share its place."""
        dock = self._docks[name]
        dock.lower()  # Qt chooses the tab when the order changes, which it may have already
        dock.raise_()

    def fit(self, workspace: str) -> None:
        """Give the panels the sizes that suit a workspace in a window of this width."""
        h, v = Qt.Orientation.Horizontal, Qt.Orientation.Vertical
        resize, docks = self._window.resizeDocks, self._docks
        side = max(320, self._window.width() * 3 // 10)
        rights = [
            docks[n] for n in ("inspector", "cell", "inside", "paths", "properties", "training")
        ]
        resize(rights, [side] * len(rights), h)
        left = 6 * theme.METRICS.strip_height  # a layer's name, and its size beside it
        resize([docks["layers"], docks["outline"]], [left, left], h)
        # a page of the lessons is read from top to bottom: the timeline leaves it the corner
        corner = _LEFT if workspace == "learn" else _BOTTOM
        self._window.setCorner(Qt.Corner.BottomLeftCorner, corner)
        if workspace == "learn":  # lines of a length that is read well
            resize([docks["lessons"]], [max(280, self._window.width() * 22 // 100)], h)
        resize([docks["layers"], docks["outline"]], [320, 180], v)
        problems = self._made.get("problems")
        empty = isinstance(problems, panels.Problems) and problems.empty
        build = theme.METRICS.strip_height if empty else LOW_PANEL
        most = max(240, self._window.height() * 3 // 10)  # a plot takes more where there is more
        low = {"step": 110, "learn": 110, "build": build}.get(workspace, most)
        names = ("timeline", "breakpoints", "watches", "flow", "problems")
        resize([docks[n] for n in names], [low] * len(names), v)

    def fit_problems(self, empty: bool) -> None:
        """A panel with nothing in it takes little room; one that was made larger stays so."""
        dock = self._docks["problems"]
        low, high = theme.METRICS.strip_height, LOW_PANEL
        if dock.isVisible() and dock.height() <= high:
            self._window.resizeDocks([dock], [low if empty else high], Qt.Orientation.Vertical)
