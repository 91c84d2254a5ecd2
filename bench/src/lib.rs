//! Load generator, reference oracle, comparisons.
