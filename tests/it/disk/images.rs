//! What a disk may hold after a power cut: all that was synced, and of the rest any part, in any
//! order, torn between sectors. Read from the diary of `shim.c`.

use std::path::{Path, PathBuf};

use crate::lost::dice::Dice;

/// What a disk writes whole.
const SECTOR: u64 = 512;

/// The database, its log (-wal) and its rollback journal.
pub type Files = [Option<Vec<u8>>; 3];
const TAILS: [&str; 3] = ["", "-wal", "-journal"];
/// The directory, as the diary numbers it.
const DIRECTORY: usize = 3;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    Write { file: usize, at: u64, bytes: Vec<u8> },
    Cut { file: usize, length: u64 },
    Unlink { file: usize },
    Sync { file: usize },
}

/// The whole entries of a diary; the last one may be half.
pub fn read_diary(path: &Path) -> Vec<Op> {
    let text = std::fs::read(path).unwrap_or_default();
    let number = |at: usize| u64::from_le_bytes(text[at..at + 8].try_into().unwrap());
    let (mut ops, mut at) = (Vec::new(), 0);
    while at + 24 <= text.len() {
        let (op, file, offset, length) = (text[at], usize::from(text[at + 1]), number(at + 8), number(at + 16));
        at += 24;
        ops.push(match op {
            b'w' if at + length as usize > text.len() => break,
            b'w' => {
                let bytes = text[at..at + length as usize].to_vec();
                at += length as usize;
                Op::Write { file, at: offset, bytes }
            }
            b'c' => Op::Cut { file, length },
            b'u' => Op::Unlink { file },
            b's' => Op::Sync { file },
            other => panic!("the diary {} holds an entry {other}", path.display()),
        });
    }
    ops
}

pub fn read_files(state: &Path) -> Files {
    TAILS.map(|tail| std::fs::read(with(state, tail)).ok())
}

/// Puts an image where the state file is; nothing else of it stays, as after a power cut.
pub fn install(files: &Files, state: &Path) {
    let _ = std::fs::remove_file(with(state, "-shm"));
    for (tail, content) in TAILS.iter().zip(files) {
        let path = with(state, tail);
        match content {
            Some(bytes) => std::fs::write(path, bytes).unwrap(),
            None => drop(std::fs::remove_file(path)),
        }
    }
}

pub fn with(path: &Path, tail: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(tail);
    name.into()
}

/// A disk at one moment.
#[derive(Clone)]
pub struct Disk {
    /// Safe for ever.
    synced: Files,
    /// Of each file, what may or may not have reached the disk.
    pending: [Vec<Op>; 3],
}

impl Disk {
    /// The disk after `ops`, on one that held `base`.
    pub fn after(base: &Files, ops: &[Op]) -> Disk {
        let mut disk = Disk { synced: base.clone(), pending: Default::default() };
        for op in ops {
            match op {
                Op::Sync { file: DIRECTORY } => (0..3).for_each(|file| disk.bury(file)),
                Op::Sync { file } => {
                    disk.bury(*file);
                    for op in std::mem::take(&mut disk.pending[*file]) {
                        apply(&mut disk.synced[*file], &op);
                    }
                }
                Op::Write { file, .. } | Op::Cut { file, .. } | Op::Unlink { file } => {
                    // Whoever makes a file anew finds the old one gone for good.
                    disk.bury(*file);
                    disk.pending[*file].push(op.clone());
                }
            }
        }
        disk
    }

    /// What was unlinked before the directory was synced is gone.
    fn bury(&mut self, file: usize) {
        if let Some(last) = self.pending[file].iter().rposition(|op| matches!(op, Op::Unlink { .. })) {
            self.pending[file].drain(..=last);
            self.synced[file] = None;
        }
    }

    /// Nothing but what was synced.
    pub fn least(&self) -> Files {
        self.synced.clone()
    }

    /// One of the disks that a power cut may leave.
    pub fn image(&self, dice: &mut Dice) -> Files {
        let mut files = self.synced.clone();
        for (content, pending) in files.iter_mut().zip(&self.pending) {
            let mut kept: Vec<Op> = match dice.within(0..8) {
                0 | 1 => Vec::new(),
                2 => pending.clone(),
                3 | 4 => prefix(pending, dice),
                _ => {
                    let chance = dice.within(10..95);
                    pieces(pending).into_iter().filter(|_| dice.percent(chance)).collect()
                }
            };
            if dice.percent(40) {
                shuffle(&mut kept, dice);
            }
            kept.iter().for_each(|op| apply(content, op));
        }
        files
    }
}

/// All up to one moment, the last write torn.
fn prefix(pending: &[Op], dice: &mut Dice) -> Vec<Op> {
    let pieces = pieces(pending);
    let length = if pieces.is_empty() { 0 } else { dice.index(pieces.len() + 1) };
    pieces[..length].to_vec()
}

/// Writes cut at the sectors of the disk.
fn pieces(pending: &[Op]) -> Vec<Op> {
    let mut pieces = Vec::new();
    for op in pending {
        let Op::Write { file, at, bytes } = op else {
            pieces.push(op.clone());
            continue;
        };
        let mut from = 0;
        while from < bytes.len() {
            let start = at + from as u64;
            let room = (SECTOR - start % SECTOR) as usize;
            let to = bytes.len().min(from + room);
            pieces.push(Op::Write { file: *file, at: start, bytes: bytes[from..to].to_vec() });
            from = to;
        }
    }
    pieces
}

fn shuffle(ops: &mut [Op], dice: &mut Dice) {
    for last in (1..ops.len()).rev() {
        ops.swap(last, dice.index(last + 1));
    }
}

fn apply(content: &mut Option<Vec<u8>>, op: &Op) {
    match op {
        Op::Write { at, bytes, .. } => {
            let content = content.get_or_insert_default();
            let (from, to) = (*at as usize, *at as usize + bytes.len());
            content.resize(content.len().max(to), 0);
            content[from..to].copy_from_slice(bytes);
        }
        Op::Cut { length, .. } => content.get_or_insert_default().resize(*length as usize, 0),
        Op::Unlink { .. } => *content = None,
        Op::Sync { .. } => {}
    }
}

#[test]
fn an_image_holds_what_was_synced_and_any_part_of_the_rest() {
    let write = |at, byte| Op::Write { file: 1, at, bytes: vec![byte; 1000] };
    let ops = [write(0, 1), Op::Sync { file: 1 }, write(500, 2), write(1500, 3)];
    let disk = Disk::after(&Files::default(), &ops);
    assert_eq!(disk.least()[1], Some(vec![1; 1000]));
    let mut dice = Dice::new(1);
    let images: Vec<Vec<u8>> = (0..300).map(|_| disk.image(&mut dice)[1].clone().unwrap()).collect();
    for image in &images {
        assert!(image[..500].iter().all(|byte| *byte == 1), "what was synced and not written since stays");
        assert!(image[500..512].iter().all(|byte| *byte == image[500]), "a sector is not torn");
    }
    for (what, holds) in [
        ("nothing more", images.iter().any(|image| image.len() == 1000 && image[999] == 1)),
        ("all", images.iter().any(|image| image.len() == 2500 && image[500] == 2 && image[1023] == 2)),
        ("torn", images.iter().any(|image| image[500] == 2 && image[1000.min(image.len() - 1)] != 2)),
        ("reordered", images.iter().any(|image| image.len() > 2000 && image[600] == 1)),
    ] {
        assert!(holds, "no image has {what}");
    }
    let gone = [write(0, 1), Op::Sync { file: 1 }, Op::Unlink { file: 1 }];
    let may = Disk::after(&Files::default(), &gone);
    assert!((0..50).any(|_| may.image(&mut dice)[1].is_none()) && may.least()[1].is_some());
    let sure = Disk::after(&Files::default(), &[&gone[..], &[Op::Sync { file: DIRECTORY }]].concat());
    assert_eq!(sure.least()[1], None);
}
