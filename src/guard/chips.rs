//! Which GPIO chips and lines there are, and which of them is meant. Read anew each time: chip numbers change between
//! boots.

use super::line::LineError;
use crate::config::guard::LineConfig;
use gpiocdev::chip::{self, Chip};
use gpiocdev::line::{Bias, Direction, Drive, EdgeDetection, Info};
use std::path::{Path, PathBuf};

/// Lines and chips that an error text names; the rest is counted.
const NAMED_MAX: usize = 16;
/// More lines than any chip has.
const LINES_MAX: u32 = 4096;

/// A GPIO chip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChipFacts {
    /// Its device.
    pub path: PathBuf,
    /// The driver's label, which stays when the number changes.
    pub label: String,
    /// How many lines it has.
    pub count: u32,
    /// Its lines, if they were asked for.
    pub lines: Vec<LineFacts>,
}

/// A line of a chip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineFacts {
    /// Its number on the chip.
    pub offset: u32,
    /// The board's name for it; often empty.
    pub name: String,
    /// Somebody has requested it, the kernel itself included.
    pub used: bool,
    /// Who, by the label it gave.
    pub consumer: String,
    /// It drives its level.
    pub output: bool,
    /// What else the kernel says, as words: `active-low`, `pull-up`, `open-drain`, `both-edges`.
    pub flags: Vec<&'static str>,
}

/// The chips, and those that could not be asked with the reason.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Inventory {
    /// In the order of their names.
    pub chips: Vec<ChipFacts>,
    /// Path and reason.
    pub silent: Vec<(PathBuf, String)>,
}

/// Reads the chips, `with_lines` their lines too.
pub fn inventory(with_lines: bool) -> Inventory {
    let mut found = Inventory::default();
    for path in chip::chips().unwrap_or_default() {
        match facts(&path, with_lines) {
            Ok(chip) => found.chips.push(chip),
            Err(error) => found.silent.push((path, error.to_string())),
        }
    }
    found
}

fn facts(path: &Path, with_lines: bool) -> gpiocdev::Result<ChipFacts> {
    let chip = Chip::from_path(path)?;
    let info = chip.info()?;
    let asked = if with_lines { info.num_lines.min(LINES_MAX) } else { 0 };
    let lines = (0..asked).map(|offset| chip.line_info(offset).map(line_facts)).collect::<Result<_, _>>()?;
    Ok(ChipFacts {
        path: chip.path().to_owned(),
        label: printable(&info.label),
        count: info.num_lines,
        lines,
    })
}

fn line_facts(info: Info) -> LineFacts {
    let mut flags = Vec::new();
    if info.active_low {
        flags.push("active-low");
    }
    flags.extend(info.bias.map(|bias| match bias {
        Bias::PullUp => "pull-up",
        Bias::PullDown => "pull-down",
        Bias::Disabled => "no-bias",
    }));
    flags.extend(info.drive.and_then(|drive| match drive {
        Drive::PushPull => None,
        Drive::OpenDrain => Some("open-drain"),
        Drive::OpenSource => Some("open-source"),
    }));
    flags.extend(info.edge_detection.map(|edge| match edge {
        EdgeDetection::RisingEdge => "rising-edges",
        EdgeDetection::FallingEdge => "falling-edges",
        EdgeDetection::BothEdges => "both-edges",
    }));
    LineFacts {
        offset: info.offset,
        name: printable(&info.name),
        used: info.used,
        consumer: printable(&info.consumer),
        output: info.direction == Direction::Output,
        flags,
    }
}

/// A line that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its chip's device.
    pub chip: PathBuf,
    /// Its number on the chip.
    pub offset: u32,
    /// How it is called in texts: its name, or number and chip.
    pub text: String,
}

/// Finds the line that `[line]` names.
///
/// # Errors
/// No such line or chip, or more than one; with what there is.
pub fn find(line: &LineConfig) -> Result<Place, LineError> {
    match line {
        LineConfig::Gpio { name: Some(name), .. } => find_line(&inventory(true), name),
        LineConfig::Gpio { chip: Some(chip), offset: Some(offset), .. } => find_on_chip(chip, *offset),
        LineConfig::Gpio { .. } | LineConfig::Recording { .. } => {
            Err(LineError::Absent { wanted: "without a name".into(), known: known_chips(&inventory(false)) })
        }
    }
}

/// PURE. The one line of that name: line names need not be unique, and the first of two is not the strike but a guess.
fn find_line(inventory: &Inventory, name: &str) -> Result<Place, LineError> {
    let found: Vec<_> = inventory
        .chips
        .iter()
        .flat_map(|chip| chip.lines.iter().map(move |line| (chip, line)))
        .filter(|(_, line)| line.name == name)
        .collect();
    match found.as_slice() {
        [(chip, line)] => Ok(Place { chip: chip.path.clone(), offset: line.offset, text: name.to_owned() }),
        [] => Err(LineError::Absent { wanted: name.to_owned(), known: known_lines(inventory) }),
        several => Err(LineError::Ambiguous {
            wanted: name.to_owned(),
            found: listed(several.iter().map(|(chip, line)| format!("{} of {}", line.offset, called(chip)))),
        }),
    }
}

fn find_on_chip(wanted: &str, offset: u32) -> Result<Place, LineError> {
    let inventory = inventory(false);
    // A path may be a link that udev made.
    let path = Path::new(wanted);
    let real = if path.is_absolute() { path.canonicalize().ok() } else { None };
    let chip = find_chip(&inventory, wanted, real.as_deref())?;
    on_chip(chip, offset)
}

/// PURE. The one chip with that path or label.
fn find_chip<'a>(
    inventory: &'a Inventory,
    wanted: &str,
    real: Option<&Path>,
) -> Result<&'a ChipFacts, LineError> {
    let by_path = wanted.starts_with('/');
    let fits = |chip: &&ChipFacts| if by_path { Some(&*chip.path) == real } else { chip.label == wanted };
    let found: Vec<_> = inventory.chips.iter().filter(fits).collect();
    match found.as_slice() {
        [chip] => Ok(chip),
        [] => {
            let silent = inventory.silent.iter().find(|(path, _)| by_path && Some(&**path) == real);
            match silent {
                Some((_, why)) => Err(LineError::Gpio { line: format!("chip {wanted}"), text: why.clone() }),
                None => Err(LineError::Absent {
                    wanted: format!("of chip {wanted}"),
                    known: known_chips(inventory),
                }),
            }
        }
        several => Err(LineError::Ambiguous {
            wanted: format!("of chip {wanted}"),
            found: listed(several.iter().map(|chip| chip.path.display().to_string())),
        }),
    }
}

/// PURE. A line that the chip has.
fn on_chip(chip: &ChipFacts, offset: u32) -> Result<Place, LineError> {
    if offset < chip.count {
        return Ok(Place { chip: chip.path.clone(), offset, text: format!("{offset} of {}", called(chip)) });
    }
    let last = chip.count.saturating_sub(1);
    let known = format!("{} with lines 0 to {last}", called(chip));
    Err(LineError::Absent { wanted: format!("{offset} of {}", called(chip)), known })
}

fn called(chip: &ChipFacts) -> String {
    format!("chip {} ({})", chip.path.display(), chip.label)
}

fn known_chips(inventory: &Inventory) -> String {
    let chips = inventory.chips.iter().map(|chip| format!("{} with {} lines", called(chip), chip.count));
    let silent = inventory.silent.iter().map(|(path, why)| format!("{} ({why})", path.display()));
    or_none(listed(chips.chain(silent)))
}

fn known_lines(inventory: &Inventory) -> String {
    let names = inventory.chips.iter().flat_map(|chip| &chip.lines).map(|line| &line.name);
    let named = listed(names.filter(|name| !name.is_empty()).cloned());
    match named.is_empty() {
        true => format!("no line with a name; {}", known_chips(inventory)),
        false => named,
    }
}

fn or_none(text: String) -> String {
    if text.is_empty() { "no GPIO chip".into() } else { text }
}

fn listed(items: impl Iterator<Item = String>) -> String {
    let mut items: Vec<_> = items.collect();
    let more = items.len().saturating_sub(NAMED_MAX);
    items.truncate(NAMED_MAX);
    let text = items.join(", ");
    if more > 0 { format!("{text} and {more} more") } else { text }
}

/// Looks at the line that `[line]` names without touching it.
///
/// # Errors
/// As [`find`]; or the chip is gone or may not be asked.
pub fn look(wanted: &LineConfig) -> Result<(Place, LineFacts), LineError> {
    let place = find(wanted)?;
    let facts = line(&place)?;
    Ok((place, facts))
}

/// What the kernel says of a line now.
fn line(place: &Place) -> Result<LineFacts, LineError> {
    Chip::from_path(&place.chip)
        .and_then(|chip| chip.line_info(place.offset))
        .map(line_facts)
        .map_err(|error| LineError::Gpio { line: place.text.clone(), text: error.to_string() })
}

/// The label of whoever holds a line, as far as the kernel tells.
pub fn holder(place: &Place) -> String {
    line(place).map_or_else(|_| UNNAMED.into(), |facts| facts.holder())
}

const UNNAMED: &str = "somebody unnamed";

impl LineFacts {
    /// Whoever holds it, for a sentence.
    pub fn holder(&self) -> String {
        if self.consumer.is_empty() { UNNAMED.into() } else { self.consumer.clone() }
    }
}

/// A process chooses its label and a board its names: nothing of it may steer a terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chip(number: u32, label: &str, names: &[&str]) -> ChipFacts {
        let line = |(offset, name): (usize, &&str)| LineFacts {
            offset: u32::try_from(offset).unwrap(),
            name: (*name).to_owned(),
            used: false,
            consumer: String::new(),
            output: false,
            flags: Vec::new(),
        };
        ChipFacts {
            path: format!("/dev/gpiochip{number}").into(),
            label: label.into(),
            count: u32::try_from(names.len()).unwrap(),
            lines: names.iter().enumerate().map(line).collect(),
        }
    }

    /// Two expanders of one make and the board's own chip.
    fn board() -> Inventory {
        Inventory {
            chips: vec![
                chip(0, "pinctrl", &["REX", "STRIKE", "", "LED"]),
                chip(1, "expander", &["LED", ""]),
                chip(2, "expander", &["", ""]),
            ],
            silent: vec![("/dev/gpiochip7".into(), "Permission denied".into())],
        }
    }

    #[test]
    fn a_line_is_found_by_its_name() {
        let place = find_line(&board(), "STRIKE").unwrap();
        assert_eq!((place.chip.as_path(), place.offset), (Path::new("/dev/gpiochip0"), 1));
    }

    #[test]
    fn an_absent_line_is_refused_with_the_names_that_there_are() {
        let error = find_line(&board(), "STRIKEN").unwrap_err();
        assert!(matches!(error, LineError::Absent { .. }));
        assert_eq!(error.to_string(), "no GPIO line STRIKEN; there is REX, STRIKE, LED, LED");
        // Lines without a name are not found by it.
        assert!(matches!(find_line(&board(), "NAMELESS"), Err(LineError::Absent { .. })));
        let nameless = Inventory { chips: vec![chip(0, "pl061", &["", ""])], ..Inventory::default() };
        let text = find_line(&nameless, "STRIKE").unwrap_err().to_string();
        assert!(text.contains("no line with a name; chip /dev/gpiochip0 (pl061) with 2 lines"), "{text}");
        let text = find_line(&Inventory::default(), "STRIKE").unwrap_err().to_string();
        assert!(text.ends_with("no GPIO chip"), "{text}");
    }

    #[test]
    fn a_name_that_two_lines_have_is_refused_with_both() {
        let error = find_line(&board(), "LED").unwrap_err();
        assert!(matches!(error, LineError::Ambiguous { .. }));
        let text = error.to_string();
        assert!(text.contains("3 of chip /dev/gpiochip0 (pinctrl)"), "{text}");
        assert!(text.contains("0 of chip /dev/gpiochip1 (expander)"), "{text}");
    }

    #[test]
    fn a_chip_is_found_by_its_label_or_its_path() {
        let board = board();
        assert_eq!(find_chip(&board, "pinctrl", None).unwrap().path, Path::new("/dev/gpiochip0"));
        let path = Path::new("/dev/gpiochip2");
        assert_eq!(find_chip(&board, "/dev/strike", Some(path)).unwrap().path, path);
    }

    #[test]
    fn a_chip_that_is_absent_twice_or_silent_is_refused() {
        let board = board();
        let text = find_chip(&board, "pl061", None).unwrap_err().to_string();
        assert!(text.contains("chip pl061") && text.contains("(pinctrl) with 4 lines"), "{text}");
        assert!(text.contains("/dev/gpiochip7 (Permission denied)"), "{text}");
        let error = find_chip(&board, "expander", None).unwrap_err();
        assert!(matches!(error, LineError::Ambiguous { .. }), "{error}");
        assert!(error.to_string().contains("/dev/gpiochip1, /dev/gpiochip2"), "{error}");
        let silent = Path::new("/dev/gpiochip7");
        let error = find_chip(&board, "/dev/gpiochip7", Some(silent)).unwrap_err();
        assert!(matches!(&error, LineError::Gpio { text, .. } if text == "Permission denied"), "{error}");
        assert!(matches!(find_chip(&board, "/dev/nothing", None), Err(LineError::Absent { .. })));
    }

    #[test]
    fn a_line_beyond_the_chips_last_is_refused() {
        let board = board();
        assert_eq!(on_chip(&board.chips[0], 3).unwrap().offset, 3);
        let text = on_chip(&board.chips[0], 4).unwrap_err().to_string();
        assert!(text.contains("no GPIO line 4 of chip") && text.contains("lines 0 to 3"), "{text}");
    }

    #[test]
    fn a_long_list_is_cut() {
        assert!(listed((0..20).map(|n| n.to_string())).ends_with("15 and 4 more"));
    }
}
