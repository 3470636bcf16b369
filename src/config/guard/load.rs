//! `guard.toml` from text to checked values: every error names file, line, key and remedy.

use super::{Bias, Drive, Egress, GuardConfig, LineConfig, LockType, default_heartbeat};
use super::{default_pulse_max, default_window_max};
use serde::Deserialize;
use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};
use toml::Spanned;

/// Ceilings no file can raise (door-rules 1 and 5).
const PULSE_MS: RangeInclusive<u32> = 100..=60_000;
const WINDOW_MS: RangeInclusive<u32> = 1_000..=30_000;
const HEARTBEAT_MS: RangeInclusive<u32> = 40..=100;

const _: () = {
    assert!(*PULSE_MS.end() <= 60_000, "door-rules 5: no pulse above 60 s");
    assert!(*WINDOW_MS.end() <= 30_000, "door-rules 1: no window above 30 s");
    assert!(*HEARTBEAT_MS.end() <= 100, "door-rules 5: locked within 100 ms of the last sign of life");
    assert!(*HEARTBEAT_MS.start() >= 40, "a heartbeat comes every 20 ms; one may be late");
};

/// Why `guard.toml` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum GuardConfigError {
    /// The file cannot be read.
    #[error("{}: cannot be read: {source}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Its content is wrong.
    #[error("{}:{line}: {key}: {what}", file.display())]
    Value {
        /// The file.
        file: PathBuf,
        /// Line in the file, from 1.
        line: usize,
        /// The key, with its table.
        key: String,
        /// What is wrong.
        what: String,
        /// What to do about it.
        remedy: String,
    },
}

impl GuardConfigError {
    /// What to do about it.
    pub fn remedy(&self) -> String {
        match self {
            Self::Read { .. } => String::from(
                "install guard.toml (see config/guard.toml), readable for latchd-guard and latchd",
            ),
            Self::Value { remedy, .. } => remedy.clone(),
        }
    }
}

impl GuardConfig {
    /// Reads and checks the file at `path`.
    ///
    /// # Errors
    /// Unreadable, not TOML, an unknown key, a wrong type, a value out of its range, a line that is not fully named, or a
    /// GPIO line without the egress statement (door-rules 7).
    pub fn load(path: &Path) -> Result<Self, GuardConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| GuardConfigError::Read { file: path.to_owned(), source })?;
        Self::parse(path, &text)
    }

    /// Checks `text`, the content of the file `path`.
    ///
    /// # Errors
    /// As [`GuardConfig::load`].
    pub fn parse(path: &Path, text: &str) -> Result<Self, GuardConfigError> {
        let source = Source { path, text };
        let raw: RawGuard = toml::from_str(text).map_err(|error| source.translate(&error))?;
        source.check(raw)
    }
}

/// The file flat, as it is written: serde's tagged enums lose the place of what is in them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawGuard {
    line: Spanned<RawLine>,
    lock: LockType,
    #[serde(default)]
    egress: Option<Egress>,
    pulse_max_ms: Option<Spanned<u32>>,
    window_max_ms: Option<Spanned<u32>>,
    heartbeat_timeout_ms: Option<Spanned<u32>>,
    peer_user: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLine {
    kind: RawKind,
    name: Option<Spanned<String>>,
    chip: Option<Spanned<String>>,
    offset: Option<Spanned<u32>>,
    active_low: Option<Spanned<bool>>,
    bias: Option<Spanned<Bias>>,
    drive: Option<Spanned<Drive>>,
    file: Option<Spanned<PathBuf>>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "kebab-case")]
enum RawKind {
    Gpio,
    Recording,
}

struct Source<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Source<'_> {
    fn line(&self, offset: usize) -> usize {
        self.text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
    }

    fn error(
        &self,
        at: usize,
        key: &str,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> GuardConfigError {
        GuardConfigError::Value {
            file: self.path.to_owned(),
            line: self.line(at),
            key: key.to_owned(),
            what: what.into(),
            remedy: remedy.into(),
        }
    }

    fn translate(&self, error: &toml::de::Error) -> GuardConfigError {
        let at = error.span().map_or(0, |span| span.start);
        let message = error.message().lines().collect::<Vec<_>>().join(" ");
        let quoted = |n: usize| message.split('`').nth(n).unwrap_or_default().to_owned();
        if message.starts_with("unknown field") {
            let key = quoted(1);
            let known: Vec<&str> = message.split('`').skip(3).step_by(2).collect();
            let nearest = known
                .iter()
                .max_by(|a, b| strsim::jaro_winkler(&key, a).total_cmp(&strsim::jaro_winkler(&key, b)));
            let remedy = match nearest {
                Some(near) if strsim::jaro_winkler(&key, near) > 0.7 => format!("did you mean `{near}`?"),
                _ => format!("remove it; known here are: {}", known.join(", ")),
            };
            return self.error(at, &key, "unknown key", remedy);
        }
        if message.starts_with("missing field") {
            let key = quoted(1);
            return self.error(at, &key, "missing", format!("add `{key}`; config/guard.toml shows how"));
        }
        let key = self.key_at(at);
        self.error(at, &key, message, "config/guard.toml shows each key with its type and its values")
    }

    /// The key of the line that `at` is in.
    fn key_at(&self, at: usize) -> String {
        let line = self.text.lines().nth(self.line(at) - 1).unwrap_or_default();
        line.split('=').next().unwrap_or_default().trim().to_owned()
    }

    fn within(
        &self,
        key: &str,
        value: Option<Spanned<u32>>,
        default: u32,
        range: RangeInclusive<u32>,
    ) -> Result<u32, GuardConfigError> {
        let Some(value) = value else { return Ok(default) };
        if range.contains(value.get_ref()) {
            return Ok(value.into_inner());
        }
        let (least, most) = (range.start(), range.end());
        let what = format!("{} ms is not within {least} and {most}", value.get_ref());
        Err(self.error(value.span().start, key, what, format!("choose a value from {least} to {most}")))
    }

    fn check(&self, raw: RawGuard) -> Result<GuardConfig, GuardConfigError> {
        let span = raw.line.span();
        let kind = raw.line.get_ref().kind;
        let line = match kind {
            RawKind::Gpio => self.gpio(raw.line.into_inner(), &span)?,
            RawKind::Recording => self.recording(raw.line.into_inner(), &span)?,
        };
        if matches!(kind, RawKind::Gpio) && raw.egress.is_none() {
            return Err(self.error(
                span.start,
                "egress",
                "missing: a real line needs the installer's statement that egress and fire release are hard-wired, \
                 because this device must never stand between a person and the way out",
                "wire egress and fire release past this device, then set egress = \"hard-wired\" above [line]",
            ));
        }
        if let Some(user) = &raw.peer_user
            && user.get_ref().is_empty()
        {
            return Err(self.error(
                user.span().start,
                "peer_user",
                "empty",
                "name the user or remove the key",
            ));
        }
        Ok(GuardConfig {
            line,
            lock: raw.lock,
            egress: raw.egress,
            pulse_max_ms: self.within("pulse_max_ms", raw.pulse_max_ms, default_pulse_max(), PULSE_MS)?,
            window_max_ms: self.within(
                "window_max_ms",
                raw.window_max_ms,
                default_window_max(),
                WINDOW_MS,
            )?,
            heartbeat_timeout_ms: self.within(
                "heartbeat_timeout_ms",
                raw.heartbeat_timeout_ms,
                default_heartbeat(),
                HEARTBEAT_MS,
            )?,
            peer_user: raw.peer_user.map(Spanned::into_inner),
        })
    }

    fn gpio(&self, raw: RawLine, span: &Range<usize>) -> Result<LineConfig, GuardConfigError> {
        self.foreign("line.file", &raw.file, "gpio")?;
        let one_way = "name the line by `name`, or by `chip` and `offset`";
        match (&raw.name, &raw.chip, &raw.offset) {
            (Some(name), None, None) if name.get_ref().is_empty() => {
                return Err(self.error(name.span().start, "line.name", "empty", one_way));
            }
            (None, Some(chip), Some(_)) if chip.get_ref().is_empty() => {
                return Err(self.error(chip.span().start, "line.chip", "empty", one_way));
            }
            (Some(_), None, None) | (None, Some(_), Some(_)) => {}
            (Some(name), ..) => {
                let what = "a line has either a name or chip and offset, not both";
                return Err(self.error(name.span().start, "line.name", what, one_way));
            }
            (None, Some(chip), None) => {
                return Err(self.error(chip.span().start, "line.offset", "missing beside `chip`", one_way));
            }
            (None, None, Some(offset)) => {
                return Err(self.error(offset.span().start, "line.chip", "missing beside `offset`", one_way));
            }
            (None, None, None) => return Err(self.error(span.start, "line.name", "missing", one_way)),
        }
        Ok(LineConfig::Gpio {
            name: raw.name.map(Spanned::into_inner),
            chip: raw.chip.map(Spanned::into_inner),
            offset: raw.offset.map(Spanned::into_inner),
            active_low: raw.active_low.is_some_and(Spanned::into_inner),
            bias: raw.bias.map(Spanned::into_inner).unwrap_or_default(),
            drive: raw.drive.map(Spanned::into_inner).unwrap_or_default(),
        })
    }

    fn recording(&self, raw: RawLine, span: &Range<usize>) -> Result<LineConfig, GuardConfigError> {
        self.foreign("line.name", &raw.name, "recording")?;
        self.foreign("line.chip", &raw.chip, "recording")?;
        self.foreign("line.offset", &raw.offset, "recording")?;
        self.foreign("line.active_low", &raw.active_low, "recording")?;
        self.foreign("line.bias", &raw.bias, "recording")?;
        self.foreign("line.drive", &raw.drive, "recording")?;
        match raw.file {
            Some(file) if !file.get_ref().as_os_str().is_empty() => {
                Ok(LineConfig::Recording { file: file.into_inner() })
            }
            Some(file) => Err(self.error(file.span().start, "line.file", "empty", "name a file")),
            None => {
                Err(self.error(span.start, "line.file", "missing", "name the file that records the edges"))
            }
        }
    }

    fn foreign<T>(&self, key: &str, value: &Option<Spanned<T>>, kind: &str) -> Result<(), GuardConfigError> {
        match value {
            None => Ok(()),
            Some(value) => Err(self.error(
                value.span().start,
                key,
                format!("has no meaning for a line of kind `{kind}`"),
                "remove it or choose the other kind",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORDING: &str = "lock = \"fail-secure\"\n[line]\nkind = \"recording\"\nfile = \"/tmp/edges\"\n";
    const GPIO: &str = "lock = \"fail-safe\"\negress = \"hard-wired\"\n[line]\nkind = \"gpio\"\nname = \"STRIKE\"\nactive_low = true\n";

    fn parse(text: &str) -> Result<GuardConfig, GuardConfigError> {
        GuardConfig::parse(Path::new("guard.toml"), text)
    }

    /// Line and key of the error, whose remedy must not be empty.
    fn fault(text: &str) -> (usize, String) {
        let error = parse(text).expect_err(text);
        assert!(!error.remedy().is_empty());
        assert!(error.to_string().starts_with("guard.toml:"), "{error}");
        assert!(!error.to_string().contains('\n'), "{error}");
        match error {
            GuardConfigError::Value { line, key, .. } => (line, key),
            GuardConfigError::Read { .. } => panic!("{error}"),
        }
    }

    #[test]
    fn ok_defaults_are_the_documented_ones() {
        let config = parse(RECORDING).unwrap();
        let values = (config.pulse_max_ms, config.window_max_ms, config.heartbeat_timeout_ms);
        assert_eq!(values, (10_000, 15_000, 80));
    }

    #[test]
    fn ok_this_reading_and_the_models_own_agree() {
        for text in [RECORDING, GPIO] {
            assert_eq!(parse(text).unwrap(), toml::from_str::<GuardConfig>(text).unwrap());
        }
    }

    #[test]
    fn ok_the_shipped_example_lacks_the_installers_statement_alone() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/guard.toml");
        let text = std::fs::read_to_string(path).unwrap();
        // A package that made this statement would make it for doors that nobody has looked at.
        assert!(parse(&text).unwrap_err().to_string().contains("egress"));
        let config = parse(&text.replace("# egress", "egress")).unwrap();
        assert!(matches!(config.line, LineConfig::Gpio { .. }));
    }

    #[test]
    fn ok_the_ends_of_the_ranges() {
        for (key, least, most) in [
            ("pulse_max_ms", 100, 60_000),
            ("window_max_ms", 1_000, 30_000),
            ("heartbeat_timeout_ms", 40, 100),
        ] {
            for good in [least, most] {
                parse(&format!("{key} = {good}\n{RECORDING}")).unwrap();
            }
            for bad in [least - 1, most + 1] {
                assert_eq!(fault(&format!("{key} = {bad}\n{RECORDING}")), (1, key.to_owned()));
            }
        }
    }

    #[test]
    fn err_a_gpio_line_without_the_egress_statement_says_why() {
        let text = GPIO.replace("egress = \"hard-wired\"\n", "");
        assert_eq!(fault(&text), (2, "egress".to_owned()));
        assert!(parse(&text).unwrap_err().to_string().contains("way out"));
    }

    #[test]
    fn err_an_unknown_key_names_the_nearest() {
        let text = format!("pulse_max = 5\n{RECORDING}");
        assert_eq!(fault(&text), (1, "pulse_max".to_owned()));
        assert_eq!(parse(&text).unwrap_err().remedy(), "did you mean `pulse_max_ms`?");
        assert_eq!(fault(&format!("{GPIO}activelow = true\n")), (7, "activelow".to_owned()));
    }

    #[test]
    fn err_wrong_types_and_words_have_their_place() {
        assert_eq!(fault(&format!("pulse_max_ms = \"5\"\n{RECORDING}")), (1, "pulse_max_ms".to_owned()));
        assert_eq!(fault(&format!("pulse_max_ms = -5\n{RECORDING}")), (1, "pulse_max_ms".to_owned()));
        assert_eq!(fault(&GPIO.replace("fail-safe", "fail-open")), (1, "lock".to_owned()));
        assert_eq!(fault(&GPIO.replace("= true", "= \"yes\"")), (6, "active_low".to_owned()));
        assert_eq!(fault(&GPIO.replace("\"gpio\"", "\"relay\"")), (4, "kind".to_owned()));
        assert_eq!(fault("[line]\nkind = \"recording\"\nfile = \"x\"\n").1, "lock");
        assert_eq!(fault("lock = fail\n").0, 1);
    }

    #[test]
    fn err_a_line_must_be_named_in_exactly_one_way() {
        assert_eq!(fault(&GPIO.replace("name = \"STRIKE\"\n", "")), (3, "line.name".to_owned()));
        assert_eq!(fault(&GPIO.replace("name = \"STRIKE\"", "chip = \"a\"")), (5, "line.offset".to_owned()));
        assert_eq!(fault(&GPIO.replace("name = \"STRIKE\"", "offset = 4")), (5, "line.chip".to_owned()));
        assert_eq!(fault(&format!("{GPIO}offset = 4\n")), (5, "line.name".to_owned()));
        assert_eq!(fault(&format!("{GPIO}file = \"x\"\n")), (7, "line.file".to_owned()));
        assert_eq!(fault(&format!("{RECORDING}offset = 4\n")), (5, "line.offset".to_owned()));
        assert_eq!(fault(&RECORDING.replace("file = \"/tmp/edges\"\n", "")), (2, "line.file".to_owned()));
        parse(&GPIO.replace("name = \"STRIKE\"", "chip = \"pinctrl\"\noffset = 17")).unwrap();
    }
}
