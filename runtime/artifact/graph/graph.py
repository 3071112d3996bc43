"""A graph that is built node by node; each is checked, and its outputs' shapes worked out."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from ...errors import ArtifactError
from .budget import Cost
from .node import Node, Value
from .operators import OPERATORS, Operator
from .tensor import Tensor, describe, is_computed_shape

# A ResNet-152 with maps has 1,200 nodes, a path of 147 steps on single elements and runs of 7.
MAX_NODES = 5_000
MAX_LINKS = 4 * MAX_NODES
MAX_RUN = 16
MAX_PATH = 250


class Graph:
    """A network of known operators.

    Values are defined once and before their first use, so there are no cycles and no ambiguous
    names.
    """

    def __init__(self):
        self.tensors: dict[str, Tensor] = {}
        self.operators: dict[str, int] = {}  # number of nodes of each
        self._nodes: list[tuple[Operator, Sequence[str], Sequence[str], int]] = []
        self._links = 0
        self._work = self._largest = 0

    def define(self, name: str, tensor: Tensor) -> None:
        """Add a constant, an input or the output of a node.

        Raises
        ------
        ArtifactError
            The name is empty or in use.
        """
        if not name or name in self.tensors:
            raise ArtifactError(f"The model defines {name!r:.80} twice, or a value without a name.")
        self.tensors[name] = tensor

    def add(
        self,
        operator: str,
        inputs: Sequence[str],
        outputs: Sequence[str],
        attributes: Mapping[str, Value],
    ) -> None:
        """Add a node.

        Parameters
        ----------
        operator : str
        inputs, outputs : sequence of str
            Names; "" for an optional input that is left out.
        attributes : mapping of str to value

        Raises
        ------
        ArtifactError
            The operator is not accepted, its inputs, outputs or attributes do not fit it, or the
            graph becomes too long or too costly.
        """
        known = find_operator(operator)
        if not outputs or not all(outputs):
            raise ArtifactError(f"The model's {operator} has an output without a name; refused.")
        node = Node(operator, outputs[0], self._find(operator, inputs), attributes, len(outputs))
        _check_arity(node, known)
        _check_attributes(node, known)
        tensors = known.rule(node)
        if not all(is_computed_shape(tensor.shape) for tensor in tensors):
            raise node.error(
                f"gives {' and '.join(describe(tensor.shape) for tensor in tensors[:3])}: it is "
                "empty or huge, has more than 8 axes, or its first axis does not count cubes"
            )
        for name, tensor in zip(outputs, tensors, strict=True):
            self.define(name, tensor)
        self.operators[operator] = self.operators.get(operator, 0) + 1
        self._nodes.append((known, inputs, outputs, known.scratch(node)))
        self._largest = max(self._largest, *(tensor.n_bytes for tensor in tensors))
        self._work += known.work(node, tensors)
        self._links += len(inputs)
        if len(self._nodes) > MAX_NODES or self._links > MAX_LINKS:
            raise ArtifactError(
                f"The model has more than {MAX_NODES} nodes or {MAX_LINKS} inputs of nodes; "
                "refused. Use a smaller network."
            )

    def _find(self, operator: str, names: Sequence[str]) -> tuple[Tensor | None, ...]:
        try:
            tensors = tuple(self.tensors[name] if name else None for name in names)
        except KeyError:
            raise ArtifactError(
                f"The model's {operator} uses a value that nothing before it defines. Get the file "
                "again."
            ) from None
        # A library would compute it when it loads the model, where nothing can interrupt it.
        if all(tensor is None or tensor.numbers is not None for tensor in tensors):
            raise ArtifactError(
                f"The model's {operator} has constant inputs alone; refused, since it would run "
                "when the model is loaded. Export it again with cfzoo."
            )
        return tensors

    def close(self, outputs: Iterable[str]) -> Cost:
        """Return the cost of the graph for one cube.

        Raises
        ------
        ArtifactError
            An output is not computed by a node, or the cost exceeds the budget.
        """
        uses = Counter(name for _, inputs, *_ in self._nodes for name in set(inputs))
        computed = {name for _, _, names, _ in self._nodes for name in names}
        output_names = set(outputs)
        if not output_names <= computed:
            raise ArtifactError(
                "The model's outputs do not come from its nodes. Get the file again."
            )
        self._check_runs(uses)
        pending = uses.copy()
        memory = peak = 0
        for _, inputs, names, scratch in self._nodes:
            memory += sum(self.tensors[name].n_bytes for name in names)
            peak = max(peak, memory + scratch)
            for name in {*inputs, *names}:
                pending[name] -= name in inputs
                if pending[name] == 0 and name in computed and name not in output_names:
                    memory -= self.tensors[name].n_bytes
        cost = Cost(peak, self._largest, self._work)
        cost.check()
        return cost

    def _check_runs(self, uses: Mapping[str, int]) -> None:
        """Refuse a long path of steps on single elements, or a long run that nothing else uses.

        OpenVINO merges a run with the step before it, which fails beyond 32, and compiles a path
        in a time that grows faster than its square: minutes for 2,000 steps.
        """
        runs: dict[str, int] = {}
        paths: dict[str, int] = {}
        for operator, inputs, (name, *_), _ in self._nodes:
            if not operator.is_elementwise:
                continue
            runs[name] = 1 + max((runs.get(n, 0) for n in inputs if uses[n] == 1), default=0)
            paths[name] = 1 + max(paths.get(n, 0) for n in inputs)
            if runs[name] > MAX_RUN or paths[name] > MAX_PATH:
                raise ArtifactError(
                    f"The model has more than {MAX_RUN} steps on single elements in a row, or "
                    f"{MAX_PATH} with branches, up to {name!r:.80}; refused. Use a smaller network."
                )


def find_operator(name: str) -> Operator:
    """Return what is known of an operator; raise an `ArtifactError` if it is not accepted."""
    if name not in OPERATORS:
        raise ArtifactError(
            f"The model uses the operator {name!r:.80}, which cfzoo does not run. Control flow, "
            "and operators that make gigabytes of a few bytes, are refused."
        )
    return OPERATORS[name]


def _check_arity(node: Node, operator: Operator) -> None:
    if not operator.least <= len(node.inputs) <= operator.most:
        raise node.error(
            f"has {len(node.inputs)} inputs; expected {operator.least} to {operator.most}"
        )
    if node.n_outputs > operator.outputs:
        raise node.error(f"has {node.n_outputs} outputs; expected at most {operator.outputs}")
    gaps = [position for position, tensor in enumerate(node.inputs) if tensor is None]
    # An empty last input could as well be left out; libraries differ on it.
    if gaps and (not set(gaps) <= set(operator.optional) or node.inputs[-1] is None):
        raise node.error(f"leaves out its inputs {gaps}")


def _check_attributes(node: Node, operator: Operator) -> None:
    for name, value in node.attributes.items():
        expected = operator.attributes.get(name)
        if expected is None:
            raise node.error(f"has an attribute {name!r:.40}, which cfzoo does not run")
        if not expected.accepts(value):
            raise node.error(f"has an attribute {name} of {value!r:.60}; expected {expected}")
    if missing := [name for name in operator.mandatory if name not in node.attributes]:
        raise node.error(f"lacks its attribute {missing[0]}")
