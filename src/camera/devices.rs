//! Which cameras there are, and which of them is meant: a path, or the card's name and its place on the bus.

use std::path::{Path, PathBuf};

use super::CameraError;
use super::controls::{Control, Controls};
use super::convert::Format;
use super::holders::{Holder, holders_of};
use super::negotiate::{Formats, code_text};
use super::node::{Node, Size};
use crate::config::model::Camera;

/// Cameras that an error text names; the rest is counted.
const NAMED_MAX: usize = 8;

/// A Video4Linux node as `latchd camera list` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeFacts {
    /// The node.
    pub path: PathBuf,
    /// Links to it below `/dev/v4l`, which stay when the number changes.
    pub links: Vec<PathBuf>,
    /// What it says of itself, or why it could not be asked.
    pub about: Result<About, String>,
    /// Who has it open, as far as `/proc` shows.
    pub holders: Vec<Holder>,
}

/// What a node says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// The device's name.
    pub card: String,
    /// Where it is plugged in.
    pub bus: String,
    /// The kernel's driver.
    pub driver: String,
    /// It streams single-planar video. A camera often has a second node that does not.
    pub captures: bool,
    /// What it offers.
    pub formats: Vec<FormatFacts>,
}

/// A pixel format of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormatFacts {
    /// The code, such as `YUYV`.
    pub code: String,
    /// latchd can read it.
    pub understood: bool,
    /// Its sizes; none when the source has no choice.
    pub sizes: Vec<Size>,
}

/// All nodes `/dev/videoN`, by number.
pub fn list() -> Vec<NodeFacts> {
    list_in(Path::new("/dev"), true)
}

/// The nodes by name alone: a burst that finds its camera so asks none of them for formats, and `/proc` for nothing.
fn names() -> Vec<NodeFacts> {
    list_in(Path::new("/dev"), false)
}

fn list_in(dev: &Path, whole: bool) -> Vec<NodeFacts> {
    let links = links_in(&dev.join("v4l"));
    node_paths(dev)
        .into_iter()
        .map(|path| {
            let links = links.iter().filter(|(_, node)| *node == path).map(|(link, _)| link.clone());
            let about = ask(&path, whole).map_err(|error| error.to_string());
            let holders = if whole { holders_of(&path) } else { Vec::new() };
            NodeFacts { links: links.collect(), about, holders, path }
        })
        .collect()
}

fn ask(path: &Path, whole: bool) -> std::io::Result<About> {
    let node = Node::open(path)?;
    let capabilities = node.capabilities()?;
    let captures = capabilities.can_capture();
    let formats = if captures && whole { node.offered() } else { Vec::new() };
    let formats = formats
        .into_iter()
        .map(|code| FormatFacts {
            code: code_text(code),
            understood: Format::from_fourcc(code).is_some(),
            sizes: node.sizes(code),
        })
        .collect();
    let super::node::Capabilities { card, bus, driver, .. } = capabilities;
    Ok(About { card, bus, driver, captures, formats })
}

/// The nodes' paths in the order of their numbers.
fn node_paths(dev: &Path) -> Vec<PathBuf> {
    let number =
        |path: &PathBuf| -> Option<u32> { path.file_name()?.to_str()?.strip_prefix("video")?.parse().ok() };
    let entries = std::fs::read_dir(dev).into_iter().flatten();
    let mut paths: Vec<_> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| number(path).is_some())
        .collect();
    paths.sort_by_key(number);
    paths
}

/// udev's links: link and node.
fn links_in(v4l: &Path) -> Vec<(PathBuf, PathBuf)> {
    let mut links = Vec::new();
    for folder in ["by-id", "by-path"] {
        for entry in std::fs::read_dir(v4l.join(folder)).into_iter().flatten().flatten() {
            if let Ok(node) = entry.path().canonicalize() {
                links.push((entry.path(), node));
            }
        }
    }
    links.sort();
    links
}

/// A control with its value, for `latchd camera probe`.
pub type ControlValue = (Control, Option<i32>);

/// The controls of a node with their values. Reading them takes a while on some cameras.
///
/// # Errors
/// The node cannot be opened.
pub fn controls(path: &Path) -> Result<Vec<ControlValue>, CameraError> {
    let node = Node::open(path).map_err(|error| super::v4l2::of_open(path, error))?;
    let with_value = |control: Control| {
        let value = node.get(control.id).ok();
        (control, value)
    };
    Ok(node.controls().into_iter().map(with_value).collect())
}

/// The node of the configured camera.
///
/// # Errors
/// No camera or more than one has that name; with a list of what there is.
pub(super) fn find(config: &Camera) -> Result<PathBuf, CameraError> {
    match (config.card.as_deref(), config.bus.as_deref()) {
        (None, None) => Ok(config.device.clone()),
        (card, bus) => choose(&names(), card, bus),
    }
}

/// PURE. The one node that captures and has that name and place.
fn choose(nodes: &[NodeFacts], card: Option<&str>, bus: Option<&str>) -> Result<PathBuf, CameraError> {
    let fits = |node: &&NodeFacts| match &node.about {
        Ok(about) => {
            about.captures
                && card.is_none_or(|card| about.card == card)
                && bus.is_none_or(|bus| about.bus == bus)
        }
        Err(_) => false,
    };
    let wanted = [("card", card), ("bus", bus)]
        .into_iter()
        .filter_map(|(key, value)| value.map(|value| format!("{key} {value:?}")))
        .collect::<Vec<_>>()
        .join(" and ");
    let found: Vec<_> = nodes.iter().filter(fits).collect();
    match found.as_slice() {
        [node] => Ok(node.path.clone()),
        [] => Err(CameraError::NotFound { wanted, known: named(nodes.iter()) }),
        several => Err(CameraError::Ambiguous { wanted, found: named(several.iter().copied()) }),
    }
}

/// What there is, for an error text.
pub(super) fn known() -> String {
    named(names().iter())
}

/// PURE. Nodes on one line: those that capture and those that do not tell.
fn named<'a>(nodes: impl Iterator<Item = &'a NodeFacts>) -> String {
    let mut texts: Vec<String> = nodes
        .filter_map(|node| match &node.about {
            Ok(about) if about.captures => {
                let path = node.links.first().unwrap_or(&node.path);
                Some(format!("{} (card {:?}, bus {:?})", path.display(), about.card, about.bus))
            }
            Ok(_) => None,
            Err(why) => Some(format!("{} ({why})", node.path.display())),
        })
        .collect();
    let more = texts.len().saturating_sub(NAMED_MAX);
    texts.truncate(NAMED_MAX);
    match (texts.is_empty(), more) {
        (true, _) => "no camera at all".into(),
        (false, 0) => texts.join(", "),
        (false, more) => format!("{} and {more} more", texts.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(number: u32, card: &str, bus: &str, captures: bool) -> NodeFacts {
        let about = About {
            card: card.into(),
            bus: bus.into(),
            driver: "uvcvideo".into(),
            captures,
            formats: Vec::new(),
        };
        let path = format!("/dev/video{number}").into();
        NodeFacts { path, links: Vec::new(), about: Ok(about), holders: Vec::new() }
    }

    /// Two cameras of one make, each with a metadata node, and one that this user may not open.
    fn desk() -> Vec<NodeFacts> {
        let mut locked = node(9, "", "", true);
        locked.about = Err("Permission denied".into());
        vec![
            node(0, "HD Cam", "usb-1.2", true),
            node(1, "HD Cam", "usb-1.2", false),
            node(2, "HD Cam", "usb-1.3", true),
            node(3, "HD Cam", "usb-1.3", false),
            node(4, "Door Cam", "usb-1.4", true),
            locked,
        ]
    }

    #[test]
    fn a_camera_is_found_by_its_card_or_its_bus_or_both() {
        let nodes = desk();
        for (card, bus, path) in [
            (Some("Door Cam"), None, "/dev/video4"),
            (None, Some("usb-1.3"), "/dev/video2"),
            (Some("HD Cam"), Some("usb-1.2"), "/dev/video0"),
        ] {
            assert_eq!(choose(&nodes, card, bus).unwrap(), Path::new(path));
        }
    }

    #[test]
    fn an_absent_camera_is_refused_with_what_there_is() {
        for (card, bus) in [
            (Some("Dor Cam"), None),
            (Some("Door Cam"), Some("usb-1.2")),
            // Names are whole names.
            (Some("Door"), None),
        ] {
            let error = choose(&desk(), card, bus).unwrap_err();
            assert_eq!(error.reason(), "camera_missing");
            let text = error.to_string();
            assert!(text.contains(card.unwrap()), "{text}");
            assert!(text.contains("/dev/video4 (card \"Door Cam\", bus \"usb-1.4\")"), "{text}");
            assert!(text.contains("/dev/video9 (Permission denied)"), "{text}");
            assert!(!text.contains("/dev/video1 "), "a node without pictures is none of them: {text}");
            assert!(!error.remedy().is_empty());
        }
        assert!(choose(&[], Some("x"), None).unwrap_err().to_string().contains("no camera at all"));
    }

    #[test]
    fn a_name_that_two_cameras_have_is_refused_with_both() {
        let error = choose(&desk(), Some("HD Cam"), None).unwrap_err();
        assert_eq!(error.reason(), "camera_ambiguous");
        let text = error.to_string();
        assert!(text.contains("usb-1.2") && text.contains("usb-1.3") && !text.contains("Door"), "{text}");
    }

    #[test]
    fn a_long_list_is_cut() {
        let many: Vec<_> = (0..20).map(|number| node(number, "Cam", "usb", true)).collect();
        let text = named(many.iter());
        assert!(text.ends_with("and 12 more"), "{text}");
    }

    #[test]
    fn nodes_are_listed_by_number_with_their_links() {
        let dev = tempfile::tempdir().unwrap();
        let root = dev.path().canonicalize().unwrap();
        for name in ["video10", "video2", "videodisk", "vbi0"] {
            std::fs::write(root.join(name), "").unwrap();
        }
        std::fs::create_dir_all(root.join("v4l/by-id")).unwrap();
        let link = root.join("v4l/by-id/usb-Cam-video-index0");
        std::os::unix::fs::symlink("../../video10", &link).unwrap();
        std::os::unix::fs::symlink("../../video77", root.join("v4l/by-id/gone")).unwrap();
        let nodes = list_in(&root, true);
        let paths: Vec<_> = nodes.iter().map(|node| node.path.clone()).collect();
        assert_eq!(paths, [root.join("video2"), root.join("video10")]);
        assert!(nodes[0].links.is_empty() && nodes[1].links == [link]);
        // Files are no cameras, and that is said.
        assert!(nodes.iter().all(|node| node.about.is_err()));
    }
}
