from libc.stdint cimport uint64_t
from libc.string cimport memcpy

cdef inline void xor_into(unsigned char *target, const unsigned char *source, Py_ssize_t size,
                          const unsigned char *mask) noexcept nogil:
    """Write `size` bytes of `source`, XORed with the four of `mask`, to `target`.

    `target` may be `source`. Eight bytes a step: `memcpy` of a constant size is one load or store,
    and valid at any address, since payloads begin wherever the head of their frame ends.
    """
    cdef uint64_t word, pattern
    cdef Py_ssize_t position = 0

    memcpy(&pattern, mask, 4)
    memcpy(<unsigned char *> &pattern + 4, mask, 4)
    while size - position >= 8:
        memcpy(&word, source + position, 8)
        word ^= pattern
        memcpy(target + position, &word, 8)
        position += 8
    while position < size:
        target[position] = source[position] ^ mask[position & 3]
        position += 1

cpdef bytes apply_mask(object data, object mask)
