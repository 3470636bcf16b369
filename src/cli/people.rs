//! `latchd people`.

use super::session::Session;
use super::{ConfigFile, Failure, output};
use crate::control::Request;
use serde_json::json;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Who may open this door, with consent.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  latchd people add --user-id emp-0042 --may-open --given-names \"…\" --last-name \
\"…\" --email … --consent-granted-at 2026-11-02T09:30:00Z --consent-language EN --consent-policy-url \
https://example.com/privacy\n  latchd people import staff.csv\n  latchd people unlock-out --user-id emp-0042"
)]
pub struct PeopleArgs {
    #[command(flatten)]
    config: ConfigFile,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Put a person on the list.
    Add(AddArgs),
    /// The list, without names.
    #[command(after_help = "Examples:\n  latchd people list\n  latchd people list --json | jq -r .user_id")]
    List,
    /// One person with names and contact.
    #[command(after_help = "Example:\n  latchd people show emp-0042")]
    Show {
        /// Whom.
        user_id: String,
    },
    /// Take a person off the list; the pseudonym in the events loses its meaning.
    #[command(after_help = "Example:\n  latchd people remove emp-0042")]
    Remove {
        /// Whom.
        user_id: String,
    },
    /// Erase everything about a person: row, pseudonym, lock-out, and pictures, keys and names of all jobs.
    ///
    /// Jobs that are not at an end are given up; the rows of all others stay without a name. What the service has or may have
    /// is listed, with its ids: it must be asked to erase that there. Reported done once the bytes are gone from the disk.
    #[command(after_help = "Example:\n  latchd people erase emp-0042")]
    Erase {
        /// Whom.
        user_id: String,
    },
    /// Put many people on the list, all or none.
    ///
    /// Who is there already gets what the file says. What the file has no column for stays as it is recorded; an empty
    /// field, or null in JSON, takes it away. Columns: user_id, may_open, given_names, last_name, email, phone,
    /// consent_granted_at, consent_language, consent_policy_url; the first two must be there, and the names of new people.
    #[command(after_help = "Examples:\n  latchd people import staff.csv\n  \
latchd people show emp-0042 --json > ada.json && latchd people import ada.json")]
    Import {
        /// A .csv or .json file.
        file: PathBuf,
    },
    /// Lift a lock-out.
    #[command(
        after_help = "Examples:\n  latchd people unlock-out --user-id emp-0042\n  latchd people unlock-out \
--reader socket:998"
    )]
    UnlockOut {
        /// The person, or
        #[arg(long, value_name = "ID", conflicts_with = "reader", required_unless_present = "reader")]
        user_id: Option<String>,
        /// the reader.
        #[arg(long, value_name = "NAME")]
        reader: Option<String>,
    },
}

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  latchd people add --user-id emp-0042 --may-open --given-names \"Amina Fatou\" \
--last-name Clearwater --email amina.clearwater@example.com --consent-granted-at 2026-11-02T09:30:00Z \
--consent-language EN --consent-policy-url https://example.com/privacy"
)]
struct AddArgs {
    /// The person's id at the service.
    #[arg(long, value_name = "ID")]
    user_id: String,
    /// May open this door.
    #[arg(long)]
    may_open: bool,
    /// Given names.
    #[arg(long, value_name = "NAMES")]
    given_names: String,
    /// Family name.
    #[arg(long, value_name = "NAME")]
    last_name: String,
    /// E-mail address; this or the phone number.
    #[arg(long, value_name = "ADDRESS")]
    email: Option<String>,
    /// Phone number, + and digits.
    #[arg(long, value_name = "NUMBER")]
    phone: Option<String>,
    /// When consent was given, RFC 3339.
    #[arg(long, value_name = "TIME", requires_all = ["consent_language", "consent_policy_url"])]
    consent_granted_at: Option<String>,
    /// Language of the notice, two capital letters.
    #[arg(long, value_name = "LANGUAGE", requires = "consent_granted_at")]
    consent_language: Option<String>,
    /// Where the privacy policy is, https.
    #[arg(long, value_name = "URL", requires = "consent_granted_at")]
    consent_policy_url: Option<String>,
    /// Overwrite who is there with what is given here; consent that is not given here is gone.
    #[arg(long)]
    replace: bool,
}

/// Runs `latchd people`.
pub fn run(args: PeopleArgs, format: output::Format) -> anyhow::Result<ExitCode> {
    let session = Session::open(&args.config.config)?;
    let request = match args.action {
        Action::Add(add) => Request::PeopleAdd {
            person: json!({
                "user_id": add.user_id,
                "may_open": add.may_open,
                "given_names": add.given_names,
                "last_name": add.last_name,
                "email": add.email,
                "phone": add.phone,
                "consent_granted_at": add.consent_granted_at,
                "consent_language": add.consent_language,
                "consent_policy_url": add.consent_policy_url,
            }),
            replace: add.replace,
        },
        Action::List => Request::PeopleList,
        Action::Show { user_id } => Request::PeopleShow { user_id },
        Action::Remove { user_id } => Request::PeopleRemove { user_id },
        Action::Erase { user_id } => Request::PeopleErase { user_id },
        Action::Import { file } => import(&file)?,
        Action::UnlockOut { user_id, reader } => Request::PeopleUnlockOut { user_id, reader },
    };
    session.perform(request, format)
}

fn import(file: &Path) -> Result<Request, Failure> {
    let format = match file.extension().and_then(|extension| extension.to_str()) {
        Some("csv") => "csv",
        Some("json") => "json",
        _ => {
            return Err(Failure::usage(
                format!("{}: neither .csv nor .json", file.display()),
                "name a file that ends in .csv or .json",
            ));
        }
    };
    let text = std::fs::read_to_string(file).map_err(|error| match error.kind() {
        ErrorKind::NotFound => Failure::usage(
            format!("{}: there is no such file", file.display()),
            "check the name; it counts from the directory where you are",
        ),
        ErrorKind::InvalidData => Failure::usage(
            format!("{}: not UTF-8", file.display()),
            "save it as UTF-8; spreadsheets call that \"CSV UTF-8\"",
        ),
        _ => Failure::usage(format!("{}: {error}", file.display()), "name a file that you may read"),
    })?;
    Ok(Request::PeopleImport { format: format.into(), text })
}
