cpdef unsigned long long get_ident() noexcept
