"""Train a known network with the engine and write the project file that ships with the program."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path
from typing import Any

from engine.architectures import ARCHITECTURES
from engine.data.dataset import Dataset
from engine.losses import LossFunction
from engine.parameters import initial_parameters
from engine.project_file import Project, save
from engine.train import Augment, Trainer, TrainSettings, evaluate

FOLDER = Path(__file__).parents[1] / "networks"


def make(
    architecture_id: str,
    training: Dataset,
    test: Dataset,
    settings: TrainSettings,
    *,
    augment: Augment | None,
    command: str,
    notes: str,
    loss: LossFunction | None = None,
) -> None:
    """Train with fixed settings, answer the test set once, at the end, and save both.

    ``loss`` takes the place of the network's own while it is trained.

    The last epoch's weights are taken: choosing among epochs by the test set would flatter.
    """
    architecture = ARCHITECTURES[architecture_id]
    graph = architecture.build()
    start = initial_parameters(graph, settings.seed)
    trained = graph
    if loss is not None:
        trained = replace(graph, losses=tuple(replace(x, function=loss) for x in graph.losses))
    trainer = Trainer(trained, start, training, None, settings, augment=augment)
    for report in trainer.reports():
        if report.step % trainer.steps_per_epoch == 0:
            print(
                f"epoch {report.epoch}: loss {report.loss:.4f}, accuracy of the last batches "
                f"{report.accuracy:.4f}, {report.seconds:.0f} s",
                flush=True,
            )
    result = evaluate(graph, trainer.parameters(), test)
    metadata: dict[str, Any] = {
        "title": architecture.title,
        "source": architecture.source,
        "accuracy": result.accuracy,
        "correct": result.correct,
        "total": result.total,
        "measured_on": test.name,
        "trained_on": f"{training.name} ({len(training):,} pictures)",
        "credit": training.credit,
        "command": command,
        "seed": settings.seed,
        "date": dt.date.today().isoformat(),
        "notes": notes,
    }
    path = FOLDER / (architecture.file or f"{architecture_id}.gflow")
    FOLDER.mkdir(exist_ok=True)
    project = Project(
        graph,
        trainer.parameters(),
        preprocessing=training.preprocessing,
        settings={"training": settings.as_dict()},
        metadata=metadata,
    )
    save(project, path)
    print(
        f"{path}: {result.correct} of {result.total} right ({result.accuracy:.2%}), "
        f"loss {result.loss:.4f}, {path.stat().st_size:,} bytes"
    )
