# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, binding=False
"""The usual trade from its frame into the sender: what each thing is for says ``parser.pyi``.

It takes what is simply the next trade, in the spelling that the exchange always uses, and leaves everything else alone. Ids
and commands are those of ``stream_ids`` and ``trade_command``, to the byte.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t
from libc.string cimport memcmp

from collector_worker.fastpath.sender cimport QueuedEntry, Sender, new_entry
from collector_worker.fastpath.text cimport (
    CLOCK_MONOTONIC,
    CLOCK_REALTIME,
    keep_sample,
    put,
    put_bulk,
    put_literal,
    put_number,
    read_clock,
)

cdef int64_t NS_PER_MS = 1_000_000
cdef int64_t MAX_CLOCK_DIFFERENCE_NS = 60 * 1_000_000_000
cdef int64_t TIME_2001_NS = 10 ** 18  # from here a time has 19 digits
cdef int64_t MAX_TIME_MS = 9_223_372_036_854  # in the year 2262 it leaves 64 bits

cdef enum:
    ID_DIGITS = 18  # what 64 bits hold for certain
    MS_DIGITS = 13
    MAX_NUMBER = 40  # of a price or size: longer ones are for those who look at them one by one
    MAX_PIECES = 24
    MAX_BEGINNING = 512
    MAX_COMMAND = 1024

# Of a shape: what is fixed, and the parts of ``TradePart``.
cdef enum:
    LITERAL = 0
    TRADE_ID = 1
    PRICE = 2
    SIZE = 3
    SIDE = 4
    TIME_MS = 5
    NUMBER = 6
    MEMBERS = 7


cdef inline int digits_of(const char *at, const char *end) noexcept nogil:
    """How many decimal digits stand here."""
    cdef const char *begin = at
    while at < end and c"0" <= at[0] <= c"9":
        at += 1
    return <int> (at - begin)


cdef inline int decimal_of(const char *at, const char *end) noexcept nogil:
    """How long the plain decimal number is that is here, such as ``42219.9``; 0 where there is none."""
    cdef int whole = digits_of(at, end), fraction
    if not whole or at + whole >= end or at[whole] != c".":
        return whole
    fraction = digits_of(at + whole + 1, end)
    return whole + 1 + fraction if fraction else 0


cdef inline bint is_named_before(const char *name, int size, const char *begin) noexcept nogil:
    """Whether the object has a member of this name already: then the last one counts. ``name``: with quotes and colon."""
    cdef const char *at = name - 1
    while at > begin and at[0] != c"{":
        if at[0] == c'"' and not memcmp(at, name, size):
            return True
        at -= 1
    return False


cdef inline int members_of(const char *frame, const char *begin, const char *end) noexcept nogil:
    """How long the run of further members of an object is that is here: ``,"name":"text"`` or ``,"name":12``."""
    cdef const char *at = begin
    cdef const char *member
    while at + 1 < end and at[0] == c"," and at[1] == c'"':
        member = at
        at += 2
        while at < end and (c"a" <= at[0] <= c"z" or c"A" <= at[0] <= c"Z"):
            at += 1
        if at + 2 >= end or at[0] != c'"' or at[1] != c":":
            return <int> (member - begin)
        at += 2
        if is_named_before(member + 1, <int> (at - member) - 1, frame):
            return <int> (member - begin)
        if at[0] == c'"':
            at += 1
            while at < end and (c"0" <= at[0] <= c"9" or c"a" <= at[0] <= c"z" or at[0] == c"."):
                at += 1
            if at >= end or at[0] != c'"':
                return <int> (member - begin)
            at += 1
        else:
            if not digits_of(at, end) or (at[0] == c"0" and digits_of(at, end) > 1):
                return <int> (member - begin)
            at += digits_of(at, end)
    return <int> (at - begin)


cdef inline int64_t number_of(const char *at, int digits) noexcept nogil:
    cdef int64_t number = 0
    for place in range(digits):
        number = number * 10 + (at[place] - c"0")
    return number


cdef struct Piece:
    int kind
    const char *text
    Py_ssize_t size


cdef struct Text:
    const char *at
    int size


cdef struct Found:
    Text trade_id
    Text price
    Text size
    int64_t event_ns
    bint sell


cdef class TradeParser


cdef class FrameEntry:
    """Where the frames of one connection come in."""

    cdef readonly int64_t seen_ns
    cdef TradeParser _parser
    cdef object _otherwise

    def __init__(self, TradeParser parser, otherwise):
        self._parser, self._otherwise = parser, otherwise

    @property
    def open(self):
        return self._parser._frame_entry is self and self._parser._sender.open

    def on_frame(self, bytes frame not None):
        if not self._parser._take(self, frame):
            self._otherwise(frame)

    def take(self, bytes frame not None):
        return self._parser._take(self, frame)


cdef class TradeParser:
    """The trades of one stream."""

    cdef readonly int64_t last_id, last_ms, last_n, last_ts
    cdef readonly int64_t recv_ns
    cdef int64_t _taken
    cdef list _lags_us
    cdef Sender _sender
    cdef FrameEntry _frame_entry
    cdef bytes _key, _beginning, _bounded
    cdef int _bound_every, _unbounded, _lag_every
    cdef list _literals
    cdef Piece _pieces[MAX_PIECES]
    cdef int _piece_count
    cdef bytes _buy, _sell

    def __init__(self, shape, bytes key, bytes beginning, bytes bounded, int bound_every, int lag_every):
        if len(shape.pieces) >= MAX_PIECES or len(bounded) > MAX_BEGINNING:
            raise ValueError("a shape has too many pieces, or a stream too long a name")
        self._literals = [shape.beginning, *shape.pieces]
        self._piece_count = len(self._literals)
        for place, piece in enumerate(self._literals):
            if isinstance(piece, bytes):
                self._pieces[place] = Piece(LITERAL, PyBytes_AS_STRING(piece), PyBytes_GET_SIZE(piece))
            else:
                self._pieces[place] = Piece(piece, NULL, 0)
        self._buy, self._sell = shape.buy, shape.sell
        self._key, self._beginning, self._bounded = key, beginning, bounded
        self._bound_every, self._lag_every = bound_every, lag_every
        self._lags_us = []

    def begin(self, Sender sender, FrameEntry frame_entry, int64_t last_id, int64_t last_ms, int64_t last_n, int64_t last_ts):
        self._sender, self._frame_entry = sender, frame_entry
        self.last_id, self.last_ms, self.last_n, self.last_ts = last_id, last_ms, last_n, last_ts

    def end(self):
        self._sender = self._frame_entry = None

    def take_tally(self):
        """How many were taken since the last time; and forget it."""
        taken, lags_us = self._taken, self._lags_us
        self._taken, self._lags_us = 0, []
        return taken, lags_us

    cdef bint _take(self, FrameEntry frame_entry, bytes frame) except -1:
        if self._frame_entry is not frame_entry or not self._sender.open:
            return False
        cdef Found found
        if not self._match(PyBytes_AS_STRING(frame), PyBytes_GET_SIZE(frame), &found):
            return False
        cdef int64_t number = number_of(found.trade_id.at, found.trade_id.size)
        cdef int64_t recv_ns = read_clock(CLOCK_REALTIME), event_ns = found.event_ns
        if number != self.last_id + 1 or recv_ns < TIME_2001_NS or event_ns - recv_ns > MAX_CLOCK_DIFFERENCE_NS:
            return False
        self._number(number, event_ns, recv_ns)
        self.last_id, self.last_ts = number, max(event_ns, self.last_ts)
        self.recv_ns, frame_entry.seen_ns = recv_ns, read_clock(CLOCK_MONOTONIC)
        if self._taken % self._lag_every == 0:
            keep_sample(self._lags_us, self._taken // self._lag_every, (recv_ns - event_ns) // 1000)
        self._taken += 1
        cdef Sender sender = self._sender  # it may be taken from us meanwhile
        sender.take(self._packed(&found, event_ns, recv_ns))
        return True

    cdef void _number(self, int64_t number, int64_t event_ns, int64_t recv_ns) noexcept:
        """As ``StreamIds.next_numbered``."""
        cdef int64_t difference = event_ns - recv_ns
        cdef bint trusted = -MAX_CLOCK_DIFFERENCE_NS <= difference <= MAX_CLOCK_DIFFERENCE_NS
        cdef int64_t ms = (event_ns if trusted else recv_ns) // NS_PER_MS
        if ms > self.last_ms:
            self.last_ms = ms
        elif number <= self.last_n:
            self.last_ms += 1
        self.last_n = number

    cdef QueuedEntry _packed(self, Found *found, int64_t event_ns, int64_t recv_ns):
        """As ``TradeCommand.pack``."""
        cdef char text[MAX_COMMAND]
        cdef char *at = put_number(text, self.last_ms)
        at = put(put(at, b"-", 1), found.trade_id.at, found.trade_id.size)
        cdef bytes entry_id = PyBytes_FromStringAndSize(text, at - text)
        cdef bytes beginning = self._bounded if self._unbounded == 0 else self._beginning
        self._unbounded = (self._unbounded or self._bound_every) - 1
        at = put(text, PyBytes_AS_STRING(beginning), PyBytes_GET_SIZE(beginning))
        at = put_bulk(at, PyBytes_AS_STRING(entry_id), PyBytes_GET_SIZE(entry_id))
        at = put_number(put_literal(at, b"$4\r\ntype\r\n$5\r\ntrade\r\n$8\r\nts_event\r\n$19\r\n"), event_ns)
        at = put_number(put_literal(at, b"\r\n$7\r\nts_recv\r\n$19\r\n"), recv_ns)
        at = put_bulk(put_literal(at, b"\r\n$8\r\ntrade_id\r\n$"), found.trade_id.at, found.trade_id.size)
        at = put_bulk(put_literal(at, b"$5\r\nprice\r\n$"), found.price.at, found.price.size)
        at = put_bulk(put_literal(at, b"$4\r\nsize\r\n$"), found.size.at, found.size.size)
        at = put_literal(at, b"$4\r\nside\r\n$4\r\nsell\r\n" if found.sell else b"$4\r\nside\r\n$3\r\nbuy\r\n")
        at = put_literal(at, b"$6\r\norigin\r\n$4\r\nlive\r\n")
        return new_entry(PyBytes_FromStringAndSize(text, at - text), recv_ns, self._key, entry_id)

    cdef bint _match(self, const char *at, Py_ssize_t length, Found *found) noexcept:
        """Whether a frame is of the usual shape, and what it says."""
        cdef const char *frame = at
        cdef const char *end = at + length
        cdef Piece *piece = self._pieces
        cdef Piece *behind = piece + self._piece_count
        cdef int size
        while piece < behind:
            if piece.kind == LITERAL:
                size = <int> piece.size
                if end - at < size or memcmp(at, piece.text, size):
                    return False
            elif piece.kind == TRADE_ID:
                size = digits_of(at, end)
                if not 0 < size <= ID_DIGITS or at[0] == c"0":
                    return False
                found.trade_id = Text(at, size)
            elif piece.kind == PRICE or piece.kind == SIZE:
                size = decimal_of(at, end)
                if not 0 < size <= MAX_NUMBER:
                    return False
                if piece.kind == PRICE:
                    found.price = Text(at, size)
                else:
                    found.size = Text(at, size)
            elif piece.kind == SIDE:
                size = self._side(at, end, &found.sell)
                if not size:
                    return False
            elif piece.kind == TIME_MS:
                size = digits_of(at, end)
                if size != MS_DIGITS or at[0] == c"0":
                    return False
                found.event_ns = number_of(at, size)
                if found.event_ns > MAX_TIME_MS:
                    return False
                found.event_ns *= NS_PER_MS
            elif piece.kind == NUMBER:
                size = digits_of(at, end)
                if not size or (at[0] == c"0" and size > 1):
                    return False
            else:
                size = members_of(frame, at, end)
            at += size
            piece += 1
        return at == end

    cdef int _side(self, const char *at, const char *end, bint *sell) noexcept:
        """How long the word is that is here for one of the sides; 0 where it is none of them."""
        for word in (self._buy, self._sell):
            size = PyBytes_GET_SIZE(word)
            if end - at >= size and not memcmp(at, PyBytes_AS_STRING(word), size):
                sell[0] = word is self._sell
                return <int> size
        return 0
