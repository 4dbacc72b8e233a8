cpdef scan_head(bytes data, Py_ssize_t line_bytes, Py_ssize_t fields, Py_ssize_t head_bytes)
