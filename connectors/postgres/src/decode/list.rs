//! Columns of arrays: one dimension, first index 1, as Arrow knows them. Others are refused.

use std::sync::Arc;

use arrow_array::{ArrayRef, ListArray};
use arrow_buffer::{NullBufferBuilder, OffsetBuffer, ScalarBuffer};
use arrow_schema::FieldRef;
use rsqoop_connector::Result;

use super::{Column, Refused, Span};

pub(super) struct Lists {
    item: FieldRef,
    items: Box<dyn Column>,
    offsets: Vec<i32>,
    nulls: NullBufferBuilder,
    spans: Vec<Span>,
}

impl Lists {
    pub(super) fn new(item: FieldRef, items: Box<dyn Column>) -> Self {
        Lists { item, items, offsets: vec![0], nulls: NullBufferBuilder::new(0), spans: Vec::new() }
    }
}

/// Reads big-endian 32-bit words off the front of an array value.
struct Words<'a> {
    data: &'a [u8],
    at: usize,
    end: usize,
}

impl Words<'_> {
    fn next(&mut self) -> Result<i32, String> {
        let word = self
            .data
            .get(self.at..self.end)
            .and_then(|rest| rest.first_chunk::<4>())
            .ok_or("the array ends early")?;
        self.at += 4;
        Ok(i32::from_be_bytes(*word))
    }
}

/// The elements of one array value; `src/backend/utils/adt/arrayfuncs.c`, `array_send`.
fn elements(data: &[u8], value: Span, spans: &mut Vec<Span>) -> Result<(), String> {
    let start = value.start as usize;
    let len = usize::try_from(value.len).map_err(|_| "the array has no length")?;
    let mut words = Words { data, at: start, end: start + len };
    let dimensions = words.next()?;
    let _has_nulls = words.next()?;
    let _element_type = words.next()?;
    match dimensions {
        0 => return Ok(()),
        1 => {}
        _ => return Err(format!("the array has {dimensions} dimensions")),
    }
    let count = words.next()?;
    let lower = words.next()?;
    if lower != 1 {
        return Err(format!("the array's first index is {lower}, not 1"));
    }
    for _ in 0..count {
        let len = words.next()?;
        let start = u32::try_from(words.at).map_err(|_| "the array is too large")?;
        if let Ok(len) = usize::try_from(len) {
            words.at += len;
            if words.at > words.end {
                return Err("the array ends early".to_string());
            }
        } else if len != -1 {
            return Err(format!("an element has the length {len}"));
        }
        spans.push(Span { start, len });
    }
    if words.at != words.end {
        return Err("the array has bytes after its last element".to_string());
    }
    Ok(())
}

impl Column for Lists {
    fn append(&mut self, data: &[u8], spans: &[Span]) -> Result<(), Refused> {
        for (at, span) in spans.iter().enumerate() {
            let refused = |problem: String| Refused { at, problem };
            self.spans.clear();
            if span.of(data).is_some() {
                elements(data, *span, &mut self.spans).map_err(refused)?;
                self.nulls.append_non_null();
            } else {
                self.nulls.append_null();
            }
            self.items.append(data, &self.spans).map_err(|inner| {
                refused(format!(
                    "element {} cannot be carried over: {}",
                    inner.at + 1,
                    inner.problem
                ))
            })?;
            let before = self.offsets.last().copied().unwrap_or(0);
            let end = i32::try_from(self.spans.len())
                .ok()
                .and_then(|count| before.checked_add(count))
                .ok_or_else(|| refused("one batch has too many array elements".to_string()))?;
            self.offsets.push(end);
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<ArrayRef, Refused> {
        let offsets = std::mem::replace(&mut self.offsets, vec![0]);
        let items = self.items.finish().map_err(|inner| {
            // The element's number becomes that of the list it is in.
            let at = offsets
                .windows(2)
                .position(|pair| usize::try_from(pair[1]).is_ok_and(|end| inner.at < end))
                .unwrap_or(0);
            Refused { at, problem: inner.problem }
        })?;
        let nulls = self.nulls.finish();
        let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
        ListArray::try_new(self.item.clone(), offsets, items, nulls)
            .map(|array| Arc::new(array) as ArrayRef)
            .map_err(|error| Refused { at: 0, problem: error.to_string() })
    }

    fn width(&self) -> usize {
        4
    }
}
