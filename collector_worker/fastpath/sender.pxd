# cython: language_level=3
"""What other compiled modules see of the sender."""

from libc.stdint cimport int64_t


cdef class QueuedEntry:
    cdef readonly bytes command, key, entry_id
    cdef readonly int64_t recv_ns


cdef QueuedEntry new_entry(bytes command, int64_t recv_ns, bytes key, bytes entry_id)


cdef class Sender:
    cdef readonly bint open, sends
    cdef readonly int64_t asked_ns, sampled_ns, published
    cdef readonly dict ends
    cdef readonly list latencies_us
    cdef int _file
    cdef bytes _head, _tail, _answer_head, _answer_tail
    cdef object _listen, _write_rest, _on_trouble, _on_paused, _on_resume
    cdef Py_ssize_t _batch_entries, _batch_bytes, _paused_entries, _resume_entries
    cdef list _waiting, _flight
    cdef bytes _expected, _said
    cdef Py_ssize_t _heard, _unlooked
    cdef bint _listening, _paused
    cdef int64_t _samples
    cdef char *_scratch
    cdef Py_ssize_t _scratch_bytes

    cdef int take(self, QueuedEntry entry) except -1
    cdef int _listen_to_it(self, bint wanted) except -1
    cdef int _look(self) except -1
    cdef int _hear(self, const char *data, Py_ssize_t size, bint prompt) except -1
    cdef int _give_up(self) except -1
    cdef int _confirm(self, bint prompt) except -1
    cdef int _sample(self) except -1
    cdef int _ship(self) except -1
    cdef int _expect(self) except -1
    cdef int _provide(self, Py_ssize_t size) except -1
