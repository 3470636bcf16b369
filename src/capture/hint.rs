//! What the person in front of the camera is asked to do.

use crate::config::model::Language;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::OnceLock;

/// One thing to do. Never more than one is shown at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Hint {
    /// The picture is dark.
    MoreLight,
    /// The picture is blurred.
    HoldStill,
    /// The picture is black: something is in front of the lens.
    UncoverCamera,
    /// The camera gives the same picture again and again.
    PleaseWait,
    /// Nobody is seen.
    NoFace,
    /// More than one person is seen.
    OnePerson,
    /// The face is too small.
    ComeCloser,
    /// The face is too large.
    StepBack,
    /// The face is at an edge.
    CentreFace,
    /// The selfie is still to be taken, and the head is turned away.
    LookStraight,
    /// The head has not turned yet.
    TurnHead,
    /// Turn the head to the person's left.
    TurnLeft,
    /// Turn the head to the person's right.
    TurnRight,
    /// Lift the chin.
    LookUp,
}

impl Hint {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::MoreLight,
        Self::HoldStill,
        Self::UncoverCamera,
        Self::PleaseWait,
        Self::NoFace,
        Self::OnePerson,
        Self::ComeCloser,
        Self::StepBack,
        Self::CentreFace,
        Self::LookStraight,
        Self::TurnHead,
        Self::TurnLeft,
        Self::TurnRight,
        Self::LookUp,
    ];

    /// The stable name in JSON, events and screens.
    pub fn name(self) -> &'static str {
        match self {
            Self::MoreLight => "more_light",
            Self::HoldStill => "hold_still",
            Self::UncoverCamera => "uncover_camera",
            Self::PleaseWait => "please_wait",
            Self::NoFace => "no_face",
            Self::OnePerson => "one_person",
            Self::ComeCloser => "come_closer",
            Self::StepBack => "step_back",
            Self::CentreFace => "centre_face",
            Self::LookStraight => "look_straight",
            Self::TurnHead => "turn_head",
            Self::TurnLeft => "turn_left",
            Self::TurnRight => "turn_right",
            Self::LookUp => "look_up",
        }
    }

    /// The text for a screen, from `hints/`; the name where a language lacks it.
    pub fn text(self, language: Language) -> &'static str {
        static TEXTS: OnceLock<BTreeMap<&'static str, Texts>> = OnceLock::new();
        let read =
            |language: Language| (language.code(), toml::from_str(source(language)).unwrap_or_default());
        let texts = TEXTS.get_or_init(|| Language::ALL.map(read).into());
        texts
            .get(language.code())
            .and_then(|texts| texts.get(self.name()))
            .map_or(self.name(), String::as_str)
    }
}

type Texts = BTreeMap<String, String>;

fn source(language: Language) -> &'static str {
    match language {
        Language::English => include_str!("hints/en.toml"),
        Language::French => include_str!("hints/fr.toml"),
        Language::Swahili => include_str!("hints/sw.toml"),
        Language::Portuguese => include_str!("hints/pt.toml"),
        Language::Arabic => include_str!("hints/ar.toml"),
    }
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text(Language::English))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_language_has_a_text_for_every_hint_and_for_nothing_else() {
        for language in Language::ALL {
            let texts: Texts = toml::from_str(source(language)).unwrap();
            let wanted: BTreeSet<_> = Hint::ALL.map(Hint::name).into();
            assert_eq!(texts.keys().map(String::as_str).collect::<BTreeSet<_>>(), wanted, "{language:?}");
            let different: BTreeSet<_> = Hint::ALL.map(|hint| hint.text(language)).into();
            assert_eq!(different.len(), Hint::ALL.len(), "{language:?}: two hints with one text");
            // A small screen shows one line.
            assert!(different.iter().all(|text| (3..=50).contains(&text.chars().count())), "{different:?}");
        }
    }
}
