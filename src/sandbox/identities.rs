//! The service's published test identities: its sandbox judges the name, not the face.

/// Given names, last name, and the word that the job ends with. The e-mail is `first.last@example.com`.
const KNOWN: [(&str, &str, &str); 10] = [
    ("Amina Fatou", "Clearwater", "clear"),
    ("Rashid Omar", "Dangerfield", "block"),
    ("Obinna Chukwu", "Twinley", "block"),
    ("Taiwo Adeyemi", "Masquero", "block"),
    ("Fatima Bello", "Ghostwell", "block"),
    ("Adaeze Nnamdi", "Xeroxley", "attention"),
    ("Tunde Bakare", "Oldfield", "attention"),
    ("Kofi Mensah", "Blurton", "error"),
    ("Ngozi Ifeoma", "Downsworth", "error"),
    ("Chidinma Obi", "Glitchford", "error"),
];

/// The status word for a test identity, all three fields exact; `None` for anybody else.
pub(super) fn verdict(given_names: &str, last_name: &str, email: Option<&str>) -> Option<&'static str> {
    let (given, last, word) = KNOWN.iter().find(|(_, last, _)| *last == last_name)?;
    let first = given.split(' ').next()?;
    let address = format!("{first}.{last}@example.com").to_lowercase();
    (*given == given_names && email == Some(address.as_str())).then_some(*word)
}

#[cfg(test)]
mod tests {
    use super::verdict;

    #[test]
    fn all_three_fields_must_be_exact() {
        let email = Some("amina.clearwater@example.com");
        assert_eq!(verdict("Amina Fatou", "Clearwater", email), Some("clear"));
        assert_eq!(verdict("Amina", "Clearwater", email), None);
        assert_eq!(verdict("Amina Fatou", "Clearwater", None), None);
        assert_eq!(verdict("Amina Fatou", "Clearwater", Some("a@example.com")), None);
        assert_eq!(verdict("Taiwo Adeyemi", "Masquero", Some("taiwo.masquero@example.com")), Some("block"));
    }
}
