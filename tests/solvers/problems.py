"""Small mixed-integer programs for laws about solvers."""

from hypothesis import strategies as st

from solvers.problem import INF, Column, Problem, Row, Sense

COEFFICIENTS = st.integers(-5, 5).map(float)


@st.composite
def columns(draw: st.DrawFn, name: str, *, open_below: bool = True) -> Column:
    """An integer column in a small box, or a continuous one, possibly open above (and below)."""
    integer = draw(st.booleans())
    lower = draw(st.integers(-3, 2))
    upper = lower + draw(st.integers(0, 4))
    opens = st.just(False) if integer else st.booleans()
    return Column(
        name=name,
        lower=-INF if draw(opens) and open_below else float(lower),
        upper=INF if draw(opens) else float(upper),
        integer=integer,
        objective=draw(COEFFICIENTS),
    )


@st.composite
def rows(draw: st.DrawFn, name: str, column_names: list[str]) -> Row:
    """A row on some of the columns, bounded below, above or on both sides."""
    used = draw(st.lists(st.sampled_from(column_names), min_size=1, unique=True))
    low, width = draw(st.integers(-12, 6)), draw(st.integers(0, 12))
    side = draw(st.sampled_from(["lower", "upper", "both"]))
    return Row(
        name=name,
        family=draw(st.sampled_from(["red", "blue"])),
        terms=tuple((column, draw(COEFFICIENTS.filter(bool))) for column in used),
        lower=-INF if side == "upper" else float(low),
        upper=INF if side == "lower" else float(low + width),
    )


@st.composite
def problems(draw: st.DrawFn, *, open_below: bool = True) -> Problem:
    """One to four columns, one to four rows; feasible, infeasible or unbounded."""
    names = [f"c/{i}[x]" for i in range(draw(st.integers(1, 4)))]
    return Problem(
        name="small",
        sense=draw(st.sampled_from(Sense)),
        columns=tuple(draw(columns(name, open_below=open_below)) for name in names),
        rows=tuple(draw(rows(f"row {i}", names)) for i in range(draw(st.integers(1, 4)))),
    )
