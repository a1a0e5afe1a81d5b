"""Training and evaluation: loops that exhaust ``Plan.run``, the only way in which a network runs.

``Trainer.reports`` is a generator: whoever pulls it sets the pace, so pausing is not pulling, and
stopping is closing it.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.checkpoint import Checkpoint, CheckpointError, Standing, blas_threads, data_mark
from engine.data.dataset import Dataset
from engine.graph import Graph, GraphError, Loss
from engine.layers.base import Array
from engine.losses import OF_CLASSES, CrossEntropy, evidence
from engine.parameters import Parameters
from engine.plan import Batch, Plan, compile, exhaust
from engine.trace import Trace
from engine.train_settings import ClassWeights, Schedule, TrainingError, TrainSettings
from engine.training_flow import FlowPoint, FlowProbe
from engine.weights import OwnerName

__all__ = [
    "ClassWeights",
    "Evaluation",
    "Report",
    "Schedule",
    "TrainSettings",
    "Trainer",
    "TrainingDiverged",
    "TrainingError",
    "evaluate",
]

Augment = Callable[[NDArray[np.float32], np.random.Generator], NDArray[np.float32]]

WINDOW = 50
"""Batches that a report's running accuracy and speed look back on."""


GRACE = 0.2
"""Seconds for measuring the flow beyond its share, in steps whose distance grows with their number:
most happens in the first steps, which are over before a share of their time is worth anything."""
DENSER = 1.1


class TrainingDiverged(TrainingError):  # noqa: N818 (what happened, not a mistake of the caller)
    """The loss, a gradient or a weight became infinite or not a number.

    ``step`` counts from 1 and is the step in which that happened. ``what`` is "loss", "gradient"
    or "weights"; ``loss`` is that step's. ``layer`` is the id of the node (or loss) where it
    appeared first, and ``place`` what of it, in words. The trainer has gone back to the
    parameters that last gave a finite loss.
    """

    def __init__(
        self,
        step: int,
        loss: float,
        learning_rate: float,
        what: str = "loss",
        layer: str = "",
        place: str = "",
    ) -> None:
        self.step, self.loss, self.learning_rate = step, loss, learning_rate
        self.what, self.layer, self.place = what, layer, place
        received = f"{loss}" if what == "loss" else "infinity or NaN"
        expected = {"loss": "a finite loss", "gradient": "a finite gradient"}
        first = f" It appeared first in {place}." if place else ""
        super().__init__(
            f"Training step {step}: expected {expected.get(what, 'finite weights')}, received "
            f"{received} (learning rate {learning_rate:.3g}).{first} Lower the learning rate, for "
            f"example to {learning_rate / 10:.2g}, or clip the gradient. The weights are those "
            "that last gave a finite loss."
        )

    def __reduce__(self) -> tuple[Any, ...]:
        values = (self.step, self.loss, self.learning_rate, self.what, self.layer, self.place)
        return type(self), values


@dataclass(frozen=True)
class Report:
    """How training stands after a step; a small value that can be sent to another process.

    ``step`` counts finished steps, ``epoch`` from 1. ``loss`` is this batch's, before its update.
    ``accuracy`` is the share of right answers over the last 50 batches (fewer at the start), each
    answered before its own update. ``validation_accuracy`` and ``validation_loss`` are the last
    measured ones, taken after the last step of each epoch; None before. ``seconds`` counts
    computing only: a pause does not enter it. ``samples_per_second`` is over the last 50 batches,
    validation left out.
    """

    step: int
    steps_total: int
    epoch: int
    loss: float
    accuracy: float
    validation_accuracy: float | None
    validation_loss: float | None
    learning_rate: float
    samples_per_second: float
    seconds: float


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What a network makes of a data set. ``predictions``: int64 (N,), the largest logits."""

    accuracy: float
    loss: float
    correct: int
    total: int
    predictions: NDArray[np.int64]


class Trainer:
    """Trains a graph on a data set.

    ``parameters`` are copied. ``augment`` changes each training batch, after the settings' own
    augmentation: it gets float32 (n, C, H, W) inputs, as the network sees them, and a generator
    that depends on seed and step alone. ``pin`` and ``threads`` as ``compile`` has them.

    ``flow_share`` is the share of the time that may go into measuring activations and gradients of
    a step, layer by layer: the first and the last step are measured, and of the others as many as
    that, and ``GRACE``, leave time for (``math.inf``: all). ``flow`` is the newest point. The
    numbers of training do not depend on it.

    Every epoch shuffles the samples and takes whole batches; the rest, fewer than ``batch_size``
    samples and others in each epoch, sits out. A data set smaller than a batch makes one batch.

    The same seed gives the same numbers, bit for bit, on the same machine with the same number of
    ``threads`` and of BLAS threads. Another number may divide a sum over samples or within a
    matrix product in another way, so that results differ in their last digits, which training
    enlarges; ``OPENBLAS_NUM_THREADS=1`` makes a run independent of the number of processors.

    Raises TrainingError where network and data do not fit, and what ``compile`` raises.
    """

    def __init__(
        self,
        graph: Graph,
        parameters: Parameters,
        training: Dataset,
        validation: Dataset | None,
        settings: TrainSettings,
        *,
        augment: Augment | None = None,
        pin: dict[str, str] | None = None,
        threads: int = 1,
        flow_share: float = 0.0,
    ) -> None:
        for dataset in (training, validation):
            if dataset is not None:
                _check_fit(graph, dataset)
        self.graph, self.training, self.validation = graph, training, validation
        self.settings = settings
        self.batch_size = min(settings.batch_size, len(training))
        self.steps_per_epoch = len(training) // self.batch_size
        self.steps_total = self.steps_per_epoch * settings.epochs
        self.notes: tuple[str, ...] = ()
        self._augment = augment
        self._plan = compile(
            _with_losses(graph, training, settings),
            parameters,
            batch=self.batch_size,
            mode="train",
            input_gradients=False,
            pin=pin,
            keep="results",
            threads=threads,
        )
        self.threads = threads
        self._answering = _answering_loss(graph)
        self._step = 0
        self._seconds = 0.0
        self._recent: deque[tuple[int, float]] = deque(maxlen=WINDOW)
        self._validated: tuple[float, float] | None = None
        self._good = self._state()
        self._mark: dict[str, Any] | None = None
        self._diverged = False
        self.flow: FlowPoint | None = None
        self._probe = FlowProbe(graph, self._plan.weights) if flow_share else None
        self._flow_share = flow_share
        self._probed = self._elapsed = 0.0

    @property
    def plan(self) -> Plan:
        """The plan that every step runs."""
        return self._plan

    @property
    def step(self) -> int:
        """Steps finished."""
        return self._step

    def parameters(self) -> dict[OwnerName, Array]:
        """Copies of all parameters and running statistics as they are now."""
        return self._plan.parameters()

    # ---- checkpoints -----------------------------------------------------------------------

    def checkpoint(self, source: str = "") -> Checkpoint:
        """The run as it stands between two steps, from which ``resume`` goes on.

        ``source`` names the data set as a catalogue knows it, for whoever resumes.

        Raises CheckpointError once the run has diverged: there is nothing to go on with.
        """
        if self._diverged:
            raise CheckpointError(
                "Checkpoint: expected a run with finite numbers, received one that diverged. "
                "Use the checkpoint from before, or start afresh with a lower learning rate."
            )
        if self._mark is None:
            self._mark = data_mark(self.training)
        weights = self._plan.weights
        statistics = [array.ravel() for array in weights.statistics.values()]
        standing = Standing(
            graph=self.graph,
            settings=self.settings,
            step=self._step,
            steps_per_epoch=self.steps_per_epoch,
            steps_total=self.steps_total,
            updates=self._plan.updates,
            seconds=self._seconds,
            recent=tuple(self._recent),
            validated=self._validated,
            kernels={choice.node: choice.kernel for choice in self._plan.choices},
            threads=self.threads,
            blas_threads=blas_threads(),
            numpy=np.__version__,
            data=self._mark,
            custom_augment=self._augment is not None,
            source=source,
        )
        return Checkpoint(
            standing,
            self._in_order(weights.flat),
            np.concatenate(statistics) if statistics else np.zeros(0, np.float32),
            tuple(self._in_order(vector) for vector in weights.optimizer_state),
        )

    def _in_order(self, vector: Array) -> Array:
        """A copy of a flat vector of the weights with each parameter in the order of its axes."""
        parts = [view.ravel() for view in self._plan.weights.gradient_views(vector).values()]
        return np.concatenate(parts) if parts else vector.copy()

    def _as_stored(self, vector: Array) -> Array:
        """The inverse of ``_in_order``."""
        stored, at = np.empty_like(vector), 0
        for view in self._plan.weights.gradient_views(stored).values():
            view[...] = vector[at : at + view.size].reshape(view.shape)
            at += view.size
        return stored

    @classmethod
    def resume(
        cls,
        checkpoint: Checkpoint,
        training: Dataset,
        validation: Dataset | None,
        *,
        graph: Graph | None = None,
        augment: Augment | None = None,
        flow_share: float = 0.0,
    ) -> Trainer:
        """The trainer of a checkpoint, which goes on to the same numbers.

        ``graph``, if given, is the network that the run should belong to. Kernels and threads are
        those of the run. Where numbers may yet differ (another number of threads, another
        NumPy), ``notes`` says so in sentences. ``flow_share`` as ``Trainer`` has it. Raises
        CheckpointError for another network, other data, or kernels that are not there, and
        TrainingError as ``Trainer`` does.
        """
        standing = checkpoint.standing
        if graph is not None and graph != standing.graph:
            raise CheckpointError(
                f"Checkpoint: expected one of {graph.name}, received one of "
                f"{standing.graph.name}: {_difference(graph, standing.graph)}. Open the network "
                "that was trained, or start afresh."
            )
        if standing.custom_augment != (augment is not None):
            raise CheckpointError(
                "Checkpoint: expected the function that augmented its batches, received none. "
                "Give it again."
                if augment is None
                else "Checkpoint: expected no function that augments, received one. Leave it out."
            )
        mark = data_mark(training)
        if mark != standing.data:
            raise CheckpointError(
                f"Checkpoint: expected the data that it was trained on, "
                f"{_data_words(standing.data)}, received {_data_words(mark)}. Use the same data "
                "and preprocessing, or start afresh."
            )
        kernels = dict(standing.kernels)
        try:
            trainer = cls(
                standing.graph,
                checkpoint.parameters(),
                training,
                validation,
                standing.settings,
                augment=augment,
                pin=kernels,
                threads=standing.threads,
                flow_share=flow_share,
            )
        except GraphError as error:
            raise CheckpointError(
                f"Checkpoint: expected the kernels that it was made with, received none of that "
                f"name ({error}). Use the program that wrote it, or train on from its weights."
            ) from error
        chosen = {choice.node: choice.kernel for choice in trainer.plan.choices}
        if chosen != kernels:
            node = next(n for n in {**kernels, **chosen} if kernels.get(n) != chosen.get(n))
            raise CheckpointError(
                f"Checkpoint: expected kernel {kernels.get(node)} for {node}, received "
                f"{chosen.get(node)}. Use the program that wrote it, or train on from its weights."
            )
        trainer._step, trainer._seconds = standing.step, standing.seconds
        trainer._recent.extend(standing.recent)
        trainer._validated, trainer._mark = standing.validated, mark
        state = [trainer._as_stored(vector) for vector in checkpoint.state]
        trainer.plan.go_on(standing.updates, standing.settings.optimizer, state)
        trainer.notes = tuple(
            f"The checkpoint was made with {what} {before}, and this is {now}: results may differ "
            "in their last digits."
            for what, before, now in (
                ("a number of BLAS threads of", standing.blas_threads, blas_threads()),
                ("NumPy", standing.numpy, np.__version__),
            )
            if before != now
        )
        return trainer

    # ---- steps -----------------------------------------------------------------------------

    def reports(self) -> Iterator[Report]:
        """Train, yielding a report after each step.

        May be closed at any time; called again, it goes on with the next step. After the last
        step it ends. Raises TrainingDiverged at a loss, gradient or weight that is not finite.
        """
        while self._step < self.steps_total:
            epoch, done = divmod(self._step, self.steps_per_epoch)
            batches = self.training.batches(
                self.batch_size, seed=self.settings.seed, epoch=epoch, drop_last=True, skip=done
            )
            for x, labels in batches:
                yield self._train(x, labels)

    def _train(self, x: NDArray[np.float32], labels: NDArray[np.int64]) -> Report:
        """One step, and the validation after an epoch's last one."""
        started = time.perf_counter()
        settings, plan = self.settings, self._plan
        random = np.random.default_rng((settings.seed, 1, self._step))
        if settings.augmentation.active:
            x = settings.augmentation(x, random)
        if self._augment is not None:
            x = self._augment(x, random)
        rate = settings.learning_rate(self._step, self.steps_total)
        optimizer = dataclasses.replace(settings.optimizer, lr=rate)
        batch = Batch.of(self.graph, x, labels)
        last_loss = self.graph.losses[-1].id
        probe = self._due_probe()
        if probe is not None:
            probe.begin(batch.inputs)
        # The overflow that a diverging run makes is found below, and said in words.
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            for event in plan.run(
                batch, key=(settings.seed, self._step), optimizer=optimizer, watch=probe
            ):
                if event.phase == "loss" and event.node == last_loss:
                    self._remember_or_stop(batch, rate)
            if not self._finite():
                raise self._gone_wrong("gradient", batch, rate)
        loss = plan.loss()
        correct = int((_answers(plan, self._answering) == labels).sum())
        seconds = time.perf_counter() - started
        self._recent.append((correct, seconds))
        self._step += 1
        if probe is not None:
            self.flow = probe.point(self._step)
            self._probed += probe.seconds
        epoch = (self._step - 1) // self.steps_per_epoch + 1
        if self.validation is not None and self._step % self.steps_per_epoch == 0:
            found = evaluate(self.graph, self.parameters(), self.validation)
            self._validated = found.accuracy, found.loss
        took = time.perf_counter() - started
        self._seconds += took
        self._elapsed += took
        seen = len(self._recent) * self.batch_size
        return Report(
            step=self._step,
            steps_total=self.steps_total,
            epoch=epoch,
            loss=loss,
            accuracy=sum(c for c, _ in self._recent) / seen,
            validation_accuracy=self._validated[0] if self._validated else None,
            validation_loss=self._validated[1] if self._validated else None,
            learning_rate=rate,
            samples_per_second=seen / max(sum(s for _, s in self._recent), 1e-9),
            seconds=self._seconds,
        )

    def _due_probe(self) -> FlowProbe | None:
        """What measures this step, where the time so far leaves room for it."""
        probe = self._probe
        if probe is None or self._elapsed == 0 or self._step + 1 == self.steps_total:
            return probe
        before = self.flow.step if self.flow is not None else 0
        room = self._flow_share * self._elapsed
        if self._step + 1 >= DENSER * before:
            room += GRACE
        return probe if self._probed + probe.seconds <= room else None

    # ---- divergence ------------------------------------------------------------------------

    def _state(self) -> tuple[Array, dict[OwnerName, Array]]:
        weights = self._plan.weights
        return weights.flat.copy(), dict(weights.statistics)

    def _remember_or_stop(self, batch: Batch, rate: float) -> None:
        """Called between the loss and its backward: remember these weights, or go back."""
        weights = self._plan.weights
        if not math.isfinite(self._plan.loss()):
            raise self._gone_wrong("loss", batch, rate)
        np.copyto(self._good[0], weights.flat)
        self._good = self._good[0], dict(weights.statistics)

    def _finite(self) -> bool:
        """Whether all weights and statistics are: an update spreads what is not in a gradient."""
        weights = self._plan.weights
        # The sum is quick, but may overflow where no number did.
        whole = math.isfinite(float(weights.flat.sum())) or bool(np.isfinite(weights.flat).all())
        return whole and all(np.isfinite(array).all() for array in weights.statistics.values())

    def _gone_wrong(self, what: str, batch: Batch, rate: float) -> TrainingDiverged:
        """Find out where it began, go back to the last finite state, and say both."""
        self._diverged = True
        plan, weights = self._plan, self._plan.weights
        loss = plan.loss()
        after = plan.parameters()
        if what != "loss":
            self._go_back()  # to the weights that this step began with
        found = first_not_finite(plan, batch, (self.settings.seed, self._step))
        if found is None:
            # Every number of the step was finite: the update went too far.
            what = "weights"
            keys = (key for key in weights.specs if not np.isfinite(after[key]).all())
            owner, name = next(keys, ("", ""))
            found = owner, f"{name} of {owner}, after the update" if owner else ""
        self._go_back()
        return TrainingDiverged(self._step + 1, loss, rate, what, *found)

    def _go_back(self) -> None:
        weights = self._plan.weights
        np.copyto(weights.flat, self._good[0])
        weights.set_statistics(self._good[1])


def first_not_finite(plan: Plan, batch: Batch, key: tuple[int, int]) -> tuple[str, str] | None:
    """(node id, what of it, in words) where the first infinity or NaN of a run appears, or None.

    Runs the batch once more, recorded, with the plan's present parameters; it moves nothing.
    ``key`` as ``Plan.run`` has it.
    """
    graph = plan.graph
    for name, array in batch.inputs.items():
        if not np.isfinite(array).all():
            return name, f"the input {name}"
    trace = Trace()
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for step in plan.run(batch, key=key, trace=trace):
            bad = [k for k in step.writes if not np.isfinite(trace.at(k)).all()]
            if not bad:
                continue
            if step.phase == "forward":
                owner = graph.node(step.node).owner
                for name, array in plan.weights.by_owner.get(owner, {}).items():
                    if not np.isfinite(array).all():
                        return step.node, f"{name} of {owner}"
                return step.node, f"the output of {step.node}"
            if step.phase == "loss":
                return step.node, f"the loss {step.node}"
            parameter = [k for k in bad if k.kind in ("param_grad", "param_part")]
            if parameter and len(parameter) == len(bad):
                return step.node, f"the gradient of {parameter[0].ref[1]} of {step.node}"
            return step.node, f"the gradient that comes out of {step.node}"
    return None


def _with_losses(graph: Graph, training: Dataset, settings: TrainSettings) -> Graph:
    """The graph with the cross-entropies that the settings ask for."""
    balanced = settings.class_weights == "balanced"
    if not settings.label_smoothing and not balanced:
        return graph
    if not any(isinstance(loss.function, CrossEntropy) for loss in graph.losses):
        kinds = ", ".join(type(loss.function).__name__ for loss in graph.losses)
        raise TrainingError(
            f"{graph.name}: expected a cross-entropy for label smoothing or class weights, "
            f"received {kinds}. Choose that loss, or switch both off."
        )
    specs = graph.check().specs
    counts = Counter(training.labels.tolist())
    losses = []
    for loss in graph.losses:
        function = loss.function
        if isinstance(function, CrossEntropy):
            if settings.label_smoothing:
                smoothing = settings.label_smoothing
                function = dataclasses.replace(function, label_smoothing=smoothing)
            if balanced:
                share = len(training) / len(counts)
                classes = range(specs[loss.input].shape[1])
                weights = tuple(share / counts[k] if counts[k] else 1.0 for k in classes)
                function = dataclasses.replace(function, class_weights=weights)
        losses.append(dataclasses.replace(loss, function=function))
    return dataclasses.replace(graph, losses=tuple(losses))


def _difference(wanted: Graph, received: Graph) -> str:
    """The first thing that tells two graphs apart, in words."""
    for node_id in {**wanted.by_id, **received.by_id}:
        a, b = wanted.by_id.get(node_id), received.by_id.get(node_id)
        if a != b:
            return f"{node_id} is {'another layer' if a and b else 'in one of them alone'}"
    return "inputs, outputs or losses are others"


def _data_words(mark: Any) -> str:
    return (
        f"{mark['name']} ({mark['samples']:,} samples of {_size(_shape(mark))}, "
        f"checksum {mark['checksum']:08x})"
    )


def _shape(mark: Any) -> tuple[int, ...]:
    preprocessing = mark["preprocessing"]
    return (preprocessing["channels"], *preprocessing["size"])


def evaluate(
    graph: Graph, parameters: Parameters, dataset: Dataset, batch_size: int = 256
) -> Evaluation:
    """Answer every sample of a data set, in evaluation mode; nothing is changed.

    The last batch may be smaller. ``loss`` is the mean over samples; losses that judge no output,
    as those of GoogLeNet's auxiliary heads, are left out with their layers. Raises TrainingError
    where network and data do not fit.
    """
    if batch_size < 1:
        raise TrainingError(f"Batch size: expected at least 1, received {batch_size}.")
    _check_fit(graph, dataset)
    graph, answering = _without_aids(graph), _answering_loss(graph)
    plans: dict[int, Plan] = {}
    predictions = []
    total_loss = 0.0
    for x, labels in dataset.batches(batch_size, seed=None):
        if len(x) not in plans:
            plans[len(x)] = compile(
                graph, parameters, batch=len(x), mode="eval", backward=False, keep="results"
            )
        plan = plans[len(x)]
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            exhaust(plan.run(Batch.of(graph, x, labels), backward=False))
        predictions.append(_answers(plan, answering))
        total_loss += plan.loss() * len(x)
    answers = np.concatenate(predictions).astype(np.int64)
    correct = int((answers == dataset.labels).sum())
    return Evaluation(
        correct / len(dataset), total_loss / len(dataset), correct, len(dataset), answers
    )


def _answering_loss(graph: Graph) -> Loss:
    """The loss whose target is the class; ``_check_fit`` has seen that there is one."""
    assert graph.answering is not None
    return graph.answering


def _answers(plan: Plan, loss: Loss) -> Array:
    """The class that the network gave to each sample of the batch."""
    found = evidence(loss.function, plan.value(loss.input))
    assert found is not None
    return found.argmax(1)


def _without_aids(graph: Graph) -> Graph:
    """Without what helps in training alone: losses that judge no output, and their layers."""
    outputs = {ref for _, ref in graph.outputs}
    answering = graph.answering
    losses = tuple(x for x in graph.losses if x.input in outputs or x is answering)
    if len(losses) == len(graph.losses):
        return graph
    ends = outputs | {loss.input for loss in losses}
    kept = {ref[0] for ref in ends}.union(*(graph.ancestors(ref[0]) for ref in ends))
    nodes = tuple(node for node in graph.nodes if node.id in kept)
    return dataclasses.replace(graph, nodes=nodes, losses=losses)


def _check_fit(graph: Graph, dataset: Dataset) -> None:
    """Raise TrainingError unless the graph can be trained on the data."""
    if not graph.losses:
        raise TrainingError(
            f"{graph.name}: expected a loss to train against, received none. "
            "Add a cross-entropy at the output."
        )
    if graph.answering is None:
        kinds = ", ".join(loss.function.title for loss in graph.losses)
        raise TrainingError(
            f"{graph.name}: expected a loss whose target is a class, received {kinds}. Choose "
            "another kind, as cross-entropy, or add such a loss."
        )
    if len(graph.inputs) != 1:
        raise TrainingError(
            f"{graph.name}: expected one input for pictures, received {len(graph.inputs)}. "
            "Leave one input."
        )
    if not len(dataset):
        raise TrainingError(f"{dataset.name}: expected at least one sample, received none.")
    shape, wanted = dataset.preprocessing.shape, graph.inputs[0].shape
    if shape != wanted:
        raise TrainingError(
            f"{graph.name}: expected pictures of {_size(wanted)}, received {_size(shape)} from "
            f"{dataset.name}. Choose another data set, or set the network's input to "
            f"{_size(shape)}."
        )
    inference = graph.check()
    for loss in graph.losses:
        if not isinstance(loss.function, OF_CLASSES):
            continue
        classes = _classes(inference.specs[loss.input].shape)
        if classes < len(dataset.classes):
            raise TrainingError(
                f"{graph.name}: expected at least {len(dataset.classes)} outputs, one for each "
                f"class of {dataset.name}, received {classes}. Set out_features of the last "
                f"Linear to {len(dataset.classes)}."
            )


def _classes(shape: tuple[int, ...]) -> int:
    return shape[1] if len(shape) > 1 else 0


def _size(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))
