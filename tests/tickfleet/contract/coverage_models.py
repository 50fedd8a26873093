"""Models of collectors that know what is really in the stream, and write the ledger that a good one would write."""

from hypothesis import strategies as st
from msgspec import Struct

from tickfleet.contract.coverage import LedgerEntry, LedgerKind, State
from tickfleet.contract.identity import DataType

HOLES = (State.OPEN, State.LOST, State.UNKNOWN)


class Ledger:
    """Collects the entries."""

    def __init__(self) -> None:
        self.entries: list[LedgerEntry] = []
        self.run = 0

    def __repr__(self) -> str:
        return "\n".join(str(entry) for entry in self.entries)

    def note(
        self, kind: LedgerKind, from_ts: int | None = None, to_ts: int | None = None,
        from_id: int = -1, to_id: int = -1,
        *, continues: bool = False,
    ) -> None:  # fmt: skip
        """Append an entry; an id of -1 is left out."""
        self.entries.append(
            LedgerEntry(
                kind=kind,
                at=10**9 + len(self.entries),  # behind all times of the items
                run_id=f"run-{self.run}",
                data_type=DataType.TRADE,
                from_ts=from_ts,
                to_ts=to_ts,
                from_id=None if from_id < 0 else str(from_id),
                to_id=None if to_id < 0 else str(to_id),
                reason="too old" if kind is LedgerKind.GAP_LOST else "",
                continues=continues,
            )
        )


class Gap(Struct):
    """A gap that is being fetched: exclusive bounds of what of it is still to come."""

    after: int
    before: int


class NumberedModel(Ledger):
    """Trades: item ``n`` happens at ``times[n]``, some at the same time. ``states`` holds what each is, once passed."""

    def __init__(self, draw: st.DrawFn) -> None:
        super().__init__()
        self.draw = draw
        self.times = [100]
        self.states: list[State] = []
        self.gaps: list[Gap] = []
        self.noted = -1  # the last item that an entry confirms

    @property
    def next(self) -> int:
        """The number of the next item."""
        return len(self.states)

    def happen(self, count: int, state: State) -> None:
        """Items come, or come and are missed."""
        self.states += [state] * count
        for _ in range(count):
            self.times.append(self.times[-1] + self.draw(st.sampled_from([0, 0, 1, 3])))

    def start(self) -> None:
        """The first run opens with its first item."""
        self.happen(1, State.COMPLETE)
        self.note(LedgerKind.OPENED, self.times[0], from_id=0)
        self.noted = 0

    def collect(self) -> None:
        """Items come and are published."""
        self.happen(self.draw(st.integers(1, 4)), State.COMPLETE)

    def complete(self) -> None:
        """Note how far it is."""
        last = self.next - 1
        self.note(LedgerKind.COMPLETE, to_ts=self.times[last], to_id=last)
        self.noted = last

    def miss(self) -> None:
        """Items are missed within a run; the next one tells."""
        self._gap(self.draw(st.integers(1, 4)))

    def lose(self) -> None:
        """Items are lost at once, without a try to fetch them."""
        self._gap(self.draw(st.integers(1, 4)), lost=True)

    def _gap(self, count: int, *, lost: bool = False) -> None:
        after = self.next - 1
        self.happen(count, State.LOST if lost else State.OPEN)
        self.happen(1, State.COMPLETE)
        self._note_gap(LedgerKind.GAP_LOST if lost else LedgerKind.GAP_OPENED, Gap(after, self.next - 1))
        if not lost:
            self.gaps.append(Gap(after, self.next - 1))
        self.noted = self.next - 1

    def _note_gap(self, kind: LedgerKind, gap: Gap) -> None:
        self.note(kind, self.times[gap.after], self.times[gap.before], gap.after, gap.before)

    def settle(self) -> None:
        """A piece of a gap, from its front or its back, is fetched or given up."""
        if not self.gaps:
            return
        gap = self.draw(st.sampled_from(self.gaps))
        size = self.draw(st.integers(1, gap.before - gap.after - 1))
        if self.draw(st.booleans()):
            piece = Gap(gap.after, gap.after + size + 1)
            gap.after += size
        else:
            piece = Gap(gap.before - size - 1, gap.before)
            gap.before -= size
        state = self.draw(st.sampled_from([State.FILLED, State.LOST]))
        self.states[piece.after + 1 : piece.before] = [state] * size
        self._note_gap(LedgerKind.GAP_FILLED if state is State.FILLED else LedgerKind.GAP_LOST, piece)
        if gap.before - gap.after <= 1:
            self.gaps.remove(gap)

    def restart_and_go_on(self) -> None:
        """A new run finds the end of the stream and misses nothing, though the old one did not note all it had."""
        self.run += 1
        self.happen(1, State.COMPLETE)
        joins = self.noted == self.next - 2  # then it need not say that it continues
        continues = not joins or self.draw(st.booleans())
        self.note(LedgerKind.OPENED, self.times[self.next - 1], from_id=self.next - 1, continues=continues)
        self.noted = self.next - 1

    def restart_blind(self) -> None:
        """A new run does not know what it missed; what the old one did not note is not confirmed either."""
        self.run += 1
        self.states[self.noted + 1 :] = [State.UNKNOWN] * (self.next - self.noted - 1)
        self.happen(self.draw(st.integers(0, 3)), State.UNKNOWN)
        self.happen(1, State.COMPLETE)
        self.note(LedgerKind.OPENED, self.times[self.next - 1], from_id=self.next - 1)
        self.noted = self.next - 1

    def restart_and_fetch(self) -> None:
        """A new run opens a gap from the end of the stream to its first item, before or behind its opening."""
        self.run += 1
        if self.draw(st.booleans()):
            self._gap(self.draw(st.integers(1, 4)))
            self.note(LedgerKind.OPENED, self.times[self.next - 1], from_id=self.next - 1)
            return
        self.note(LedgerKind.OPENED, self.times[self.next - 1], from_id=self.next - 1, continues=True)
        self._gap(self.draw(st.integers(1, 4)))


@st.composite
def numbered(draw: st.DrawFn) -> NumberedModel:
    """A ledger of numbered items that ends with a ``complete``."""
    model = NumberedModel(draw)
    model.start()
    steps = (
        model.collect, model.complete, model.miss, model.lose, model.settle, model.settle, model.restart_and_go_on,
        model.restart_blind, model.restart_and_fetch,
    )  # fmt: skip
    for step in draw(st.lists(st.sampled_from(steps), max_size=25)):
        step()
    model.collect()
    model.complete()
    return model


class TimedModel(Ledger):
    """Items without numbers: ``line[t]`` is the state of the time ``t``."""

    def __init__(self, draw: st.DrawFn) -> None:
        super().__init__()
        self.draw = draw
        self.line: list[State] = []
        self.gaps: list[tuple[int, int]] = []

    @property
    def now(self) -> int:
        """The time of the next item."""
        return len(self.line)

    def pass_time(self, state: State) -> int:
        """Some time passes in a state; its beginning is returned."""
        began = self.now
        self.line += [state] * self.draw(st.integers(1, 5))
        return began

    def start(self) -> None:
        """The first run opens."""
        self.note(LedgerKind.OPENED, 0)

    def complete(self) -> None:
        """All came, and it is noted."""
        self.pass_time(State.COMPLETE)
        self.note(LedgerKind.COMPLETE, to_ts=self.now)

    def miss(self) -> None:
        """A gap that is to be fetched."""
        began = self.pass_time(State.OPEN)
        self.note(LedgerKind.GAP_OPENED, began, self.now)
        self.gaps.append((began, self.now))

    def lose(self) -> None:
        """A gap that is lost at once."""
        self.note(LedgerKind.GAP_LOST, self.pass_time(State.LOST), self.now)

    def settle(self) -> None:
        """Any piece of a gap is fetched or given up; pieces may overlap, the last word counts."""
        if not self.gaps:
            return
        first, last = self.draw(st.sampled_from(self.gaps))
        began = self.draw(st.integers(first, last - 1))
        ended = self.draw(st.integers(began + 1, last))
        state = self.draw(st.sampled_from([State.FILLED, State.LOST]))
        self.line[began:ended] = [state] * (ended - began)
        self.note(LedgerKind.GAP_FILLED if state is State.FILLED else LedgerKind.GAP_LOST, began, ended)

    def restart(self) -> None:
        """A new run; nobody knows what came in between."""
        self.run += 1
        self.pass_time(State.UNKNOWN)
        self.note(LedgerKind.OPENED, self.now)


@st.composite
def timed(draw: st.DrawFn) -> TimedModel:
    """A ledger of items without numbers."""
    model = TimedModel(draw)
    model.start()
    steps = (model.complete, model.miss, model.lose, model.settle, model.settle, model.restart)
    for step in draw(st.lists(st.sampled_from(steps), max_size=25)):
        step()
    return model
