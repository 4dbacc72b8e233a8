"""Changes the package in small ways, one at a time, and sees whether a test notices: `make
mutants`.

A mutant is one change of one expression or statement: `<` becomes `<=`, `and` becomes `or`, a call
is dropped. It is written into a copy of the tree, never into the tree itself, and the tests that
can notice it run against it, in Python only: those that reach its line without a mutant, the
module's own and the quickest first, then those whose processes may. A mutant is killed when a test
fails or hangs. One that survives shows code that no test needs.

A sample is drawn by seed, and an edit elsewhere doesn't change which mutants it holds. Mutants that
no test can notice stand in `equivalent.txt` with the reason, and are left out.

Exit status: 0 each part reaches its score; 1 one doesn't, or its tests fail without a mutant; 2
usage.

Why not mutmut or cosmic-ray: mutmut 3 puts a switch into each function, and tests that count time
or memory fail by that alone; cosmic-ray changes files in place, and has one test command and one
timeout for all.
"""
