//! Who has a device open: read off `/proc`, which shows a service only its own processes and root all.

use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// A process that has a file open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its number.
    pub pid: u32,
    /// Its name as the kernel keeps it.
    pub name: String,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (pid {})", self.name, self.pid)
    }
}

/// The other processes that have `path` open, by number.
pub fn holders_of(path: &Path) -> Vec<Holder> {
    holders_in(Path::new("/proc"), path, std::process::id())
}

fn holders_in(proc: &Path, path: &Path, own: u32) -> Vec<Holder> {
    let Ok(wanted) = std::fs::metadata(path) else { return Vec::new() };
    // A node is the device that it names: there may be several nodes of one device.
    let same = |facts: &std::fs::Metadata| match wanted.rdev() {
        0 => (facts.dev(), facts.ino()) == (wanted.dev(), wanted.ino()),
        rdev => facts.rdev() == rdev && facts.mode() & 0o170_000 == wanted.mode() & 0o170_000,
    };
    let entries = std::fs::read_dir(proc).into_iter().flatten().flatten();
    let mut found: Vec<Holder> = entries
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path())))
        .filter(|(pid, _)| *pid != own)
        .filter(|(_, process)| {
            let files = std::fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
            files.filter_map(|file| std::fs::metadata(file.path()).ok()).any(|facts| same(&facts))
        })
        .map(|(pid, process)| Holder { pid, name: name_of(&process) })
        .collect();
    found.sort_by_key(|holder| holder.pid);
    found
}

/// A process chooses its own name: nothing of it may steer a terminal.
fn name_of(process: &Path) -> String {
    let name = std::fs::read_to_string(process.join("comm")).unwrap_or_default();
    let name: String =
        name.trim_end().chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).collect();
    if name.is_empty() { "somebody".into() } else { name }
}

/// Holders on one line, for an error text; empty when nobody is seen.
pub(super) fn sentence(holders: &[Holder]) -> String {
    holders.iter().map(Holder::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn a_process_that_has_it_open_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(holders_of(file.path()), []);
        let mut child =
            Command::new("sleep").arg("60").stdin(Stdio::from(file.reopen().unwrap())).spawn().unwrap();
        // The kernel may still call it by our name until it has become `sleep`; its number is certain.
        let found = holders_of(file.path());
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(found.iter().map(|holder| holder.pid).collect::<Vec<_>>(), [child.id()]);
        assert_eq!(holders_of(file.path()), []);
    }

    #[test]
    fn names_cannot_bring_control_characters() {
        let proc = tempfile::tempdir().unwrap();
        let process = proc.path().join("77");
        std::fs::create_dir_all(process.join("fd")).unwrap();
        std::fs::write(process.join("comm"), "v4l\x1b[2J\n").unwrap();
        let device = proc.path().join("device");
        std::fs::write(&device, "").unwrap();
        std::os::unix::fs::symlink(&device, process.join("fd/3")).unwrap();
        std::fs::create_dir_all(proc.path().join("self/fd")).unwrap();
        let found = holders_in(proc.path(), &device, 1);
        assert_eq!(sentence(&found), "v4l?[2J (pid 77)");
        // Not ourselves.
        assert_eq!(holders_in(proc.path(), &device, 77), []);
    }
}
