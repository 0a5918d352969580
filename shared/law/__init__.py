"""The law as data and pure functions: clocks, reach, grounds. Every rule stands beside its source."""
