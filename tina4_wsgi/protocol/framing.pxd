cpdef str text_at(const unsigned char *raw, Py_ssize_t start, Py_ssize_t size)
cpdef bytes bytes_at(const unsigned char *raw, Py_ssize_t start, Py_ssize_t size)
cpdef bytes text_frame(str text)
cpdef bytes frame_of(int first, bytes payload)
