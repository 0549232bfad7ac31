//! The plain tar of a packed file, with a bound on what comes out and on the memory that it takes: gzip needs 32 KiB,
//! zstd as much as its frames ask for, and those that ask for more than 128 MiB are refused.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use crate::Error;

/// The largest window of zstd, in bytes: what `zstd --ultra -22` and `--long=27` ask for.
const WINDOW: u64 = 128 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packing {
    None,
    Gzip,
    Zstd,
}

impl Packing {
    /// By the first bytes. Zstd may begin with a frame that is to be skipped.
    pub(crate) fn of(start: &[u8]) -> Self {
        match start {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            _ => Self::None,
        }
    }
}

/// A plain tar.
pub struct TarStream {
    inner: Unpacked,
    limit: u64,
    left: u64,
}

enum Unpacked {
    Plain(BufReader<File>),
    Gzip(MultiGzDecoder<BufReader<File>>),
    Zstd(Box<Zstd>),
}

/// More came out than the limit.
#[derive(Debug, thiserror::Error)]
#[error("the archive unpacks to more than {0} bytes")]
struct Excess(u64);

pub(crate) fn open(file: File, packing: Packing, limit: u64) -> TarStream {
    let file = BufReader::with_capacity(64 << 10, file);
    let inner = match packing {
        Packing::None => Unpacked::Plain(file),
        Packing::Gzip => Unpacked::Gzip(MultiGzDecoder::new(file)),
        Packing::Zstd => {
            let mut decoder = FrameDecoder::new();
            decoder.set_max_window_size(WINDOW);
            Unpacked::Zstd(Box::new(Zstd { decoder, file, inside: false }))
        }
    };
    TarStream { inner, limit, left: limit }
}

impl Read for TarStream {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        // Beyond the limit one byte is asked for, to tell an end from an excess.
        let mut probe = [0; 1];
        let room = usize::try_from(self.left).unwrap_or(usize::MAX).min(out.len());
        let out = match out.get_mut(..room) {
            Some(out) if !out.is_empty() || self.left > 0 => out,
            _ => &mut probe,
        };
        let read = match &mut self.inner {
            Unpacked::Plain(file) => file.read(out),
            Unpacked::Gzip(decoder) => decoder.read(out),
            Unpacked::Zstd(decoder) => decoder.read(out),
        }?;
        self.left = self.left.checked_sub(read as u64).ok_or_else(|| io::Error::other(Excess(self.limit)))?;
        Ok(read)
    }
}

/// What a failed read of it means.
pub(crate) fn explain(what: &str, error: &io::Error) -> Error {
    let excess = error.get_ref().and_then(|inner| inner.downcast_ref::<Excess>());
    match (excess, error.raw_os_error()) {
        (Some(Excess(limit)), _) => Error::TooLarge {
            what: what.to_owned(),
            name: "of an unpacked archive",
            limit: *limit,
            unit: "bytes",
        },
        (None, Some(_)) => Error::io(what, error),
        (None, None) => Error::invalid(what, format!("the archive is damaged: {error}")),
    }
}

/// Frames one after the other, as parallel packers write them.
struct Zstd {
    decoder: FrameDecoder,
    file: BufReader<File>,
    inside: bool,
}

impl Zstd {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.inside && self.decoder.can_collect() > 0 {
                return self.decoder.read(out);
            }
            if self.inside && !self.decoder.is_finished() {
                // One block at a time: at most 128 KiB beyond the window are ever held.
                let step = BlockDecodingStrategy::UptoBlocks(1);
                self.decoder.decode_blocks(&mut self.file, step).map_err(io::Error::other)?;
                continue;
            }
            if self.file.fill_buf()?.is_empty() {
                return Ok(0);
            }
            self.begin()?;
        }
    }

    fn begin(&mut self) -> io::Result<()> {
        match self.decoder.reset(&mut self.file) {
            Ok(()) => {
                self.inside = true;
                Ok(())
            }
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                length, ..
            })) => {
                self.inside = false;
                let length = u64::from(length);
                match io::copy(&mut (&mut self.file).take(length), &mut io::sink())? {
                    skipped if skipped == length => Ok(()),
                    _ => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it ends within a frame")),
                }
            }
            Err(error) => Err(io::Error::other(error)),
        }
    }
}
