cimport cython
from .framing cimport frame_of, text_frame

cdef int _FIN, _WHOLE_BINARY

cpdef bytes encode_frame(int opcode, bytes payload, int reserved=*)

@cython.locals(text=str)
cpdef bytes encode_message(object message)
