"""Great Expectations: suites run over tables in chunks."""
