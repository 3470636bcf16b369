//! What can go wrong with people's rows.

use crate::store::StoreError;

/// An error about a person's row. Never names anybody.
#[derive(Debug, thiserror::Error)]
pub enum PeopleError {
    /// The database said no.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A field that is not as it must be.
    #[error("{field} {why}")]
    Field {
        /// The field, named as in the import file.
        field: &'static str,
        /// What is wrong with it, without its content.
        why: &'static str,
    },
    /// The user id has a row already.
    #[error("this user id is listed already")]
    Exists,
    /// No row has this user id.
    #[error("this user id is not listed")]
    Unlisted,
    /// A line of an import file; nothing of the file was taken.
    #[error("line {line}: {why}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What is wrong, without the line's content.
        why: String,
    },
}

impl PeopleError {
    /// What an operator can do.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Store(error) => error.remedy(),
            Self::Field { .. } => "correct the field and try again",
            Self::Exists => "say that the row shall be replaced, or use another user id",
            Self::Unlisted => "add the person first: latchd people add",
            Self::Line { .. } => "correct the line and import the whole file again: nothing of it was taken",
        }
    }
}
