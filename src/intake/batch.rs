//! Many envelopes in one request: a JSON array, or one on each line (NDJSON).

use std::sync::Arc;

use bytes::Bytes;
use serde_json::value::RawValue;

use crate::intake::envelope;
use crate::model::Submission;
use crate::model::problem::Code;
use crate::model::view::Fault;
use crate::model::view::Problem;

/// What one item of a batch is.
pub(super) type Item = Result<Submission, Vec<Fault>>;

/// The items of a batch, each read by itself.
pub(super) fn read(
    body: &Bytes,
    source: &Arc<str>,
    items_max: usize,
) -> Result<Vec<Item>, Problem> {
    let texts = if body.trim_ascii_start().starts_with(b"[") { array(body)? } else { lines(body) };
    if texts.is_empty() {
        return Err(Problem::new(Code::Validation, "the batch is empty"));
    }
    if texts.len() > items_max {
        let detail = format!("the batch has {} events, {items_max} are allowed", texts.len());
        return Err(Problem::new(Code::PayloadTooLarge, detail));
    }
    Ok(texts.into_iter().map(|text| envelope::read(text, source)).collect())
}

fn array(body: &Bytes) -> Result<Vec<&[u8]>, Problem> {
    let items: Vec<&RawValue> = serde_json::from_slice(body)
        .map_err(|error| Problem::new(Code::MalformedJson, error.to_string()))?;
    Ok(items.into_iter().map(|item| item.get().as_bytes()).collect())
}

fn lines(body: &Bytes) -> Vec<&[u8]> {
    body.split(|byte| *byte == b'\n')
        .map(<[u8]>::trim_ascii)
        .filter(|line| !line.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<Vec<Item>, Problem> {
        read(&Bytes::copy_from_slice(text.as_bytes()), &"uid:1".into(), 3)
    }

    #[test]
    fn arrays_and_lines_are_the_same() {
        let array = r#" [{"type":"a","data":1}, {"type":"b","data":[2]}]"#;
        let lines = "{\"type\":\"a\",\"data\":1}\r\n\n{\"type\":\"b\",\"data\":[2]}\n";
        assert_eq!(read_text(array).unwrap(), read_text(lines).unwrap());
        assert_eq!(read_text(lines).unwrap().len(), 2);
    }

    #[test]
    fn too_many_and_none_are_refused() {
        let one = "{\"type\":\"a\",\"data\":1}\n";
        assert_eq!(read_text(&one.repeat(4)).unwrap_err().code, "payload-too-large");
        assert_eq!(read_text(" \n").unwrap_err().code, "validation");
        assert_eq!(read_text("[{\"type\":").unwrap_err().code, "malformed-json");
    }
}
