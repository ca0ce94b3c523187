//! Columns of text and of byte strings.

use std::sync::Arc;

use arrow_array::{ArrayRef, BinaryArray, StringArray};
use arrow_buffer::{Buffer, NullBufferBuilder, OffsetBuffer, ScalarBuffer};
use rsqoop_connector::Result;

use super::{Column, Refused, Span};

/// Values one after the other with their ends. Arrow's 32-bit offsets hold 2 GiB: the reading loop
/// ends a batch long before, and a message of the server is below 1 GiB.
struct Values {
    bytes: Vec<u8>,
    offsets: Vec<i32>,
    nulls: NullBufferBuilder,
}

impl Values {
    fn new() -> Self {
        Values { bytes: Vec::new(), offsets: vec![0], nulls: NullBufferBuilder::new(0) }
    }

    fn append(&mut self, data: &[u8], spans: &[Span]) -> Result<(), Refused> {
        self.offsets.reserve(spans.len());
        for (at, span) in spans.iter().enumerate() {
            match span.of(data) {
                None => self.nulls.append_null(),
                Some(bytes) => {
                    self.bytes.extend_from_slice(bytes);
                    self.nulls.append_non_null();
                }
            }
            let end = i32::try_from(self.bytes.len()).map_err(|_| Refused {
                at,
                problem: "the values of one batch take more than 2 GiB".to_string(),
            })?;
            self.offsets.push(end);
        }
        Ok(())
    }

    fn finish(&mut self) -> (OffsetBuffer<i32>, Buffer, Option<arrow_buffer::NullBuffer>) {
        let bytes_capacity = self.bytes.len();
        let mut offsets = Vec::with_capacity(self.offsets.len());
        offsets.push(0);
        let offsets = std::mem::replace(&mut self.offsets, offsets);
        let bytes = std::mem::replace(&mut self.bytes, Vec::with_capacity(bytes_capacity));
        (
            OffsetBuffer::new(ScalarBuffer::from(offsets)),
            Buffer::from_vec(bytes),
            self.nulls.finish(),
        )
    }
}

pub(super) struct Texts(Values);

impl Texts {
    pub(super) fn new() -> Self {
        Texts(Values::new())
    }
}

impl Column for Texts {
    fn append(&mut self, data: &[u8], spans: &[Span]) -> Result<(), Refused> {
        self.0.append(data, spans)
    }

    fn finish(&mut self) -> Result<ArrayRef, Refused> {
        let (offsets, bytes, nulls) = self.0.finish();
        // Checks all values at once, and that none ends inside a character.
        match StringArray::try_new(offsets.clone(), bytes.clone(), nulls) {
            Ok(array) => Ok(Arc::new(array)),
            Err(_) => Err(not_utf8(&offsets, &bytes)),
        }
    }

    fn width(&self) -> usize {
        4
    }
}

fn not_utf8(offsets: &[i32], bytes: &[u8]) -> Refused {
    let value = |pair: &[i32]| {
        let start = usize::try_from(pair[0]).ok()?;
        let end = usize::try_from(pair[1]).ok()?;
        bytes.get(start..end)
    };
    let at = offsets
        .windows(2)
        .position(|pair| value(pair).is_none_or(|v| std::str::from_utf8(v).is_err()))
        .unwrap_or(0);
    Refused { at, problem: "the text is not valid UTF-8".to_string() }
}

pub(super) struct Binaries(Values);

impl Binaries {
    pub(super) fn new() -> Self {
        Binaries(Values::new())
    }
}

impl Column for Binaries {
    fn append(&mut self, data: &[u8], spans: &[Span]) -> Result<(), Refused> {
        self.0.append(data, spans)
    }

    fn finish(&mut self) -> Result<ArrayRef, Refused> {
        let (offsets, bytes, nulls) = self.0.finish();
        Ok(Arc::new(BinaryArray::new(offsets, bytes, nulls)))
    }

    fn width(&self) -> usize {
        4
    }
}
