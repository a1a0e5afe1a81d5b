"""Blocks of a network that came without them: residual, inception, dense, squeeze-excite, stages.

``paths(graph)`` gives each node an id such as ``stage2/block1/conv1``. Paths that names already
carry are kept where they help. Else the blocks are read off the graph: where branches meet again
(a join), everything since their last common source (the fork) is one block when nothing of it is
read outside. Between a fork and its join every way lies inside, so a block is convex; stages are
cut from one order of computation, so they are too.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from engine.graph import Graph, GraphError, Node
from engine.layers.add import Add
from engine.layers.arithmetic import Arithmetic
from engine.layers.concat import Concat
from engine.layers.conv2d import Conv2d
from engine.layers.frame import Frame
from engine.layers.global_avg_pool import GlobalAvgPool
from engine.layers.global_max_pool import GlobalMaxPool
from engine.layers.mul import Mul
from engine.layers.pooling import Pooling
from engine.layers.reduce import Reduce
from engine.layers.split import Split

LARGEST_BLOCK = 500
"""Layers between a fork and its join beyond which nobody would call it a block."""
FEWEST_LAYERS = 40
"""A network of fewer layers is not divided into stages."""
MOST_STAGES = 12
"""More changes of map size than this are no stages: a detector goes up and down many times."""
LARGEST_STEM = 12

_SHORT = {
    "conv2d": "conv",
    "batchnorm2d": "bn",
    "linear": "fc",
    "maxpool": "pool",
    "avgpool": "pool",
}
_KINDS = re.compile(
    r"batch_?normali[sz]ation|global_?average_?pool|average_?pool|max_?pool|avg_?pool|pool|conv2d"
    r"|conv|gemm|matmul|dense|linear|relu|sigmoid|reshape|flatten|concat|add|mul|bn|fc"
    r"|node|layer|op|n(?=_?\d)"
)
"""Words in names that say what kind of layer it is, which is seen anyway."""


@dataclass
class _Group:
    """Layers that are shown as one; ``children`` lie within it and do not meet."""

    stem: str
    members: frozenset[str]
    children: list[_Group] = field(default_factory=list)


def paths(graph: Graph) -> dict[str, str]:
    """A new id for each node whose id changes. Raises CycleError."""
    ids = [node.id for node in graph.nodes]
    for splitting in (lambda name: name, lambda name: name.replace(".", "/")):
        spoken = _spoken(graph, {name: splitting(name) for name in ids})
        if spoken is not None:
            return _valid(graph, spoken)
    return _valid(graph, _Structure(graph).paths())


def convex(graph: Graph, ids: Collection[str]) -> bool:
    """Whether no way leaves these nodes and comes back."""
    inside = set(ids)
    readers = _readers(graph)
    stack = [r for name in inside for r in readers.get(name, ()) if r not in inside]
    seen: set[str] = set()
    while stack:
        name = stack.pop()
        if name in inside:
            return False
        if name not in seen:
            seen.add(name)
            stack += readers.get(name, ())
    return True


def _readers(graph: Graph) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for node in graph.nodes:
        for ref in node.sources:
            found.setdefault(ref[0], []).append(node.id)
    return found


def _valid(graph: Graph, names: Mapping[str, str]) -> dict[str, str]:
    """Only what changes, with a number where an id is taken twice or is a group's too."""
    taken = {entry.id for entry in graph.inputs} | {loss.id for loss in graph.losses}
    heads = {name[:at] for name in names.values() for at, c in enumerate(name) if c == "/"}
    found = {}
    for old, wanted in names.items():
        new, number = wanted, 2
        while new in taken or new in heads:
            new, number = f"{wanted}_{number}", number + 1
        taken.add(new)
        if new != old:
            found[old] = new
    if heads & taken:
        raise GraphError(f"Expected a name for a group, received that of {min(heads & taken)}.")
    return found


# ---- what names say ------------------------------------------------------------------------------


def _spoken(graph: Graph, names: Mapping[str, str]) -> dict[str, str] | None:
    """The paths in names, less groups of one and those that are not convex; None if no help."""
    members: dict[str, list[str]] = {}
    for old, name in names.items():
        parts = name.split("/")
        if not all(parts):
            return None
        for n in range(1, len(parts)):
            members.setdefault("/".join(parts[:n]), []).append(old)
    taken = {entry.id for entry in graph.inputs} | {loss.id for loss in graph.losses}
    useful = {
        path
        for path, ids in members.items()
        if 1 < len(ids) < len(names) and path not in taken and convex(graph, ids)
    }
    blocks = {path for path in useful if len(members[path]) > 2}
    covered = {old for path in blocks for old in members[path]}
    if len(blocks) < 2 or 2 * len(covered) < len(names):
        return None
    found = {}
    for old, name in names.items():
        parts = name.split("/")
        made, own = "", parts[0]
        for n in range(1, len(parts)):
            path = "/".join(parts[:n])
            if path in useful:
                made, own = f"{made}{own}/", parts[n]
            elif len(members[path]) == len(names) or (len(members[path]) == 1 and own):
                # what all share says nothing; of a group of one its own name is enough
                own = parts[n] if len(members[path]) == len(names) else own
            else:
                own = f"{own}.{parts[n]}"
        found[old] = made + own
    return found


# ---- what the graph says -------------------------------------------------------------------------


def _is_sum(node: Node) -> bool:
    layer = node.layer
    return isinstance(layer, Add) or (isinstance(layer, Arithmetic) and layer.operation == "add")


def _is_product(node: Node) -> bool:
    layer = node.layer
    return isinstance(layer, Mul) or (
        isinstance(layer, Arithmetic) and layer.operation == "multiply"
    )


def _pools_all(node: Node) -> bool:
    return isinstance(node.layer, GlobalAvgPool | GlobalMaxPool | Reduce)


def _inner(name: str, start: str) -> str:
    """A name without the path that it repeats: stage1_block1_conv1 within stage1/block1/."""
    short = name[len(start) :]
    same = name[: len(start)].replace("_", "/").replace(".", "/") == start
    return short if same and short else name


class _Structure:
    """Finds the groups of one network."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.order = [node.id for node in graph.order]
        self.place = {name: number for number, name in enumerate(self.order)}
        self.node = graph.by_id
        self.readers = _readers(graph)
        self.ends = {ref[0] for _, ref in graph.outputs}
        self.specs = graph.infer().specs
        self.fixed = self._fixed()
        self.fork = self._dominators()

    def area(self, name: str) -> int:
        """Cells of a node's map; 0 where it gives none, or one number a channel."""
        spec = self.specs.get((name, 0))
        if spec is None or len(spec.shape) < 4:
            return 0
        height, width = spec.shape[-2:]
        return height * width if height * width > 1 else 0

    def rank(self, name: str) -> int:
        spec = self.specs.get((name, 0))
        return len(spec.shape) if spec is not None else 0

    def channels(self, name: str) -> int:
        spec = self.specs.get((name, 0))
        return spec.shape[-3] if spec is not None and len(spec.shape) >= 3 else 0

    def sources(self, name: str) -> list[str]:
        """Nodes and inputs that it reads, each once."""
        node = self.node.get(name)
        if node is None:
            return []
        return list(dict.fromkeys(ref[0] for ref in node.sources))

    def _fixed(self) -> set[str]:
        """Nodes that depend on no input of the network."""
        found: set[str] = set()
        for name in self.order:
            if all(s in found for s in self.sources(name)):
                found.add(name)
        return found

    def _dominators(self) -> dict[str, str]:
        """For each node the last one that every way from the inputs to it passes; "" if none."""
        above: dict[str, str] = {}
        depth: dict[str, int] = {"": 0}
        for entry in self.graph.inputs:
            above[entry.id], depth[entry.id] = "", 1
        for name in self.order:
            sources = [s for s in self.sources(name) if s not in self.fixed and s in depth]
            common = sources[0] if sources else ""
            for other in sources[1:]:
                while common != other:
                    if depth[common] >= depth[other]:
                        common = above[common]
                    else:
                        other = above[other]
            above[name], depth[name] = common, depth[common] + 1
        return above

    # ---- blocks ----------------------------------------------------------------------------

    def region(self, fork: str, join: str) -> frozenset[str] | None:
        """What lies on the ways from a fork to a join, the join with it; None when very large."""
        found = {join}
        stack = [join]
        while stack:
            for source in self.sources(stack.pop()):
                if source != fork and source not in found and source in self.node:
                    found.add(source)
                    stack.append(source)
            if len(found) > LARGEST_BLOCK:
                return None
        return frozenset(found)

    def closed(self, members: Collection[str], join: str) -> bool:
        """Whether nothing but the join is read outside."""
        return all(
            name == join
            or (name not in self.ends and all(r in members for r in self.readers.get(name, ())))
            for name in members
        )

    def shrinks(self, members: Iterable[str], join: str) -> bool:
        """Whether the maps inside are smaller than those that come out, as in a U-Net."""
        area = self.area(join)
        return any(0 < self.area(name) < area for name in members)

    def blocks(self) -> list[_Group]:
        """The groups found around joins; any two lie within each other or apart."""
        found: list[tuple[str, frozenset[str]]] = []
        steps: dict[str, tuple[str, frozenset[str]]] = {}  # dense layers of the chained form
        for join in self.order:
            node = self.node[join]
            direct = [s for s in self.sources(join) if s not in self.fixed]
            product = _is_product(node)
            if len(direct) < 2 or not (_is_sum(node) or product or isinstance(node.layer, Concat)):
                continue
            fork = self.fork[join]
            if not fork:
                continue
            members = self.region(fork, join)
            if members is None or len(members) < 3:
                continue
            if isinstance(self.node.get(fork, node).layer, Split):
                members |= {fork}
                direct = [s for s in direct if s != fork]
                fork = self.sources(fork)[0]
            if not self.closed(members, join):
                continue
            if product:
                if fork in direct and any(_pools_all(self.node[m]) for m in members):
                    found.append(("se", members))
                continue
            if self.shrinks(members, join):
                continue
            if isinstance(node.layer, Concat) and fork in direct:
                layers = self._grown(fork, join, members)
                if layers:
                    found += [("dense", members), *(("layer", layer) for layer in layers)]
                    continue
                steps[fork] = (join, members)
            found.append(("block", self._widened(fork, join, members)))
        for fork in list(steps):
            chain: list[frozenset[str]] = []
            last = fork
            if any(join == fork for join, _ in steps.values()):
                continue  # within a chain that began before
            while last in steps:
                last, members = steps[last]
                chain.append(members)
            if len(chain) > 1:
                found = [entry for entry in found if entry[1] not in chain]
                found += [("dense", frozenset().union(*chain)), *(("layer", m) for m in chain)]
        return self._nested(found)

    def _grown(self, fork: str, join: str, members: frozenset[str]) -> list[frozenset[str]]:
        """The layers of a dense block in which each joins all that came before; else nothing."""
        joins = [
            name
            for name in members
            if isinstance(self.node[name].layer, Concat)
            and fork in self.sources(name)
            and self.fork[name] == fork
        ]
        if len(joins) < 2:
            return []
        layers = []
        before: frozenset[str] = frozenset()
        for name in sorted(joins, key=self.place.__getitem__):
            reach = self.region(fork, name)
            if reach is None or not before <= reach:
                return []
            # the join before it is what a layer reads first
            layers.append(reach - before - {name})
            before = reach - {name}
        return [layer for layer in layers if len(layer) > 1 and convex(self.graph, layer)]

    def _widened(self, fork: str, join: str, members: frozenset[str]) -> frozenset[str]:
        """With the activation that follows, a shuffle, and a squeeze that feeds only the block."""
        wide = set(members)
        last = join
        while last not in self.ends and len(self.readers.get(last, ())) == 1:
            (last,) = self.readers[last]
            kind = self.node[last].layer.category
            maps = self.area(last) or (kind == "Shape" and self.rank(last) > 3)
            if kind not in ("Activation", "Shape") or not maps or len(self.sources(last)) > 1:
                break
            wide.add(last)
            if kind == "Activation":
                break
        if isinstance(self.node[join].layer, Concat) and fork not in self.sources(join):
            first = fork
            chain: list[str] = []
            while first in self.node and len(chain) < 3:
                if chain and (first in self.ends or len(self.readers[first]) > 1):
                    break
                if first in self.ends:
                    break
                chain.append(first)
                layer = self.node[first].layer
                if isinstance(layer, Conv2d):
                    squeezes = self.channels(first) < self.channels(self.sources(first)[0])
                    if squeezes and self.closed(wide | set(chain), last if last in wide else join):
                        wide.update(chain)
                    break
                if layer.category not in ("Activation", "Normalisation"):
                    break
                first = self.sources(first)[0]
        return frozenset(wide)

    def _nested(self, found: list[tuple[str, frozenset[str]]]) -> list[_Group]:
        outer: dict[str, _Group] = {}
        for stem, members in sorted(found, key=lambda entry: len(entry[1])):
            within = {id(outer[m]): outer[m] for m in members if m in outer}
            if any(not group.members < members for group in within.values()):
                continue
            children = sorted(within.values(), key=lambda g: min(self.place[m] for m in g.members))
            group = _Group(stem, members, children)
            for name in members:
                outer[name] = group
        return list({id(group): group for group in outer.values()}.values())

    # ---- stages ----------------------------------------------------------------------------

    def groups(self) -> list[_Group]:
        """The outermost groups: stem, stages and head where the network has them."""
        blocks = self.blocks()
        if len(self.order) < FEWEST_LAYERS:
            return blocks
        unit_of = {name: group for group in blocks for name in group.members}
        units = self._units(blocks, unit_of)
        trunk = self._trunk()
        runs: list[list[tuple[frozenset[str], _Group | None]]] = []
        areas: list[int] = []
        for members, group in units:
            if not members & trunk:
                continue
            last = max(members, key=self.place.__getitem__)
            area = self.area(last)
            pools = group is None and isinstance(self.node[last].layer, Pooling | Frame)
            if not runs or (area != areas[-1] and not (pools and area)):
                runs.append([])
                areas.append(area)
            runs[-1].append((members, group))
            if area != areas[-1]:
                areas[-1] = -1  # a pooling ends its stage
        return self._staged(runs, areas, blocks, trunk)

    def _units(
        self, blocks: list[_Group], unit_of: Mapping[str, _Group]
    ) -> list[tuple[frozenset[str], _Group | None]]:
        """Blocks and the layers between them, in an order of computation."""
        made: dict[int | str, tuple[frozenset[str], _Group | None]] = {}
        done: set[str] = set()

        for start in self.order:
            stack = [start]
            while stack:
                name = stack[-1]
                if name in done:
                    stack.pop()
                    continue
                group = unit_of.get(name)
                members = group.members if group is not None else frozenset((name,))
                waiting = [
                    s
                    for m in members
                    for s in self.sources(m)
                    if s in self.node and s not in members and s not in done
                ]
                if waiting:
                    stack.append(min(waiting, key=self.place.__getitem__))
                    continue
                done |= members
                made[id(group) if group is not None else name] = (members, group)
                stack.pop()
        return list(made.values())

    def _trunk(self) -> set[str]:
        """What the deepest output (that of the loss first) is computed from."""
        ends = [loss.input[0] for loss in self.graph.losses] or list(self.ends)
        best: set[str] = set()
        for end in ends:
            found = (set(self.graph.ancestors(end)) | {end}) & self.node.keys()
            if len(found) > len(best):
                best = found
        more = [r for name in best for r in self.readers.get(name, ()) if r not in best]
        # what only follows the end (a softmax behind the scores) goes with it
        tail = [r for r in more if set(self.sources(r)) <= set(ends) and r in self.ends]
        return best | set(tail)

    def _staged(
        self,
        runs: list[list[tuple[frozenset[str], _Group | None]]],
        areas: list[int],
        blocks: list[_Group],
        trunk: set[str],
    ) -> list[_Group]:
        def group(stem: str, units: list[tuple[frozenset[str], _Group | None]]) -> _Group:
            members = frozenset().union(*(members for members, _ in units))
            children = [child for _, child in units if child is not None]
            if len(children) == 1 and children[0].members == members:
                children = children[0].children
            return _Group(stem, members, children)

        head: list[tuple[frozenset[str], _Group | None]] = []
        while runs and not areas[-1]:
            head = runs.pop() + head
            areas.pop()
        if len(runs) > MOST_STAGES or not runs:
            return blocks
        stem: list[tuple[frozenset[str], _Group | None]] = []
        if any(g is not None for run in runs for _, g in run):
            while runs and all(g is None for _, g in runs[0]):
                if len(stem) + len(runs[0]) > LARGEST_STEM:
                    break
                stem += runs.pop(0)
        if not stem and runs[0][0][1] is None:
            first = next((i for i, unit in enumerate(runs[0]) if unit[1] is not None), 0)
            if 1 < first <= LARGEST_STEM:
                stem, runs[0] = runs[0][:first], runs[0][first:]
        if len(runs) < 2:
            return blocks
        found = [group("stem", stem)] if stem else []
        found += [group(f"stage{n}", run) for n, run in enumerate(runs, 1)]
        found += [group("head", head)] if head else []
        beside = [group("branch", part) for part in self._beside(blocks, trunk)]
        return found + [part for part in beside if len(part.members) > 2]

    def _beside(
        self, blocks: list[_Group], trunk: set[str]
    ) -> list[list[tuple[frozenset[str], _Group | None]]]:
        """What other outputs need beside the trunk, in parts that are not connected."""
        of = {name: block for block in blocks for name in block.members}
        parts: list[list[tuple[frozenset[str], _Group | None]]] = []
        done = set(trunk)
        for start in self.order:
            if start in done:
                continue
            part: set[str] = set()
            stack = [start]
            while stack:
                name = stack.pop()
                if name in part or name in trunk or name not in self.node:
                    continue
                part.add(name)
                stack += [*self.sources(name), *self.readers.get(name, ())]
            done |= part
            units: dict[frozenset[str], _Group | None] = {}
            for name in sorted(part, key=self.place.__getitem__):
                block = of.get(name)
                units[block.members if block is not None else frozenset((name,))] = block
            parts.append(list(units.items()))
        return parts

    # ---- names -----------------------------------------------------------------------------

    def paths(self) -> dict[str, str]:
        """A path for each node."""
        groups = self.groups()
        if not groups:
            return {name: name for name in self.order}
        found: dict[str, str] = {}
        everything = _Group("", frozenset(self.order), groups)
        self._name("", everything, self._own_names(), found)
        return {name: found[name] for name in (node.id for node in self.graph.nodes)}

    def _own_names(self) -> dict[str, str]:
        """The last part of ids that say more than what kind of layer it is."""
        found = {}
        for node in self.graph.nodes:
            own = node.id.replace("/", ".")
            plain = _KINDS.sub("", own.lower()).replace(node.layer.slug.lower(), "")
            if re.search(r"[^\W\d_]", plain):
                found[node.id] = own
        return found

    def _short(self, node: Node) -> str:
        if isinstance(node.layer, Arithmetic):
            return node.layer.operation
        slug = node.layer.slug.replace("_", "").lower()
        return _SHORT.get(slug, slug)

    def _name(
        self, start: str, group: _Group, said: Mapping[str, str], found: dict[str, str]
    ) -> None:
        """Names within one group, numbered in order of computation."""
        inner = {name: child for child in group.children for name in child.members}
        beside = self._shortcut(group) if group.stem == "block" else frozenset()
        units: list[tuple[str, str | _Group]] = []
        seen: set[int] = set()
        for name in sorted(group.members, key=self.place.__getitem__):
            child = inner.get(name)
            if child is None:
                if name not in beside:
                    units.append((self._short(self.node[name]), name))
            elif id(child) not in seen:
                seen.add(id(child))
                units.append((child.stem, child))
        if beside:
            units.append(("shortcut", _Group("shortcut", beside)))
        count = Counter(stem for stem, _ in units)
        groups = {stem for stem, unit in units if isinstance(unit, _Group)}
        number: Counter[str] = Counter()
        for stem, unit in units:
            number[stem] += 1
            always = stem in ("block", "layer") or (stem in groups and isinstance(unit, str))
            text = f"{stem}{number[stem]}" if count[stem] > 1 or always else stem
            if isinstance(unit, str):
                found[unit] = start + _inner(said.get(unit, text), start)
            elif len(unit.members) == 1:
                (only,) = unit.members
                found[only] = start + _inner(said.get(only, text), start)
            else:
                self._name(f"{start}{text}/", unit, said, found)

    def _shortcut(self, group: _Group) -> frozenset[str]:
        """The shorter branch of a residual block with layers in both of its two; else nothing."""
        joins = [name for name in group.members if _is_sum(self.node[name])]
        own = [n for n in joins if not any(n in child.members for child in group.children)]
        if len(own) != 1:
            return frozenset()
        branches = []
        for source in self.sources(own[0]):
            found = {source} & group.members
            stack = list(found)
            while stack:
                for name in self.sources(stack.pop()):
                    if name in group.members and name not in found:
                        found.add(name)
                        stack.append(name)
            branches.append(found)
        if len(branches) != 2 or branches[0] & branches[1]:
            return frozenset()
        short, long = sorted(branches, key=len)
        if any(name in child.members for child in group.children for name in short):
            return frozenset()
        return frozenset(short) if 0 < len(short) < len(long) else frozenset()
