# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, binding=False
"""Transactions to Redis while it answers as expected: what each thing is for says ``sender.pyi``.

The rules are those of ``publisher`` and ``redis_pipe``, and so are the bytes. One transaction is under way at a time. Its
answer is known beforehand to the byte, so it is compared, not parsed; any other answer, and the end of the connection, is
for those two, who get everything back.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp

from collector_worker.fastpath.text cimport (
    CLOCK_MONOTONIC,
    CLOCK_REALTIME,
    decimal_length,
    keep_sample,
    put,
    put_bulk,
    put_number,
    read_clock,
)


cdef extern from "sys/socket.h" nogil:
    ssize_t recv(int fd, void *data, size_t size, int flags)
    ssize_t send(int fd, const void *data, size_t size, int flags)
    int MSG_DONTWAIT
    int MSG_NOSIGNAL


cdef enum:
    ANSWER_BYTES = 65_536
    LOOK_EVERY = 64  # entries: a look costs as much as two

cdef int64_t NS_PER_S = 1_000_000_000


cdef class QueuedEntry:
    pass


cdef QueuedEntry new_entry(bytes command, int64_t recv_ns, bytes key, bytes entry_id):
    cdef QueuedEntry entry = QueuedEntry.__new__(QueuedEntry)
    entry.command, entry.recv_ns, entry.key, entry.entry_id = command, recv_ns, key, entry_id
    return entry


cdef class Sender:
    def __cinit__(self):
        self._scratch_bytes = 4096
        self._scratch = <char *> malloc(self._scratch_bytes)
        if self._scratch == NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self._scratch)

    def __init__(self, pacing, on_trouble, on_paused, on_resume):
        self._batch_entries, self._batch_bytes = pacing.batch_entries, pacing.batch_bytes
        self._paused_entries, self._resume_entries = pacing.paused_entries, pacing.resume_entries
        self._on_trouble, self._on_paused, self._on_resume = on_trouble, on_paused, on_resume
        self._waiting, self._flight = [], []
        self._expected = self._said = b""
        self.ends, self.latencies_us = {}, []
        self.open = True

    def begin(self, handover, int64_t sampled_ns):
        self._file = handover.file
        self._head, self._tail = handover.head, handover.tail
        self._answer_head, self._answer_tail = handover.answer_head, handover.answer_tail
        self._listen, self._write_rest, self._listening = handover.listen, handover.write, handover.listens
        self.sampled_ns = sampled_ns
        self.sends = True
        if self._waiting:
            self._ship()

    def __len__(self):
        return len(self._waiting) + len(self._flight)

    def push(self, bytes command not None, int64_t recv_ns, bytes key not None, bytes entry_id not None):
        self.take(new_entry(command, recv_ns, key, entry_id))

    def on_answer(self, bytes data not None):
        self._hear(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data), True)

    def close(self):
        flight, waiting = self._flight, self._waiting
        self._flight, self._waiting = [], []
        self.open = self.sends = False
        return flight, waiting, self._expected[: self._heard] + self._said, self._listening

    cdef int take(self, QueuedEntry entry) except -1:
        """Send an entry now, or with those that wait for the answer to what is under way."""
        self._waiting.append(entry)
        if self._flight:
            self._unlooked += 1
            if not self._listening or self._unlooked >= LOOK_EVERY:
                self._look()
            if self._flight and self.open:
                self._listen_to_it(True)
        if self.sends and not self._flight and self._waiting:
            self._ship()
        elif len(self._waiting) > self._paused_entries and self.open:
            self._paused = True
            self._on_paused()
        return 0

    cdef int _listen_to_it(self, bint wanted) except -1:
        if self._listening != wanted:
            self._listening = wanted
            self._listen(wanted)
        return 0

    cdef int _look(self) except -1:
        """Take the answer where it is there. In a burst Redis would else be idle until the event loop reads again."""
        self._unlooked = 0
        cdef char data[ANSWER_BYTES]
        cdef ssize_t size = recv(self._file, data, ANSWER_BYTES, MSG_DONTWAIT)
        if size > 0:
            self._hear(data, size, self._listening)
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
        if size == left and self._flight:
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
        cdef QueuedEntry entry = None, before = None
        for entry in self._flight:
            if before is not None and entry.key is not before.key:
                self.ends[before.key] = before.entry_id
            before = entry
        self.ends[before.key] = before.entry_id
        self.published += len(self._flight)
        if prompt:
            self._sample()
        self._flight = []
        self._expected, self._heard = b"", 0
        if self._paused and len(self._waiting) <= self._resume_entries:
            self._paused = False
            self._on_resume()
        return 0

    cdef int _sample(self) except -1:
        """Note how long some of the entries under way took."""
        cdef Py_ssize_t count = len(self._flight), place
        cdef int64_t now_ns = read_clock(CLOCK_REALTIME)
        cdef QueuedEntry entry = None
        for place in range(0, count, count // 3 + 1):
            entry = <QueuedEntry> self._flight[place]
            keep_sample(self.latencies_us, self._samples, (now_ns - entry.recv_ns) // 1000)
            self._samples += 1
        self.sampled_ns = entry.recv_ns
        return 0

    cdef int _ship(self) except -1:
        """Send what waits, as much as one transaction holds; nothing is under way."""
        cdef Py_ssize_t total = PyBytes_GET_SIZE(self._head) + PyBytes_GET_SIZE(self._tail), count = 0, size = 0
        cdef QueuedEntry entry
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
        entry = <QueuedEntry> self._flight[0]
        self._listen_to_it(len(self._waiting) > 0 or not 0 <= entry.recv_ns - self.sampled_ns < NS_PER_S)
        cdef ssize_t sent = send(self._file, self._scratch, total, MSG_DONTWAIT | MSG_NOSIGNAL)
        if sent < total:  # or it has failed: the event loop will meet the same, and tell
            sent = max(sent, 0)
            self._write_rest(PyBytes_FromStringAndSize(self._scratch + sent, total - sent))
        return 0

    cdef int _expect(self) except -1:
        """What Redis answers where all of it is carried out."""
        cdef Py_ssize_t count = len(self._flight), size = 9 * count + 1 + decimal_length(count) + 2
        cdef QueuedEntry entry
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
