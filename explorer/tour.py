"""The tour: the program's real window, drawn offscreen through one forward and backward pass.

Writes numbered PNG pictures and an index.html that tells them in order.
"""

from __future__ import annotations

import argparse
import html
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QBuffer, QByteArray, QIODevice, Qt
from PySide6.QtWidgets import QApplication

from engine.atomic_file import replacing
from engine.cell import Cell
from engine.explain import Place
from engine.graph import Graph
from engine.layers.base import Array
from engine.losses import softmax
from engine.paths import residual_joins
from engine.trace import Operation
from explorer import lesson_facts, theme
from explorer.app import application
from explorer.lesson_facts import Seen
from explorer.settings import Settings
from explorer.window import Window

SIZE = (1600, 900)
MOST_SECONDS = 20.0
POLL_SECONDS = 0.01


Ask = Callable[[Seen], Place | None]
"""The number that a stop asks about, of what is seen there."""
Fact = Callable[[Seen], str | None]
"""What the run has to say to the question of a stop."""


@dataclass(frozen=True)
class Stop:
    """One picture: the network, the position in its run, what is selected, and what to look at.

    ``asked`` is a number to ask about, ``panel`` the one in front, ``fact`` the answer.
    """

    chapter: str
    network: str
    position: int
    selected: str
    title: str
    text: str
    tab: str = "output"
    asked: Ask | None = None
    panel: str = "inspector"
    fact: Fact | None = None


@dataclass(frozen=True)
class Page:
    """A stop that was drawn: its picture, what the program itself says there, and the answer to
    its question with the numbers of the run.
    """

    stop: Stop
    picture: str
    said: str
    answer: str = ""


CHAPTERS = {
    "forward": (
        "Predict",
        "The digit runs through the layers, one operation after the other.",
    ),
    "loss": ("Measure error", "How far the answer is from the right one, as a single number."),
    "backward": (
        "Send blame back",
        "The same way in reverse: how much each number had to do with the error.",
    ),
    "update": ("Adjust", "Every weight moves a little, so that the error becomes smaller."),
    "residual": (
        "A skip and its shares",
        "Another network and another digit: in a residual block a tensor goes two ways and meets "
        "itself again. Its gradient does too.",
    ),
    "pooled": (
        "Which cell got the gradient?",
        "Three questions that can be answered from the screen alone. The first: which cell got the "
        "gradient of this pooled cell, and how much?",
    ),
    "skips": (
        "Through the skips alone",
        "The second: how much of the gradient at the first block came through skips only?",
    ),
    "zeros": (
        "75% of it are zero",
        "The third: why are 75% of this input's gradient exactly zero?",
    ),
}
"""Parts of the story in their order: title and introduction. The first four are the phases."""

# What to look at, when a kind of layer is met first, and later.
_FORWARD = {
    "Conv2d": (
        "Each kernel slides over the whole picture and writes down, place by place, how well it "
        "fits there. Every small map on the card is what one kernel found.",
        "The kernels now look at all maps of the layer before at once: they find strokes and "
        "corners made of the edges found there.",
    ),
    "ReLU": (
        "What is negative becomes zero: what was found is passed on, what was missing is not.",
        "Again all that is negative becomes zero.",
    ),
    "MaxPool2d": (
        "Of each window of 2 × 2 cells only the largest number stays. In the inspector, at the "
        "right, a mark is on every cell that won its window. Remember them for the way back.",
        "Again only the winner of each window stays; the marks say which cell that was.",
    ),
    "Flatten": ("The maps are written one after the other into one row. No number changes.", ""),
    "Linear": (
        "Every number of the row is weighed and added up, once for each output.",
        "Again every number is weighed for every output.",
    ),
}
_BACKWARD = {
    "Conv2d": (
        "A kernel was used at every place, so its gradient is a sum over all places. Its input "
        "gets a gradient too: each place is blamed through the kernel that looked at it.",
        "The first layer's kernels get their gradient, and the blame has arrived at the pixels.",
    ),
    "ReLU": (
        "The gradient passes where the number was positive and stops where it was cut to zero.",
        "Open where the number was positive, closed elsewhere.",
    ),
    "MaxPool2d": (
        "All of a window's gradient goes to the one cell that won in forward: the same marks as "
        "before, now beside the gradient. Every other cell gets exactly zero.",
        "The same marks as in forward: only the winners receive a gradient.",
    ),
    "Flatten": ("The row is folded into maps again; each gradient goes to its place.", ""),
    "Linear": (
        "Each input is blamed by every output, in proportion to the weight between them.",
        "Again each input is blamed in proportion to its weights.",
    ),
    "": (
        "The blame starts here: each answer's share minus what it should have been. The right "
        "answer should have had more, all others less. From now on everything runs against the "
        "arrows, and the thickness of an edge is the size of the gradient on it.",
        "",
    ),
}


def lenet_stops(graph: Graph, operations: tuple[Operation, ...]) -> Iterator[Stop]:
    """One digit forward and backward through LeNet-5, every operation, and one update."""
    kinds = {n.id: type(n.layer).__name__ for n in graph.nodes}
    yield Stop(
        "forward",
        "lenet5",
        0,
        graph.inputs[0].id,
        "A digit, before anything is computed",
        "The cards are the layers; the digit enters at the first and runs along the arrows. "
        "Nothing has run yet, so all other cards are empty.",
    )
    met: set[tuple[str, str]] = set()
    for i, operation in enumerate(operations):
        phase, name = operation.phase, operation.node
        kind = kinds.get(name, "")
        texts = {"forward": _FORWARD, "backward": _BACKWARD}.get(phase, {}).get(kind, ("", ""))
        text = texts[(phase, kind) in met]
        met.add((phase, kind))
        if phase == "loss":
            text = (
                "The ten scores become shares that add up to 1. The error is small when the "
                "right answer has a large share; making it smaller is all that learning does."
            )
        if phase in ("forward", "loss", "backward"):
            title = f"{CHAPTERS[phase][0]}: {name}"
            yield Stop(phase, "lenet5", i + 1, name, title, text)
    i, operation = next((i, o) for i, o in enumerate(operations) if o.phase == "update")
    yield Stop(
        "update",
        "lenet5",
        i + 1,
        operation.node,
        f"Adjust: {operation.node}",
        "Left the kernels, right their gradient: every weight moves a little against it. The "
        "same for many digits, thousands of times, is training.",
        tab="weights",
    )


def residual_stops(graph: Graph, operations: tuple[Operation, ...]) -> Iterator[Stop]:
    """How a residual block splits the gradient: at the Add, and at the fork where it is summed."""
    kinds = {n.id: type(n.layer).__name__ for n in graph.nodes}
    # of the blocks whose skip is a plain edge, the last: its fork is the Add's own input
    add = next(
        n
        for n in reversed(graph.nodes)
        if kinds[n.id] == "Add" and any(r and len(graph.readers[r]) > 1 for r in n.inputs)
    )
    fork = next(r[0] for r in add.inputs if r and len(graph.readers[r]) > 1)

    def after(phase: str, name: str) -> int:
        return 1 + next(i for i, o in enumerate(operations) if o.phase == phase and o.node == name)

    def stop(position: int, selected: str, title: str, text: str) -> Stop:
        return Stop("residual", "resnet-digits", position, selected, title, text)

    yield stop(
        after("forward", fork),
        fork,
        f"One tensor, two ways: {fork}",
        "Two edges leave this card: one enters the branch with its two convolutions, the other, "
        "dashed, is the skip, which leads around them unchanged.",
    )
    yield stop(
        after("forward", add.id),
        add.id,
        f"The ways meet: {add.id}",
        "Branch and skip are added cell by cell. The bars in the inspector are the size of what "
        "each of them brought, and its share in the sum.",
    )
    loss = graph.losses[0].id
    yield stop(
        after("loss", loss),
        loss,
        "The error of this digit",
        "What share the right answer got, and the error that follows from it.",
    )
    yield stop(
        after("backward", add.id),
        add.id,
        f"The gradient parts: {add.id}",
        "A sum hands its gradient to both inputs, whole and unchanged: so the skip brings it past "
        "the branch without any loss. Its size and share stand beside both edges.",
    )
    yield stop(
        after("accumulate", fork),
        fork,
        f"Add up: {fork}",
        "What left over two ways comes back over two ways and is added, in a step of its own. "
        "The bars: how much came through the branch, how much over the skip, and their sum.",
    )
    back = 1 + max(i for i, o in enumerate(operations) if o.phase in ("backward", "accumulate"))
    yield stop(
        back,
        graph.inputs[0].id,
        "Back at the picture",
        "The gradient of the error with respect to every pixel: which pixels, made brighter or "
        "darker, would change the answer most.",
    )


def pooled_stops(graph: Graph, operations: tuple[Operation, ...]) -> Iterator[Stop]:
    """Where the gradient of one pooled cell went."""
    position = 1 + next(
        i for i, o in enumerate(operations) if (o.phase, o.node) == ("backward", "pool1")
    )

    def strongest(seen: Seen) -> Place | None:
        cell = lesson_facts.most_gradient(seen)
        return None if cell is None else Place(cell, "gradient")

    yield Stop(
        "pooled",
        "lenet5",
        position,
        "pool1",
        "To the cell that won its window, and to no other",
        "The pooled cell with most gradient is chosen. In the sentence under the network the "
        "number is framed, and the link behind it is the cell that got it; in the inspector, at "
        "the right, the same cell has the mark of its window, in forward as in backward.",
        asked=strongest,
        fact=lesson_facts.routed,
    )


def skips_stops(graph: Graph, operations: tuple[Operation, ...]) -> Iterator[Stop]:
    """The gradient at the first block by the number of branches that it crossed."""
    fork = residual_joins(graph)[0].fork
    assert fork is not None
    met = (("accumulate", fork[0]),)
    yield Stop(
        "skips",
        "resnet-digits",
        1 + max(i for i, o in enumerate(operations) if (o.phase, o.node) in met),
        fork[0],
        "The first bar: paths that crossed no branch",
        "At every block the gradient can come back over the skip or through the branch. The bars "
        "at the right take it apart by the number of branches, exactly; left of each bar stands "
        "how many such paths there are. The shares are signed and add up to 100%.",
        panel="paths",
        fact=lesson_facts.paths,
    )


def zeros_stops(graph: Graph, operations: tuple[Operation, ...]) -> Iterator[Stop]:
    """A cell that no window looked at."""
    picture = graph.inputs[0].id
    yield Stop(
        "zeros",
        "example:stride",
        1 + max(i for i, o in enumerate(operations) if o.phase == "backward"),
        picture,
        "No window looked at three of four cells",
        "A convolution with kernels of 1×1 and stride 2 uses every second cell of every second "
        "row. The chosen cell is one of the others: what made its gradient has no terms at all, "
        "so it is 0 whatever the weights are.",
        asked=lambda _seen: Place(Cell(picture, 0, (0, 1, 2)), "gradient"),
        panel="cell",
        fact=lesson_facts.zeros,
    )


PLANS: tuple[tuple[str, Callable[[Graph, tuple[Operation, ...]], Iterator[Stop]]], ...] = (
    ("lenet5", lenet_stops),
    ("resnet-digits", residual_stops),
    ("lenet5", pooled_stops),
    ("resnet-digits", skips_stops),
    ("example:stride", zeros_stops),
)
"""The tour: networks in order, and what is seen of each."""


def run(chosen: argparse.Namespace) -> int:
    """Draw the tour into ``chosen.out``; raises OSError when the folder cannot be written."""
    out: Path = chosen.out
    _make_folder(out)
    application()
    theme.set_mode("light")
    with tempfile.TemporaryDirectory() as home:
        window = offscreen_window(Settings(Path(home) / "settings.json"), Path(home))
        try:
            pages = _draw(window, out)
        finally:
            window.close()
            settle()
    with replacing(out / "index.html") as file:
        file.write(page(pages).encode())
    print(f"Open {out / 'index.html'}", file=sys.stdout)
    return 0


def _make_folder(out: Path) -> None:
    """Make the folder and try it, before anything is drawn."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise OSError(
            f"{out}: expected a folder that can be written to, received: {error.strerror}. "
            "Name another one with --out."
        ) from error


def _draw(window: Window, out: Path) -> list[Page]:
    document, controller = window.document, window.controller
    pages: list[Page] = []
    # a network's stops are known when it is open; the number of pictures is announced
    total = 0
    for name, plan in PLANS:
        _open(window, name)
        total += sum(1 for _ in plan(document.graph, document.operations))
    for name, plan in PLANS:
        _open(window, name)
        settle()
        window.canvas.fit()
        if not name.startswith("example:"):
            _show_doubtful_picture(window)
        for stop in plan(document.graph, document.operations):
            if stop.fact is not None:
                controller.stepping.to_end()  # what is asked of a whole run
            controller.stepping.go_to(stop.position)
            controller.select({stop.selected})
            window.inspector.show_tab(stop.tab)
            window.docks.bring(stop.panel)
            place = stop.asked(window.lessons.seen()) if stop.asked is not None else None
            if place is not None:
                controller.asking.focus(place)
            settle()
            answer = _answer(window, stop)
            number = len(pages) + 1
            short = stop.selected.replace("/", "-")
            picture = f"{number:02d}-{name.replace(':', '-')}-{stop.chapter}-{short}.png"
            save_picture(window, out / picture)
            pages.append(Page(stop, picture, window.narration.sentence.text, answer))
            print(f"[{number}/{total}] {picture}  {stop.title}", flush=True)
    return pages


def _open(window: Window, name: str) -> None:
    kind, _, own = name.rpartition(":")
    projects = window.controller.projects
    (projects.open_example if kind == "example" else projects.open_shipped)(own)
    window.notices.clear()


def _answer(window: Window, stop: Stop) -> str:
    """What the run has to say to the stop's question; what is worked out beside is waited for."""
    if stop.fact is None:
        return ""
    until = time.monotonic() + MOST_SECONDS
    while (answer := stop.fact(window.lessons.seen())) is None and time.monotonic() < until:
        settle()
        time.sleep(POLL_SECONDS)
    settle()
    return answer or ""


def _show_doubtful_picture(window: Window) -> None:
    """Show the picture that the network reads rightly but with the least share for it.

    Where it is certain, the error and with it every gradient is next to nothing.
    """
    document, controller = window.document, window.controller
    first = document.sample
    shares: list[tuple[float, int]] = []
    for count in range(1000):
        sample, logits = document.sample, _scores(window)
        if sample is None or (count and sample is first):
            break
        if logits is not None and sample.label is not None and logits.argmax() == sample.label:
            shares.append((float(softmax(logits)[0, sample.label]), count))
        controller.pictures.next()
    for _ in range(min(shares, default=(0.0, 0))[1]):
        controller.pictures.next()
    settle()


def _scores(window: Window) -> Array | None:
    """What the network gave for each class, (1, classes), at the position of the window."""
    document = window.document
    loss = document.graph.answering
    if document.trace is None or loss is None:
        return None
    return document.trace.look("value", loss.input, document.position)


def settle() -> None:
    """Let the windows lay themselves out and finish what they do in slices."""
    for _ in range(4):
        QApplication.processEvents()


def offscreen_window(settings: Settings, home: Path) -> Window:
    """A window laid out and painted as on a screen, but never put on one."""
    window = Window(settings)
    window.setAttribute(Qt.WidgetAttribute.WA_DontShowOnScreen)
    window.controller.projects.unsaved.path = home / "unsaved.gflow"
    window.hint.hide()
    window.resize(*SIZE)
    window.show()
    settle()
    return window


def save_picture(window: Window, path: Path) -> None:
    """Write what the window shows as a PNG; raises OSError."""
    settle()
    data = QByteArray()
    buffer = QBuffer(data)
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    window.grab().save(buffer, "PNG")
    with replacing(path) as file:
        file.write(data.data())


_STYLE = """\
:root{color-scheme:light dark;--text:#1c2430;--muted:#59636f;--paper:#f7f8fa;--card:#fff;
--line:#ccd2dc;--link:#3b3bb3}
@media(prefers-color-scheme:dark){:root{--text:#e6eaf0;--muted:#a3adba;--paper:#14181e;
--card:#1d232b;--line:#39424e;--link:#a9adff}}
*{box-sizing:border-box}
body{font:17px/1.55 system-ui,sans-serif;color:var(--text);background:var(--paper);margin:0}
main,header{max-width:1240px;margin:0 auto;padding:0 1.25rem}
header{padding-top:2.5rem}
h1{font-size:2rem;line-height:1.2;margin:0 0 .5rem}
h2{font-size:1.6rem;margin:4rem 0 .25rem;border-bottom:2px solid var(--line);padding-bottom:.35rem}
h3{font-size:1.2rem;margin:0}
a{color:var(--link)}
nav.chapters{position:sticky;top:0;z-index:1;background:var(--paper);
border-bottom:1px solid var(--line);padding:.6rem 0;display:flex;gap:1.25rem;flex-wrap:wrap}
section.stop{margin:2.5rem 0 0;scroll-margin-top:3.5rem}
h2{scroll-margin-top:3.5rem}
.bar{display:flex;gap:1rem;align-items:baseline;justify-content:space-between}
.bar span,.intro{color:var(--muted)}
.bar span{white-space:nowrap;font-size:.9rem}
section.stop p{margin:.3rem 0 .8rem;max-width:56rem}
img{display:block;width:100%;height:auto;border:1px solid var(--line);border-radius:6px}
blockquote{margin:.8rem 0 0;padding:.5rem 1rem;background:var(--card);
border-left:4px solid var(--line);border-radius:4px}
blockquote.answer{border-left-color:var(--link)}
blockquote b{font-weight:600;color:var(--muted);font-size:.9rem;display:block}
dt{font-weight:600;margin-top:.6rem}dd{margin:0}
footer{height:6rem}
"""

_HOW_TO_READ = (
    (
        "The middle",
        "The network. A card is a layer; its upper strip shows the numbers that it put "
        "out, its lower strip, once the blame has come back, their gradient.",
    ),
    ("The sentence below it", "What the last operation did, with the numbers it did it to."),
    (
        "The timeline",
        "All operations of the run, forward above and backward below; the black "
        "pointer is where the picture was taken.",
    ),
    (
        "The right",
        "The selected layer from inside, all channels: Forward beside Gradient, each "
        "with the scale of its colours.",
    ),
)


def page(pages: list[Page]) -> str:
    """The tour as one HTML page that needs nothing but the pictures beside it."""
    used = [c for c in CHAPTERS if any(p.stop.chapter == c for p in pages)]
    say = html.escape
    parts = [
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>",
        "<meta name='viewport' content='width=device-width, initial-scale=1'>",
        "<title>Gradient Flow Explorer: one digit, forward and backward</title>",
        f"<style>{_STYLE}</style></head><body><header>",
        "<h1>One digit, forward and backward</h1>",
        "<p class='intro'>Every picture is the program's own window, drawn while it ran; every "
        "number in it was computed for this digit. Click a picture to see it in full size.</p>",
        "<details open><summary>How to read the pictures</summary><dl>",
        *(f"<dt>{say(name)}</dt><dd>{say(text)}</dd>" for name, text in _HOW_TO_READ),
        "</dl></details></header><main><nav class='chapters'>",
        *(f"<a href='#{c}'>{say(CHAPTERS[c][0])}</a>" for c in used),
        "</nav>",
    ]
    chapter = ""
    for number, shown in enumerate(pages, 1):
        stop = shown.stop
        if stop.chapter != chapter:
            chapter = stop.chapter
            title, intro = CHAPTERS[chapter]
            parts.append(f"<h2 id='{chapter}'>{say(title)}</h2><p class='intro'>{say(intro)}</p>")
        earlier = f"<a href='#p{number - 1}'>← back</a> · " if number > 1 else ""
        later = f" · <a href='#p{number + 1}'>next →</a>" if number < len(pages) else ""
        alt = say(f"{stop.title}. {shown.said}", quote=True)
        source = say(shown.picture, quote=True)
        parts.append(
            f"<section class='stop' id='p{number}'><div class='bar'><h3>{say(stop.title)}</h3>"
            f"<span>{earlier}{number} of {len(pages)}{later}</span></div>"
            f"<p>{say(stop.text)}</p>"
            f"<a href='{source}'><img src='{source}' alt='{alt}' "
            f"width='{SIZE[0]}' height='{SIZE[1]}' loading='lazy'></a>"
            f"<blockquote><b>The program says</b>{say(shown.said)}</blockquote>"
        )
        if shown.answer:
            parts.append(
                f"<blockquote class='answer'><b>The answer, in this run</b>{say(shown.answer)}"
                "</blockquote>"
            )
        parts.append("</section>")
    return "\n".join([*parts, "</main><footer></footer></body></html>"]) + "\n"
