//! What is true of attendance, and nothing else.
