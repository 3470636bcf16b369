//! The words of the trade, shared by every room.

use std::fmt;

/// Identifies one attempt: 16 random-looking bytes, sortable by time (UUID v7 layout).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AttemptId(pub [u8; 16]);

/// Identifies one job of the queue, same layout as [`AttemptId`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobId(pub [u8; 16]);

fn write_uuid(bytes: &[u8; 16], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            f.write_str("-")?;
        }
        write!(f, "{byte:02x}")?;
    }
    Ok(())
}

fn read_uuid(text: &str) -> Option<[u8; 16]> {
    let digits: Vec<u8> = text
        .chars()
        .filter(|c| *c != '-')
        .map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok()))
        .collect::<Option<_>>()?;
    if digits.len() != 32 {
        return None;
    }
    let mut bytes = [0; 16];
    for (byte, pair) in bytes.iter_mut().zip(digits.as_chunks::<2>().0) {
        *byte = pair.iter().fold(0, |high, low| high << 4 | low);
    }
    Some(bytes)
}

/// Lays out a UUID v7: 48 bits of Unix milliseconds (or of boot time while the clock is unknown), the rest random.
pub fn sortable_id(millis: u64, random: [u8; 16]) -> [u8; 16] {
    let mut id = random;
    let [_, _, a, b, c, d, e, f] = millis.to_be_bytes();
    let [i0, i1, i2, i3, i4, i5, i6, _, i8, ..] = &mut id;
    (*i0, *i1, *i2, *i3, *i4, *i5) = (a, b, c, d, e, f);
    *i6 = 0x70 | (*i6 & 0x0f);
    *i8 = 0x80 | (*i8 & 0x3f);
    id
}

macro_rules! id_text {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_uuid(&self.0, f)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_uuid(&self.0, f)
            }
        }
        impl $name {
            /// Reads the hyphenated or the plain hexadecimal form.
            pub fn parse(text: &str) -> Option<Self> {
                read_uuid(text).map(Self)
            }
        }
    };
}
id_text!(AttemptId);
id_text!(JobId);

/// The identity a person claims: the partner's user id at the service.
///
/// 1 to 64 characters of `[A-Za-z0-9_-]`, so that it is safe in a URL, a header and a file name.
/// `Debug` hides it; `Display` is for operators and for the wire.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserId(String);

/// A text that is no user id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a user id is 1 to 64 letters, digits, hyphens or underscores")]
pub struct NotAUserId;

impl UserId {
    /// Stands in the rows of a person who was erased. Nobody is listed by it.
    pub const ERASED: &'static str = "__erased__";

    /// Checks and wraps `text`.
    pub fn parse(text: &str) -> Result<Self, NotAUserId> {
        let good = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if text.is_empty() || text.len() > 64 || !text.chars().all(good) {
            return Err(NotAUserId);
        }
        Ok(Self(text.to_owned()))
    }

    /// The id as text, for the wire and for operators.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UserId(hidden)")
    }
}

/// What is asked of the service about a person.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Product {
    /// SmartSelfie authentication: is this the enrolled person? v1 job type 2. The only one that may open a door.
    Authentication,
    /// SmartSelfie registration: enrol this face. v1 job type 4.
    Registration,
}

impl Product {
    /// The stable name in the database, JSON and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Authentication => "authentication",
            Self::Registration => "registration",
        }
    }

    /// The reverse of [`Product::name`].
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Authentication, Self::Registration].into_iter().find(|p| p.name() == name)
    }
}

/// The service's answer about one job, its words already understood by an allow-list.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Verdict {
    /// An exactly known approval for the job's product.
    Approved,
    /// Passed with a flag or pending review: a person must look.
    Provisional,
    /// Refused by the service.
    Rejected {
        /// The code names a spoof attempt, or the service gives no reason (then a spoof cannot be excluded).
        spoof: bool,
    },
    /// The service finished without deciding (bad image, authority down).
    Undecided,
    /// A word or code that is in no table.
    Unknown,
}

impl Verdict {
    /// The stable name in the database, JSON and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::Provisional => "provisional",
            Self::Rejected { .. } => "rejected",
            Self::Undecided => "undecided",
            Self::Unknown => "unknown",
        }
    }
}

/// A verdict with all that is needed to judge whether it is for this attempt (door-rules 4).
#[derive(Clone, PartialEq, Eq)]
pub struct Report {
    /// What the service decided.
    pub verdict: Verdict,
    /// The product of the submission this answers.
    pub product: Product,
    /// The user the answer names.
    pub user_id: String,
    /// The job the answer names: the server's id in v3, our own in v1.
    pub remote_job: String,
    /// The service's raw status word or result code.
    pub code: String,
    /// The service's text for people, at most 200 characters, control characters removed.
    pub text: String,
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Report({:?} {} code={:?} job={:?})",
            self.product,
            self.verdict.name(),
            self.code,
            self.remote_job
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_survive_text() {
        let id = JobId(sortable_id(1_767_323_045_000, [0xab; 16]));
        assert_eq!(JobId::parse(&id.to_string()), Some(id));
        assert_eq!(JobId::parse("no"), None);
        assert_eq!(id.to_string().get(14..15), Some("7"));
    }

    #[test]
    fn later_ids_sort_later() {
        assert!(sortable_id(2, [0; 16]) > sortable_id(1, [0xff; 16]));
    }

    #[test]
    fn a_user_id_is_narrow_and_hidden() {
        for bad in ["", "a b", "../x", "é", &"a".repeat(65)] {
            assert!(UserId::parse(bad).is_err(), "{bad}");
        }
        let user = UserId::parse("emp-0042").unwrap();
        assert!(!format!("{user:?}").contains("0042"));
    }
}
