//! What each codec writes can be read by code that did not write it.

use std::io::Read;
use std::sync::{Arc, Mutex};

use rsqoop_connector::ErrorKind;

use super::*;

const CODECS: [TextCodec; 7] = [
    TextCodec::None,
    TextCodec::Gzip,
    TextCodec::Bzip2,
    TextCodec::Zstd,
    TextCodec::Snappy,
    TextCodec::Lz4,
    TextCodec::Deflate,
];

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn encode(codec: TextCodec, input: &[u8], piece: usize) -> Vec<u8> {
    let shared = Shared::default();
    let mut encoder = compressed(Box::new(shared.clone()), codec).unwrap();
    for bytes in input.chunks(piece) {
        encoder.write_all(bytes).unwrap();
    }
    let (bytes, _) = encoder.finish().unwrap();
    let output = shared.0.lock().unwrap().clone();
    assert_eq!(bytes, output.len() as u64, "{codec:?}");
    output
}

fn decode(codec: TextCodec, mut file: &[u8]) -> Result<Vec<u8>, String> {
    let mut output = Vec::new();
    let result = match codec {
        TextCodec::None => file.read_to_end(&mut output),
        TextCodec::Gzip => flate2::read::GzDecoder::new(file).read_to_end(&mut output),
        TextCodec::Deflate => flate2::read::ZlibDecoder::new(file).read_to_end(&mut output),
        TextCodec::Bzip2 => bzip2::read::BzDecoder::new(file).read_to_end(&mut output),
        TextCodec::Zstd => {
            zstd::Decoder::new(file).and_then(|mut reader| reader.read_to_end(&mut output))
        }
        TextCodec::Snappy | TextCodec::Lz4 => return decode_blocks(codec, file),
    };
    result.map(|_| output).map_err(|error| error.to_string())
}

/// Hadoop's `BlockDecompressorStream` with its buffers of 256 KiB.
fn decode_blocks(codec: TextCodec, mut file: &[u8]) -> Result<Vec<u8>, String> {
    let mut output = Vec::new();
    while !file.is_empty() {
        let mut left = take_length(&mut file)?;
        if left == 0 {
            return if file.is_empty() { Ok(output) } else { Err("early end".to_string()) };
        }
        while left > 0 {
            let length = take_length(&mut file)?;
            assert!(length <= 256 * 1024, "a compressed chunk is larger than Hadoop's buffer");
            let (chunk, after) = file.split_at_checked(length).ok_or("cut in a chunk")?;
            file = after;
            let plain = match codec {
                TextCodec::Snappy => {
                    snap::raw::Decoder::new().decompress_vec(chunk).map_err(|e| e.to_string())?
                }
                _ => lz4_flex::block::decompress(chunk, left).map_err(|e| e.to_string())?,
            };
            assert!(plain.len() <= 256 * 1024);
            left = left.checked_sub(plain.len()).ok_or("a chunk too long for its block")?;
            output.extend_from_slice(&plain);
        }
    }
    Ok(output)
}

fn take_length(file: &mut &[u8]) -> Result<usize, String> {
    let (length, after) = file.split_first_chunk::<4>().ok_or("cut in a length")?;
    *file = after;
    usize::try_from(u32::from_be_bytes(*length)).map_err(|error| error.to_string())
}

/// Bytes that no codec can make smaller (xorshift).
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

fn lines(length: usize) -> Vec<u8> {
    let text: String = (0..length / 16).map(|n| format!("{n},some words,{}\n", n % 7)).collect();
    text.into_bytes()
}

#[test]
fn every_codec_gives_back_what_it_was_given() {
    let snappy_block = 256 * 1024 - 256 * 1024 / 6 - 32;
    let inputs = [
        b"x".to_vec(),
        lines(100),
        lines(3_000_000),
        noise(1_000_000),
        noise(snappy_block),
        noise(snappy_block + 1),
    ];
    for codec in CODECS {
        for input in &inputs {
            for piece in [1000, 65_537, 1 << 20] {
                let file = encode(codec, input, piece);
                assert_eq!(decode(codec, &file).as_ref(), Ok(input), "{codec:?}");
            }
        }
    }
}

#[test]
fn an_empty_file_is_valid_in_every_codec() {
    for codec in CODECS {
        let file = encode(codec, b"", 1);
        assert_eq!(decode(codec, &file), Ok(Vec::new()), "{codec:?}");
        assert_eq!(file.is_empty(), codec == TextCodec::None, "{codec:?}");
    }
    // Hadoop's own form of an empty file: one block of no bytes.
    assert_eq!(encode(TextCodec::Snappy, b"", 1), [0, 0, 0, 0]);
    assert_eq!(encode(TextCodec::Lz4, b"", 1), [0, 0, 0, 0]);
}

#[test]
fn block_framing_is_hadoops() {
    // Uncompressed length 3, chunk length 4 or 5, then a literal of three bytes.
    let snappy = [0, 0, 0, 3, 0, 0, 0, 5, 3, 2 << 2, b'a', b'b', b'c'];
    assert_eq!(encode(TextCodec::Snappy, b"abc", 9), snappy);
    let lz4 = [0, 0, 0, 3, 0, 0, 0, 4, 3 << 4, b'a', b'b', b'c'];
    assert_eq!(encode(TextCodec::Lz4, b"abc", 9), lz4);
}

#[test]
fn a_dropped_stream_is_not_a_complete_file() {
    let input = lines(400_000);
    for codec in CODECS.into_iter().filter(|codec| *codec != TextCodec::None) {
        let shared = Shared::default();
        let mut encoder = compressed(Box::new(shared.clone()), codec).unwrap();
        encoder.write_all(&input).unwrap();
        let before = shared.0.lock().unwrap().len();
        drop(encoder);
        let file = shared.0.lock().unwrap().clone();
        assert_eq!(file.len(), before, "{codec:?} wrote in its destructor");
        assert_ne!(decode(codec, &file), Ok(input.clone()), "{codec:?}");
    }
}

/// Fails once, after some bytes, and would work again.
struct Flaky {
    left: usize,
    ours: bool,
}

impl Write for Flaky {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.left < bytes.len() {
            self.left = usize::MAX;
            return Err(match self.ours {
                true => io::Error::other(Error::new(ErrorKind::Cancelled, "stopped")),
                false => io::Error::from(io::ErrorKind::StorageFull),
            });
        }
        self.left -= bytes.len();
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_failed_sink_stays_failed_and_its_own_error_is_kept() {
    for codec in CODECS {
        for (ours, kind) in [(true, ErrorKind::Cancelled), (false, ErrorKind::Storage)] {
            let sink = Flaky { left: 100_000, ours };
            let mut encoder = compressed(Box::new(sink), codec).unwrap();
            let input = noise(2_000_000);
            let error = input.chunks(10_000).find_map(|piece| encoder.write_all(piece).err());
            assert_eq!(sink_error(error.expect("the disk is full")).kind(), kind, "{codec:?}");
            assert!(encoder.finish().is_err(), "{codec:?}");
        }
    }
}
