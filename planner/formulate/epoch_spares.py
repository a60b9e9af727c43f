"""The rows of the program over epochs that availability adds: pools of whole machines, with spare ones among them.

Columns, for option o and epoch t: placed[o,t] machines of it, held[o,t] of them that may be down, kept[o,t] (0 or 1)
whether there are any; whole numbers.
"""

from planner.formulate.epoch_question import EpochQuestion, held, instances, kept, placed
from solvers.problem import Row


def epoch_whole_machines(question: EpochQuestion) -> tuple[Row, ...]:
    """Instances that the objectives need stand on machines that are not spare; written where availability is asked.

    For each o, t: machines_per_instance(o)·instances[o,t] <= instances_per_machine(o)·(placed[o,t] - held[o,t]).
    """
    rows = []
    for epoch in range(question.load.epochs):
        for option in (option for option in question.running(epoch) if option.spares is not None):
            each, name = float(option.instances_per_machine), f"epoch_whole_machines[{option.name},{epoch}]"
            terms = (
                (instances(option, epoch), float(option.machines_per_instance)),
                (placed(option, epoch), -each), (held(option, epoch), each),
            )  # fmt: skip
            rows.append(Row(name=name, family="epoch_whole_machines", terms=terms, upper=0.0))
    return tuple(rows)


def epoch_redundancy(question: EpochQuestion) -> tuple[Row, ...]:
    """A pool has the spare machines that it needs at least; written where availability is asked.

    For each o, t: held[o,t] >= fixed(o,t)·kept[o,t], held[o,t] >= ratio(o)·placed[o,t], placed[o,t] <=
    most(o,t)·kept[o,t].
    """
    rows = []
    for epoch in range(question.load.epochs):
        for option in (option for option in question.running(epoch) if option.spares is not None):
            name, line = f"epoch_redundancy[{option.name},{epoch}", question.spare_line(option, epoch)
            least = {"]": (kept(option, epoch), line.machines), ",domains]": (placed(option, epoch), line.ratio)}
            for end, (column, each) in least.items():
                if each:
                    terms = ((held(option, epoch), 1.0), (column, -each))
                    rows.append(Row(name=name + end, family="epoch_redundancy", terms=terms, lower=0.0))
            any_terms = ((placed(option, epoch), 1.0), (kept(option, epoch), -question.most_placed(option, epoch)))
            rows.append(Row(name=f"{name},kept]", family="epoch_redundancy", terms=any_terms, upper=0.0))
    return tuple(rows)
