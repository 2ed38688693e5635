//! What a tenant may write, and that none of it reaches another space's secrets.

mod editor;
mod fields;
mod objects;
mod rights;
mod round;
mod stage;
mod walk;
