//! Reading files and pipes in blocks of whole lines, on a thread of its own, so that a slow pipe
//! never keeps acknowledgements waiting.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

/// How much is read at a time.
const READ_BYTES: usize = 256 << 10;
/// The longest line: longer than any batch a broker takes.
const LINE_BYTES_MAX: usize = 128 << 20;
/// Blocks waiting to be sent. A full queue stops the reading.
const BLOCKS_WAITING: usize = 8;

/// A part of the input.
pub enum Block {
    /// Whole lines. Only the last line of a file may lack its line feed.
    Lines(Vec<u8>),
    /// The input cannot be read on: its name and why.
    Broken(String, io::Error),
}

/// The lines of a block, without their line feeds. Carriage returns stay: values are byte for byte.
pub fn lines(block: &[u8]) -> impl Iterator<Item = &[u8]> {
    block
        .split_inclusive(|&byte| byte == b'\n')
        .map(|line| line.strip_suffix(b"\n").unwrap_or(line))
}

/// Starts reading the files in order, `-` being standard input. The channel ends after the last.
pub fn read(files: Vec<PathBuf>) -> Receiver<Block> {
    let (sender, receiver) = sync_channel(BLOCKS_WAITING);
    thread::spawn(move || {
        for path in files {
            let name = path.display().to_string();
            let result = match name.as_str() {
                "-" => read_one(io::stdin().lock(), &sender),
                _ => File::open(&path).and_then(|file| read_one(file, &sender)),
            };
            match result {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    let _ = sender.send(Block::Broken(name, error));
                    return;
                }
            }
        }
    });
    receiver
}

/// Reads to the end; false when nobody wants the blocks any more.
fn read_one(mut input: impl Read, sender: &SyncSender<Block>) -> io::Result<bool> {
    let mut block = Vec::new();
    loop {
        let kept = block.len();
        block.resize(kept + READ_BYTES, 0);
        let read = loop {
            match input.read(&mut block[kept..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        block.truncate(kept + read);
        if read == 0 {
            return Ok(block.is_empty() || sender.send(Block::Lines(block)).is_ok());
        }
        // Only what was just read can hold the block's last line feed.
        let Some(at) = block[kept..].iter().rposition(|&byte| byte == b'\n') else {
            if block.len() > LINE_BYTES_MAX {
                return Err(io::Error::other(format!(
                    "a line is longer than {LINE_BYTES_MAX} bytes"
                )));
            }
            continue;
        };
        let rest = block.split_off(kept + at + 1);
        if sender.send(Block::Lines(block)).is_err() {
            return Ok(false);
        }
        block = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives its bytes in pieces of a size.
    struct Pieces<'a>(&'a [u8], usize);

    impl Read for Pieces<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let size = self.1.min(self.0.len()).min(buffer.len());
            buffer[..size].copy_from_slice(&self.0[..size]);
            self.0 = &self.0[size..];
            Ok(size)
        }
    }

    #[test]
    fn lines_are_the_same_in_pieces_of_any_size() {
        let text = b"one\n\nthree\r\nfour is longer\nfive";
        let expected: Vec<&[u8]> = vec![b"one", b"", b"three\r", b"four is longer", b"five"];
        for size in 1..text.len() + 1 {
            let (sender, receiver) = sync_channel(text.len());
            assert!(read_one(Pieces(text, size), &sender).expect("memory can be read"));
            drop(sender);
            let mut got: Vec<Vec<u8>> = Vec::new();
            for block in receiver {
                let Block::Lines(block) = block else { panic!("memory can be read") };
                got.extend(lines(&block).map(<[u8]>::to_vec));
            }
            assert_eq!(got, expected, "pieces of {size}");
        }
    }

    #[test]
    fn nothing_is_no_line() {
        let (sender, receiver) = sync_channel(1);
        assert!(read_one(Pieces(b"", 1), &sender).expect("memory can be read"));
        drop(sender);
        assert_eq!(receiver.into_iter().count(), 0);
    }
}
