//! Whose the files beside the state are: a command that root types makes them for the user who owns
//! their directory, whom the daemon runs as. It takes no file that exists, and follows no link.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{Gid, OFlags, Uid, fchown};

/// Opens `path` to be read and written, made when missing. The user who owns the directory may put a
/// link there, through which root would write to somebody else's file: a link is an error.
pub(super) fn open(path: &Path) -> io::Result<File> {
    match options().create_new(true).open(path) {
        Ok(file) => {
            give_to_owner_of_directory(&file, path);
            Ok(file)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => options().open(path),
        Err(error) => Err(error),
    }
}

/// Makes `path`, empty, when nothing is there; whether that can be done is found by whoever opens it.
pub(super) fn make(path: &Path) {
    if let Ok(file) = options().create_new(true).open(path) {
        give_to_owner_of_directory(&file, path);
    }
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
    options
}

/// Where it cannot be done (a network file system that trusts no root), the work goes on: `force` must.
fn give_to_owner_of_directory(file: &File, path: &Path) {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let given = (|| {
        let directory = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let owner = std::fs::metadata(directory)?;
        fchown(file, Some(Uid::from_raw(owner.uid())), Some(Gid::from_raw(owner.gid())))?;
        io::Result::Ok(())
    })();
    if let Err(error) = given {
        let path = path.display();
        tracing::warn!("{path} is root's, and a daemon that is not root cannot use it: chown it ({error})");
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{chown, symlink};

    use super::super::{lock, open as open_store};
    use crate::domain::UnixMs;

    use super::*;

    /// Name, user and group of everything in a directory.
    fn owners(dir: &Path) -> Vec<(String, u32, u32)> {
        let entry = |entry: io::Result<std::fs::DirEntry>| {
            let entry = entry.unwrap();
            let meta = entry.metadata().unwrap();
            (entry.file_name().into_string().unwrap(), meta.uid(), meta.gid())
        };
        let mut found: Vec<_> = std::fs::read_dir(dir).unwrap().map(entry).collect();
        found.sort();
        found
    }

    /// Only root can have a directory of somebody else's; for anybody else this is himself.
    fn somebody() -> (u32, u32) {
        if rustix::process::geteuid().is_root() { (48_123, 48_124) } else { ourselves() }
    }

    fn ourselves() -> (u32, u32) {
        (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw())
    }

    #[test]
    fn what_root_makes_belongs_to_the_owner_of_the_directory() {
        for owner in [somebody(), ourselves()] {
            let dir = tempfile::tempdir().unwrap();
            chown(dir.path(), Some(owner.0), Some(owner.1)).unwrap();
            let path = dir.path().join("failoverd.db");
            let _lock = lock(&path).unwrap();
            let opened = open_store(&path, UnixMs::default()).unwrap();
            let names = ["failoverd.db", "failoverd.db-shm", "failoverd.db-wal", "failoverd.db.lock"];
            assert_eq!(owners(dir.path()), names.map(|name| (name.to_owned(), owner.0, owner.1)));
            opened.store.close();
        }
    }

    #[test]
    fn a_damaged_state_file_is_replaced_by_one_of_the_same_owner() {
        let (uid, gid) = somebody();
        let dir = tempfile::tempdir().unwrap();
        chown(dir.path(), Some(uid), Some(gid)).unwrap();
        let path = dir.path().join("failoverd.db");
        std::fs::write(&path, "no database".repeat(100)).unwrap();
        let opened = open_store(&path, UnixMs::default()).unwrap();
        assert!(opened.note.unwrap().contains("moved aside"));
        opened.store.close();
        let owner = std::fs::metadata(&path).unwrap();
        assert_eq!((owner.uid(), owner.gid()), (uid, gid));
    }

    #[test]
    fn a_link_in_place_of_the_lock_is_refused_and_what_it_leads_to_is_untouched() {
        let dir = tempfile::tempdir().unwrap();
        let other = dir.path().join("other");
        std::fs::write(&other, "kept").unwrap();
        let path = dir.path().join("failoverd.db");
        symlink(&other, dir.path().join("failoverd.db.lock")).unwrap();
        let text = lock(&path).unwrap_err().to_string();
        assert!(text.contains("failoverd.db.lock"), "{text}");
        assert_eq!(std::fs::read_to_string(&other).unwrap(), "kept");
        std::fs::remove_file(dir.path().join("failoverd.db.lock")).unwrap();
        let _lock = lock(&path).unwrap();
    }
}
