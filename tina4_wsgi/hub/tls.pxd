cpdef object tls_stream(object sock, object session)
