# cython: language_level=3
"""Clocks and texts, without an object: written into a buffer that is long enough."""

from libc.stdint cimport int64_t
from libc.string cimport memcpy, strlen


cdef extern from "time.h" nogil:
    struct timespec:
        long tv_sec
        long tv_nsec
    int clock_gettime(int clock, timespec *now)
    int CLOCK_REALTIME
    int CLOCK_MONOTONIC


cdef inline int64_t read_clock(int clock) noexcept nogil:
    """Nanoseconds."""
    cdef timespec now
    clock_gettime(clock, &now)
    return now.tv_sec * <int64_t> 1_000_000_000 + now.tv_nsec


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


cdef enum:
    KEPT_SAMPLES = 192


cdef inline int keep_sample(list samples, int64_t number, int64_t sample) except -1:
    """Keep a sample, the so-manieth (from 0 on), in the place of the oldest where there are enough."""
    if len(samples) < KEPT_SAMPLES:
        samples.append(sample)
    else:
        samples[number % KEPT_SAMPLES] = sample
    return 0
