//! The tables: declared once, embedded now, CQL behind the same interface.
