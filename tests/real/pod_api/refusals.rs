//! Who is refused, and how.
