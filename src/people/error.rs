//! What can go wrong with people's rows.

use crate::access::words::NotAUserId;
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
    /// A user id that cannot be one.
    #[error(transparent)]
    NotAUserId(NotAUserId),
    /// A name that no column has.
    #[error("{name:.40?} is no column; the columns are {}", super::COLUMNS.join(", "))]
    Column {
        /// As the file has it; shown cut and escaped.
        name: String,
    },
    /// Something else where an object stands for a person.
    #[error("this is no object with a person's columns as keys")]
    NoObject,
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
    pub fn remedy(&self) -> String {
        match self {
            Self::Store(error) => error.remedy().into(),
            Self::Field { field, .. } => {
                format!("correct --{} of `latchd people add`", field.replace('_', "-"))
            }
            Self::NotAUserId(_) => "use the id that the service knows the person by".into(),
            Self::Column { .. } | Self::NoObject => {
                "correct it; docs/operations.md explains the columns".into()
            }
            Self::Exists => {
                "`latchd people add --replace` with all options overwrites the person, `--consent-…` included"
                    .into()
            }
            Self::Unlisted => {
                "`latchd people list` shows who is listed; `latchd people add` adds a person".into()
            }
            Self::Line { .. } => {
                "correct the file and import all of it again: nothing of it was taken".into()
            }
        }
    }
}
