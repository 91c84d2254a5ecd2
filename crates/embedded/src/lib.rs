//! The one SQLite file of the embedded default, with its group-committing writer.
