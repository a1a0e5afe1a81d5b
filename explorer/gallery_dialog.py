"""The gallery: every network with a picture, its year, its one idea and its source."""

from __future__ import annotations

from PySide6.QtCore import (
    QAbstractListModel,
    QCoreApplication,
    QModelIndex,
    QPersistentModelIndex,
    QPointF,
    QRect,
    QRectF,
    QSize,
    QSortFilterProxyModel,
    Qt,
    Signal,
)
from PySide6.QtGui import (
    QCloseEvent,
    QColor,
    QFontMetricsF,
    QKeyEvent,
    QPainter,
    QTextLayout,
    QTextOption,
)
from PySide6.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QDialog,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QListView,
    QPushButton,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QVBoxLayout,
    QWidget,
)

from engine.architectures import ARCHITECTURES, Architecture, Size
from explorer import theme
from explorer.canvas import ink
from explorer.gallery_pictures import KINDS, GalleryPictures, colour_of

PICTURE = QSize(288, 162)
_NAME = Qt.ItemDataRole.UserRole


def ordered() -> list[Architecture]:
    """By family, the oldest first; in each those of classroom size before the others."""
    families = {a.family: i for i, a in reversed([*enumerate(ARCHITECTURES.values())])}
    return sorted(
        ARCHITECTURES.values(), key=lambda a: (families[a.family], a.scale != "classroom")
    )


def _count(number: float) -> str:
    for limit, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if number >= limit:
            return f"{number / limit:.3g}{unit}"
    return f"{number:g}"


class _Model(QAbstractListModel):
    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.entries = ordered()

    def rowCount(self, parent: QModelIndex | QPersistentModelIndex | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self.entries)

    def data(
        self, index: QModelIndex | QPersistentModelIndex, role: int = Qt.ItemDataRole.DisplayRole
    ) -> object:
        entry = self.entries[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return entry.title
        if role == _NAME:
            return entry.id
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return f"{entry.title}, {entry.year}. {entry.idea}"
        if role == Qt.ItemDataRole.ToolTipRole:
            return entry.source
        return None


class _Filter(QSortFilterProxyModel):
    """The networks with every typed word in them, of one size or of both."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._words: tuple[str, ...] = ()
        self._scale = ""

    def set_wanted(self, text: str, scale: str) -> None:
        self.beginFilterChange()
        self._words, self._scale = tuple(text.lower().split()), scale
        self.endFilterChange(QSortFilterProxyModel.Direction.Rows)

    def filterAcceptsRow(
        self, source_row: int, source_parent: QModelIndex | QPersistentModelIndex
    ) -> bool:
        entry = ordered_entry(self.sourceModel(), source_row)
        text = f"{entry.title} {entry.family} {entry.year} {entry.idea} {entry.source}".lower()
        return (not self._scale or entry.scale == self._scale) and all(
            word in text for word in self._words
        )


def ordered_entry(model: object, row: int) -> Architecture:
    assert isinstance(model, _Model)
    return model.entries[row]


class _Card(QStyledItemDelegate):
    """Paints an entry: its picture, title, year and idea."""

    def __init__(self, view: QListView, pictures: GalleryPictures) -> None:
        super().__init__(view)
        self._view, self._pictures = view, pictures

    def sizeHint(
        self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> QSize:
        m = theme.METRICS
        lines = QFontMetricsF(theme.font("strong")).lineSpacing()
        lines += 3 * QFontMetricsF(theme.font("small")).lineSpacing()
        return QSize(
            PICTURE.width() + 2 * m.space_2,
            PICTURE.height() + round(lines) + 2 * m.space_2 + 2 * m.space_1,
        )

    def paint(
        self,
        painter: QPainter,
        option: QStyleOptionViewItem,
        index: QModelIndex | QPersistentModelIndex,
    ) -> None:
        entry = ARCHITECTURES[index.data(_NAME)]
        m, now, tokens = theme.METRICS, theme.metrics(), theme.current()
        state, whole = option.state, QRectF(option.rect).adjusted(1, 1, -1, -1)
        chosen = bool(state & QStyle.StateFlag.State_Selected)
        over = bool(state & QStyle.StateFlag.State_MouseOver)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(
            ink.pen(tokens.accent, now.line_strong)
            if chosen
            else ink.pen(tokens.border_strong if over else tokens.border, now.hairline)
        )
        painter.setBrush(QColor(tokens.hover if over and not chosen else tokens.surface))
        painter.drawRoundedRect(whole, m.radius, m.radius)
        area = QRect(round(whole.left()) + m.space_2 - 1, round(whole.top()) + m.space_2 - 1, 0, 0)
        area.setSize(PICTURE)
        made = self._pictures.find(entry.id, PICTURE, self._view.devicePixelRatioF())
        if made is not None:
            painter.drawImage(area.topLeft(), made.picture)
        else:
            painter.fillRect(area, QColor(tokens.background))
        text = QRectF(area.left(), area.bottom() + m.space_1, area.width(), 0)
        text.setBottom(whole.bottom() - m.space_1)
        self._words(painter, text, entry, tokens)
        painter.restore()

    def _words(
        self, painter: QPainter, area: QRectF, entry: Architecture, tokens: theme.Tokens
    ) -> None:
        strong, small = theme.font("strong"), theme.font("small")
        line = QFontMetricsF(strong).lineSpacing()
        right = f"{entry.year}"
        painter.setFont(small)
        painter.setPen(QColor(tokens.text_muted))
        top = QRectF(area.left(), area.top(), area.width(), line)
        end = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        painter.drawText(top, int(end), right)
        room = area.width() - QFontMetricsF(small).horizontalAdvance(right) - theme.METRICS.space_2
        painter.setFont(strong)
        painter.setPen(QColor(tokens.text))
        title = QFontMetricsF(strong).elidedText(entry.title, Qt.TextElideMode.ElideRight, room)
        painter.drawText(top, int(Qt.AlignmentFlag.AlignVCenter), title)
        painter.setFont(small)
        painter.setPen(QColor(tokens.text_muted))
        layout = QTextLayout(entry.idea, small)
        layout.setTextOption(QTextOption(Qt.AlignmentFlag.AlignLeft))
        layout.beginLayout()
        y = 0.0
        while (row := layout.createLine()).isValid():
            row.setLineWidth(area.width())
            row.setPosition(QPointF(0, y))
            y += row.height()
        layout.endLayout()
        painter.setClipRect(area)
        layout.draw(painter, QPointF(area.left(), top.bottom()))


class GalleryDialog(QDialog):
    """All networks of the gallery; Enter or a double click opens one. It does not block."""

    open_requested = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setModal(False)
        self.setWindowTitle(self.tr("Gallery"))
        m = theme.metrics()
        self.pictures = GalleryPictures(self)
        if (application := QCoreApplication.instance()) is not None:
            # A dialog that is open when the program ends is not closed first.
            application.aboutToQuit.connect(self.pictures.close)
        self.search = QLineEdit()
        self.search.setPlaceholderText(self.tr("Search by name, year, idea or author"))
        self.search.setAccessibleName(self.tr("Search the gallery"))
        self.search.setClearButtonEnabled(True)
        self.search.addAction(
            theme.icon("search", "text_muted"), QLineEdit.ActionPosition.LeadingPosition
        )
        self.scale = QComboBox()
        self.scale.setAccessibleName(self.tr("Size"))
        self.scale.addItem(self.tr("All sizes"), "")
        self.scale.addItem(self.tr("Classroom: trains here in a minute"), "classroom")
        self.scale.addItem(self.tr("As published"), "full")
        self.view = QListView()
        self.view.setAccessibleName(self.tr("Networks"))
        self.view.setViewMode(QListView.ViewMode.IconMode)
        self.view.setResizeMode(QListView.ResizeMode.Adjust)
        self.view.setMovement(QListView.Movement.Static)
        self.view.setUniformItemSizes(True)
        self.view.setSpacing(m.space_1)
        self.view.setMouseTracking(True)
        self.view.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.view.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self._filter = _Filter(self)
        self._filter.setSourceModel(_Model(self))
        self.view.setModel(self._filter)
        self.view.setItemDelegate(_Card(self.view, self.pictures))
        self.none = QLabel(self.tr("No network has all of these words."))
        self.none.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.none.setProperty("role", "muted")
        self.about = QLabel()
        self.about.setWordWrap(True)
        self.about.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.about.setMinimumHeight(round(3.2 * QFontMetricsF(theme.font("body")).lineSpacing()))
        self.about.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.legend = QLabel()
        self.open_button = QPushButton(self.tr("Open"))
        self.open_button.setDefault(True)
        close = QPushButton(self.tr("Close"))
        close.setAutoDefault(False)
        head = QHBoxLayout()
        head.setSpacing(m.space_2)
        head.addWidget(self.search, 1)
        head.addWidget(self.scale)
        foot = QHBoxLayout()
        foot.setSpacing(m.space_2)
        foot.addWidget(self.legend, 1)
        foot.addWidget(self.open_button)
        foot.addWidget(close)
        column = QVBoxLayout(self)
        column.setContentsMargins(m.space_4, m.space_4, m.space_4, m.space_4)
        column.setSpacing(m.space_3)
        column.addLayout(head)
        column.addWidget(self.view, 1)
        column.addWidget(self.none, 1)
        column.addWidget(self.about)
        column.addLayout(foot)
        self.search.textChanged.connect(self._find)
        self.scale.currentIndexChanged.connect(self._find)
        self.view.selectionModel().currentChanged.connect(self._show_chosen)
        self.view.activated.connect(self._open)
        self.view.doubleClicked.connect(self._open)
        self.open_button.clicked.connect(self._open)
        close.clicked.connect(self.close)
        self.pictures.ready.connect(self._drawn)
        theme.theme().changed.connect(self._restyle)
        self._restyle()
        self._find()
        self.resize(3 * (PICTURE.width() + m.icon_large) + 3 * m.space_4, 2 * m.pad_size + 160)

    @property
    def chosen(self) -> str:
        """The id of the network that is selected; "" for none."""
        index = self.view.currentIndex()
        return str(index.data(_NAME)) if index.isValid() else ""

    def choose(self, name: str) -> None:
        """Select a network."""
        for row in range(self._filter.rowCount()):
            index = self._filter.index(row, 0)
            if index.data(_NAME) == name:
                self.view.setCurrentIndex(index)

    def _find(self) -> None:
        self._filter.set_wanted(self.search.text(), self.scale.currentData())
        found = self._filter.rowCount() > 0
        self.view.setVisible(found)
        self.none.setVisible(not found)
        if found and not self.view.currentIndex().isValid():
            self.view.setCurrentIndex(self._filter.index(0, 0))
        self._show_chosen()

    def _drawn(self, name: str) -> None:
        self.view.viewport().update()
        if name == self.chosen:
            self._show_chosen()

    def _show_chosen(self) -> None:
        """What is known of the selected network: its size, once it is drawn, and its source."""
        name = self.chosen
        self.open_button.setEnabled(bool(name))
        if not name:
            self.about.clear()
            return
        entry = ARCHITECTURES[name]
        made = self.pictures.find(name, PICTURE, self.view.devicePixelRatioF())
        parts = [f"<b>{entry.title}</b>", self.tr("pictures {0}×{1}×{2}").format(*entry.input)]
        if made is not None:
            parts += self._size(made.size, made.layers)
        if entry.file is not None:
            parts.append(self.tr("comes trained"))
        self.about.setText(f"{' · '.join(parts)}<br>{entry.idea}<br>{entry.source}")

    def _size(self, size: Size, layers: int) -> list[str]:
        return [
            self.tr("{0} layers").format(layers),
            self.tr("{0} parameters").format(_count(size.parameters)),
            self.tr("{0} multiply-adds").format(_count(size.multiply_adds)),
        ]

    def _restyle(self) -> None:
        tokens = theme.current()
        spans = [
            f'<span style="color:{colour_of(kind, tokens).name()}">■</span> {kind}'
            for kind, _ in KINDS
        ]
        spans.append(
            f'<span style="color:{colour_of("", tokens).name()}">■</span> {self.tr("Others")}'
        )
        self.legend.setText("&nbsp;&nbsp; ".join(spans))
        self.view.viewport().update()

    def _open(self, _what: object = None) -> None:
        if name := self.chosen:
            self.close()
            self.open_requested.emit(name)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Down and self.search.hasFocus():
            self.view.setFocus()
            return
        super().keyPressEvent(event)

    def closeEvent(self, event: QCloseEvent) -> None:
        self.pictures.close()
        super().closeEvent(event)
