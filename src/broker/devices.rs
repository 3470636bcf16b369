//! PURE. Which device asks, and whether it may have one more token.

use crate::clock::BootTime;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::time::Duration;

/// One device of the list.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// Its name in the audit.
    pub name: String,
    /// SHA-256 of its bearer credential, 64 hexadecimal digits.
    pub credential_sha256: Option<String>,
    /// SHA-256 of its client certificate (DER), 64 hexadecimal digits.
    pub certificate_sha256: Option<String>,
}

/// The file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    device: Vec<Device>,
}

/// The list, by what a device shows.
#[derive(Debug, Clone, Default)]
pub struct Devices {
    by_sum: HashMap<[u8; 32], String>,
}

/// How many tokens a device may have in this span: one lives for a quarter of an hour.
const SPAN: Duration = Duration::from_secs(3600);

fn sum(text: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> = text
        .chars()
        .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect::<Option<_>>()?;
    let bytes: Vec<u8> = digits.as_chunks::<2>().0.iter().map(|[high, low]| high << 4 | low).collect();
    bytes.try_into().ok().filter(|_| text.len() == 64)
}

impl Devices {
    /// Reads the list.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let file: File = toml::from_str(text).map_err(|error| error.message().to_owned())?;
        let mut devices = Self::default();
        for device in file.device {
            let shown = [&device.credential_sha256, &device.certificate_sha256];
            if device.name.is_empty() || shown.iter().all(|sum| sum.is_none()) {
                return Err("a device needs a name and credential_sha256 or certificate_sha256".to_owned());
            }
            for text in shown.into_iter().flatten() {
                let sum = sum(text)
                    .ok_or_else(|| format!("{}: a SHA-256 has 64 hexadecimal digits", device.name))?;
                if devices.by_sum.insert(sum, device.name.clone()).is_some() {
                    return Err(format!("{}: another device shows the same", device.name));
                }
            }
        }
        Ok(devices)
    }

    /// The device that shows this credential or certificate. What is compared is a hash of what was sent, so that the
    /// time it takes tells nothing of what is kept.
    pub fn find(&self, shown: &[u8]) -> Option<&str> {
        let sum: [u8; 32] = Sha256::digest(shown).into();
        self.by_sum.get(&sum).map(String::as_str)
    }
}

/// Who had how many tokens lately.
#[derive(Debug, Default)]
pub(super) struct Rates {
    had: HashMap<String, Vec<BootTime>>,
}

impl Rates {
    /// Counts one more token for a device, or says after how long it may ask again.
    pub(super) fn take(&mut self, device: &str, most: usize, now: BootTime) -> Result<(), Duration> {
        let had = self.had.entry(device.to_owned()).or_default();
        had.retain(|at| now.since(*at) < SPAN);
        match had.first() {
            Some(oldest) if had.len() >= most => Err(SPAN.saturating_sub(now.since(*oldest))),
            _ => {
                had.push(now);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `printf secret | sha256sum`
    const SECRET: &str = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";

    #[test]
    fn a_device_is_known_by_what_it_shows_and_nothing_else() {
        let list = format!("[[device]]\nname = \"door-7\"\ncredential_sha256 = \"{SECRET}\"\n");
        let devices = Devices::parse(&list).unwrap();
        assert_eq!(devices.find(b"secret"), Some("door-7"));
        for other in [&b"Secret"[..], b"", SECRET.as_bytes()] {
            assert_eq!(devices.find(other), None);
        }
        assert_eq!(Devices::parse("").unwrap().find(b""), None);
    }

    #[test]
    fn a_list_with_a_mistake_is_refused_with_its_reason() {
        for (text, why) in [
            ("[[device]]\nname = \"a\"\n", "needs a name"),
            ("[[device]]\nname = \"a\"\ncredential_sha256 = \"abc\"\n", "64 hexadecimal"),
            ("[[device]]\nname = \"a\"\nsecret = \"abc\"\n", "unknown field"),
            ("[device]\n", "expected"),
        ] {
            let error = Devices::parse(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
        let one = format!("[[device]]\nname = \"a\"\ncredential_sha256 = \"{SECRET}\"\n");
        assert!(Devices::parse(&format!("{one}{one}")).unwrap_err().contains("another device"));
    }

    #[test]
    fn a_device_may_have_so_many_tokens_an_hour() {
        let mut rates = Rates::default();
        let at = |seconds: u64| BootTime::from_millis(seconds * 1000);
        assert_eq!(rates.take("a", 2, at(0)), Ok(()));
        assert_eq!(rates.take("a", 2, at(600)), Ok(()));
        assert_eq!(rates.take("a", 2, at(1200)), Err(Duration::from_secs(2400)));
        assert_eq!(rates.take("b", 2, at(1200)), Ok(()), "others are not held back");
        assert_eq!(rates.take("a", 2, at(3600)), Ok(()));
    }
}
