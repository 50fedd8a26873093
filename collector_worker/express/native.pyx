# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, binding=False
"""The usual trade from its frame to Redis in one go, compiled: what it is for, and its rules, see the package.

Nothing here decides anything that the Python beside it does not decide as well; it takes what is simply the next trade
in the exchange's usual spelling, while Redis answers as expected, and leaves everything else alone. Names and values
are those of ``stream_ids``, ``trade_command``, ``publisher`` and ``redis_pipe``, whose results it must equal to the
byte: the tests hold them together.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memcpy, strlen

cdef extern from "sys/socket.h" nogil:
    ssize_t recv(int fd, void *data, size_t size, int flags)
    ssize_t send(int fd, const void *data, size_t size, int flags)
    int MSG_DONTWAIT
    int MSG_NOSIGNAL

cdef extern from "time.h" nogil:
    struct timespec:
        long tv_sec
        long tv_nsec
    int clock_gettime(int clock, timespec *now)
    int CLOCK_REALTIME
    int CLOCK_MONOTONIC

cdef int64_t NS_PER_S = 1_000_000_000
cdef int64_t NS_PER_MS = 1_000_000
cdef int64_t MAX_CLOCK_DIFFERENCE_NS = 60 * 1_000_000_000
cdef int64_t TIME_2001_NS = 10 ** 18  # from here a time has 19 digits
cdef int64_t MAX_TIME_MS = 9_223_372_036_854  # in the year 2262 it leaves 64 bits

cdef enum:
    ANSWER_BYTES = 65_536
    ID_DIGITS = 18  # what 64 bits hold for certain
    MS_DIGITS = 13
    NS_DIGITS = 19
    MAX_NUMBER = 40  # of a price or size: longer ones are for those who look at them one by one
    MAX_PIECES = 24
    MAX_BEGINNING = 512
    MAX_COMMAND = 1024
    KEPT_SAMPLES = 64
    LAG_EVERY = 8

# The parts of a shape that are no literal; see ``TradeShape``.
cdef enum:
    LITERAL = 0
    TRADE_ID = 1
    PRICE = 2
    SIZE = 3
    SIDE = 4
    TIME_MS = 5
    NUMBER = 6
    MEMBERS = 7


cdef int64_t read_clock(int clock) noexcept nogil:
    cdef timespec now
    clock_gettime(clock, &now)
    return now.tv_sec * NS_PER_S + now.tv_nsec


cdef inline int digits_of(const char *at, const char *end) noexcept nogil:
    """How many decimal digits stand here."""
    cdef const char *begin = at
    while at < end and c"0" <= at[0] <= c"9":
        at += 1
    return <int> (at - begin)


cdef inline int decimal_of(const char *at, const char *end) noexcept nogil:
    """How long the plain decimal number is that stands here, such as ``42219.9``; 0 where there is none."""
    cdef int whole = digits_of(at, end), fraction
    if not whole or at + whole >= end or at[whole] != c".":
        return whole
    fraction = digits_of(at + whole + 1, end)
    return whole + 1 + fraction if fraction else 0


cdef inline int members_of(const char *begin, const char *end) noexcept nogil:
    """How long the run of further members of an object is that stands here: ``,"name":"text"`` or ``,"name":12``."""
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


cdef inline int decimal_length(int64_t number) noexcept nogil:
    cdef int length = 1
    while number >= 10:
        number //= 10
        length += 1
    return length


cdef inline char *put(char *at, const char *text, Py_ssize_t size) noexcept nogil:
    memcpy(at, text, size)
    return at + size


cdef inline char *put_literal(char *at, const char *text) noexcept nogil:
    return put(at, text, strlen(text))


cdef inline char *put_number(char *at, int64_t number) noexcept nogil:
    cdef int length = decimal_length(number)
    cdef char *place = at + length
    while place > at:
        place -= 1
        place[0] = <char> (c"0" + number % 10)
        number //= 10
    return at + length


cdef inline char *put_bulk(char *at, const char *text, Py_ssize_t size) noexcept nogil:
    """A bulk string of Redis' protocol, without the ``$`` before its length."""
    at = put(put_number(at, size), b"\r\n", 2)
    return put(put(at, text, size), b"\r\n", 2)


cdef class Entry:
    """One packed XADD on its way: what ``spool.Packed`` is, and its id."""

    cdef readonly bytes command, key, entry_id
    cdef readonly int64_t recv_ns


cdef Entry new_entry(bytes command, int64_t recv_ns, bytes key, bytes entry_id):
    cdef Entry entry = Entry.__new__(Entry)
    entry.command, entry.recv_ns, entry.key, entry.entry_id = command, recv_ns, key, entry_id
    return entry


cdef class Outbox:
    """Entries on their way to Redis, while it answers as expected; see ``native.pyi``."""

    cdef readonly bint open, sends, congested
    cdef readonly int64_t asked_ns, sampled_ns
    cdef readonly int64_t published
    cdef readonly dict ends
    cdef readonly list latencies_us
    cdef int _fd
    cdef bytes _head, _tail, _answer_head, _answer_tail
    cdef object _listen, _write_rest, _on_trouble, _on_congested, _on_relieved
    cdef Py_ssize_t _batch_entries, _batch_bytes, _congested_entries, _relieved_entries
    cdef list _waiting, _flight
    cdef bytes _expected, _said
    cdef Py_ssize_t _heard
    cdef bint _listening
    cdef char *_scratch
    cdef Py_ssize_t _scratch_bytes

    def __cinit__(self):
        self._scratch_bytes = 4096
        self._scratch = <char *> malloc(self._scratch_bytes)
        if self._scratch == NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self._scratch)

    def __init__(self, pacing, on_trouble, on_congested, on_relieved):
        self._batch_entries, self._batch_bytes = pacing.batch_entries, pacing.batch_bytes
        self._congested_entries, self._relieved_entries = pacing.congested_entries, pacing.relieved_entries
        self._on_trouble, self._on_congested, self._on_relieved = on_trouble, on_congested, on_relieved
        self._waiting, self._flight = [], []
        self._expected = self._said = b""
        self.ends, self.latencies_us = {}, []
        self.open = True

    def begin(self, loan, int64_t sampled_ns):
        self._fd = loan.file
        self._head, self._tail = loan.head, loan.tail
        self._answer_head, self._answer_tail = loan.answer_head, loan.answer_tail
        self._listen, self._write_rest, self._listening = loan.listen, loan.write, loan.listens
        self.sampled_ns = sampled_ns
        self.sends = True
        if self._waiting:
            self._ship()

    def __len__(self):
        return len(self._waiting) + len(self._flight)

    def push(self, bytes command, int64_t recv_ns, bytes key, bytes entry_id):
        self._take(new_entry(command, recv_ns, key, entry_id))

    def on_answer(self, bytes data):
        self._hear(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data), True)

    def close(self):
        flight, waiting = self._flight, self._waiting
        self._flight, self._waiting = [], []
        self.open = self.sends = False
        return flight, waiting, self._expected[: self._heard] + self._said, self._listening

    cdef int _take(self, Entry entry) except -1:
        """Send an entry now, or with those that wait for the answer to what is under way."""
        self._waiting.append(entry)
        if self._flight and not self._listening:
            self._look()
            if self._flight and self.open:
                self._listen_to_it(True)
        if self.sends and not self._flight and self._waiting:
            self._ship()
        elif len(self._waiting) > self._congested_entries and self.open:
            self.congested = True
            self._on_congested()
        return 0

    cdef int _listen_to_it(self, bint wanted) except -1:
        if self._listening != wanted:
            self._listening = wanted
            self._listen(wanted)
        return 0

    cdef int _look(self) except -1:
        """Take the answer where it is there."""
        cdef char data[ANSWER_BYTES]
        cdef ssize_t size = recv(self._fd, data, ANSWER_BYTES, MSG_DONTWAIT)
        if size > 0:
            self._hear(data, size, False)
        elif size == 0 or (errno != EAGAIN and errno != EINTR):
            self._give_up()  # the event loop will meet the same, and tell
        return 0

    cdef int _hear(self, const char *data, Py_ssize_t size, bint prompt) except -1:
        """Compare what Redis says with what it should say."""
        cdef Py_ssize_t left = PyBytes_GET_SIZE(self._expected) - self._heard
        if size > left or memcmp(PyBytes_AS_STRING(self._expected) + self._heard, data, size):
            self._said = PyBytes_FromStringAndSize(data, size)
            self._give_up()
            return 0
        self._heard += size
        if size == left:
            self._confirm(prompt)
            if prompt and self._waiting:
                self._ship()
        return 0

    cdef int _give_up(self) except -1:
        self.open = self.sends = False
        self._on_trouble()
        return 0

    cdef int _confirm(self, bint prompt) except -1:
        """Redis has all that was under way."""
        cdef Entry entry = None, before = None
        for entry in self._flight:
            if before is not None and entry.key is not before.key:
                self.ends[before.key] = before.entry_id
            before = entry
        self.ends[before.key] = before.entry_id
        self.published += len(self._flight)
        if prompt:
            entry = <Entry> self._flight[0]
            self.sampled_ns = entry.recv_ns
            if len(self.latencies_us) < KEPT_SAMPLES:
                self.latencies_us.append((read_clock(CLOCK_REALTIME) - entry.recv_ns) // 1000)
        self._flight = []
        self._expected, self._heard = b"", 0
        if self.congested and len(self._waiting) <= self._relieved_entries:
            self.congested = False
            self._on_relieved()
        return 0

    cdef int _ship(self) except -1:
        """Send what waits, as much as one transaction holds; nothing is under way."""
        cdef Py_ssize_t total = PyBytes_GET_SIZE(self._head) + PyBytes_GET_SIZE(self._tail), count = 0, size = 0
        cdef Entry entry
        for entry in self._waiting:
            size += PyBytes_GET_SIZE(entry.command)
            count += 1
            if count >= self._batch_entries or size >= self._batch_bytes:
                break
        if count == len(self._waiting):
            self._flight, self._waiting = self._waiting, []
        else:
            self._flight = self._waiting[:count]
            del self._waiting[:count]
        total += size
        self._provide(total)
        cdef char *at = put(self._scratch, PyBytes_AS_STRING(self._head), PyBytes_GET_SIZE(self._head))
        for entry in self._flight:
            at = put(at, PyBytes_AS_STRING(entry.command), PyBytes_GET_SIZE(entry.command))
        put(at, PyBytes_AS_STRING(self._tail), PyBytes_GET_SIZE(self._tail))
        self._expect()
        self.asked_ns = read_clock(CLOCK_MONOTONIC)
        entry = <Entry> self._flight[0]
        self._listen_to_it(len(self._waiting) > 0 or not 0 <= entry.recv_ns - self.sampled_ns < NS_PER_S)
        cdef ssize_t sent = send(self._fd, self._scratch, total, MSG_DONTWAIT | MSG_NOSIGNAL)
        if sent < total:  # or it has failed: the event loop will meet the same, and tell
            sent = max(sent, 0)
            self._write_rest(PyBytes_FromStringAndSize(self._scratch + sent, total - sent))
        return 0

    cdef int _expect(self) except -1:
        """What Redis answers where all of it is carried out."""
        cdef Py_ssize_t count = len(self._flight), size = 9 * count + 1 + decimal_length(count) + 2
        cdef Entry entry
        size += PyBytes_GET_SIZE(self._answer_head) + PyBytes_GET_SIZE(self._answer_tail)
        for entry in self._flight:
            size += 1 + decimal_length(PyBytes_GET_SIZE(entry.entry_id)) + 4 + PyBytes_GET_SIZE(entry.entry_id)
        self._expected, self._heard, self._said = PyBytes_FromStringAndSize(NULL, size), 0, b""
        cdef char *at = PyBytes_AS_STRING(self._expected)
        at = put(at, PyBytes_AS_STRING(self._answer_head), PyBytes_GET_SIZE(self._answer_head))
        for _ in range(count):
            at = put(at, b"+QUEUED\r\n", 9)
        at = put(put_number(put(at, b"*", 1), count), b"\r\n", 2)
        for entry in self._flight:
            at = put_bulk(put(at, b"$", 1), PyBytes_AS_STRING(entry.entry_id), PyBytes_GET_SIZE(entry.entry_id))
        put(at, PyBytes_AS_STRING(self._answer_tail), PyBytes_GET_SIZE(self._answer_tail))
        return 0

    cdef int _provide(self, Py_ssize_t size) except -1:
        if size > self._scratch_bytes:
            free(self._scratch)
            self._scratch_bytes = size
            self._scratch = <char *> malloc(size)
            if self._scratch == NULL:
                self._scratch_bytes = 0
                raise MemoryError
        return 0


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


cdef class Entrance


cdef class Lane:
    """The trades of one stream; see ``native.pyi``."""

    cdef public int64_t last_id, last_ms, last_n, last_ts
    cdef readonly int64_t recv_ns, seen_ns
    cdef int64_t _taken
    cdef list _lags_us
    cdef Outbox _outbox
    cdef Entrance _entrance
    cdef bytes _key, _beginning, _bounded
    cdef int _bound_every, _unbounded
    cdef list _literals
    cdef Piece _pieces[MAX_PIECES]
    cdef int _piece_count
    cdef bytes _buy, _sell

    def __init__(self, shape, bytes key, bytes beginning, bytes bounded, int bound_every):
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
        self._bound_every = bound_every
        self._lags_us = []

    def begin(self, Outbox outbox, Entrance entrance, int64_t last_id, int64_t last_ms, int64_t last_n, int64_t last_ts):
        self._outbox, self._entrance = outbox, entrance
        self.last_id, self.last_ms, self.last_n, self.last_ts = last_id, last_ms, last_n, last_ts

    def end(self):
        self._outbox = self._entrance = None

    def take_tally(self):
        """How many were taken since the last time; and forget it."""
        taken, lags_us = self._taken, self._lags_us
        self._taken, self._lags_us = 0, []
        return taken, lags_us

    cdef bint _take(self, Entrance entrance, bytes frame) except -1:
        if self._entrance is not entrance or not self._outbox.open:
            return False
        cdef Found found
        if not self._match(PyBytes_AS_STRING(frame), PyBytes_GET_SIZE(frame), &found):
            return False
        cdef int64_t number = number_of(found.trade_id.at, found.trade_id.size)
        cdef int64_t recv_ns = read_clock(CLOCK_REALTIME), event_ns = found.event_ns
        if number != self.last_id + 1 or recv_ns < TIME_2001_NS:
            return False
        self._number(number, event_ns, recv_ns)
        self.last_id, self.last_ts = number, max(event_ns, self.last_ts)
        self.recv_ns, self.seen_ns = recv_ns, read_clock(CLOCK_MONOTONIC)
        if self._taken % LAG_EVERY == 0 and len(self._lags_us) < KEPT_SAMPLES:
            self._lags_us.append((recv_ns - event_ns) // 1000)
        self._taken += 1
        self._outbox._take(self._packed(&found, event_ns, recv_ns))
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

    cdef Entry _packed(self, Found *found, int64_t event_ns, int64_t recv_ns):
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
                size = members_of(at, end)
            at += size
            piece += 1
        return at == end

    cdef int _side(self, const char *at, const char *end, bint *sell) noexcept:
        """How long the word is that stands here for one of the sides; 0 where it is none of them."""
        for word in (self._buy, self._sell):
            size = PyBytes_GET_SIZE(word)
            if end - at >= size and not memcmp(at, PyBytes_AS_STRING(word), size):
                sell[0] = word is self._sell
                return <int> size
        return 0


cdef class Entrance:
    """Where the frames of one connection come in; see ``native.pyi``."""

    cdef Lane _lane
    cdef object _otherwise

    def __init__(self, Lane lane, otherwise):
        self._lane, self._otherwise = lane, otherwise

    @property
    def open(self):
        return self._lane._entrance is self and self._lane._outbox.open

    def on_frame(self, bytes frame):
        if not self._lane._take(self, frame):
            self._otherwise(frame)

    def take(self, bytes frame):
        return self._lane._take(self, frame)
