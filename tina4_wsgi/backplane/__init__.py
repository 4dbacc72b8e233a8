"""Beyond one process: how broadcasts, questions and kicks reach the other processes that serve an app."""
